#!/usr/bin/env python3
"""Drives `realtime`, Supabase's client for Python, with presence: supabase.py URL URL [URL]"""

import logging

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates

from checks import arguments, check, equal, ok, run, throughout, until


class Complaints(logging.Handler):
    """The client drops messages whose shape it does not know, and only logs that it did."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []
        logging.getLogger("realtime").addHandler(self)

    def emit(self, record):
        self.texts.append(record.getMessage())


class Member:
    """A client in a channel with presence, and the events that it was called with."""

    def __init__(self, base, room, key, returns=False):
        self.client = AsyncRealtimeClient(
            f"{base}/socket", max_retries=20 if returns else 1, auto_reconnect=returns
        )
        self.channel = self.client.channel(
            room,
            {
                "config": {
                    "broadcast": {"ack": False, "self": False},
                    "presence": {"key": key, "enabled": True},
                    "private": False,
                }
            },
        )
        self.syncs, self.joins, self.leaves, self.subscribed = 0, [], [], None
        self.channel.on_presence_sync(self.synced)
        self.channel.on_presence_join(
            lambda key, now, new: self.joins.append((key, [dict(p) for p in new]))
        )
        self.channel.on_presence_leave(
            lambda key, now, old: self.leaves.append((key, [dict(p) for p in old]))
        )

    def synced(self):
        self.syncs += 1

    async def subscribe(self):
        def done(state, error):
            self.subscribed = (state, error)

        await self.client.connect()
        await self.channel.subscribe(done)
        equal("subscribed", self.subscribed, (RealtimeSubscribeStates.SUBSCRIBED, None))

    def state(self):
        return self.channel.presence_state()

    def keys(self):
        return set(self.state())

    def metas(self, key, *fields):
        return [tuple(meta.get(field) for field in fields) for meta in self.state().get(key, [])]


async def main(options):
    complaints = Complaints()
    ann = Member(options.bases[0], options.room, "ann")
    bob = Member(options.bases[1], options.room, "bob")
    await ann.subscribe()
    await until("a first sync comes", lambda: ann.syncs > 0, seen=lambda: complaints.texts)
    equal("nobody is there before somebody tracks", ann.state(), {})

    await ann.channel.track({"name": "Ann", "online_at": 17, "cursor": {"x": 0.5}})
    await until("one's own track is seen", lambda: ann.keys() == {"ann"}, seen=ann.state)
    await bob.subscribe()
    await until(
        "who comes later gets it on another node",
        lambda: bob.metas("ann", "name", "online_at", "cursor") == [("Ann", 17, {"x": 0.5})],
        seen=bob.state,
    )
    check("a join was called", [key for key, _ in bob.joins] == ["ann"], ["ann"], bob.joins)
    check(
        "every presence has a ref",
        all(meta["presence_ref"] for meta in bob.state()["ann"]),
        "a ref",
        bob.state(),
    )

    await bob.channel.track({"name": "Bob", "status": "online"})
    await until(
        "both are seen by both",
        lambda: ann.keys() == bob.keys() == {"ann", "bob"},
        seen=lambda: [ann.state(), bob.state()],
    )
    before = ann.state()["bob"][0]["presence_ref"]
    await bob.channel.track({"name": "Bob", "status": "busy"})
    await until(
        "tracking again is an update",
        lambda: ann.metas("bob", "status") == [("busy",)],
        seen=ann.state,
    )
    check(
        "under a new ref",
        ann.state()["bob"][0]["presence_ref"] != before,
        "another ref",
        ann.state(),
    )
    check(
        "a leave of the old one was called",
        ("bob", "online")
        in [(key, meta.get("status")) for key, metas in ann.leaves for meta in metas],
        "bob, online",
        ann.leaves,
    )

    await bob.channel.untrack()
    await until("untrack is seen", lambda: ann.keys() == {"ann"}, seen=ann.state)
    await until("and by oneself", lambda: bob.keys() == {"ann"}, seen=bob.state)
    await bob.channel.track({"name": "Bob"})
    await until("tracking after that, too", lambda: ann.keys() == {"ann", "bob"}, seen=ann.state)

    # Two tabs of a key are two presences of it.
    tab = Member(options.bases[1], options.room, "ann")
    await tab.subscribe()
    await tab.channel.track({"name": "Ann", "tab": 2})
    await until(
        "two tabs of a key are two presences",
        lambda: sorted(bob.metas("ann", "tab"), key=repr) == [(2,), (None,)],
        seen=bob.state,
    )
    await tab.channel.unsubscribe()
    await until(
        "unsubscribing ends one", lambda: bob.metas("ann", "tab") == [(None,)], seen=bob.state
    )

    await bob.channel.unsubscribe()
    await until("unsubscribing is a leave", lambda: ann.keys() == {"ann"}, seen=ann.state)
    await throughout("and stays so", lambda: ann.keys() == {"ann"}, 0.5, ann.state)
    for member in (tab, bob, ann):
        await member.client.close()
    equal("the client complained of nothing", complaints.texts, [])
    ok("clients close")


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
