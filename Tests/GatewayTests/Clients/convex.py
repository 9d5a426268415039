#!/usr/bin/env python3
"""Drives the Convex-shaped functions over HTTP: convex.py URL [URL]

The shapes are those of Convex's HTTP API and of its presence component: a path, named arguments, and
an answer with a status.
"""

import asyncio
import json
import time

from checks import API, SOON, Failed, arguments, check, equal, ok, run


class Convex:
    def __init__(self, base):
        self.api = API(base)

    async def _call(self, kind, function, args, content="application/json"):
        body = json.dumps({"path": f"presence:{function}", "args": args, "format": "json"}).encode()
        answer = await self.api.client.post(
            f"/api/{kind}", content=body, headers={"content-type": content}
        )
        # Convex's own client takes the answer of a function that failed as 200 or as 560.
        if answer.status_code not in (200, 560):
            raise Failed(
                f"{function}\n  expected: HTTP 200 (or 560 for an error of a function)"
                f"\n  seen:     HTTP {answer.status_code} {answer.text}"
            )
        return answer.json()

    async def mutation(self, function, content="application/json", **args):
        return value(function, await self._call("mutation", function, args, content))

    async def query(self, function, **args):
        return value(function, await self._call("query", function, args))

    async def refused(self, text, kind, function, **args):
        answer = await self._call(kind, function, args)
        check(
            text,
            answer.get("status") == "error" and isinstance(answer.get("errorMessage"), str),
            {"status": "error", "errorMessage": "…"},
            answer,
        )

    async def shows(self, text, token, condition, seconds=SOON):
        """The list of a room token, as soon as it fulfils a condition."""
        end = time.monotonic() + seconds
        while not condition(seen := await self.query("list", roomToken=token)):
            if time.monotonic() > end:
                raise Failed(f"{text}\n  expected: within {seconds} s\n  seen:     {seen}")
            await asyncio.sleep(0.1)
        ok(text)
        return seen


def value(function, answer):
    if answer.get("status") != "success" or "value" not in answer:
        raise Failed(
            f'{function}\n  expected: {{"status": "success", "value": …}}\n  seen:     {answer}'
        )
    return answer["value"]


def users(entries, online=None):
    return [entry["userId"] for entry in entries if online is None or entry["online"] == online]


