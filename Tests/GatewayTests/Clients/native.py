#!/usr/bin/env python3
"""Drives the native WebSocket and HTTP API of Docs/Gateway.md: native.py URL URL [URL]

The nodes are in trusted mode. The first argument is where most clients connect, the second where
they are seen from.
"""

import asyncio
import json
import random
import time

import websockets

from checks import (API, SOON, Failed, Inbox, arguments, check, equal, ok, run, socket_url, throughout,
                    until)

USER_KEYS = {"userId", "username", "online", "suspect", "devices", "status", "message",
             "statusChangedAt", "typing", "color", "avatar", "data", "joinedAt", "lastSeen",
             "lastDisconnected", "sessions"}
SESSION_KEYS = {"sessionId", "node", "device", "status", "typing", "suspect", "joinedAt", "data", "cursor"}


class Socket(Inbox):
    """A native client."""

    @classmethod
    async def open(cls, base, **more):
        connection = await websockets.connect(
            socket_url(base, "/api/v1/socket"), proxy=None, ping_interval=None, **more)
        self = cls(connection)
        self.refs = 0
        self.welcome = await self.wait("a welcome comes first", lambda m: True)
        return self

    async def send(self, type, **fields):
        self.refs += 1
        await self.socket.send(json.dumps({"type": type, "ref": self.refs, **fields}))
        return self.refs

    async def ask(self, text, type, **fields):
        """Sends, and gives the answer, which must not be an error."""
        ref = await self.send(type, **fields)
        answer = await self.take(text, lambda m: m.get("ref") == ref)
        if answer["type"] == "error":
            raise Failed(f"{text}\n  expected: no error\n  seen:     {answer}")
        return answer

    async def refused(self, text, codes, type=None, raw=None, **fields):
        """Sends what must be answered by an error, with its ref if the server could read one."""
        ref = None
        if raw is None:
            ref = await self.send(type, **fields)
        else:
            await self.socket.send(raw)
        answer = await self.wait(f"{text} is answered", lambda m: m["type"] == "error" or (
            ref is not None and m.get("ref") == ref))
        check(text, answer["type"] == "error" and answer.get("code") in codes
              and isinstance(answer.get("message"), str) and answer.get("ref") == ref,
              {"type": "error", "code": codes, "message": "…", "ref": ref}, answer)

    async def join(self, room, name, text=None, **fields):
        """Joins, and gives the `joined`; the `presence.sync` is read and kept."""
        text = text or f"{name} joins"
        joined = await self.ask(text, "join", room=room, user={"id": name, "name": name.title()}, **fields)
        equal(f"{text}: the answer", (joined["type"], joined["room"]), ("joined", room))
        return joined

    async def sync(self, room, text):
        return await self.wait(text, about("presence.sync", room))


def about(type, room=None, user=None, **fields):
    """Whether a message has this type and these fields."""
    if room is not None:
        fields["room"] = room
    if user is not None:
        fields["userId"] = user
    return lambda m: m["type"] == type and all(m.get(key) == value for key, value in fields.items())


def new_id():
    return f"{random.randrange(16**32):032x}"


class Replay:
    """A room as it follows from the messages alone: section 4 of Docs/Gateway.md."""

    def __init__(self, room):
        self.room, self.users, self.count = room, None, 0

    def take(self, messages):
        for message in messages:
            if message.get("room") != self.room:
                continue
            self.count += 1
            type, user = message["type"], message.get("userId")
            if type == "presence.sync":
                self.users = {user["userId"]: user for user in message["users"]}
            elif type in ("presence.online", "presence.update"):
                self.users[user] = message["user"]
            elif type == "presence.offline":
                self.users[user] = {**self.users[user], "online": False,
                                    "lastDisconnected": message["lastDisconnected"]}
            elif type == "presence.status":
                self.users[user].update(status=message["status"], message=message["message"],
                                        statusChangedAt=message["timestamp"])
            elif type == "presence.typing":
                self.users[user]["typing"] = message["typing"]
            elif type == "presence.cursor":
                for cursor in message["cursors"]:
                    for session in self.users[cursor["userId"]]["sessions"]:
                        if session["sessionId"] == cursor["sessionId"]:
                            session["cursor"] = {key: cursor[key] for key in ("x", "y", "visible", "anchor")}

    @staticmethod
    def essence(users):
        """What can be compared: of those who are gone, that they are, and since when."""
        def one(user):
            if not user["online"]:
                return {key: user[key] for key in ("userId", "online", "lastDisconnected")}
            keys = ("userId", "username", "online", "devices", "status", "message", "statusChangedAt",
                    "typing", "color", "avatar", "data", "joinedAt", "lastDisconnected")
            sessions = sorted((s["sessionId"], s["device"], json.dumps(s["data"]), json.dumps(s["cursor"]))
                              for s in user["sessions"])
            return {**{key: user[key] for key in keys}, "sessions": sessions}
        return {user["userId"]: one(user) for user in users}


