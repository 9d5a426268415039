#!/usr/bin/env python3
"""Drives phxsocket, a Phoenix client of protocol version 1: phoenix_v1.py URL URL [URL]

Its refs are JSON numbers, the first is 0, and its heartbeats come every 5 s.
"""

import asyncio

import phxsocket
from phxsocket.channel import ChannelConnectError, ChannelEvents

from checks import arguments, check, equal, ok, run, socket_url, throughout, until


class Member:
    """A client with one channel, and the presence of the channel as it follows from the messages."""

    def __init__(self, base, topic, user):
        self.client = phxsocket.Client(socket_url(base, "/socket/websocket"))
        self.states, self.diffs, self.closed, self.presence = [], [], 0, {}
        self.frames = []
        self.client.on_message = self.frames.append
        self.client.connect()
        self.channel = self.client.channel(topic, {"user": user} if user else {})
        self.channel.on("presence_state", self.take_state)
        self.channel.on("presence_diff", self.take_diff)
        self.channel.on_close = self.take_close

    def take_close(self):
        self.closed += 1

    def take_state(self, state):
        self.states.append(state)
        self.presence = {key: list(entry["metas"]) for key, entry in state.items()}

    def take_diff(self, diff):
        """Joins first, then leaves, as Phoenix's own client does."""
        self.diffs.append(diff)
        for key, entry in diff["joins"].items():
            new = {meta["phx_ref"] for meta in entry["metas"]}
            old = [meta for meta in self.presence.get(key, []) if meta["phx_ref"] not in new]
            self.presence[key] = old + entry["metas"]
        for key, entry in diff["leaves"].items():
            gone = {meta["phx_ref"] for meta in entry["metas"]}
            self.presence[key] = [m for m in self.presence.get(key, []) if m["phx_ref"] not in gone]
            if not self.presence[key]:
                del self.presence[key]

    async def call(self, event, payload):
        """Pushes on the channel, and gives the reply; the client itself would wait for ever."""
        push = self.channel.push(event, payload, reply=True)
        await until(f"{event} is answered", push.event.is_set, seen=lambda: repr(self.frames))
        return push.message

    async def join(self):
        return await asyncio.wait_for(asyncio.to_thread(self.channel.join), 5)


async def main(options):
    topic = f"room:{options.room}"
    ann = Member(options.bases[0], topic, {"id": "ann", "name": "Ann", "color": "#6fb2c8"})
    equal("join is answered", await ann.join(), {})
    await until("a presence_state follows", lambda: ann.states, seen=lambda: repr(ann.frames))
    await until(
        "one's own presence is in it, or follows",
        lambda: list(ann.presence) == ["ann"],
        seen=lambda: ann.presence,
    )
    meta = ann.presence["ann"][0]
    check(
        "a meta tells ref, name, status and color",
        meta.get("name") == "Ann"
        and meta.get("phx_ref")
        and meta.get("status") == "online"
        and meta.get("color") == "#6fb2c8",
        "phx_ref, name, …",
        meta,
    )

    bob = Member(options.bases[1], topic, {"id": "bob", "name": "Bob"})
    await bob.join()
    await until(
        "the second gets both",
        lambda: set(bob.presence) == {"ann", "bob"},
        seen=lambda: bob.presence,
    )
    await until(
        "the first gets a diff",
        lambda: set(ann.presence) == {"ann", "bob"},
        seen=lambda: ann.presence,
    )

    reply = await bob.call(
        "presence", {"event": "track", "payload": {"status": "busy", "typing_in": "title"}}
    )
    equal("track is answered", reply["status"], "ok")
    await until(
        "the update is seen",
        lambda: [(m.get("status"), m.get("typing_in")) for m in ann.presence.get("bob", [])]
        == [("busy", "title")],
        seen=lambda: ann.presence,
    )
    check(
        "as one diff with joins and leaves",
        any(d["joins"].get("bob") and d["leaves"].get("bob") for d in ann.diffs),
        "both in one diff",
        ann.diffs,
    )

    # A second device of the same user: one key, two metas.
    phone = Member(options.bases[1], topic, {"id": "ann", "name": "Ann"})
    await phone.join()
    await until(
        "two devices are two metas of a key",
        lambda: len(bob.presence.get("ann", [])) == 2,
        seen=lambda: bob.presence,
    )
    refs = [meta["phx_ref"] for metas in bob.presence.values() for meta in metas]
    check("every meta has a ref of its own", len(set(refs)) == len(refs), "unique refs", refs)
    equal("leave is answered", (await phone.call(ChannelEvents.LEAVE, {}))["status"], "ok")
    await until(
        "the channel is closed then", lambda: phone.closed == 1, seen=lambda: repr(phone.frames)
    )
    await until(
        "one meta is left", lambda: len(bob.presence.get("ann", [])) == 1, seen=lambda: bob.presence
    )

    # Joining a topic again closes the old join, and accepts the new one.
    await bob.join()
    await until(
        "a second join closes the first", lambda: bob.closed == 1, seen=lambda: repr(bob.frames)
    )
    await until(
        "and is answered by a new state",
        lambda: len(bob.states) == 2,
        seen=lambda: repr(bob.frames),
    )
    await until(
        "with one meta for each user",
        lambda: {k: len(m) for k, m in bob.presence.items()} == {"ann": 1, "bob": 1},
        seen=lambda: bob.presence,
    )
    await until(
        "others see one too",
        lambda: len(ann.presence.get("bob", [])) == 1,
        seen=lambda: ann.presence,
    )

    push = ann.client.push("phoenix", ChannelEvents.HEARTBEAT, {}, reply=True)
    await until("a heartbeat is answered", push.event.is_set, seen=lambda: repr(ann.frames))
    equal("with ok", push.message, {"status": "ok", "response": {}})

    wrong = ann.client.channel("kitchen:sink")
    try:
        await asyncio.wait_for(asyncio.to_thread(wrong.join), 5)
        check("an unknown topic is refused", False, "an error", "ok")
    except ChannelConnectError as error:
        equal("an unknown topic is refused", error.args[0], {"reason": "unmatched topic"})

    await bob.call(ChannelEvents.LEAVE, {})
    await until(
        "who leaves is gone", lambda: set(ann.presence) == {"ann"}, seen=lambda: ann.presence
    )
    await throughout(
        "and stays so", lambda: set(ann.presence) == {"ann"}, 0.5, lambda: ann.presence
    )
    for member in (phone, bob, ann):
        await asyncio.to_thread(member.client.close)
    ok("clients close")


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
