#!/usr/bin/env python3
"""Drives Phoenix's own JavaScript `Socket` and `Channel`: phoenix_js.py URL URL [URL]

They run unmodified in node, in the script for browsers that pyview-web ships: `phoenix_js.cjs`. That
script holds no `Presence`, so what the messages of presence come to is reckoned here.
"""

import asyncio
import importlib.metadata
import json
import subprocess

from checks import HERE, arguments, check, equal, ok, processes, run, socket_url, throughout, until
from relay import Relay


def bundle():
    files = importlib.metadata.distribution("pyview-web")
    return str(files.locate_file("pyview/static/assets/app.js"))


class PhoenixJS:
    """A channel of Phoenix's own client, in a process of its own."""

    @classmethod
    async def start(cls, base, topic, user, word, heartbeat=30000, hear=None, joins=True):
        self = cls()
        self.hear = hear or (lambda event, payload: None)
        self.told = []
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(HERE / "phoenix_js.cjs"),
            bundle(),
            socket_url(base, "/socket"),
            topic,
            json.dumps(user),
            str(heartbeat),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(self.process)
        self.task = asyncio.create_task(self._follow())
        self.tell(say=word)
        if joins:
            await until(
                "Phoenix's own client joins",
                lambda: self.count(channel="joined"),
                seen=lambda: self.told,
            )
        return self

    async def _follow(self):
        async for line in self.process.stdout:
            told = json.loads(line)
            self.told.append(told)
            if "event" in told:
                self.hear(told["event"], told["payload"])

    def count(self, **fields):
        """How often it told something with these fields."""
        return sum(fields.items() <= told.items() for told in self.told)

    def events(self, name):
        return [told["payload"] for told in self.told if told.get("event") == name]

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")


def only(entries, key):
    """The one meta of a key in a state, or in one side of a diff; None if there is not just one."""
    metas = entries.get(key, {}).get("metas", [])
    return metas[0] if len(metas) == 1 else None


async def main(options):
    near, far, topic = options.bases[0], options.bases[1], f"room:{options.room}"
    relay = await Relay.start(near)
    watch = await PhoenixJS.start(far, topic, {"id": "bob", "name": "Bob"}, "looks")

    # A heartbeat each second: the client itself finds out that its connection is dead.
    ann = await PhoenixJS.start(
        relay.base, topic, {"id": "ann", "name": "Ann", "color": "#6fb2c8"}, "one", heartbeat=1000
    )
    url = next(told["url"] for told in ann.told if told.get("socket") == "open")
    check("it speaks version 2", url.endswith("/socket/websocket?vsn=2.0.0"), "vsn=2.0.0", url)
    await until("a presence_state follows", lambda: ann.events("presence_state"))
    sights = lambda: ann.events("presence_state") + [
        d["joins"] for d in ann.events("presence_diff")
    ]
    await until(
        "who was there is in it, or follows",
        lambda: any((only(sight, "bob") or {}).get("say") == "looks" for sight in sights()),
        seen=lambda: ann.told,
    )

    def joins():
        return [only(diff["joins"], "ann") for diff in watch.events("presence_diff")]

    def leaves():
        return [only(diff["leaves"], "ann") for diff in watch.events("presence_diff")]

    def last():
        """The last that was told of ann as a join."""
        told = [meta for meta in joins() if meta]
        return told[-1] if told else {}

    await until(
        "a join is told on another node, with what was joined with",
        lambda: (last().get("name"), last().get("color"), last().get("say"))
        == ("Ann", "#6fb2c8", "one"),
        seen=lambda: watch.told,
    )
    before = last()["phx_ref"]
    ann.tell(say="two")
    await until("track is answered", lambda: ann.count(said="two"), seen=lambda: ann.told)
    await until("an update is seen", lambda: last().get("say") == "two", seen=lambda: watch.told)
    equal("with the ref of what it takes the place of", last().get("phx_ref_prev"), before)
    equal("which is left in the same diff", leaves()[-1]["phx_ref"], before)
    equal("one's own is told as well", bool(ann.events("presence_diff")), True)

    # The connection breaks: the library connects and joins again, and is told all anew.
    old = last()["phx_ref"]
    watch.told.clear()
    states = len(ann.events("presence_state"))
    relay.tear(accepts=True)
    await until("it connects again", lambda: ann.count(socket="open") == 2, 8, lambda: ann.told)
    await until(
        "it is told a state again",
        lambda: len(ann.events("presence_state")) > states,
        8,
        lambda: ann.told,
    )
    check(
        "with the others in it",
        only(ann.events("presence_state")[-1], "bob"),
        "one meta of bob",
        ann.events("presence_state")[-1],
    )
    await until(
        "the others see it come again",
        lambda: last().get("say") == "two" and any(leaves()),
        seen=lambda: watch.told,
    )
    refs = [meta["phx_ref"] for meta in leaves() if meta]
    check("and that it had gone", old in refs and last()["phx_ref"] != old, old, watch.told)

    # The connection goes silent: its heartbeats are not answered, so it makes another.
    relay.freeze(accepts=True)
    await until(
        "a half-open connection is found out by heartbeats",
        lambda: ann.count(socket="open") == 3,
        8,
        lambda: ann.told,
    )
    ann.tell(say="three")
    await until("it is seen to go on", lambda: last().get("say") == "three", 8, lambda: watch.told)

    ann.tell(leave=True)
    await until("a leave closes its channel", lambda: ann.count(channel="closed"))
    count = len(ann.told)
    await until("and is told", lambda: leaves()[-1] and leaves()[-1].get("say") == "three")
    await throughout(
        "nothing comes after it", lambda: len(ann.told) == count, 0.5, lambda: ann.told
    )

    refused = await PhoenixJS.start(near, "kitchen:sink", {"id": "eve"}, "let me in", joins=False)
    await until("an unknown topic is refused", lambda: refused.count(channel="refused"))
    reason = next(told["reason"] for told in refused.told if told.get("channel") == "refused")
    equal("with a reason", reason, {"reason": "unmatched topic"})
    ok("that is all")


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
