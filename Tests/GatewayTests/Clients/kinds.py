"""One interface over all kinds of clients: who is in a room, and what each says.

A client says one word at a time, in whatever its protocol has for free data, as the member `say`. What
it sees is its `sight`: for each user the words of its sessions, sorted; the same for all kinds.
"""

import asyncio
import json
import logging
import random
import time

import httpx
from realtime import RealtimeSubscribeStates

from checks import YjsClient, until
from convex import Convex as ConvexFunctions
from native_client import Replay, Socket, new_id
from phoenix_js import PhoenixJS as PhoenixJSProcess
from phoenix_v1 import Member as PhoenixV1Member
from phoenix_v2 import Socket as PhoenixV2Socket
from relay import Relay
from supabase import Member as SupabaseMember
from yjs_pycrdt import Client as PycrdtClient

# The libraries log each connection that breaks; here they are broken on purpose.
logging.disable(logging.CRITICAL)


class Client:
    """What all kinds share."""

    #: Its name in the names of users.
    kind = ""
    #: Clients of this kind do not see themselves.
    hides_itself = False
    #: A client that comes back is the same session as before: it has an id that stays.
    keeps_session = False
    #: A connection that breaks ends the session at once, without waiting for a lease.
    ends_with_socket = True
    #: The client connects again by itself.
    returns = False
    #: It shows one word of a user, whatever the number of sessions.
    shows_one = False
    #: The shortest and the longest time in seconds until a client that fell silent is gone.
    lease = (0, 0)

    def __init__(self, base, room, user):
        self.base, self.room, self.user = base, room, user
        self.word, self.relay = None, None
        self.sight = {}
        #: The users that went out of sight, in order, and for how long they had been in it.
        self.lost, self.stays, self.since = [], [], {}
        #: What the node said of what it shows being old; for kinds that have a word for it.
        self.stale = []

    def __repr__(self):
        return self.user

    def saw(self, said):
        """Takes what is seen now: pairs of a user and a word."""
        sight = {}
        for user, word in said:
            sight.setdefault(user, []).append(word)
        now = time.monotonic()
        for user in self.sight.keys() - sight.keys():
            self.lost.append(user)
            self.stays.append(now - self.since.pop(user))
        for user in sight.keys() - self.sight.keys():
            self.since[user] = now
        self.sight = {user: sorted(words, key=repr) for user, words in sight.items()}

    def expects(self, said):
        """Of what is said, for each user a list of words: what this client is to see."""
        return {u: w for u, w in said.items() if not (self.hides_itself and u == self.user)}

    # Of each kind: `enter` connects and says its word; `say` says another; `leave` says good-bye;
    # `stop` ends what runs for the client here, and says nothing.

    async def join(self, word):
        """Enters the room, through a relay of its own."""
        self.word = word
        self.relay = self.relay or await Relay.start(self.base)
        await self.enter()

    async def back(self, word):
        """Comes again, with the same user, and the same id of client or session if it has one."""
        self.relay.accepts = True
        if self.returns:
            return await self.say(word)
        self.stop()
        await self.join(word)

    async def move(self, base, word):
        """Its connection breaks, and it comes again at another node."""
        self.drop()
        self.base, self.relay = base, None
        await self.join(word)

    def drop(self):
        """Its connection breaks, and it does not come back."""
        self.relay.tear()
        self.stop()


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
        self.process = await self.Process.start(
            self.relay.base, self.room, self._state(), self.id
        )
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


class Phoenix(Client):
    """What the kinds of Phoenix clients share: presence as it follows from a state and diffs."""

    #: A silent socket is closed after 65 s; that is looked at every 5 s, and done after 2 s.
    lease = (60, 74)

    def __init__(self, base, room, user):
        super().__init__(base, room, user)
        self.topic = f"room:{room}"
        self.profile = {"id": user, "name": user}
        self.presence = {}

    def hear(self, event, payload):
        """Phoenix's rules: a state replaces all; of a diff, joins come first, then leaves."""
        if event == "presence_state":
            self.presence = {key: list(entry["metas"]) for key, entry in payload.items()}
        elif event == "presence_diff":
            for key, entry in payload["joins"].items():
                self.presence.setdefault(key, []).extend(entry["metas"])
            for key, entry in payload["leaves"].items():
                gone = {meta["phx_ref"] for meta in entry["metas"]}
                left = [m for m in self.presence.get(key, []) if m["phx_ref"] not in gone]
                self.presence[key] = left
                if not left:
                    del self.presence[key]
        self.saw((key, meta.get("say")) for key, metas in self.presence.items() for meta in metas)


