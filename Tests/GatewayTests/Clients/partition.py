#!/usr/bin/env python3
"""A partition that heals, as every kind of client sees it.

    partition.py [--cut SECONDS] [--strict] URL URL URL

The nodes run in demo mode. The second one, B, is cut off. Clients of all kinds are in one room, and of
each kind there is one

    a   on A, all the time
    b   on B, all the time
    c   on C, since the cut
    d   on B, since the cut
    e   on A, and leaves during the cut
    f   on B, and breaks off during the cut
    m   on A, and comes again on B during the cut, if it has an id of session or client that stays
"""

import asyncio
import time

from checks import API, Failed, arguments, check, equal, ok, run, shown, until
from kinds import KINDS, Native

#: A node that is silent is hidden after 5 s.
HIDDEN = 5


async def link(base, is_cut):
    text = "B is cut off" if is_cut else "the cut is healed"
    await API(base).call("POST", "/api/v1/demo/link", {"cut": is_cut}, text=text)


def named(clients):
    return {client.user for client in clients}


async def agree(text, clients, said, seconds=15, besides=lambda sight: sight):
    """Each client sees exactly what is said, but for what `besides` takes away."""

    def differing():
        return {
            client.user: besides(client.sight)
            for client in clients
            if besides(client.sight) != client.expects(said)
        }

    def seen():
        few = list(differing().items())[:2]
        return "\n".join(
            f"{len(differing())} differ; {user} lacks or sees else: "
            + shown({u: sight.get(u) for u in said | sight if sight.get(u) != said.get(u)})
            for user, sight in few
        )

    await until(text, lambda: not differing(), seconds, seen)


async def all_stay(text, clients, said, seconds):
    """For a time, everybody sees exactly what is said, and nobody goes out of sight even shortly."""
    before = {client: len(client.lost) for client in clients}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for client in clients:
            if client.sight != client.expects(said) or len(client.lost) > before[client]:
                raise Failed(
                    f"{text}\n  expected: no change for {seconds} s\n  seen:     {client} lost "
                    f"{client.lost[before[client]:]}, and sees {shown(client.sight)}"
                )
        await asyncio.sleep(0.02)
    ok(text)