# --- The WebSocket


async def check_room(bases, room, watcher):
    """One user with two devices on two nodes, as a third client sees it."""
    near, far = bases[0], bases[1]
    ada = await Socket.open(near)
    check("the welcome tells node, trust and heartbeat",
          ada.welcome["type"] == "welcome" and isinstance(ada.welcome["node"], str)
          and ada.welcome["trusted"] is True and ada.welcome["heartbeat"] > 0,
          "type, node, trusted, heartbeat", ada.welcome)
    joined = await ada.join(room, "ada", device="laptop", interval=30000)
    check("joined tells session, lease and that it is new",
          len(joined["sessionId"]) == 32 and set(joined["sessionId"]) <= set("0123456789abcdef")
          and joined["restored"] is False and abs(joined["expiresIn"] - 75000) < 2000,
          "sessionId of 32 digits, restored false, expiresIn about 75000", joined)
    sync = await ada.sync(room, "a sync follows")
    equal("who joins is in its own sync", [user["userId"] for user in sync["users"] if user["online"]], ["ada"])
    equal("totals of the sync", (sync["totalUsers"], sync["totalConnections"]), (1, 1))

    online = await watcher.wait("online on another node", about("presence.online", room, "ada"))
    user = online["user"]
    equal("keys of a user", sorted(user), sorted(USER_KEYS))
    equal("keys of a session", sorted(user["sessions"][0]), sorted(SESSION_KEYS))
    equal("a user's first session", (online["devices"], user["username"], user["devices"], user["online"],
          user["sessions"][0]["device"], user["sessions"][0]["sessionId"], user["lastSeen"],
          user["lastDisconnected"]), (1, "Ada", 1, True, "laptop", joined["sessionId"], None, 0))

    phone = await Socket.open(far)
    await phone.join(room, "ada", "a second device joins elsewhere", device="phone")
    await watcher.wait("a second device is an update", about("presence.update", room, "ada", devices=2))
    await watcher.silent("and no second online", about("presence.online", room, "ada"), 0.3)
    await phone.ask("the second device leaves", "leave", room=room)
    await watcher.wait("which is an update", about("presence.update", room, "ada", devices=1))
    await watcher.silent("and no offline", about("presence.offline", room, "ada"), 0.3)
    await phone.socket.close()

    await ada.ask("status with a message", "presence.status", room=room, status="busy", message="painting")
    seen = await watcher.wait("status is seen", about("presence.status", room, "ada", status="busy",
                                                       message="painting"))
    check("status has its time", abs(seen["timestamp"] - time.time() * 1000) < 10000,
          "milliseconds since 1970", seen)
    for status in ("away", "active", "idle", "online"):
        await ada.ask(f"status {status}", "presence.status", room=room, status=status)
        await watcher.wait(f"status {status} is seen", about("presence.status", room, "ada", status=status))

    await ada.ask("data of the session", "presence.data", room=room, data={"__proto__": {"x": [1, None]}})
    seen = await watcher.wait("data is an update", about("presence.update", room, "ada"))
    equal("data comes as it was, __proto__ too", seen["user"]["sessions"][0]["data"],
          {"__proto__": {"x": [1, None]}})
    await ada.ask("a new profile", "presence.profile", name="Ada L.", color="#123456", data={"team": "a"})
    seen = await watcher.wait("a profile is an update", lambda m: about("presence.update", room, "ada")(m)
                              and m["user"]["username"] == "Ada L.")
    equal("the profile's fields", (seen["user"]["color"], seen["user"]["data"]), ("#123456", {"team": "a"}))

    await ada.ask("a cursor", "presence.cursor", room=room, x=0.25, y=0.5, anchor="p3")
    seen = await watcher.wait("a cursor is seen", about("presence.cursor", room))
    cursor = seen["cursors"][0]
    check("it is whole", {key: cursor[key] for key in ("userId", "sessionId", "visible", "anchor")} == {
        "userId": "ada", "sessionId": joined["sessionId"], "visible": True, "anchor": "p3"}
        and abs(cursor["x"] - 0.25) < 0.001 and abs(cursor["y"] - 0.5) < 0.001, "0.25, 0.5", cursor)
    await ada.silent("one's own cursor is not told", about("presence.cursor", room), 0.3)
    for step in range(60):
        await ada.send("presence.cursor", room=room, x=step / 60, y=0.5)
    last = lambda m: m["type"] == "presence.cursor" and abs(m["cursors"][0]["x"] - 59 / 60) < 0.001
    await until("the last of many moves is seen", lambda: any(map(last, watcher.unread())),
                seen=watcher.unread)

    await ada.ask("typing", "presence.typing", room=room, typing=True)
    begin = time.monotonic()
    await watcher.wait("typing is seen", about("presence.typing", room, "ada", typing=True))
    await watcher.wait("typing goes off by itself", about("presence.typing", room, "ada", typing=False), 8)
    check("after about 4 s", 3 < time.monotonic() - begin < 7, "3 s … 7 s", time.monotonic() - begin)
    return ada


