#!/usr/bin/env python3
"""Connections that break or go silent, as every kind of client sees it: endings.py URL URL [URL]

Clients of all kinds are in one room. Each that something happens to is on the first node, behind a
relay of its own; one of each kind looks on from another node. Takes a good minute, because a socket of
Phoenix's is silent for that long before it counts as dead.
"""

import asyncio
import time

from checks import API, Failed, arguments, check, equal, ok, run, until
from kinds import KINDS, Native

#: Until a new connection is seen elsewhere; clients wait a little before they try again.
AGAIN = 8


class Stage:
    """The room, and those who look on."""

    def __init__(self, bases, room):
        self.bases, self.room = bases, room

    async def fill(self):
        others = self.bases[1:]
        self.watchers = [
            kind(others[number % len(others)], self.room, f"{kind.kind}-watcher")
            for number, kind in enumerate(KINDS)
        ]
        await asyncio.gather(*(watcher.join("here") for watcher in self.watchers))

    async def enter(self, kind, what):
        client = kind(self.bases[0], self.room, f"{kind.kind}-{what}")
        await client.join("one")
        await self.see(f"{client} is seen", client, ["one"])
        return client

    def words(self, client):
        """What each watcher sees a client say, by the kind of the watcher."""
        return {watcher.kind: watcher.sight.get(client.user) for watcher in self.watchers}

    async def see(self, text, client, words, seconds=AGAIN):
        """All watchers see a client with these words; None: they do not see it."""
        some = [[word] for word in words or []]

        def fits(watcher):
            seen = watcher.sight.get(client.user)
            return seen == words or watcher.shows_one and seen in some

        await until(
            f"{text} (as {words})",
            lambda: all(map(fits, self.watchers)),
            seconds,
            lambda: self.words(client),
        )

    async def keep(self, text, client, words, seconds=1.5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(seen != words for seen in self.words(client).values()):
                raise Failed(f"{text}\n  expected: {words}\n  seen:     {self.words(client)}")
            await asyncio.sleep(0.02)
        ok(text)

    def losses(self, client):
        """How often watchers lost a client from sight, by the kind of the watcher."""
        lost = {watcher.kind: watcher.lost.count(client.user) for watcher in self.watchers}
        return {kind: count for kind, count in lost.items() if count}


async def reconnect(stage, kind):
    """The connection is reset on both sides; the client is back at once."""
    client = await stage.enter(kind, "reconnect")
    client.relay.tear(accepts=True)
    await client.back("two")
    await stage.see(f"{client}: is seen again", client, ["two"])
    await stage.keep(f"{client}: and stays, as one session", client, ["two"])
    if not kind.ends_with_socket:
        equal(f"{client}: others see nothing of it", stage.losses(client), {})
    # The new connection serves it, too: it hears of the others, and they of it.
    await client.say("three")
    await stage.see(f"{client}: its next update is seen", client, ["three"])
    await until(
        f"{client}: it sees the others",
        lambda: {w.user for w in stage.watchers} <= client.sight.keys(),
        AGAIN,
        lambda: client.sight,
    )
    if kind is Native:
        equal(f"{client}: it was restored", client.restored, [False, True])
    return client


async def half_open(stage, kind):
    """The client's side of the connection is gone, the node is not told; the client is back at once."""
    client = await stage.enter(kind, "half-open")
    client.relay.strand()
    begin = time.monotonic()
    await client.back("two")
    if kind.keeps_session:
        await stage.see(f"{client}: has taken its session over", client, ["two"])
        await stage.keep(f"{client}: and has it alone", client, ["two"])
    else:
        # No id tells that both are one client: the dead one counts until it is found to be dead.
        await stage.see(f"{client}: is seen beside what it was", client, ["one", "two"])
        await stage.see(
            f"{client}: and alone, when that is found to be dead",
            client,
            ["two"],
            seconds=kind.lease[1],
        )
        took = time.monotonic() - begin
        check(f"{client}: not before its time", took > kind.lease[0], kind.lease[0], took)
    equal(f"{client}: nobody saw it go", stage.losses(client), {})
    await client.say("three")
    await stage.see(f"{client}: its next update is seen", client, ["three"])
    if kind is Native:
        equal(f"{client}: it was restored", client.restored, [False, True])
    return client


async def goes(stage, client, shortest, longest):
    begin = time.monotonic()
    await stage.see(f"{client}: is gone", client, None, seconds=longest)
    took = time.monotonic() - begin
    check(f"{client}: not before its time ({took:.1f} s)", took > shortest, shortest, took)
    counts = {watcher.kind: 1 for watcher in stage.watchers}
    equal(f"{client}: it went once", stage.losses(client), counts)


async def drop(stage, kind):
    """The connection is reset on both sides, and the client does not come back."""
    client = await stage.enter(kind, "drop")
    client.drop()
    await goes(stage, client, *((0, 3) if kind.ends_with_socket else kind.lease))


async def expiry(stage, kind):
    """The connection goes silent, and stays open; the client does not come back."""
    client = await stage.enter(kind, "expiry")
    client.relay.freeze()
    await goes(stage, client, *kind.lease)
    client.stop()


async def main(options):
    stage = Stage(options.bases[:3], options.room)
    await stage.fill()
    # All at once: most of the time is waiting. In turns, as a node takes only so much at a time.
    tasks = []
    for case in (expiry, half_open, drop, reconnect):
        tasks += [asyncio.create_task(case(stage, kind)) for kind in KINDS]
        await asyncio.sleep(1)
    left = [client for client in await asyncio.gather(*tasks) if client]

    for client in left:
        await stage.keep(f"at last {client} is there", client, ["three"], 0)
    there = {client.user for client in left + stage.watchers}
    for watcher in stage.watchers:
        seen = watcher.sight.keys() | {watcher.user}
        equal(
            f"at last {watcher} sees all who are there, and no ghost", sorted(seen), sorted(there)
        )
    await asyncio.gather(*(client.leave() for client in left + stage.watchers))
    for base in stage.bases:
        path = f"/api/v1/rooms/{stage.room}/count"
        for _ in range(50):
            seen = await API(base).call("GET", path)
            if not seen["users"]:
                break
            await asyncio.sleep(0.1)
        equal("all leave, and nobody is left", (seen["users"], seen["sessions"]), (0, 0))


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)), 120)
