#!/usr/bin/env python3
"""Drives the native WebSocket and HTTP API of Docs/Gateway.md: native.py URL URL [URL]

The nodes are in trusted mode. The first argument is where most clients connect, the second where
they are seen from.
"""

import asyncio
import time

from checks import API, SOON, arguments, check, equal, run, throughout, until
from native_client import Replay, Socket, about, new_id
from native_errors import check_errors
from native_http import check_http, read_events

USER_KEYS = {
    "userId",
    "username",
    "online",
    "suspect",
    "devices",
    "status",
    "message",
    "statusChangedAt",
    "typing",
    "color",
    "avatar",
    "data",
    "joinedAt",
    "lastSeen",
    "lastDisconnected",
    "sessions",
}
SESSION_KEYS = {
    "sessionId",
    "node",
    "device",
    "status",
    "typing",
    "suspect",
    "joinedAt",
    "data",
    "cursor",
}


async def check_room(bases, room, watcher):
    """One user with two devices on two nodes, as a third client sees it."""
    near, far = bases[0], bases[1]
    ada = await Socket.open(near)
    check(
        "the welcome tells node, trust and heartbeat",
        ada.welcome["type"] == "welcome"
        and isinstance(ada.welcome["node"], str)
        and ada.welcome["trusted"] is True
        and ada.welcome["heartbeat"] > 0,
        "type, node, trusted, heartbeat",
        ada.welcome,
    )
    joined = await ada.join(room, "ada", device="laptop", interval=30000)
    check(
        "joined tells session, lease and that it is new",
        len(joined["sessionId"]) == 32
        and set(joined["sessionId"]) <= set("0123456789abcdef")
        and joined["restored"] is False
        and abs(joined["expiresIn"] - 75000) < 2000,
        "sessionId of 32 digits, restored false, expiresIn about 75000",
        joined,
    )
    sync = await ada.sync(room, "a sync follows")
    equal(
        "who joins is in its own sync",
        [user["userId"] for user in sync["users"] if user["online"]],
        ["ada"],
    )
    equal("totals of the sync", (sync["totalUsers"], sync["totalConnections"]), (1, 1))

    online = await watcher.wait("online on another node", about("presence.online", room, "ada"))
    user = online["user"]
    equal("keys of a user", sorted(user), sorted(USER_KEYS))
    equal("keys of a session", sorted(user["sessions"][0]), sorted(SESSION_KEYS))
    equal(
        "a user's first session",
        (
            online["devices"],
            user["username"],
            user["devices"],
            user["online"],
            user["sessions"][0]["device"],
            user["sessions"][0]["sessionId"],
            user["lastSeen"],
            user["lastDisconnected"],
        ),
        (1, "Ada", 1, True, "laptop", joined["sessionId"], None, 0),
    )

    phone = await Socket.open(far)
    await phone.join(room, "ada", "a second device joins elsewhere", device="phone")
    await watcher.wait(
        "a second device is an update", about("presence.update", room, "ada", devices=2)
    )
    await watcher.silent("and no second online", about("presence.online", room, "ada"), 0.3)
    await phone.ask("the second device leaves", "leave", room=room)
    await watcher.wait("which is an update", about("presence.update", room, "ada", devices=1))
    await watcher.silent("and no offline", about("presence.offline", room, "ada"), 0.3)
    await phone.socket.close()

    await ada.ask(
        "status with a message", "presence.status", room=room, status="busy", message="painting"
    )
    seen = await watcher.wait(
        "status is seen", about("presence.status", room, "ada", status="busy", message="painting")
    )
    check(
        "status has its time",
        abs(seen["timestamp"] - time.time() * 1000) < 10000,
        "milliseconds since 1970",
        seen,
    )
    for status in ("away", "active", "idle", "online"):
        await ada.ask(f"status {status}", "presence.status", room=room, status=status)
        await watcher.wait(
            f"status {status} is seen", about("presence.status", room, "ada", status=status)
        )

    await ada.ask(
        "data of the session", "presence.data", room=room, data={"__proto__": {"x": [1, None]}}
    )
    seen = await watcher.wait("data is an update", about("presence.update", room, "ada"))
    equal(
        "data comes as it was, __proto__ too",
        seen["user"]["sessions"][0]["data"],
        {"__proto__": {"x": [1, None]}},
    )
    await ada.ask(
        "a new profile", "presence.profile", name="Ada L.", color="#123456", data={"team": "a"}
    )
    seen = await watcher.wait(
        "a profile is an update",
        lambda m: about("presence.update", room, "ada")(m) and m["user"]["username"] == "Ada L.",
    )
    equal(
        "the profile's fields",
        (seen["user"]["color"], seen["user"]["data"]),
        ("#123456", {"team": "a"}),
    )

    await ada.ask("a cursor", "presence.cursor", room=room, x=0.25, y=0.5, anchor="p3")
    seen = await watcher.wait("a cursor is seen", about("presence.cursor", room))
    cursor = seen["cursors"][0]
    check(
        "it is whole",
        {key: cursor[key] for key in ("userId", "sessionId", "visible", "anchor")}
        == {"userId": "ada", "sessionId": joined["sessionId"], "visible": True, "anchor": "p3"}
        and abs(cursor["x"] - 0.25) < 0.001
        and abs(cursor["y"] - 0.5) < 0.001,
        "0.25, 0.5",
        cursor,
    )
    for step in range(60):
        await ada.send("presence.cursor", room=room, x=step / 60, y=0.5)
    last = lambda m: m["type"] == "presence.cursor" and abs(m["cursors"][0]["x"] - 59 / 60) < 0.001
    await until(
        "the last of many moves is seen",
        lambda: any(map(last, watcher.unread())),
        seen=watcher.unread,
    )

    await ada.ask("typing", "presence.typing", room=room, typing=True)
    begin = time.monotonic()
    await watcher.wait("typing is seen", about("presence.typing", room, "ada", typing=True))
    await watcher.wait(
        "typing goes off by itself", about("presence.typing", room, "ada", typing=False), 8
    )
    check(
        "after about 4 s", 3 < time.monotonic() - begin < 7, "3 s … 7 s", time.monotonic() - begin
    )
    return ada


