"""A client of the native WebSocket, and the room that follows from its messages."""

import json
import random

import websockets

from checks import Failed, Inbox, check, equal, socket_url


class Socket(Inbox):
    """A native client."""

    @classmethod
    async def open(cls, base, **more):
        connection = await websockets.connect(
            socket_url(base, "/api/v1/socket"), proxy=None, ping_interval=None, **more
        )
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
        answer = await self.wait(
            f"{text} is answered",
            lambda m: m["type"] == "error" or (ref is not None and m.get("ref") == ref),
        )
        check(
            text,
            answer["type"] == "error"
            and answer.get("code") in codes
            and isinstance(answer.get("message"), str)
            and answer.get("ref") == ref,
            {"type": "error", "code": codes, "message": "…", "ref": ref},
            answer,
        )

    async def join(self, room, name, text=None, **fields):
        """Joins, and gives the `joined`; the `presence.sync` is read and kept."""
        text = text or f"{name} joins"
        joined = await self.ask(
            text, "join", room=room, user={"id": name, "name": name.title()}, **fields
        )
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
                self.users[user] = {
                    **self.users[user],
                    "online": False,
                    "lastDisconnected": message["lastDisconnected"],
                }
            elif type == "presence.status":
                self.users[user].update(
                    status=message["status"],
                    message=message["message"],
                    statusChangedAt=message["timestamp"],
                )
            elif type == "presence.typing":
                self.users[user]["typing"] = message["typing"]
            elif type == "presence.cursor":
                for cursor in message["cursors"]:
                    for session in self.users[cursor["userId"]]["sessions"]:
                        if session["sessionId"] == cursor["sessionId"]:
                            session["cursor"] = {
                                key: cursor[key] for key in ("x", "y", "visible", "anchor")
                            }

    @staticmethod
    def essence(users):
        """What can be compared: of those who are gone, that they are, and since when."""

        def one(user):
            if not user["online"]:
                return {key: user[key] for key in ("userId", "online", "lastDisconnected")}
            keys = (
                "userId",
                "username",
                "online",
                "devices",
                "status",
                "message",
                "statusChangedAt",
                "typing",
                "color",
                "avatar",
                "data",
                "joinedAt",
                "lastDisconnected",
            )
            sessions = sorted(
                (s["sessionId"], s["device"], json.dumps(s["data"]), json.dumps(s["cursor"]))
                for s in user["sessions"]
            )
            return {**{key: user[key] for key in keys}, "sessions": sessions}

        return {user["userId"]: one(user) for user in users}