async def check_watch(bases, room, ada, watcher):
    far = bases[1]
    other = await Socket.open(far)
    await other.send("watch", userId="ada")
    seen = await other.wait("a watch is answered", about("presence.watch", user="ada"))
    equal("with what is known", (seen["online"], seen["devices"]), (True, 1))
    await other.send("watch", userId="nobody-here")
    seen = await other.wait("a watch for nobody is answered", about("presence.watch", user="nobody-here"))
    equal("not online", (seen["online"], seen["devices"]), (False, 0))

    await ada.ask("ada leaves", "leave", room=room)
    await other.wait("a watch tells of the end", about("presence.watch", user="ada", online=False))
    gone = await watcher.wait("offline on another node", about("presence.offline", room, "ada"))
    check("offline has its time", abs(gone["lastDisconnected"] - time.time() * 1000) < 10000,
          "milliseconds since 1970", gone)
    await ada.silent("nothing comes from a room that was left", about("presence.offline", room), 0.3)
    joined = await ada.join(room, "ada", "ada joins again")
    check("a session that was ended is not restored", joined["restored"] is False, False, joined)
    await other.wait("a watch tells of the return", about("presence.watch", user="ada", online=True))
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
    await client.ask("status in the lobby", "presence.status", room="", status="away", message="tea")
    await client.ask("another in the room", "presence.status", room=room, status="busy")
    await client.wait("which is seen", about("presence.status", room, "lobbyist", status="busy"))
    await client.ask("null takes it back", "presence.status", room=room, status=None)
    await client.wait("that of the lobby is seen",
                      about("presence.status", room, "lobbyist", status="away", message="tea"))
    await client.ask("leaves the lobby", "leave", room="")
    await client.ask("leaves the room", "leave", room=room)
    await client.socket.close()