async def check_watch(bases, room, ada, watcher):
    far = bases[1]
    other = await Socket.open(far)
    await other.send("watch", userId="ada")
    seen = await other.wait("a watch is answered", about("presence.watch", user="ada"))
    equal("with what is known", (seen["online"], seen["devices"]), (True, 1))
    await other.send("watch", userId="nobody-here")
    seen = await other.wait(
        "a watch for nobody is answered", about("presence.watch", user="nobody-here")
    )
    equal("not online", (seen["online"], seen["devices"]), (False, 0))

    await ada.ask("ada leaves", "leave", room=room)
    await other.wait("a watch tells of the end", about("presence.watch", user="ada", online=False))
    gone = await watcher.wait("offline on another node", about("presence.offline", room, "ada"))
    check(
        "offline has its time",
        abs(gone["lastDisconnected"] - time.time() * 1000) < 10000,
        "milliseconds since 1970",
        gone,
    )
    await ada.silent(
        "nothing comes from a room that was left", about("presence.offline", room), 0.3
    )
    joined = await ada.join(room, "ada", "ada joins again")
    check("a session that was ended is not restored", joined["restored"] is False, False, joined)
    await other.wait(
        "a watch tells of the return", about("presence.watch", user="ada", online=True)
    )
    await other.send("unwatch", userId="ada")
    await asyncio.sleep(0.2)
    other.read = len(other.messages)
    await ada.ask("status after an unwatch", "presence.status", room=room, status="away")
    await other.silent("nothing comes after an unwatch", about("presence.watch", user="ada"), 0.7)
    await other.socket.close()


async def check_lobby(base, room):
    """A status of null is that of the lobby."""
    client = await Socket.open(base)
    await client.join("", "lobbyist", "somebody joins the lobby")
    await client.join(room, "lobbyist", "and a room")
    await client.ask(
        "status in the lobby", "presence.status", room="", status="away", message="tea"
    )
    await client.ask("another in the room", "presence.status", room=room, status="busy")
    await client.wait("which is seen", about("presence.status", room, "lobbyist", status="busy"))
    await client.ask("null takes it back", "presence.status", room=room, status=None)
    await client.wait(
        "that of the lobby is seen",
        about("presence.status", room, "lobbyist", status="away", message="tea"),
    )
    await client.ask("leaves the lobby", "leave", room="")
    await client.ask("leaves the room", "leave", room=room)
    await client.socket.close()


