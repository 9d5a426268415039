#!/usr/bin/env python3
"""The HTTP API against its OpenAPI document, with requests that schemathesis makes from it.

    schema.py http://127.0.0.1:7980 [--document FILE] [--seed N] [--all]

The node runs in trusted mode. Without `--document` its own `/openapi.json` is taken. Sends valid
and invalid requests of each operation, but the event streams and the demonstration. Prints one line
per operation, and ends with 1 at the first failure (with `--all`: after all), telling what was sent
and seen.
"""

import argparse
import collections
import itertools
import json
import re
import sys
import time
import uuid
from pathlib import Path

import httpx
import schemathesis
from checks import Failed, shown
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

LEFT_OUT = r"/events$|^/api/v1/demo/link$"
DOCUMENT = "/openapi.json"
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
EXAMPLES = 80  # of one operation and of each kind, beside those of the bounds
SECONDS = 58
RATE = "200/s"  # a node takes 240 on one connection
ALIKE = 3  # failures of one check and operation that are told

#: A document counts characters, the node bytes; nor can a document bound free JSON.
BEYOND_DOCUMENT = re.compile(
    r"at most \d+ bytes|at most \d+ are allowed|nested deeper|too many keys"
)


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
        self.name = f"schema-{uuid.uuid4().hex[:8]}"
        self.path = {"room": self.name, "user": self.name}
        self.turns = itertools.cycle((True, False))
        self.session = self.name

    def beat(self):
        """Comes, or comes back after a DELETE: then with another session."""
        answer = self.post()
        if answer.status_code == 410:
            self.session = f"{self.name}-{uuid.uuid4().hex[:8]}"
            answer = self.post()
        if answer.status_code != 200:
            raise Failed(f"a heartbeat\n  expected: HTTP 200\n  seen:     {shown(answer.text)}")
        return answer.json()["sessionToken"]

    def post(self):
        return self.client.post(
            "/api/v1/heartbeat",
            json={
                "room": self.name,
                "user": {"id": self.name, "data": [1]},
                "sessionId": self.session,
                "status": "busy",
            },
        )

    def lend(self, case):
        """Puts the user into every other request that would meet nobody."""
        names = case.path_parameters.keys() & self.path.keys()
        if not names or not next(self.turns):
            return
        if case.method == "PATCH" and isinstance(case.body, dict):
            case.body["sessionToken"] = self.beat()
        elif case.method == "GET" and case.meta.generation.mode.is_positive:
            self.beat()
        else:
            return
        for name in names:
            case.path_parameters[name] = self.path[name]

    def leave(self):
        self.client.post("/api/v1/disconnect", json={"sessionToken": self.beat()})


def configuration(options):
    enabled = {name: {"enabled": name in CHECKS} for name in builtin_checks()}
    return SchemathesisConfig.from_dict(
        {
            "seed": options.seed,
            "base-url": options.base,
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
            "operations": [{"include-path-regex": left_out(options), "enabled": False}],
            **({} if options.all else {"max-failures": 1}),
        }
    )


def left_out(options):
    """With a document from elsewhere, the node need not serve one."""
    return f"{LEFT_OUT}|^{DOCUMENT}$" if options.document else LEFT_OUT


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


def failures(recorder, kinds):
    """What failed in a scenario; few of a kind."""
    for case, nodes in recorder.checks.items():
        for node in nodes:
            if node.status != Status.FAILURE or node.failure_info is None:
                continue
            failure = node.failure_info.failure
            kinds[recorder.label, node.name] += 1
            if kinds[recorder.label, node.name] > ALIKE:
                continue
            why = " ".join(f"{failure.title}: {failure.message}".split())
            lines = [f"{recorder.label}: {node.name}", f"  expected: {shown(why)}"]
            yield "\n".join(lines + sent(recorder.interactions[case]))


def run(options):
    client = httpx.Client(base_url=options.base, timeout=5, trust_env=False)
    if options.document:
        document = json.loads(options.document.read_text())
    else:
        answer = client.get(DOCUMENT)
        if answer.status_code != 200:
            raise Failed(
                f"GET {DOCUMENT}\n  expected: HTTP 200\n  seen:     HTTP {answer.status_code}"
            )
        document = answer.json()
    visitor = Visitor(client)
    visitor.beat()

    @schemathesis.hook
    def before_call(context, case, kwargs):
        visitor.lend(case)

    schema = schemathesis.openapi.from_dict(document, config=configuration(options))
    schema.validate()

    labels = [
        operation.ok().label
        for operation in schema.get_all_operations()
        if not re.search(left_out(options), operation.ok().path)
    ]
    statuses = collections.defaultdict(collections.Counter)
    kinds = collections.Counter()
    told = []
    end = time.monotonic() + SECONDS
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            told.append(f"schemathesis\n  seen:     {event.exception!r}")
        elif isinstance(event, events.NonFatalError):
            told.append(f"{event.label}\n  seen:     {event.value!r}")
        elif isinstance(event, events.ScenarioFinished):
            for interaction in event.recorder.interactions.values():
                code = interaction.response.status_code if interaction.response else "no answer"
                statuses[event.recorder.label][code] += 1
            told += failures(event.recorder, kinds)
        if told and not options.all:
            break
        if time.monotonic() > end:
            told.append(f"all operations\n  expected: an end within {SECONDS} s")
            break
    visitor.leave()
    failed = {label for label in labels for text in told if text.startswith(label + ":")}
    for label in labels:
        counts = ", ".join(f"{count} × {code}" for code, count in sorted(statuses[label].items()))
        if counts:
            print("no" if label in failed else "ok", f"{label}: {counts}", flush=True)
    if told:
        raise Failed("\nFAILED ".join(told if options.all else told[:1]))
    silent = [label for label in labels if 200 not in statuses[label]]
    if silent:
        raise Failed(f"operations\n  expected: HTTP 200 at least once\n  seen:     not {silent}")


def main():
    parser = argparse.ArgumentParser(description="The HTTP API against its OpenAPI document.")
    parser.add_argument("base", metavar="URL", help="http://127.0.0.1:7980")
    parser.add_argument("--document", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="go on after a failure")
    options = parser.parse_args()
    options.base = options.base.rstrip("/")
    try:
        run(options)
    except Failed as failure:
        print(f"FAILED {failure}", flush=True)
        return 1
    except httpx.HTTPError as error:
        print(f"FAILED all operations\n  seen:     {error!r}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