async def check_return(bases, room, watcher):
    """Cut off and back, taken over, moved to another node."""
    near, far = bases[0], bases[1]
    session = new_id()
    quiet = lambda m: m.get("userId") == "bob" and m["type"] in ("presence.online", "presence.offline")

    bob = await Socket.open(near)
    await bob.join(room, "bob", sessionId=session)
    sync = await bob.sync(room, "bob has a sync")
    await watcher.wait("bob is seen", about("presence.online", room, "bob"))
    carl = await Socket.open(near)
    await carl.join(room, "carl")
    seen = await bob.wait("carl is told to bob", about("presence.online", room, "carl"))
    resume = seen["resume"]
    check("every message of a room can be resumed from", isinstance(sync["resume"], str) and resume,
          "resume", seen)
    bob.cut()
    await carl.ask("carl says something meanwhile", "presence.status", room=room, status="busy",
                   message="missed")
    await asyncio.sleep(0.5)

    again = await Socket.open(near)
    joined = await again.join(room, "bob", "bob joins again", sessionId=session, resume=resume)
    equal("restored", (joined["restored"], joined["sessionId"]), (True, session))
    await until("what was missed comes, or a sync", lambda: any(
        about("presence.status", room, "carl", message="missed")(m) or about("presence.sync", room)(m)
        for m in again.messages), seen=again.unread)
    await until("presence.restored comes", lambda: any(map(
        about("presence.restored", room, sessionId=session), again.messages)), seen=lambda: again.messages)
    if any(about("presence.sync", room)(m) for m in again.messages):
        print("note: a sync was sent, although the node could have known what was missed")
    await watcher.silent("others see nothing of it", quiet)

    # The first socket of this pair stays open and silent: to the server it is half open.
    third = await Socket.open(near)
    joined = await third.join(room, "bob", "another socket takes the session over", sessionId=session)
    equal("it is restored", joined["restored"], True)
    await again.closes("the old socket is closed", 4001)
    await watcher.silent("others see nothing of that either", quiet)

    moved = await Socket.open(far)
    joined = await moved.join(room, "bob", "the session goes on at another node", sessionId=session)
    equal("it keeps its id", joined["sessionId"], session)
    await until("the old node tells it", lambda: third.is_closed or any(
        about("presence.moved")(m) for m in third.messages), seen=third.unread)
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

    await tab.refused("a session id of somebody else", ["session_conflict", "invalid_request"],
                      "join", room=room + "-x", user={"id": "eve"}, sessionId=session)
    eve = await Socket.open(far)
    await eve.refused("a session id that another uses", ["session_conflict"], "join", room=room,
                      user={"id": "eve"}, sessionId=session)
    for client in (carl, moved, tab):
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
        await until(f"{name}: offline", lambda: any(map(mine, watcher.messages)), lease / 1000 + SOON)
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
        check("heartbeats keep a session", not any(map(about("presence.offline", room, "beating"),
              watcher.messages)), "no offline", None)
        await client.ask("it leaves", "leave", room=room)
        await client.socket.close()

    await asyncio.gather(one("silent", False, 2500, interval=1000), one("lost", True, 2500, interval=1000),
                         one("told", True, 4000, interval=1000, expiresIn=4000), heartbeats())


