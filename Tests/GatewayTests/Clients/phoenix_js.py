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