async def main(options):
    room = options.room
    near, far = Convex(options.bases[0]), Convex(options.bases[-1])

    ada = dict(roomId=room, userId="ada", sessionId=f"{room}-ada", interval=10000)
    tokens = await near.mutation("heartbeat", **ada)
    equal("a heartbeat gives two tokens", sorted(tokens), ["roomToken", "sessionToken"])
    check(
        "which are texts",
        all(isinstance(token, str) and token for token in tokens.values()),
        "texts",
        tokens,
    )
    again = await near.mutation("heartbeat", **ada)
    equal("and the same for the next", again, tokens)
    equal(
        "the interval may be left out",
        sorted(
            await near.mutation("heartbeat", roomId=room, userId="bob", sessionId=f"{room}-bob")
        ),
        ["roomToken", "sessionToken"],
    )

    token = tokens["roomToken"]
    entries = await near.shows(
        "both are listed", token, lambda e: set(users(e, True)) == {"ada", "bob"}
    )
    for entry in entries:
        check(
            "an entry's shape",
            {"userId", "online", "lastDisconnected"}
            <= set(entry)
            <= {"userId", "online", "lastDisconnected", "data"},
            "userId, online, lastDisconnected, data",
            entry,
        )
    equal("online is never disconnected", [e["lastDisconnected"] for e in entries], [0, 0])
    equal("a bad token gives nothing", await near.query("list", roomToken="no-token"), [])
    equal("nor an empty one", await near.query("list", roomToken=""), [])
    equal(
        "nor one that was changed",
        await near.query("list", roomToken=token[:-1] + ("A" if token[-1] != "A" else "B")),
        [],
    )
    equal("limit", len(await near.query("list", roomToken=token, limit=1)), 1)

    await far.shows(
        "the token shows the room at another node",
        token,
        lambda e: set(users(e, True)) == {"ada", "bob"},
    )
    equal("listRoom", set(users(await far.query("listRoom", roomId=room))), {"ada", "bob"})
    equal(
        "listRoom with a limit",
        len(await far.query("listRoom", roomId=room, onlineOnly=True, limit=1)),
        1,
    )
    rooms = await far.query("listUser", userId="ada", onlineOnly=True)
    check(
        "listUser",
        [entry["roomId"] for entry in rooms if entry["online"]] == [room],
        [{"roomId": room, "online": True, "lastDisconnected": 0}],
        rooms,
    )

    await near.mutation("updateRoomUser", roomId=room, userId="ada", data={"color": "red"})
    await far.shows(
        "data of a user in a room is seen",
        token,
        lambda e: {"color": "red"} in [entry.get("data") for entry in e],
    )

    # The session of one room and one user stays so; a tab that is hidden says so, perhaps twice.
    await near.refused(
        "a session in another room is refused",
        "mutation",
        "heartbeat",
        **{**ada, "roomId": room + "2"},
    )
    # The same id of another user is another session.
    other = await near.mutation("heartbeat", **{**ada, "userId": "eve", "roomId": room + "3"})
    await near.mutation("disconnect", sessionToken=other["sessionToken"])
    session = tokens["sessionToken"]
    for times, content in (
        ("once", "text/plain;charset=UTF-8"),
        ("twice", "text/plain;charset=UTF-8"),
        ("a third time, as JSON", "application/json"),
    ):
        await near.mutation("disconnect", content=content, sessionToken=session)
        ok(f"a beacon disconnects, {times}")
    entries = await far.shows(
        "who disconnected is offline", token, lambda e: users(e, False) == ["ada"]
    )
    check(
        "since now, and listed last",
        entries[-1]["userId"] == "ada"
        and abs(entries[-1]["lastDisconnected"] - time.time() * 1000) < 10000,
        "ada last, with a time",
        entries,
    )
    equal(
        "listRoom of those who are online",
        users(await near.query("listRoom", roomId=room, onlineOnly=True)),
        ["bob"],
    )
    await near.mutation("heartbeat", **ada)
    entries = await far.shows(
        "a tab that is shown again is online", token, lambda e: "ada" in users(e, True)
    )
    equal("and was never gone", {e["lastDisconnected"] for e in entries}, {0})

    # Two sessions, then none: online until the last one ends; the lease is 2.5 × interval.
    second = await near.mutation("heartbeat", **{**ada, "sessionId": f"{room}-ada2"})
    await near.mutation("disconnect", sessionToken=second["sessionToken"])
    await asyncio.sleep(0.5)
    check(
        "one of two sessions ends: still online",
        "ada" in users(await near.query("list", roomToken=token), True),
        "ada online",
        None,
    )
    begin = time.monotonic()
    await near.mutation(
        "heartbeat", roomId=room, userId="cleo", sessionId=f"{room}-cleo", interval=1000
    )
    await near.shows("a short lease", token, lambda e: "cleo" in users(e, True))
    await far.shows("ends", token, lambda e: "cleo" in users(e, False), 2.5 + SOON)
    took = time.monotonic() - begin
    check("after 2.5 × interval", took > 2.2, "2.5 s or a little more", took)

    await asyncio.sleep(0.1)
    tokens = await near.mutation("heartbeat", **ada)
    await near.mutation("disconnect", sessionToken=tokens["sessionToken"])
    entries = await far.shows("two are gone", token, lambda e: len(users(e, False)) == 2)
    equal("online first, then who went last", users(entries), ["bob", "ada", "cleo"])

    await near.mutation("removeRoomUser", roomId=room, userId="bob")
    await far.shows(
        "a user who is removed is not online", token, lambda e: "bob" not in users(e, True)
    )
    await near.mutation("heartbeat", **ada)
    await near.shows("somebody is there", token, lambda e: "ada" in users(e, True))
    await near.mutation("removeRoom", roomId=room)
    await far.shows(
        "nobody is online in a room that is removed", token, lambda e: users(e, True) == []
    )

    await near.refused("an unknown function", "mutation", "fly")
    await near.refused("a missing argument", "mutation", "heartbeat", roomId=room)
    await near.refused("a wrong kind", "mutation", "heartbeat", **{**ada, "interval": "soon"})
    await near.refused("an interval of nothing", "mutation", "heartbeat", **{**ada, "interval": 0})
    await near.refused("a mutation is no query", "query", "heartbeat", **ada)


if __name__ == "__main__":
    run(main(arguments(__doc__)))