async def check_errors(base, room):
    deep = lambda n: '{"type":"presence.data","room":"%s","data":%s1%s}' % (room, "[" * n, "]" * n)
    client = await Socket.open(base)
    await client.join(room, "frank")
    await client.sync(room, "frank has a sync")
    for text, raw in {
        "not JSON": "{", "empty": "", "trailing comma": '{"type":"heartbeat",}', "two values": "{}{}",
        "a key twice": '{"type":"heartbeat","type":"heartbeat"}',
        "a key twice, written otherwise": '{"type":"heartbeat","\\u0074ype":"heartbeat"}',
        "too deep": deep(16), "far too deep": deep(5000), "a number out of range":
        '{"type":"presence.cursor","room":"%s","x":1e999,"y":0}' % room, "NaN": '{"type":NaN}',
        "a control character in a text": '{"type":"heart\nbeat"}', "half a surrogate pair": '{"type":"\\ud800"}',
    }.items():
        await client.refused(text, ["malformed_json"], raw=raw)
    for text, raw in {"an array": "[]", "a text": '"heartbeat"', "null": "null", "no type": "{}",
                      "a type that is a number": '{"type":1}', "__proto__ instead of a type":
                      '{"__proto__":{"type":"heartbeat"}}'}.items():
        await client.refused(text, ["invalid_request"], raw=raw)

    bad = ["invalid_request"]
    await client.refused("an unknown type", bad, "presence.fly")
    await client.refused("a type of the server", bad, "presence.sync", room=room, users=[])
    await client.refused("an unknown status", ["unknown_status"], "presence.status", room=room, status="dead")
    await client.refused("a status of the wrong kind", bad + ["unknown_status"], "presence.status", room=room,
                         status=["busy"])
    await client.refused("a missing room", bad, "presence.status", status="busy")
    await client.refused("a room that is a number", bad, "presence.status", room=1, status="busy")
    await client.refused("a room where one is not", bad + ["unknown_room", "forbidden"], "presence.status",
                         room=room + "-not", status="busy")
    await client.refused("an unknown field", bad, "presence.typing", room=room, typing=True, speed=3)
    await client.refused("a field __proto__", bad, "heartbeat", **{"__proto__": {}})
    await client.refused("typing that is a text", bad, "presence.typing", room=room, typing="yes")
    await client.refused("x out of bounds", bad, "presence.cursor", room=room, x=1.01, y=0)
    await client.refused("y that is a text", bad, "presence.cursor", room=room, x=0, y="0")
    await client.refused("no y", bad, "presence.cursor", room=room, x=0)
    await client.refused("data that is too long", bad, "presence.data", room=room, data="x" * 400)
    await client.refused("a user's data that is too long", bad, "presence.profile", data="x" * 300)
    await client.refused("a name that is a list", bad, "presence.profile", name=["F"])
    await client.refused("another user", bad + ["session_conflict", "forbidden"], "join", room=room + "-2",
                         user={"id": "not-frank"})
    await client.refused("a user without id", bad, "join", room=room + "-2", user={"name": "F"})
    await client.refused("a user that is a text", bad, "join", room=room + "-2", user="frank")
    await client.refused("an interval that is too short", bad, "join", room=room + "-2", user={"id": "frank"},
                         interval=999)
    await client.refused("an interval that is too long", bad, "join", room=room + "-2", user={"id": "frank"},
                         interval=3600001)
    await client.refused("a session id that is too long", bad, "join", room=room + "-2",
                         user={"id": "frank"}, sessionId="x" * 129)
    client.read = len(client.messages)
    await client.send("presence.list", room=room)
    sync = await client.sync(room, "after all that: a list")
    frank = [user for user in sync["users"] if user["userId"] == "frank"][0]
    equal("nothing has changed", (frank["status"], frank["typing"], frank["username"], frank["data"],
          frank["sessions"][0]["data"], frank["sessions"][0]["cursor"]), ("online", False, "Frank", None, None, None))

    proto = await Socket.open(base)
    await proto.join(room, "__proto__")
    seen = await client.wait("a user called __proto__ is seen", about("presence.online", room, "__proto__"))
    equal("with its name", seen["user"]["username"], "__Proto__")
    await proto.ask("it leaves", "leave", room=room)
    await proto.socket.close()

    for number in range(31):
        await client.send("join", room=f"{room}-r{number}", user={"id": "frank"})
    ref = client.refs
    await client.wait("32 rooms can be joined", lambda m: m.get("ref") == ref and m["type"] == "joined")
    await client.refused("but not 33", ["too_many_rooms", "invalid_request", "too_many_requests"], "join",
                         room=f"{room}-r32", user={"id": "frank"})
    await client.socket.send("x" * 70000)
    await client.closes("a frame above 64 KiB ends the connection", 1009)

    binary = await Socket.open(base)
    await binary.socket.send(b"\x00\x01")
    await until("a binary frame is refused", lambda: binary.is_closed or any(
        map(about("error"), binary.messages)))
    await binary.socket.close()
    try:
        await Socket.open(base, origin="http://evil.example")
        raise Failed("a foreign origin\n  expected: HTTP 403\n  seen:     a connection")
    except websockets.InvalidStatus as error:
        equal("a foreign origin is refused", error.response.status_code, 403)


# --- HTTP