async def check_return(bases, room, watcher):
    """Cut off and back, taken over, moved to another node."""
    near, far = bases[0], bases[1]
    session = new_id()
    quiet = lambda m: m.get("userId") == "bob" and m["type"] in (
        "presence.online",
        "presence.offline",
    )

    bob = await Socket.open(near)
    # The id is made into one of this user's.
    session = (await bob.join(room, "bob", sessionId=session))["sessionId"]
    sync = await bob.sync(room, "bob has a sync")
    await watcher.wait("bob is seen", about("presence.online", room, "bob"))
    carl = await Socket.open(near)
    await carl.join(room, "carl")
    seen = await bob.wait("carl is told to bob", about("presence.online", room, "carl"))
    resume = seen["resume"]
    check(
        "every message of a room can be resumed from",
        isinstance(sync["resume"], str) and resume,
        "resume",
        seen,
    )
    bob.cut()
    await carl.ask(
        "carl says something meanwhile",
        "presence.status",
        room=room,
        status="busy",
        message="missed",
    )
    await asyncio.sleep(0.5)

    again = await Socket.open(near)
    joined = await again.join(room, "bob", "bob joins again", sessionId=session, resume=resume)
    equal("restored", (joined["restored"], joined["sessionId"]), (True, session))
    await until(
        "what was missed comes, or a sync",
        lambda: any(
            about("presence.status", room, "carl", message="missed")(m)
            or about("presence.sync", room)(m)
            for m in again.messages
        ),
        seen=again.unread,
    )
    await until(
        "presence.restored comes",
        lambda: any(map(about("presence.restored", room, sessionId=session), again.messages)),
        seen=lambda: again.messages,
    )
    if any(about("presence.sync", room)(m) for m in again.messages):
        print("note: a sync was sent, although the node could have known what was missed")
    await watcher.silent("others see nothing of it", quiet)

    # The first socket of this pair stays open and silent: to the server it is half open.
    third = await Socket.open(near)
    joined = await third.join(
        room, "bob", "another socket takes the session over", sessionId=session
    )
    equal("it is restored", joined["restored"], True)
    await again.closes("the old socket is closed", 4001)
    await watcher.silent("others see nothing of that either", quiet)

    moved = await Socket.open(far)
    joined = await moved.join(room, "bob", "the session goes on at another node", sessionId=session)
    equal("it keeps its id", joined["sessionId"], session)
    await until(
        "the old node tells it",
        lambda: third.is_closed or any(about("presence.moved")(m) for m in third.messages),
        seen=third.unread,
    )
    await watcher.silent("nobody sees it go", about("presence.offline", room, "bob"), 2)

    text = f"a tab's own id {room}"
    tab = await Socket.open(near)
    joined = await tab.join(room, "dora", sessionId=text)
    first = joined["sessionId"]
    check("a session id of any text becomes 32 digits", len(first) == 32, "32 digits", first)
    tab.cut()
    tab = await Socket.open(far)
    joined = await tab.join(room, "dora", "dora joins at another node", sessionId=text)
    equal("the same on every node", joined["sessionId"], first)

    await tab.refused(
        "a session id of somebody else",
        ["session_conflict", "invalid_request"],
        "join",
        room=room + "-x",
        user={"id": "eve"},
        sessionId=session,
    )
    eve = await Socket.open(far)
    joined = await eve.join(room, "eve", "a session id that another uses", sessionId=session)
    check(
        "is another session of this user",
        joined["sessionId"] != session,
        "another id",
        joined["sessionId"],
    )
    for client in (carl, moved, tab, eve):
        await client.ask("a client leaves", "leave", room=room)
    for client in (carl, moved, tab, third, eve):
        await client.socket.close()


