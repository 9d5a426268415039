#!/usr/bin/env python3
"""Editors that ask and claim without end: yjs_floods.py URL URL [URL]

Bare sockets send what no unmodified provider would, as fast as a node takes it. Nobody else may be
kept waiting by it, and what the node keeps for the one that floods has a bound.
"""

import asyncio
import json
import time

import websockets

from checks import (
    API, SOON, Failed, YjsClient, arguments, check, ok, run, socket_url, throughout, until,
)  # fmt: skip

#: The most client ids of one socket, and the most of others that it claims at a time.
BOUND = 64
#: The most that the node takes in one frame.
FRAME = 65_000


def number(value):
    """A varUint."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def sized(content):
    return number(len(content)) + content


def awareness(entries):
    """A message with the states of some client ids: (id, clock, state)."""
    parts = [number(i) + number(c) + sized(json.dumps(s).encode()) for i, c, s in entries]
    return b"\x01" + sized(number(len(parts)) + b"".join(parts))


def person(name, **more):
    return {"user": {"name": name, "color": "#6fb2c8"}, **more}


class Bare:
    """A socket of the Yjs endpoint that counts what it is told."""

    @classmethod
    async def open(cls, base, room):
        self = cls()
        self.frames, self.bytes = 0, 0
        # All that comes is read: what piles up would be this program's fault.
        self.socket = await websockets.connect(
            socket_url(base, f"/yjs/{room}"), proxy=None, ping_interval=None, max_queue=None
        )
        self.task = asyncio.create_task(self._read())
        return self

    async def _read(self):
        try:
            async for frame in self.socket:
                self.frames += 1
                self.bytes += len(frame)
        except websockets.ConnectionClosed:
            pass

    async def send(self, frame):
        await self.socket.send(frame)

    async def close(self):
        await self.socket.close()


async def figures(api):
    """The counters and gauges of a node."""
    text = (await api.call("GET", "/metrics")).text
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("presence_gateway_"): int(value) for name, value in lines}


async def reaches(text, writer, readers, mark):
    """What one editor says now is seen by others soon, whatever somebody else is doing."""
    begin = time.monotonic()
    writer.tell(state=person("Ann", mark=mark))
    await until(
        text,
        lambda: all(any(s.get("mark") == mark for s in reader.states) for reader in readers),
        seen=lambda: [reader.view for reader in readers],
    )
    ok(f"{text}: after {time.monotonic() - begin:.2f} s")


async def check_questions(base, room, ann, readers):
    """A frame full of questions is one question."""
    for text, question in (("awareness", b"\x03"), ("sync", b"\x00\x00\x01\x00")):
        flood = await Bare.open(base, room)
        await flood.send(awareness([(77, 1, person("Flood"))]))
        await asyncio.sleep(0.5)
        before, frames = flood.frames, 7
        for _ in range(frames):
            await flood.send(question * (FRAME // len(question)))
        await reaches(f"others hear each other under a storm of {text} questions", ann, readers, text)
        await asyncio.sleep(1)
        count = flood.frames - before
        # Beside the answers there are the updates of the others.
        check(
            f"a frame of {FRAME // len(question)} {text} questions is answered once",
            frames <= count <= frames + 10,
            f"{frames} to {frames + 10} frames",
            {"frames": count, "bytes": flood.bytes},
        )
        await flood.close()


async def check_claims(bases, room, ann, fay, readers):
    """Ids of others, at this node and at another one, claimed again and again."""
    api = API(bases[0])
    before = await figures(api)
    thieves = [await Bare.open(bases[0], room) for _ in range(3)]
    end, clock = time.monotonic() + 4, 1000
    task = asyncio.create_task(
        reaches("others hear each other while ids are claimed", ann, readers, "claims")
    )
    while time.monotonic() < end:
        clock += 1
        for thief in thieves:
            await thief.send(
                awareness([(client.view["id"], clock, person("Thief")) for client in (ann, fay)])
            )
        await asyncio.sleep(0.02)
    await task
    await until(
        "the owners are seen as they were",
        lambda: all(
            any(s["user"]["name"] == "Ann" and s.get("mark") == "claims" for s in r.states)
            for r in readers
        ),
        seen=lambda: [reader.view for reader in readers],
    )
    check(
        "nobody saw a thief",
        not any(s["user"]["name"] == "Thief" for r in readers for s in r.states),
        "no thief",
        [reader.view for reader in readers],
    )
    after = await figures(api)
    rose = after["yjs_claims_refused_total"] - before["yjs_claims_refused_total"]
    check("refused claims are counted", rose >= 100, "100 or more", rose)
    for thief in thieves:
        await thief.close()


async def check_crowd(bases, room, ann, readers):
    """One socket that speaks for thousands."""
    api = API(bases[0])
    before = await figures(api)
    crowd = await Bare.open(bases[0], room)
    for start in range(0, 3000, 300):
        ids = range(100_000 + start, 100_000 + start + 300)
        await crowd.send(awareness([(i, 1, person(f"Extra {i}")) for i in ids]))
    await reaches("others hear each other beside a crowd", ann, readers, "crowd")
    after = await figures(api)
    grown = after["sessions"] - before["sessions"]
    check(f"a socket has at most {BOUND} editors", grown <= BOUND, f"at most {BOUND}", grown)
    rose = after["yjs_claims_refused_total"] - before["yjs_claims_refused_total"]
    check("the others are counted as refused", rose >= 3000 - BOUND, 3000 - BOUND, rose)
    await crowd.close()
    end = time.monotonic() + SOON
    while (now := (await figures(api))["sessions"]) > before["sessions"]:
        if time.monotonic() > end:
            raise Failed(f"they go with it\n  expected: {before['sessions']}\n  seen:     {now}")
        await asyncio.sleep(0.1)
    ok("they go with it")


async def main(options):
    near, far = options.bases[0], options.bases[1]
    room = options.room
    ann = await YjsClient.start(near, room, person("Ann"))
    ben = await YjsClient.start(near, room, person("Ben"))
    fay = await YjsClient.start(far, room, person("Fay"))
    readers = [ben, fay]
    await reaches("three editors of two nodes hear each other", ann, readers, "first")
    await check_questions(near, room, ann, readers)
    await check_claims(options.bases, room, ann, fay, readers)
    await check_crowd(options.bases, room, ann, readers)
    await throughout(
        "the editors are there to the end",
        lambda: ann.user(name="Ben") and ann.user(name="Fay"),
        0.5,
        lambda: ann.view,
    )


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)), 90)