async def check_http(bases, room):
    near, far = API(bases[0]), API(bases[1])
    heartbeat = "/api/v1/heartbeat"
    path = f"/api/v1/rooms/{room}-h"
    body = {"room": f"{room}-h", "user": {"id": "hugo", "name": "Hugo"}, "sessionId": new_id()}
    first = await near.call("POST", heartbeat, {**body, "status": "busy", "message": "m"},
                            text="a heartbeat opens a session")
    equal("its answer", (sorted(first), first["sessionId"], first["restored"], first["expiresIn"]),
          (["expiresIn", "restored", "sessionId", "sessionToken"], body["sessionId"], False, 75000))
    again = await near.call("POST", heartbeat, body, text="a heartbeat keeps it")
    equal("restored", again["restored"], True)

    async def shows(text, condition, api=far, where=path):
        end = time.monotonic() + SOON
        while not condition(seen := await api.call("GET", where)):
            if time.monotonic() > end:
                raise Failed(f"{text}\n  expected: within {SOON} s\n  seen:     {seen}")
            await asyncio.sleep(0.1)
        ok(text)
        return seen

    room_seen = await shows("the room is seen at another node", lambda room: room["totalUsers"] == 1)
    equal("keys of a room", sorted(room_seen), ["room", "stale", "totalConnections", "totalUsers", "users"])
    equal("status and message", [(u["userId"], u["status"], u["message"]) for u in room_seen["users"]],
          [("hugo", "busy", "m")])
    equal("count", await far.call("GET", f"{path}/count"), {"room": f"{room}-h", "users": 1, "sessions": 1})

    for number in range(4):
        await near.call("POST", heartbeat, {"room": f"{room}-h", "user": {"id": f"u{number}"},
                                            "sessionId": f"{room}{number}"})
    gone = await near.call("POST", heartbeat, {"room": f"{room}-h", "user": {"id": "gone"},
                                               "sessionId": f"{room}-gone"})
    await shows("six users", lambda room: room["totalUsers"] == 6)
    for time_ in ("once", "twice"):
        await near.call("POST", "/api/v1/disconnect", text=f"a beacon as text/plain, {time_}",
                        body=json.dumps({"sessionToken": gone["sessionToken"]}).encode(),
                        headers={"content-type": "text/plain;charset=UTF-8"})
    seen = await shows("who disconnected is listed last", lambda room: room["totalUsers"] == 5)
    equal("online first", [user["online"] for user in seen["users"]], [True] * 5 + [False])
    only = await far.call("GET", path, params={"onlineOnly": "true"})
    equal("onlineOnly", [user["online"] for user in only["users"]], [True] * 5)
    pages = [await far.call("GET", path, params={"limit": 2, "offset": offset}) for offset in (0, 2, 4)]
    equal("pages are the list", [u["userId"] for page in pages for u in page["users"]],
          [u["userId"] for u in seen["users"]])

    token = first["sessionToken"]
    await near.call("PATCH", f"{path}/users/hugo", {"sessionToken": token, "status": "away", "typing": True,
                    "data": {"a": 1}, "cursor": {"x": 0.5, "y": 0.25}}, text="a PATCH")
    await shows("it is seen", lambda room: any(
        u["userId"] == "hugo" and u["status"] in ("away", "typing") and u["typing"]
        and u["sessions"][0]["data"] == {"a": 1} and u["sessions"][0]["cursor"] for u in room["users"]))
    user = await shows("rooms of a user", lambda u: u["online"], where="/api/v1/users/hugo/rooms")
    check("with this one", f"{room}-h" in json.dumps(user["rooms"]), f"{room}-h", user)
    both = await far.call("GET", f"/api/v1/statistics?room={room}-h&room={room}-none")
    equal("statistics are unique over the rooms", (both["users"], both["sessions"]), (5, 5))
    equal("and per room", {r["room"]: (r["users"], r["sessions"]) for r in both["rooms"]}[f"{room}-h"], (5, 5))
    rooms = await far.call("GET", "/api/v1/rooms")
    check("rooms", {"room": f"{room}-h", "users": 5, "sessions": 5} in rooms["rooms"], "the room", rooms)
    nodes = await near.call("GET", "/api/v1/nodes")
    check("nodes", {"node", "stateHash", "stale", "demo", "addresses", "nodes", "counters"} <= set(nodes)
          and len(nodes["nodes"]) >= 1, "keys of section 5", sorted(nodes))

    removed = await near.call("DELETE", f"{path}/users/hugo", text="a user is removed from a room")
    equal("one session", removed, {"removed": 1})
    await shows("it is gone everywhere", lambda room: "hugo" not in [
        u["userId"] for u in room["users"] if u["online"]])
    await near.call("DELETE", path, text="a room is removed")
    await shows("nobody is online in it", lambda room: room["totalUsers"] == 0)

    await near.refused("no JSON", "malformed_json", 400, "POST", heartbeat, b"{")
    await near.refused("a key twice", "malformed_json", 400, "POST", heartbeat, b'{"room":"a","room":"b"}')
    await near.refused("too deep", "malformed_json", 400, "POST", heartbeat, b"[" * 17 + b"]" * 17)
    await near.refused("a missing field", "invalid_request", 400, "POST", heartbeat, {"room": "a"})
    await near.refused("a wrong kind", "invalid_request", 400, "POST", heartbeat, {**body, "interval": "1"})
    await near.refused("an unknown status", "unknown_status", 400, "POST", heartbeat, {**body, "status": "x"})
    await near.refused("a body that is too long", "too_large", 413, "POST", heartbeat, b" " * 70000)
    await near.refused("another content type", "unsupported_media_type", 415, "POST", heartbeat, b"{}",
                       headers={"content-type": "application/xml"})
    await near.refused("another method", "method_not_allowed", 405, "PUT", heartbeat, {})
    await near.refused("another path", "not_found", 404, "GET", "/api/v1/nothing")
    await near.refused("a limit out of bounds", "invalid_request", 400, "GET", path, params={"limit": 1001})
    await near.refused("an unknown user", "unknown_user", 404, "GET", "/api/v1/users/nobody-at-all")
    await near.refused("a foreign origin", "origin_refused", 403, "GET", "/api/v1/rooms",
                       headers={"origin": "http://evil.example"})
    other = {**body, "room": f"{room}-h2", "sessionId": f"{room}-fixed"}
    await near.call("POST", heartbeat, other)
    await near.refused("a session in another room", "session_conflict", 409, "POST", heartbeat,
                       {**other, "room": f"{room}-h3"})
    await near.refused("a session of another user", "session_conflict", 409, "POST", heartbeat,
                       {**other, "user": {"id": "eve"}})
    await near.call("DELETE", f"/api/v1/rooms/{room}-h2")
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/"):
        await near.call("GET", path, text=f"GET {path}")


