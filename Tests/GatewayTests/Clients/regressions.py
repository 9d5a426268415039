#!/usr/bin/env python3
"""Faults that were mended, each as its clients met it: regressions.py URL URL URL

What is left behind (`leaks.py`) and floods of editors (`yjs_floods.py`) have programs of their own.
"""

import asyncio
import json

import websockets

from checks import API, SOON, Failed, arguments, check, equal, ok, run, socket_url, until
from native_client import Replay, Socket, about, new_id
from phoenix_v2 import OK
from phoenix_v2 import Socket as Phoenix

#: The most sessions of one user at a node.
USER_BOUND = 64


async def shows(text, api, path, condition, seconds=SOON):
    """The answer of a path, as soon as it fulfils a condition."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition(seen := await api.call("GET", path)):
        if asyncio.get_running_loop().time() > end:
            raise Failed(f"{text}\n  expected: within {seconds} s\n  seen:     {json.dumps(seen)}")
        await asyncio.sleep(0.05)
    ok(text)


# --- Phoenix: channels that are gone


async def refused(socket, join_ref, ref, topic, event, payload):
    """Says something in a channel that is not there: an error with the same refs is the answer."""
    await socket.send(join_ref, ref, topic, event, payload)
    error = {"status": "error", "response": {"reason": "unmatched topic"}}
    await socket.expect(f"{event} is refused", [join_ref, ref, topic, "phx_reply", error])


SAID = [
    ("presence", {"event": "track", "payload": {"page": 1}}),
    ("presence", {"event": "untrack"}),
    ("update", {"page": 2}),
    ("status", {"status": "busy"}),
    ("typing", {"typing": True}),
    ("cursor", {"x": 0.5, "y": 0.5}),
    ("phx_leave", {}),
]


async def check_dead_channels(bases, room):
    topic = f"room:{room}"
    near, far = API(bases[0]), API(bases[1])
    ann = await Phoenix.open(bases[0])
    await ann.join(topic, "1", {"id": "ann"})
    await ann.send("1", "2", topic, "phx_leave", {})
    await ann.expect("a leave is answered", ["1", "2", topic, "phx_reply", OK])
    await ann.expect("and the channel closes", ["1", "1", topic, "phx_close", {}])
    for number, (event, payload) in enumerate(SAID):
        await refused(ann, "1", f"a{number}", topic, event, payload)

    # A channel that the server ends: at the node of the client, then from another one.
    for ref, api in (("10", near), ("20", far)):
        await ann.join(topic, ref, {"id": "ann"})
        await shows(
            "the user is there", api, f"/api/v1/rooms/{room}/count", lambda c: c["users"] == 1
        )
        await api.call("DELETE", "/api/v1/users/ann/sessions", text="somebody signs the user out")
        await ann.expect("its channel ends", [ref, ref, topic, "phx_close", {}])
        for number, (event, payload) in enumerate(SAID):
            await refused(ann, ref, f"{ref}{number}", topic, event, payload)
    await ann.send(None, "99", "phoenix", "heartbeat", {})
    await ann.expect("the socket lives on", [None, "99", "phoenix", "phx_reply", OK])
    await ann.socket.close()

    # Clients that go while their sessions open, with much unsaid: nothing of them may stay.
    async def vanish(number):
        socket = await Phoenix.open(bases[0])
        user = {"user": {"id": f"gone-{number}"}}
        await socket.send("1", "1", topic, "phx_join", user)
        for ref, (event, payload) in enumerate(SAID[:-1] * 3):
            await socket.send("1", f"{ref}", topic, event, payload)
        if number % 3 == 0:
            await socket.send("1", "leave", topic, "phx_leave", {})
        if number % 3 == 1:
            await socket.send("2", "2", topic, "phx_join", user)
        await asyncio.sleep(number % 5 / 1000)
        socket.cut()

    await asyncio.gather(*(vanish(number) for number in range(60)))
    await shows(
        "who went while it joined is gone",
        near,
        f"/api/v1/rooms/{room}",
        lambda seen: seen["totalUsers"] == 0,
    )
    equal("the node is well", (await near.call("GET", "/healthz"))["status"], "ok")


# --- The native WebSocket


async def check_resume(base, room):
    """Who comes back when nobody listened meanwhile has the room as it is."""
    api, session = API(base), new_id()
    heartbeat = {"room": room, "user": {"id": "hugo"}, "sessionId": f"{room}-hugo"}

    async def comes(resume):
        socket = await Socket.open(base)
        joined = await socket.join(room, "ada", sessionId=session, resume=resume)
        equal("inside its lease", joined["restored"], resume is not None)
        return socket

    ada = await comes(None)
    first = await ada.sync(room, "a first sync")
    ada.cut()
    await ada.closes("ada is cut off", 1006)
    await asyncio.sleep(0.3)
    await api.call("POST", "/api/v1/heartbeat", heartbeat, text="somebody comes meanwhile")
    ada = await comes(first["resume"])
    online = await ada.wait("ada is told of it", about("presence.online", room, "hugo"))
    await ada.silent("and of nothing else", about("presence.sync", room), 0.3)
    replay = Replay(room)
    replay.take([first, online])
    ada.read = len(ada.messages)
    await ada.send("presence.list", room=room)
    sync = await ada.sync(room, "a list")
    equal(
        "what ada knows is the list",
        Replay.essence(replay.users.values()),
        Replay.essence(sync["users"]),
    )

    epoch, number = sync["resume"].split(".")
    for text, resume in (
        ("of another feed", f"{int(epoch) + 1}.{number}"),
        ("of the future", f"{epoch}.{int(number) + 1000}"),
        ("that is none", "…"),
        ("without a number", f"{epoch}."),
    ):
        ada.cut()
        ada = await comes(resume)
        await ada.sync(room, f"a position {text} gives a sync")
    await ada.ask("ada leaves", "leave", room=room)
    await ada.socket.close()


async def check_cursors(bases, room):
    """Who has gone has no cursor: none is told after the offline, whoever watches from where."""
    watchers = [await Socket.open(base) for base in bases[:2]]
    for watcher in watchers:
        await watcher.ask("a watcher joins", "join", room=room)
    for round in range(12):
        ada = await Socket.open(bases[0])
        await ada.join(room, "ada")
        for watcher in watchers:
            await watcher.wait("ada is seen", about("presence.online", room, "ada"))
        # In one go, so that the moves and the end fall into one tick.
        for step in range(1 + 5 * (round % 4)):
            await ada.send("presence.cursor", room=room, x=step / 20, y=round / 12)
        await ada.send("leave", room=room)
        for watcher in watchers:
            await watcher.wait("ada goes", about("presence.offline", room, "ada"))
        await asyncio.sleep(0.1)
        await ada.socket.close()
    for watcher in watchers:
        gone, late = True, []
        for message in watcher.messages:
            if message["type"] in ("presence.online", "presence.offline"):
                gone = message["type"] == "presence.offline"
            elif message["type"] == "presence.cursor" and gone:
                late.append(message)
        equal("no cursor of somebody who is not there", late, [])
        await watcher.socket.close()


async def check_first_sync(bases, room):
    """In a room where much happens the sync is the first that a new subscriber hears of it."""
    rooms = [f"{room}-{number}" for number in range(4)]
    busy = await Socket.open(bases[0])
    for name in rooms:
        await busy.join(name, "busy")
    ends = asyncio.Event()

    async def move():
        step = 0
        while not ends.is_set():
            step += 1
            for name in rooms:
                await busy.send("presence.cursor", room=name, x=step % 100 / 100, y=0.5)
                if step % 4 == 0:
                    await busy.send("presence.data", room=name, data=step)
            await asyncio.sleep(0.025)

    task = asyncio.create_task(move())

    async def listen(number):
        socket = await Socket.open(bases[number % 2])
        name = rooms[number % len(rooms)]
        user = {"user": {"id": f"new-{number}"}} if number % 3 == 0 else {}
        await socket.ask("somebody joins", "join", room=name, **user)
        await until("and hears of the room", lambda: len(socket.unread()) > 3)
        await socket.socket.close()
        told = [m for m in socket.messages if m.get("room") == name and m["type"] != "joined"]
        return told[0]["type"]

    first = []
    for start in range(0, 48, 8):
        first += await asyncio.gather(*(listen(number) for number in range(start, start + 8)))
        await asyncio.sleep(0.013)
    ends.set()
    await task
    equal("always a sync first", sorted(set(first)), ["presence.sync"])
    for name in rooms:
        await busy.ask("it leaves", "leave", room=name)
    await busy.socket.close()


async def check_watched_rooms(base, room):
    """A room that was only looked at is left without harm to the session of the socket."""
    other = room + "-looked-at"
    dora = await Socket.open(base)
    await dora.join(room, "dora")
    eve, ida = await Socket.open(base), await Socket.open(base)
    await eve.join(other, "eve")
    await ida.ask("somebody only looks", "join", room=other)
    await dora.ask("somebody looks at a second room", "join", room=other)
    for socket in (ida, dora):
        await socket.sync(other, "there is a sync")
        await socket.ask("leaving it works", "leave", room=other)
        await socket.refused("but once", ["unknown_room"], "leave", room=other)
        socket.read = len(socket.messages)
    await eve.ask("something happens there", "presence.status", room=other, status="busy")
    for socket in (ida, dora):
        await socket.silent("which is not told", lambda m: m.get("room") == other, 0.5)
    await dora.ask("the own room goes on", "presence.status", room=room, status="away")
    await dora.wait("as before", about("presence.status", room, "dora", status="away"))
    # The lobby is no room of a session that would keep it.
    gus = await Socket.open(base)
    await gus.join("", "gus", "somebody is in the lobby alone")
    await gus.ask("and looks at a room", "join", room=other)
    await gus.ask("which he leaves", "leave", room=other)
    await gus.ask("the lobby goes on", "presence.status", room="", status="busy")
    await gus.wait("for him too", about("presence.status", "", "gus", status="busy"))
    for socket, name in ((dora, room), (eve, other), (gus, "")):
        await socket.ask("they leave", "leave", room=name)
    for socket in (dora, eve, ida, gus):
        await socket.socket.close()


# --- Beacons


async def check_beacons(bases, room):
    """A beacon that comes twice ends what was there, and not what comes back right after it."""
    apis = [API(base) for base in bases[:2]]
    # Where the session is, where the beacons arrive and how many, and where it comes back.
    cases = ((0, 0, 2, 0), (0, 1, 1, 1), (0, 1, 2, 0), (0, 1, 2, 1))
    for number, (home, place, times, back) in enumerate(cases):
        name, path = f"{room}-{number}", f"/api/v1/rooms/{room}-{number}/count"
        text = f"a session of node {home}, {times} beacons at {place}, and back at {back}"
        body = {"room": name, "user": {"id": "tab"}, "sessionId": f"{name}-tab"}
        token = (await apis[home].call("POST", "/api/v1/heartbeat", body))["sessionToken"]
        for api in apis:
            await shows(f"{text}: it is there", api, path, lambda c: c["sessions"] == 1)
        for _ in range(times):
            await apis[place].call("POST", "/api/v1/disconnect", {"sessionToken": token})
        await apis[back].call("POST", "/api/v1/heartbeat", body)
        await asyncio.sleep(1)
        for api in apis:
            await shows(f"{text}: it stays", api, path, lambda c: c["sessions"] == 1)
        await apis[back].call("DELETE", f"/api/v1/rooms/{name}")


async def check_late_beacon(base, room):
    """A beacon of before the return that comes after it says nothing about who came back."""
    api = API(base)
    body = {"room": room, "user": {"id": "tab"}, "sessionId": f"{room}-tab"}
    token = (await api.call("POST", "/api/v1/heartbeat", body))["sessionToken"]
    await api.call("POST", "/api/v1/disconnect", {"sessionToken": token})
    again = await api.call("POST", "/api/v1/heartbeat", body, text="a session that had ended")
    equal("is another one", again["restored"], False)
    await api.call("POST", "/api/v1/disconnect", {"sessionToken": token})
    await asyncio.sleep(0.5)
    count = await api.call("GET", f"/api/v1/rooms/{room}/count")
    equal("the word for the one before does not end it", count["sessions"], 1)
    await api.call("DELETE", f"/api/v1/rooms/{room}")


async def check_bound_at_once(base, room):
    """The bound holds for sessions that open at the same time."""
    sockets = [await Socket.open(base) for _ in range(USER_BOUND + 36)]
    for socket in sockets:
        await socket.send("join", room=room, user={"id": "swarm"})
    for socket in sockets:
        await socket.wait("an answer", lambda m: m["type"] in ("joined", "error"))
    count = await API(base).call("GET", f"/api/v1/rooms/{room}/count")
    await API(base).call("DELETE", "/api/v1/users/swarm/sessions")
    check("not more than the bound", count["sessions"] <= USER_BOUND, USER_BOUND, count)
    for socket in sockets:
        await socket.socket.close()


# --- Bounds


async def check_user_bound(bases, room):
    """A user has at most 64 sessions at a node, by requests and by sockets together."""
    near, far = API(bases[0]), API(bases[1])
    path = f"/api/v1/rooms/{room}/count"
    body = lambda number: {"room": room, "user": {"id": "many"}, "sessionId": f"{room}-{number}"}
    # Those that came and went do not count.
    for number in range(USER_BOUND + 6):
        token = (await near.call("POST", "/api/v1/heartbeat", body(f"gone-{number}")))["sessionToken"]
        await near.call("POST", "/api/v1/disconnect", {"sessionToken": token})
    for number in range(USER_BOUND - 1):
        await near.call("POST", "/api/v1/heartbeat", body(number))
    socket = await Socket.open(bases[0])
    await socket.join(room, "many", "the last one that there is room for")
    await near.refused(
        "one more by a request", "too_many_sessions", 409, "POST", "/api/v1/heartbeat", body(64)
    )
    other = await Socket.open(bases[0])
    await other.refused(
        "one more by a socket", ["too_many_sessions"], "join", room=room, user={"id": "many"}
    )
    phoenix = await Phoenix.open(bases[0])
    await phoenix.send("1", "1", f"room:{room}", "phx_join", {"user_id": "many"})
    answer = await phoenix.wait("one more by a channel", lambda f: f[3] == "phx_reply")
    equal("which is refused", answer[4]["status"], "error")
    await near.call("POST", "/api/v1/heartbeat", body(3), text="those that are there go on")
    await far.call("POST", "/api/v1/heartbeat", body("far"), text="another node has room")
    await other.join(room + "-2", "few", "and so have other users")
    await socket.ask("one of them leaves", "leave", room=room)
    await near.call("POST", "/api/v1/heartbeat", body(64), text="then there is room for another")
    await shows("64 and one", near, path, lambda c: c == {"room": room, "users": 1, "sessions": 65})
    await near.call("DELETE", "/api/v1/users/many/sessions")
    await shows("then none", near, path, lambda c: c["sessions"] == 0)
    await other.ask("the other user leaves", "leave", room=room + "-2")
    for each in (socket, other, phoenix):
        await each.socket.close()


async def check_refused_sockets(base):
    """A socket at an address that is none for sockets is answered with the reason."""
    try:
        await websockets.connect(socket_url(base, "/api/v1/nothing"), proxy=None)
        raise Failed("a socket elsewhere\n  expected: a refusal\n  seen:     a connection")
    except websockets.InvalidStatus as error:
        equal("a socket elsewhere is refused", error.response.status_code, 404)


async def main(options):
    bases, room = options.bases, options.room
    await check_dead_channels(bases, room + "-dead")
    await check_resume(bases[0], room + "-resume")
    await check_cursors(bases, room + "-cursors")
    await check_first_sync(bases, room + "-first")
    await check_watched_rooms(bases[0], room + "-watched")
    await check_beacons(bases, room + "-beacons")
    await check_user_bound(bases, room + "-bound")
    await check_bound_at_once(bases[0], room + "-swarm")
    await check_late_beacon(bases[0], room + "-late")
    await check_refused_sockets(bases[0])


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)), 120)
