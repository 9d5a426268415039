"""The kinds of clients that speak Phoenix's protocol, Supabase's among them: see `kind.py`."""

import asyncio
import json

from realtime import RealtimeSubscribeStates

from checks import until
from kind import Client
from phoenix_js import PhoenixJS as PhoenixJSProcess
from phoenix_v1 import Member as PhoenixV1Member
from phoenix_v2 import Socket as PhoenixV2Socket
from supabase import Member as SupabaseMember


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