async def check_logout(bases, room, watcher):
    """Logging out everywhere ends the sessions of all nodes, asked at any."""
    sockets = []
    for base in bases:
        socket = await Socket.open(base)
        await socket.join(room, "greta")
        sockets.append(socket)
    await watcher.wait("greta is on all nodes", lambda m: m.get("userId") == "greta"
                       and m.get("devices") == len(bases))
    answer = await API(bases[-1]).call("DELETE", "/api/v1/users/greta/sessions", text="log out everywhere")
    equal("all sessions are counted", answer, {"removed": len(bases)})
    await watcher.wait("greta is offline", about("presence.offline", room, "greta"))
    for socket in sockets:
        await socket.socket.close()


async def read_events(base, room, events):
    """Server-sent events as the EventSource of a browser would read them."""
    client = API(base).client
    async with client.stream("GET", f"/api/v1/rooms/{room}/events", timeout=None) as answer:
        equal("content type of events", answer.headers["content-type"].split(";")[0], "text/event-stream")
        event = {}
        async for line in answer.aiter_lines():
            if not line:
                if "data" in event:
                    events.append((event.get("event"), json.loads(event["data"])))
                event = {}
            elif not line.startswith(":"):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                event[field] = event[field] + "\n" + value if field == "data" and field in event else value


async def main(options):
    bases, room = options.bases, options.room
    watcher = await Socket.open(bases[1])
    await watcher.ask("subscribing without a user", "join", room=room)
    sync = await watcher.sync(room, "a subscriber gets a sync")
    equal("of an empty room", (sync["users"], sync["totalUsers"], sync["totalConnections"]), ([], 0, 0))
    check("this node hears others", sync["stale"] is False, False, sync)
    replay = Replay(room)
    replay.take([sync])
    begin = watcher.read

    events = []
    reader = asyncio.create_task(read_events(bases[1], room, events))
    await until("server-sent events begin with a sync",
                lambda: events and events[0][0] == "presence.sync" or reader.done() and reader.result(),
                seen=lambda: events)

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
    equal(f"replay of {replay.count} messages gives its list", Replay.essence(replay.users.values()),
          Replay.essence(sync["users"]))
    equal("online first, then gone", [u["online"] for u in sync["users"]],
          sorted([u["online"] for u in sync["users"]], reverse=True))
    told = Replay(room)
    equal("event names are the types", [name for name, _ in events], [m["type"] for _, m in events])
    told.take([message for _, message in events])
    equal(f"replay of {told.count} server-sent events too", Replay.essence(told.users.values()),
          Replay.essence(sync["users"]))
    reader.cancel()

    await check_lobby(bases[0], room + "-lobby")
    await asyncio.gather(check_errors(bases[0], room + "-errors"), check_http(bases, room))


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
