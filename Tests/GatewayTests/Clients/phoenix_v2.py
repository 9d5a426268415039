#!/usr/bin/env python3
"""Drives Phoenix channels, protocol version 2, frame by frame: phoenix_v2.py [--idle] URL URL [URL]

Frames are JSON arrays [join_ref, ref, topic, event, payload]. With --idle only the close of an idle
socket is checked, which takes more than a minute.
"""

import asyncio
import json
import time

import websockets

from checks import Inbox, arguments, check, equal, ok, run, socket_url, until

OK = {"status": "ok", "response": {}}


class Socket(Inbox):
    @classmethod
    async def open(cls, base, query="vsn=2.0.0", **more):
        return cls(
            await websockets.connect(
                socket_url(base, f"/socket/websocket?{query}"),
                proxy=None,
                ping_interval=None,
                **more,
            )
        )

    async def send(self, join_ref, ref, topic, event, payload):
        await self.socket.send(json.dumps([join_ref, ref, topic, event, payload]))

    async def expect(self, text, frame):
        """The next frame of this event on this topic must be exactly this; `...` is anything."""
        seen = await self.take(
            text, lambda f: isinstance(f, list) and len(f) == 5 and f[2:4] == frame[2:4]
        )
        same = all(
            want is ... or (type(have) is type(want) and have == want)
            for have, want in zip(seen, frame)
        )
        check(f"{text}: its shape", same, repr(frame), seen)
        return seen[4]

    async def join(self, topic, join_ref, user=None, text="join"):
        await self.send(join_ref, join_ref, topic, "phx_join", {"user": user} if user else {})
        await self.expect(f"{text} is answered", [join_ref, join_ref, topic, "phx_reply", OK])
        state = await self.expect(
            f"{text}: the state follows", [join_ref, None, topic, "presence_state", ...]
        )
        check_entries(text, state)
        return state

    async def diff(self, text, topic, fits=lambda diff: True):
        """The next diff that fits; its frame has neither a join_ref nor a ref."""
        frame = await self.wait(text, lambda f: f[2:4] == [topic, "presence_diff"] and fits(f[4]))
        check(
            f"{text}: its shape",
            frame[:2] == [None, None] and sorted(frame[4]) == ["joins", "leaves"],
            [None, None, topic, "presence_diff", {"joins": {}, "leaves": {}}],
            frame,
        )
        check_entries(text, frame[4]["joins"])
        check_entries(text, frame[4]["leaves"])
        return frame[4]


def check_entries(text, entries):
    for key, entry in entries.items():
        if (
            list(entry) != ["metas"]
            or not entry["metas"]
            or not all(isinstance(meta.get("phx_ref"), str) for meta in entry["metas"])
        ):
            check(f"{text}: the entry of {key}", False, {"metas": [{"phx_ref": "…"}]}, entry)


def only(diff, side, key):
    metas = diff[side][key]["metas"]
    equal(f"{side}: one meta", len(metas), 1)
    return metas[0]


async def own(socket, topic, key, state):
    """The meta of a client itself: in the state, or in a diff that follows."""
    if key in state:
        return state[key]["metas"][0]
    return only(
        await socket.diff("one's own join", topic, lambda d: key in d["joins"]), "joins", key
    )