class PhoenixV1(Phoenix):
    """phxsocket, which speaks version 1 of the protocol."""

    kind = "phoenix-v1"

    class Follower(PhoenixV1Member):
        def __init__(self, client):
            self.hear = client.hear
            super().__init__(client.relay.base, client.topic, client.profile)

        def take_state(self, state):
            self.hear("presence_state", state)

        def take_diff(self, diff):
            self.hear("presence_diff", diff)

    async def enter(self):
        # It waits for its connection in the thread that asks for it.
        self.member = await asyncio.to_thread(self.Follower, self)
        self.member.channel.params["say"] = self.word
        await self.member.join()

    async def say(self, word):
        self.word = word
        await self.member.call("presence", {"event": "track", "payload": {"say": word}})

    async def leave(self):
        self.stop()
        await self.member.call("phx_leave", {})
        await asyncio.to_thread(self.member.client.close)

    def stop(self):
        self.member.hear = lambda event, payload: None


class PhoenixV2(Phoenix):
    """Version 2 of the protocol, frame by frame."""

    kind = "phoenix-v2"

    class Inbox(PhoenixV2Socket):
        hear = staticmethod(lambda event, payload: None)

        def __init__(self, connection):
            super().__init__(connection, self._decode)

        def _decode(self, text):
            frame = json.loads(text)
            self.hear(frame[3], frame[4])
            return frame

    async def enter(self):
        self.refs = 0
        self.socket = await self.Inbox.open(self.relay.base)
        self.socket.hear = self.hear
        await self._ask("phx_join", {"user": self.profile, "say": self.word})
        self.beat = asyncio.create_task(self._beat())

    async def _ask(self, event, payload):
        self.refs += 1
        ref = str(self.refs)
        await self.socket.send("1", ref, self.topic, event, payload)
        await self.socket.take(
            f"{self.user}: {event} is answered",
            lambda f: f[1] == ref and f[3] == "phx_reply" and f[4]["status"] == "ok",
        )

    async def _beat(self):
        while not self.socket.is_closed:
            await self.socket.send(None, "beat", "phoenix", "heartbeat", {})
            await asyncio.sleep(20)

    async def say(self, word):
        self.word = word
        await self._ask("presence", {"event": "track", "payload": {"say": word}})

    async def leave(self):
        self.stop()
        await self._ask("phx_leave", {})
        await self.socket.socket.close()

    def stop(self):
        self.beat.cancel()
        self.socket.hear = lambda event, payload: None


class PhoenixJS(Phoenix):
    """Phoenix's own JavaScript client, in a process of its own."""

    kind = "phoenix-js"
    returns = True

    async def enter(self):
        self.process = await PhoenixJSProcess.start(
            self.relay.base, self.topic, self.profile, self.word, hear=self.hear
        )

    async def say(self, word):
        self.word = word
        self.process.tell(say=word)

    async def leave(self):
        self.process.hear = lambda event, payload: None
        self.process.tell(leave=True)

    def stop(self):
        self.process.hear = lambda event, payload: None
        self.process.process.kill()


class Supabase(Client):
    kind = "supabase"
    returns = True
    lease = (60, 74)

    async def enter(self):
        self.member = SupabaseMember(self.relay.base, self.room, self.user, returns=True)
        self.member.channel.on_presence_sync(self._hear)
        await self.member.client.connect()
        await self.member.channel.subscribe(self._told)
        await until(f"{self.user} is subscribed", lambda: self.member.channel.is_joined)

    def _told(self, state, error):
        """As its documentation has it: who is subscribed tracks, after each reconnect as well."""
        if state == RealtimeSubscribeStates.SUBSCRIBED:
            self.tracking = asyncio.create_task(self.say(self.word))

    def _hear(self):
        state = self.member.state()
        self.saw((key, meta.get("say")) for key, metas in state.items() for meta in metas)

    async def say(self, word):
        self.word = word
        if self.member.channel.is_joined:
            await self.member.channel.track({"say": word})

    async def leave(self):
        self.stop()
        await self.member.channel.unsubscribe()
        await self.member.client.close()

    def stop(self):
        self.member.channel.on_presence_sync(lambda: None)
        self.member.client.auto_reconnect = False


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
                self.saw((u["userId"], (u.get("data") or {}).get("say")) for u in users if u["online"])
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