async def main(options):
    bases, room = options.bases[:3], options.room
    near, cut, far = bases
    apis = [API(base) for base in bases]

    async def group(letter, base, word, kinds=KINDS):
        clients = [kind(base, room, f"{kind.kind}-{letter}") for kind in kinds]
        await asyncio.gather(*(client.join(word) for client in clients))
        return clients

    def said(*groups):
        return {client.user: [client.word] for clients in groups for client in clients}

    async def say(clients, word):
        await asyncio.gather(*(client.say(word) for client in clients))

    async def stale():
        rooms = [await api.call("GET", f"/api/v1/rooms/{room}") for api in apis]
        return [seen["stale"] for seen in rooms]

    movers = [kind for kind in KINDS if kind.keeps_session]
    a, b = await group("a", near, "first"), await group("b", cut, "first")
    e, f = await group("e", near, "first"), await group("f", cut, "first")
    m = await group("m", near, "first", movers)
    everybody = a + b + e + f + m
    await agree("before the cut all see all", everybody, said(a, b, e, f, m))
    equal("no node is stale", await stale(), [False, False, False])
    for client in everybody:
        client.lost.clear()
        client.stale.clear()

    # The cut. Both sides go on; who goes and comes, goes and comes on one side.
    await link(cut, True)
    began = time.monotonic()
    await say(a + b, "second")
    await asyncio.gather(*(client.leave() for client in e))
    for client in f:
        client.drop()
    c, d = await group("c", far, "third"), await group("d", cut, "third")
    for client in m:
        await client.move(cut, "moved")

    theirs = named(b + d + f)
    await agree(
        "A and C see what their side says",
        a + c,
        said(a, c),
        besides=lambda sight: {u: w for u, w in sight.items() if u not in theirs | named(m)},
    )
    for client in a + c:
        old = {user: words for user, words in client.sight.items() if user in theirs}
        if any(words != ["first"] for words in old.values()):
            check(f"{client} hears nothing through the cut", False, "first, or nobody", old)
    ok("and hear nothing through the cut")
    await agree("then B's clients are gone for A and C", a + c, said(a, c), seconds=3 * HIDDEN)
    check(
        "not before the silence of B was noticed",
        time.monotonic() - began > HIDDEN / 2,
        f"more than {HIDDEN / 2} s",
        time.monotonic() - began,
    )

    # B knows that it hears nobody: it shows what it knew last, and says that this is old.
    old = {user: ["first"] for user in named(a + e)}
    await agree("B shows its own, and the others as they were", b + d, old | said(b, d, m))
    equal("only B is stale", await stale(), [False, True, False])
    await until(
        "native clients of B are told so",
        lambda: all(client.stale == [True] for client in b if isinstance(client, Native)),
        seen=lambda: [client.stale for client in b],
    )
    rest = min(options.cut, 12) - (time.monotonic() - began)
    await all_stay("and so it stays, on both sides", a + c, said(a, c), max(1, rest / 2))
    await all_stay("on B's too", b + d + m, old | said(b, d, m), max(1, rest / 2))
    check(
        "on A nobody went but for who left, or is on the other side",
        all(set(client.lost) <= named(e + b + f + m) for client in a + c),
        sorted(named(e + b + f + m)),
        {client.user: client.lost for client in a + c},
    )
    check(
        "on B nobody went but for who broke off",
        all(set(client.lost) <= named(f) for client in b + d),
        sorted(named(f)),
        {client.user: client.lost for client in b + d},
    )
    await say(a + b, "last")

    # Healed: everybody sees everybody, as they are now, and nobody who is gone.
    await link(cut, False)
    healed = time.monotonic()
    everybody = a + b + c + d + m
    now = said(a, b, c, d, m)
    for client in everybody:
        client.lost.clear()
        client.stays.clear()
    await agree("after the cut all see all, as they are now, and no ghost", everybody, now)
    ok(f"{time.monotonic() - healed:.1f} s after it was healed")
    await until(
        "native clients of B are told that it is not old any more",
        lambda: all(client.stale == [True, False] for client in b if isinstance(client, Native)),
        seen=lambda: [client.stale for client in b],
    )
    equal("those of A were never told that", [x.stale for x in a + c if x.stale], [])
    equal("no node is stale any more", await stale(), [False, False, False])
    await all_stay("nobody goes and comes after that", everybody, now, HIDDEN + 2)
    gone = named(e) | named(f)
    went = {x.user: [user for user in x.lost if user not in gone] for x in everybody}
    check(
        "nor did anybody since the cut was healed, who is there",
        not any(went.values()),
        "nobody",
        {user: lost for user, lost in went.items() if lost},
    )
    # Who ended on B is known to be hidden, and not yet to have ended, when A hears B again.
    ghosts = {
        x.user: [(user, stay) for user, stay in zip(x.lost, x.stays) if user in named(f)]
        for x in a + c
    }
    longest = max((stay for seen in ghosts.values() for _, stay in seen), default=0)
    check(
        f"who had gone is not seen again, or but shortly (longest {longest * 1000:.0f} ms)",
        longest <= (0 if options.strict else 1),
        "nobody" if options.strict else "not for longer than 1 s",
        ghosts,
    )
    fresh = [await group(f"x{number}", base, "new") for number, base in enumerate(bases)]
    fresh = [client for clients in fresh for client in clients]
    everybody += fresh
    await agree("new clients at each node see the same", everybody, now | said(fresh))

    hashes = set()
    for _ in range(50):
        hashes = {(await api.call("GET", "/api/v1/nodes"))["stateHash"] for api in apis}
        if len(hashes) == 1:
            break
        await asyncio.sleep(0.1)
    equal("the nodes hold the same state", len(hashes), 1)
    await asyncio.gather(*(client.leave() for client in everybody))
    for api in apis:
        for _ in range(50):
            seen = await api.call("GET", f"/api/v1/rooms/{room}", params={"onlineOnly": "true"})
            if not seen["users"]:
                break
            await asyncio.sleep(0.1)
        equal("all leave, and nobody is left", [user["userId"] for user in seen["users"]], [])


if __name__ == "__main__":

    def more(parser):
        parser.add_argument(
            "--cut",
            type=float,
            default=10,
            help="how long it lasts at least, up to 12: after 20 a node that hears nobody hides the others",
        )
        parser.add_argument(
            "--strict", action="store_true", help="nobody who has gone is seen again, even shortly"
        )

    options = arguments(__doc__, least=3, more=more)
    run(main(options), 85 + int(options.cut))
