"""All kinds of clients behind the one interface of `kind.py`."""

import asyncio
import json
import logging
import random

import httpx

from checks import YjsClient, until
from convex import Convex as ConvexFunctions
from kind import Client
from kinds_phoenix import PhoenixJS, PhoenixV1, PhoenixV2, Supabase
from native_client import Replay, Socket, new_id
from yjs_pycrdt import Client as PycrdtClient

# The libraries log each connection that breaks; here they are broken on purpose.
logging.disable(logging.CRITICAL)


class Native(Client):
    kind = "native"
    keeps_session = True
    ends_with_socket = False
    lease = (2.5, 7)

    class Inbox(Socket):
        hear = staticmethod(lambda message: None)

        def __init__(self, connection):
            super().__init__(connection, self._decode)

        def _decode(self, text):
            message = json.loads(text)
            self.hear(message)
            return message

    def __init__(self, base, room, user):
        super().__init__(base, room, user)
        self.session = new_id()
        self.is_moved = False
        #: What the answers to its joins told of being restored.
        self.restored = []

    async def enter(self):
        self.replay = Replay(self.room)
        self.socket = await self.Inbox.open(self.relay.base)
        self.socket.hear = self._hear
        await self._join()
        self.beat = asyncio.create_task(self._beat())

    async def _join(self):
        joined = await self.socket.join(
            self.room, self.user, sessionId=self.session, expiresIn=4000
        )
        self.restored.append(joined["restored"])
        await self.say(self.word)

    async def _beat(self):
        """Heartbeats; takes the session back when it moved, as section 4 of Docs/Gateway.md says."""
        while not self.socket.is_closed:
            if self.is_moved:
                self.is_moved = False
                await self._join()
            await self.socket.send("heartbeat")
            await asyncio.sleep(0.5)

    def _hear(self, message):
        type = message["type"]
        if type == "presence.moved":
            self.is_moved = True
        elif type == "presence.stale":
            self.stale.append(message["stale"])
        elif type == "presence.sync" or self.replay.users is not None:
            self.replay.take([message])
            self.saw(
                (user["userId"], (session["data"] or {}).get("say"))
                for user in self.replay.users.values()
                if user["online"]
                for session in user["sessions"]
            )

    async def say(self, word):
        self.word = word
        text = f"{self.user} says {word}"
        await self.socket.ask(text, "presence.data", room=self.room, data={"say": word})

    async def leave(self):
        self.stop()
        await self.socket.ask(f"{self.user} leaves", "leave", room=self.room)
        await self.socket.socket.close()

    def stop(self):
        self.beat.cancel()
        self.socket.hear = lambda message: None


class Yjs(Client):
    """An unmodified y-websocket provider, in a process of its own."""

    kind = "yjs"
    hides_itself = True
    keeps_session = True
    returns = True
    lease = (29, 42)

    class Process(YjsClient):
        hear = staticmethod(lambda states: None)

        async def _follow(self):
            async for line in self.process.stdout:
                self.view = json.loads(line)
                self.hear(self.states)

    def __init__(self, base, room, user):
        super().__init__(base, room, user)
        self.id = random.randrange(1, 1 << 31)

    def _state(self):
        return {"user": {"id": self.user, "name": self.user}, "say": self.word}

    async def enter(self):
        self.process = await self.Process.start(self.relay.base, self.room, self._state(), self.id)
        self.process.hear = self._hear
        self._hear(self.process.states)

    def _hear(self, states):
        self.saw((state["user"].get("id"), state.get("say")) for state in states)

    async def say(self, word):
        self.word = word
        self.process.tell(state=self._state())

    async def leave(self):
        self.process.hear = lambda states: None
        self.process.tell(leave=True)

    def stop(self):
        self.process.hear = lambda states: None
        self.process.process.kill()


class Pycrdt(Client):
    kind = "pycrdt"
    hides_itself = True
    keeps_session = True
    lease = (29, 42)

    class Follower(PycrdtClient):
        hear = staticmethod(lambda: None)

        def changed(self, topic, event):
            super().changed(topic, event)
            self.hear()

    def __init__(self, base, room, user):
        super().__init__(base, room, user)
        self.client = self.Follower()

    async def enter(self):
        awareness = self.client.awareness
        # As providers do when a connection is gone.
        others = [id for id in awareness.states if id != awareness.client_id]
        awareness.remove_awareness_states(others, "connection closed")
        self.client.outbox, self.client.is_synced = asyncio.Queue(), False
        self.client.hear = self._hear
        await self.say(self.word)
        await self.client.connect(self.relay.base, self.room)

    def _hear(self):
        awareness = self.client.awareness
        self.saw(
            (state["user"].get("id"), state.get("say"))
            for id, state in awareness.states.items()
            if id != awareness.client_id
        )

    async def say(self, word):
        self.word = word
        state = {"user": {"id": self.user, "name": self.user}, "say": word}
        self.client.awareness.set_local_state(state)

    async def leave(self):
        self.client.awareness.set_local_state(None)
        await until(f"{self.user} has said that it leaves", self.client.outbox.empty)
        self.stop()
        await self.client.socket.close()

    def stop(self):
        self.client.hear = lambda: None
        for task in self.client.tasks:
            task.cancel()


class Convex(Client):
    """Functions over HTTP: there is no connection, only heartbeats."""

    kind = "convex"
    keeps_session = True
    ends_with_socket = False
    returns = True
    shows_one = True
    lease = (3.5, 8)

    async def enter(self):
        self.functions = ConvexFunctions(self.relay.base)
        await self._heartbeat()
        await self.say(self.word)
        self.tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._look())]

    async def _heartbeat(self):
        self.tokens = await self.functions.mutation(
            "heartbeat",
            roomId=self.room,
            userId=self.user,
            sessionId=f"{self.room}-{self.user}",
            interval=2000,
        )

    async def _beat(self):
        while True:
            await asyncio.sleep(1)
            try:
                await self._heartbeat()
            except httpx.HTTPError:
                pass

    async def _look(self):
        while True:
            try:
                users = await self.functions.query("list", roomToken=self.tokens["roomToken"])
                self.saw(
                    (u["userId"], (u.get("data") or {}).get("say")) for u in users if u["online"]
                )
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)

    async def say(self, word):
        self.word = word
        for _ in range(3):  # a request over a connection that broke meanwhile is made again
            try:
                return await self.functions.mutation(
                    "updateRoomUser", roomId=self.room, userId=self.user, data={"say": word}
                )
            except httpx.TransportError:
                pass

    async def leave(self):
        self.stop()
        await self.functions.mutation("disconnect", sessionToken=self.tokens["sessionToken"])

    def stop(self):
        for task in self.tasks:
            task.cancel()


KINDS = (Native, Yjs, Pycrdt, PhoenixV1, PhoenixV2, PhoenixJS, Supabase, Convex)
