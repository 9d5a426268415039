#!/usr/bin/env python3
"""What clients leave behind, as the gauges of /metrics show it: leaks.py URL URL

Sockets of all kinds join, watch, say something, and go: with a word, without, and while their
sessions still open. When their leases have run out nothing of them may be left. Takes half a minute,
because a room that nobody looks at is kept that long for those that come back.
"""

import asyncio
import json

import httpx
import websockets

from checks import API, Failed, arguments, check, equal, ok, run, socket_url
from native_client import Socket, about
from phoenix_v2 import Socket as Phoenix
from yjs_floods import Bare, awareness, figures, person

GAUGES = ("connections", "sessions", "rooms")
#: A room without listeners is kept for 30 s, then some time for slow machines.
LINGER = 50
SOCKETS = 200


async def gauges(api):
    seen = await figures(api)
    return {name: seen[name] for name in GAUGES}


def left_none(now, before):
    return all(now[name] <= before[name] for name in GAUGES)


class Crowd:
    """Clients of one node in some rooms, which go in different ways."""

    def __init__(self, base, room):
        self.base, self.rooms = base, [f"{room}-{number}" for number in range(20)]
        self.sockets = []

    async def native(self, number):
        """In a room with a user, in another one without, and watching two users."""
        socket = await Socket.open(self.base)
        room, other = self.rooms[number % 20], self.rooms[(number + 1) % 20]
        await socket.join(room, f"user-{number % 30}", interval=1000, expiresIn=1000)
        await socket.ask("looks", "join", room=other)
        for user in (number, number + 1):
            await socket.ask("watches", "watch", userId=f"user-{user % 30}")
        await socket.send("presence.cursor", room=room, x=0.5, y=0.5)
        if number % 4 == 0:
            await socket.ask("leaves", "leave", room=room)
            await socket.ask("unwatches", "unwatch", userId=f"user-{number % 30}")
        self.sockets.append(socket.socket)

    async def hasty(self, number):
        """Gone before its join is answered."""
        socket = await websockets.connect(
            socket_url(self.base, "/api/v1/socket"), proxy=None, ping_interval=None
        )
        join = {"type": "join", "room": self.rooms[number % 20], "expiresIn": 1000}
        await socket.send(json.dumps({**join, "user": {"id": f"hasty-{number}"}}))
        await socket.send(json.dumps({"type": "watch", "userId": "user-1"}))
        socket.transport.abort()

    async def phoenix(self, number):
        socket = await Phoenix.open(self.base)
        for index in range(3):
            topic = f"room:{self.rooms[(number + index) % 20]}"
            await socket.join(topic, f"{index}", {"id": f"phx-{number}"} if index < 2 else None)
        self.sockets.append(socket.socket)

    async def editor(self, number):
        socket = await Bare.open(self.base, self.rooms[number % 20])
        await socket.send(awareness([(5000 + number, 1, person(f"Editor {number}"))]))
        self.sockets.append(socket.socket)

    async def reader(self, number):
        """Server-sent events of a room, or of a user."""
        what = f"rooms/{self.rooms[number % 20]}" if number % 2 else f"users/user-{number}"
        async with httpx.AsyncClient(base_url=self.base, trust_env=False) as client:
            async with client.stream("GET", f"/api/v1/{what}/events", timeout=10) as answer:
                async for _ in answer.aiter_lines():
                    break

    async def come(self):
        kinds = [self.native] * 5 + [self.hasty, self.phoenix, self.phoenix, self.editor, self.reader]
        for start in range(0, SOCKETS, 20):
            await asyncio.gather(
                *(kinds[number % len(kinds)](number) for number in range(start, start + 20))
            )

    async def go(self):
        """Every other one without a word."""
        for number, socket in enumerate(self.sockets):
            if number % 2:
                socket.transport.abort()
            else:
                await socket.close()


async def main(options):
    base, other = options.bases[0], options.bases[1]
    api, far = API(base), API(other)
    await gauges(api)
    before, beforeFar = await gauges(api), await figures(far)

    crowd = Crowd(base, options.room)
    await crowd.come()
    seen = await gauges(api)
    check(
        "the gauges show the crowd",
        seen["connections"] >= len(crowd.sockets) and seen["sessions"] >= 80 and seen["rooms"] >= 20,
        {"connections": len(crowd.sockets), "sessions": 80, "rooms": 20},
        seen,
    )
    # A session that the other node takes over leaves nothing here, and nothing there.
    moving = await Socket.open(other)
    moved = {"sessionId": f"{options.room}-moved", "expiresIn": 1000}
    here = await Socket.open(base)
    await here.join(crowd.rooms[0], "nomad", **moved)
    await moving.join(crowd.rooms[0], "nomad", **moved)
    await here.wait("a session moves to the other node", about("presence.moved"))
    for socket in (here, moving):
        await socket.socket.close()

    await crowd.go()
    end = asyncio.get_running_loop().time() + LINGER
    # Less than before may be there: what others left, and is gone by now.
    while not left_none(now := await gauges(api), before):
        if asyncio.get_running_loop().time() > end:
            raise Failed(f"nothing is left\n  expected: {before}\n  seen:     {now}")
        await asyncio.sleep(0.5)
    ok("nothing is left of it")
    for room in crowd.rooms:
        count = await far.call("GET", f"/api/v1/rooms/{room}/count")
        equal("nor at the other node", (count["users"], count["sessions"]), (0, 0))
    now = await figures(far)
    check(
        "whose gateway has no session of it",
        now["sessions"] <= beforeFar["sessions"],
        beforeFar["sessions"],
        now["sessions"],
    )


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)), 150)