async def main(options):
    near, far = options.bases[0], options.bases[1]
    room, topic = options.room, f"room:{options.room}"
    joins = lambda key: lambda diff: key in diff["joins"] and key not in diff["leaves"]
    updates = lambda key: lambda diff: key in diff["joins"] and key in diff["leaves"]
    leaves = lambda key: lambda diff: key in diff["leaves"] and key not in diff["joins"]

    watch = await Socket.open(far)
    equal(
        "the state of an empty room", await watch.join(topic, "1", text="a join without a user"), {}
    )
    ann = await Socket.open(near, subprotocols=["phoenix"])
    equal("the subprotocol phoenix is selected", ann.socket.subprotocol, "phoenix")
    state = await ann.join(topic, "3", {"id": "ann", "name": "Ann", "color": "#6fb2c8"})
    mine = await own(ann, topic, "ann", state)
    first = only(await watch.diff("a join is a diff", topic, joins("ann")), "joins", "ann")
    check(
        "a meta tells name, status and color",
        (first.get("name"), first.get("status"), first.get("color")) == ("Ann", "online", "#6fb2c8")
        and "phx_ref_prev" not in first,
        "name, status, color",
        first,
    )

    await ann.send(
        "3", "4", topic, "presence", {"event": "track", "payload": {"status": "busy", "page": 7}}
    )
    await ann.expect("track is answered", ["3", "4", topic, "phx_reply", OK])
    update = await watch.diff("an update is one diff", topic, updates("ann"))
    new, old = only(update, "joins", "ann"), only(update, "leaves", "ann")
    check(
        "it joins the new meta, with the ref of the old",
        new.get("phx_ref_prev") == first["phx_ref"]
        and new["phx_ref"] != first["phx_ref"]
        and (new.get("status"), new.get("page")) == ("busy", 7),
        {"phx_ref_prev": first["phx_ref"], "status": "busy", "page": 7},
        new,
    )
    equal(
        "and leaves the old one", (old["phx_ref"], old.get("status")), (first["phx_ref"], "online")
    )
    update = only(
        await ann.diff("its client gets it as well", topic, updates("ann")), "joins", "ann"
    )
    check(
        "with the ref that it knows",
        update.get("phx_ref_prev") == mine["phx_ref"],
        mine["phx_ref"],
        update,
    )

    await ann.send(None, "5", "phoenix", "heartbeat", {})
    await ann.expect("a heartbeat is answered", [None, "5", "phoenix", "phx_reply", OK])

    # A topic joined again: the old join is closed first; what still speaks for it is ignored.
    await ann.send("6", "6", topic, "phx_join", {"user": {"id": "ann", "name": "Ann"}})
    await ann.expect("a second join closes the first", ["3", "3", topic, "phx_close", {}])
    await ann.expect("and is answered", ["6", "6", topic, "phx_reply", OK])
    state = await ann.expect("with a state", ["6", None, topic, "presence_state", ...])
    await own(ann, topic, "ann", state)
    await asyncio.sleep(0.5)
    watch.read, ann.read = len(watch.messages), len(ann.messages)
    await ann.send("3", "7", topic, "phx_leave", {})
    await ann.send("3", "8", topic, "presence", {"event": "track", "payload": {"status": "away"}})
    await watch.silent(
        "what a stale join_ref says is ignored", lambda f: f[3] == "presence_diff", 1
    )
    await ann.silent("and closes nothing", lambda f: f[3] == "phx_close", 0.1)

    await ann.send("6", "9", topic, "phx_leave", {})
    await ann.expect("leave is answered", ["6", "9", topic, "phx_reply", OK])
    await ann.expect("and the channel is closed", ["6", "6", topic, "phx_close", {}])
    await watch.diff("which is a diff", topic, leaves("ann"))
    await ann.silent(
        "nothing comes from a channel that was left",
        lambda f: f[2:4] == [topic, "presence_diff"],
        0.5,
    )

    unmatched = {"status": "error", "response": {"reason": "unmatched topic"}}
    await ann.send("10", "10", "kitchen:sink", "phx_join", {})
    await ann.expect(
        "an unknown topic is refused", ["10", "10", "kitchen:sink", "phx_reply", unmatched]
    )
    await ann.send(None, "11", topic, "presence", {"event": "track", "payload": {}})
    await ann.expect("a topic that is not joined, too", [None, "11", topic, "phx_reply", unmatched])

    # Keys that are names of JavaScript's own, and no ASCII.
    for number, key in enumerate(("__proto__", "constructor", "Zoë 🦉")):
        other = await Socket.open(near)
        await other.join(topic, "1", {"id": key, "name": key}, text=f"join of {key}")
        meta = only(await watch.diff(f"{key} is a key", topic, joins(key)), "joins", key)
        equal("with its name", meta.get("name"), key)
        await other.send("1", "2", topic, "presence", {"event": "untrack"})
        await other.expect("untrack is answered", ["1", "2", topic, "phx_reply", OK])
        await watch.diff(f"{key} leaves", topic, leaves(key))
        await other.socket.close()

    # What is no frame ends at most its own socket.
    for text, frame in {
        "no JSON": "{",
        "no array": "{}",
        "an array that is too short": '["1","1","room:x"]',
        "a topic that is a number": '["1","1",1,"phx_join",{}]',
    }.items():
        other = await Socket.open(near)
        await other.socket.send(frame)
        await until(f"{text}: refused or closed", lambda: other.is_closed or other.messages)
        if other.is_closed:
            check(
                f"{text}: not closed with 1000, or clients would not come back",
                other.socket.close_code != 1000,
                "another code",
                other.socket.close_code,
            )
        await other.socket.close()

    many = await Socket.open(near)
    for number in range(101):
        await many.send(str(number), str(number), f"room:{room}-{number}", "phx_join", {})
    await until(
        "101 joins are answered",
        lambda: sum(f[3] == "phx_reply" for f in many.messages) == 101,
        seen=lambda: len(many.messages),
    )
    replies = {f[1]: f[4]["status"] for f in many.messages if f[3] == "phx_reply"}
    equal(
        "100 channels a socket, and no more",
        [replies[str(n)] for n in range(101)],
        ["ok"] * 100 + ["error"],
    )
    for socket in (many, ann, watch):
        await socket.socket.close()
    ok("sockets close")


async def idle(options):
    quiet, beating = await Socket.open(options.bases[0]), await Socket.open(options.bases[0])
    begin = time.monotonic()
    while not quiet.is_closed and time.monotonic() < begin + 75:
        await asyncio.sleep(1)
        if int(time.monotonic() - begin) % 20 == 10:
            await beating.send(None, "1", "phoenix", "heartbeat", {})
    took = time.monotonic() - begin
    check("an idle socket is closed after 60 s", quiet.is_closed and 55 < took < 75, "60 s", took)
    check("not with 1000", quiet.socket.close_code != 1000, "another code", quiet.socket.close_code)
    check("one with heartbeats is not", not beating.is_closed, "open", None)


if __name__ == "__main__":
    options = arguments(
        __doc__, least=2, more=lambda parser: parser.add_argument("--idle", action="store_true")
    )
    run(idle(options), 90) if options.idle else run(main(options))
