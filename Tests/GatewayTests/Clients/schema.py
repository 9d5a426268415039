#!/usr/bin/env python3
"""The HTTP API against its OpenAPI document, with requests that schemathesis makes from it.

    schema.py http://127.0.0.1:7980 [--document FILE] [--token TOKEN] [--seed N] [--all]

Without `--document` the node's own `/openapi.json` is taken. Sends valid and invalid requests of each
operation, but the two event streams and the demonstration. Prints one line per operation, and ends with
1 at the first failure (with `--all`: after all of them), telling what was sent and seen.
"""

import argparse
import collections
import itertools
import json
import re
import sys
import uuid
from pathlib import Path

import httpx
import schemathesis
from checks import Failed, shown
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

LEFT_OUT = r"/events$|^/api/v1/demo/link$"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "valid_is_accepted",
]
EXAMPLES = 40  # of one operation, beside those of the bounds
SECONDS = 50  # below the node's limit of 240 requests a second, on one connection
RATE = "200/s"

#: A document counts characters, the node bytes; nor can a document bound free JSON.
BEYOND_DOCUMENT = re.compile(r"at most \d+ bytes|at most \d+ are allowed|nested deeper|too many keys")


@schemathesis.check
def valid_is_accepted(ctx, response, case):
    """What the document allows is not malformed, but for bounds that it cannot tell."""
    if response.status_code not in (400, 413, 415) or case.media_type == "text/plain":
        return
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    message = response.json().get("error", {}).get("message", "")
    lobby = case.method == "DELETE" and case.path_parameters.get("room") == "~"
    if not lobby and not BEYOND_DOCUMENT.search(message):
        raise AssertionError(f"a valid request is refused: {message}")


class Visitor:
    """A user with a session, so that requests also meet somebody who is there."""

    def __init__(self, client):
        self.client = client
        run = uuid.uuid4().hex[:8]
        self.path = {"room": f"schema-{run}", "user": f"schema-{run}"}
        self.turns = itertools.cycle((True, False))
        answer = client.post(
            "/api/v1/heartbeat",
            json={
                "room": self.path["room"],
                "user": {"id": self.path["user"], "data": [1]},
                "sessionId": run,
                "expiresIn": 600_000,
                "status": "busy",
            },
        )
        if answer.status_code != 200:
            raise Failed(f"a heartbeat\n  expected: HTTP 200\n  seen:     {shown(answer.text)}")
        self.token = answer.json()["sessionToken"]

    def lend(self, case):
        """Puts the user into every other valid request."""
        if case.method not in ("GET", "PATCH") or not case.meta.generation.mode.is_positive:
            return
        if not next(self.turns):
            return
        for name in case.path_parameters.keys() & self.path.keys():
            case.path_parameters[name] = self.path[name]
        if case.method == "PATCH" and isinstance(case.body, dict):
            case.body["sessionToken"] = self.token

    def leave(self):
        self.client.post("/api/v1/disconnect", json={"sessionToken": self.token})


def configuration(options):
    headers = {"authorization": f"Bearer {options.token}"} if options.token else {}
    enabled = {name: {"enabled": name in CHECKS} for name in builtin_checks()}
    return SchemathesisConfig.from_dict(
        {
            "seed": options.seed,
            "max-time": SECONDS,
            "base-url": options.base,
            "headers": headers,
            "rate-limit": RATE,
            "request-timeout": 5,
            "continue-on-failure": options.all,
            "checks": enabled,
            "generation": {
                "mode": "all",
                "max-examples": EXAMPLES,
                "database": "none",
                "with-security-parameters": False,
            },
            "phases": {"stateful": {"enabled": False}},
            "operations": [{"include-path-regex": LEFT_OUT, "enabled": False}],
            **({} if options.all else {"max-failures": 1}),
        }
    )


def builtin_checks():
    from schemathesis.checks import CHECKS as known, load_all_checks

    load_all_checks()
    return [name for name in known.get_all_names() if name != "valid_is_accepted"]


def sent(interaction):
    request, response = interaction.request, interaction.response
    body = request.body.decode(errors="backslashreplace") if request.body else ""
    lines = [f"  sent:     {request.method} {request.uri} {shown(body)}".rstrip()]
    if response is None:
        return lines + ["  seen:     no answer"]
    headers = {name: ", ".join(map(str, values)) for name, values in response.headers.items()}
    few = {k: v for k, v in headers.items() if k in ("content-type", "allow", "retry-after")}
    return lines + [f"  seen:     HTTP {response.status_code} {few} {shown(response.text)}"]


def failures(recorder):
    """What failed in a scenario: each kind of failure once."""
    kinds = set()
    for case, nodes in recorder.checks.items():
        for node in nodes:
            if node.status != Status.FAILURE or node.failure_info is None:
                continue
            failure = node.failure_info.failure
            if (node.name, failure.message) in kinds:
                continue
            kinds.add((node.name, failure.message))
            why = " ".join(f"{failure.title}: {failure.message}".split())
            lines = [f"{recorder.label}: {node.name}", f"  expected: {shown(why)}"]
            yield "\n".join(lines + sent(recorder.interactions[case]))


def run(options):
    client = httpx.Client(
        base_url=options.base,
        timeout=5,
        trust_env=False,
        headers={"authorization": f"Bearer {options.token}"} if options.token else {},
    )
    if options.document:
        document = json.loads(options.document.read_text())
    else:
        answer = client.get("/openapi.json")
        if answer.status_code != 200:
            raise Failed(
                f"GET /openapi.json\n  expected: HTTP 200\n  seen:     HTTP {answer.status_code}"
            )
        document = answer.json()
    visitor = Visitor(client)

    @schemathesis.hook
    def before_call(context, case, kwargs):
        visitor.lend(case)

    schema = schemathesis.openapi.from_dict(document, config=configuration(options))
    schema.validate()

    statuses = collections.defaultdict(collections.Counter)
    labels = [
        operation.ok().label
        for operation in schema.get_all_operations()
        if not re.search(LEFT_OUT, operation.ok().path)
    ]
    told = []
    for event in from_schema(schema).execute():
        if isinstance(event, (events.NonFatalError, events.FatalError)):
            told.append(f"{getattr(event, 'label', 'schemathesis')}: {event.info.format()}"
                        if isinstance(event, events.NonFatalError) else repr(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            for interaction in event.recorder.interactions.values():
                code = interaction.response.status_code if interaction.response else "no answer"
                statuses[event.recorder.label][code] += 1
            if event.status == Status.FAILURE:
                told += failures(event.recorder)
        if told and not options.all:
            break
    visitor.leave()
    for label in labels:
        counts = ", ".join(f"{n} × {code}" for code, n in sorted(statuses[label].items(), key=str))
        if counts:
            print(f"ok {label}: {counts}" if not any(t.startswith(label + ":") for t in told)
                  else f"no {label}: {counts}", flush=True)
    if told:
        raise Failed("\nFAILED ".join(told if options.all else told[:1]))
    silent = [label for label in labels if not statuses[label]]
    if silent:
        raise Failed(f"all operations\n  expected: asked within {SECONDS} s\n  seen:     not {silent}")


def main():
    parser = argparse.ArgumentParser(description="The HTTP API against its OpenAPI document.")
    parser.add_argument("base", metavar="URL", help="http://127.0.0.1:7980")
    parser.add_argument("--document", type=Path, metavar="FILE")
    parser.add_argument("--token", help="for a node with --http-keys")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="go on after a failure")
    options = parser.parse_args()
    options.base = options.base.rstrip("/")
    try:
        run(options)
    except Failed as failure:
        print(f"FAILED {failure}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