async def check_expiry(base, room, watcher):
    """A lease of 2.5 × interval, and one that is told."""

    async def one(name, cut, lease, **fields):
        client = await Socket.open(base)
        joined = await client.join(room, name, **fields)
        begin = time.monotonic()
        equal(f"{name}: the lease", joined["expiresIn"], lease)
        if cut:
            client.cut()
        mine = about("presence.offline", room, name)
        await until(
            f"{name}: offline", lambda: any(map(mine, watcher.messages)), lease / 1000 + SOON
        )
        took = time.monotonic() - begin
        check(f"{name}: not before the lease's end", took > lease / 1000 - 0.3, lease / 1000, took)
        if not cut:
            await client.wait(f"{name}: presence.expired", about("presence.expired"))
            joined = await client.join(room, name, f"{name}: joins again", **fields)
            equal(f"{name}: nothing to restore", joined["restored"], False)
            await client.ask(f"{name}: leaves", "leave", room=room)
            await client.socket.close()

    async def heartbeats():
        client = await Socket.open(base)
        await client.join(room, "beating", interval=1000)
        for _ in range(6):
            await asyncio.sleep(0.8)
            await client.ask("a heartbeat", "heartbeat")
        check(
            "heartbeats keep a session",
            not any(map(about("presence.offline", room, "beating"), watcher.messages)),
            "no offline",
            None,
        )
        await client.ask("it leaves", "leave", room=room)
        await client.socket.close()

    await asyncio.gather(
        one("silent", False, 2500, interval=1000),
        one("lost", True, 2500, interval=1000),
        one("told", True, 4000, interval=1000, expiresIn=4000),
        heartbeats(),
    )


async def check_logout(bases, room, watcher):
    """Logging out everywhere ends the sessions of all nodes, asked at any."""
    sockets = []
    for base in bases:
        socket = await Socket.open(base)
        await socket.join(room, "greta")
        sockets.append(socket)
    await watcher.wait(
        "greta is on all nodes",
        lambda m: m.get("userId") == "greta" and m.get("devices") == len(bases),
    )
    answer = await API(bases[-1]).call(
        "DELETE", "/api/v1/users/greta/sessions", text="log out everywhere"
    )
    equal("all sessions are counted", answer, {"removed": len(bases)})
    await watcher.wait("greta is offline", about("presence.offline", room, "greta"))
    for socket in sockets:
        await socket.socket.close()


async def main(options):
    bases, room = options.bases, options.room
    watcher = await Socket.open(bases[1])
    await watcher.ask("subscribing without a user", "join", room=room)
    sync = await watcher.sync(room, "a subscriber gets a sync")
    equal(
        "of an empty room",
        (sync["users"], sync["totalUsers"], sync["totalConnections"]),
        ([], 0, 0),
    )
    check("this node hears others", sync["stale"] is False, False, sync)
    replay = Replay(room)
    replay.take([sync])
    begin = watcher.read

    events = []
    reader = asyncio.create_task(read_events(bases[1], room, events))
    await until(
        "server-sent events begin with a sync",
        lambda: events and events[0][0] == "presence.sync" or reader.done() and reader.result(),
        seen=lambda: events,
    )

    ada = await check_room(bases, room, watcher)
    await check_watch(bases, room, ada, watcher)
    await check_return(bases, room, watcher)
    await check_expiry(bases[0], room, watcher)
    await check_logout(bases, room, watcher)

    # The list of a new subscriber is what follows from the messages, for a socket and for events.
    await throughout("a pause", lambda: True, 0.5)
    fresh = await Socket.open(bases[1])
    await fresh.ask("a new subscriber", "join", room=room)
    sync = await fresh.sync(room, "has its sync")
    replay.take(watcher.messages[begin:])
    equal(
        f"replay of {replay.count} messages gives its list",
        Replay.essence(replay.users.values()),
        Replay.essence(sync["users"]),
    )
    equal(
        "online first, then gone",
        [u["online"] for u in sync["users"]],
        sorted([u["online"] for u in sync["users"]], reverse=True),
    )
    told = Replay(room)
    equal("event names are the types", [name for name, _ in events], [m["type"] for _, m in events])
    told.take([message for _, message in events])
    equal(
        f"replay of {told.count} server-sent events too",
        Replay.essence(told.users.values()),
        Replay.essence(sync["users"]),
    )
    reader.cancel()

    await check_lobby(bases[0], room + "-lobby")
    await asyncio.gather(check_errors(bases[0], room + "-errors"), check_http(bases, room))


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
