#!/usr/bin/env python3
"""One room, several ecosystems: mixed.py URL URL URL

A Yjs editor, a Phoenix app, a Supabase client, a native page and a program that sends heartbeats over
HTTP are in one room on three nodes, and each sees all others in its own words.
"""

import asyncio
import json
import time

from checks import API, SOON, YjsClient, arguments, check, equal, ok, run, until
from native_client import Socket, about, new_id
from phoenix_v2 import Socket as Phoenix
from supabase import Member


def follow(presence, frames):
    """Phoenix's rules: a state replaces all; of a diff, joins come first, then leaves."""
    for frame in frames:
        if frame[3] == "presence_state":
            presence.clear()
            presence.update({key: list(entry["metas"]) for key, entry in frame[4].items()})
        elif frame[3] == "presence_diff":
            for key, entry in frame[4]["joins"].items():
                presence.setdefault(key, []).extend(entry["metas"])
            for key, entry in frame[4]["leaves"].items():
                gone = {meta["phx_ref"] for meta in entry["metas"]}
                presence[key] = [m for m in presence.get(key, []) if m["phx_ref"] not in gone]
                if not presence[key]:
                    del presence[key]
    return presence


async def main(options):
    near, middle, far = options.bases[:3]
    room, topic = options.room, f"room:{options.room}"

    ada = await Socket.open(near)
    await ada.ask(
        "a native client joins",
        "join",
        room=room,
        user={"id": "ada", "name": "Ada", "color": "#aa0000"},
    )
    await ada.ask("with a status", "presence.status", room=room, status="busy", message="painting")
    await ada.ask("and a cursor", "presence.cursor", room=room, x=0.25, y=0.5)
    yara = await YjsClient.start(middle, room, {"user": {"name": "Yara", "color": "#00bb00"}})
    yuri = await YjsClient.start(
        middle, room, {"user": {"id": "yuri", "name": "Yuri", "color": "#0000cc"}}
    )
    grace = await Phoenix.open(far)
    await grace.send(
        "1", "1", topic, "phx_join", {"user": {"id": "grace", "name": "Grace", "color": "#dd00dd"}}
    )
    await grace.send("1", "2", topic, "presence", {"event": "track", "payload": {"page": 7}})
    heartbeat = {
        "room": room,
        "user": {"id": "linus", "name": "Linus", "color": "#ee0000"},
        "sessionId": new_id(),
        "status": "away",
        "message": "tea",
    }
    linus = API(far)
    token = (
        await linus.call("POST", "/api/v1/heartbeat", heartbeat, text="a program sends a heartbeat")
    )["sessionToken"]
    sue = Member(middle, room, "sue")
    await sue.subscribe()
    await sue.channel.track({"name": "Sue", "tab": 2})

    # A Yjs user without an id of its own is known by its client id.
    everyone = {"ada", f"yjs-{yara.view['id']}", "yuri", "grace", "linus", "sue"}
    phoenix = lambda: follow({}, [f for f in grace.messages if f[2] == topic])

    async def native():
        ada.read = len(ada.messages)
        await ada.socket.send(json.dumps({"type": "presence.list", "room": room}))
        seen = await ada.wait("a list", about("presence.sync", room))
        return {user["userId"]: user for user in seen["users"] if user["online"]}

    async def http():
        seen = await linus.call("GET", f"/api/v1/rooms/{room}")
        return {user["userId"] for user in seen["users"] if user["online"]}

    async def settled(ask):
        """Asks until everybody is there: the nodes hear of each other a moment apart."""
        end = time.monotonic() + SOON
        while set(seen := await ask()) != everyone and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return seen

    await until(
        "Phoenix sees all",
        lambda: set(phoenix()) == everyone,
        seen=lambda: [sorted(everyone), phoenix()],
    )
    await until("Supabase sees all", lambda: sue.keys() == everyone, seen=sue.state)
    await until(
        "Yjs sees all",
        lambda: all(yara.user(name=name) for name in ("Ada", "Yuri", "Grace", "Linus", "Sue")),
        seen=lambda: yara.view,
    )
    users = await settled(native)
    equal("native sees all", set(users), everyone)
    equal("HTTP sees all", await settled(http), everyone)

    # Names, colors, statuses: each in the words of the one that looks.
    yjs_id = f"yjs-{yara.view['id']}"
    equal(
        "native: a Yjs user",
        (users[yjs_id]["username"], users[yjs_id]["color"]),
        ("Yara", "#00bb00"),
    )
    equal("native: a Yjs user with an id", users["yuri"]["username"], "Yuri")
    equal(
        "native: a Phoenix user",
        (users["grace"]["username"], users["grace"]["color"]),
        ("Grace", "#dd00dd"),
    )
    equal("native: a Supabase user", users["sue"]["username"], "Sue")
    equal(
        "native: who sends heartbeats",
        (users["linus"]["status"], users["linus"]["message"]),
        ("away", "tea"),
    )

    state = yara.user(id="ada")
    check(
        "Yjs: a native user",
        state
        and (state["user"].get("name"), state["user"].get("color")) == ("Ada", "#aa0000")
        and (state.get("presence") or {}).items()
        >= {"status": "busy", "message": "painting", "devices": 1}.items(),
        {
            "user": {"id": "ada", "name": "Ada", "color": "#aa0000"},
            "presence": {"status": "busy", "message": "painting", "devices": 1},
        },
        state,
    )
    cursor = state.get("cursor") or {}
    check(
        "Yjs: its cursor",
        abs(cursor.get("x", 9) - 0.25) < 0.001 and abs(cursor.get("y", 9) - 0.5) < 0.001,
        {"x": 0.25, "y": 0.5},
        state,
    )
    check(
        "Yjs: who has no cursor",
        not (yara.user(id="linus") or {}).get("cursor"),
        "no cursor",
        yara.user(id="linus"),
    )
    check(
        "Yjs: a Phoenix user",
        yara.user(id="grace", name="Grace", color="#dd00dd"),
        "its user",
        yara.view,
    )
    check("Yjs: a Yjs user", yuri.user(name="Yara", color="#00bb00"), "its user", yuri.view)

    meta = phoenix()["ada"][0]
    equal(
        "Phoenix: a native user",
        (meta.get("name"), meta.get("status"), meta.get("color")),
        ("Ada", "busy", "#aa0000"),
    )
    meta = phoenix()[yjs_id][0]
    equal("Phoenix: a Yjs user", (meta.get("name"), meta.get("color")), ("Yara", "#00bb00"))
    # She is seen first, what she tracked a moment later.
    await until(
        "Phoenix: what a Supabase user tracked",
        lambda: phoenix()["sue"][0].get("tab") == 2,
        seen=phoenix,
    )
    equal("Supabase: what a Phoenix user tracked", sue.metas("grace", "page"), [(7,)])
    equal("Supabase: a native user", sue.metas("ada", "name", "status"), [("Ada", "busy")])

    # Changes.
    await ada.ask("a native status", "presence.status", room=room, status="away", message="")
    await until(
        "is seen by Phoenix",
        lambda: [m.get("status") for m in phoenix().get("ada", [])] == ["away"],
        seen=phoenix,
    )
    await until(
        "by Yjs",
        lambda: ((yara.user(id="ada") or {}).get("presence") or {}).get("status") == "away",
        seen=lambda: yara.view,
    )
    await until("by Supabase", lambda: sue.metas("ada", "status") == [("away",)], seen=sue.state)
    await grace.send("1", "3", topic, "presence", {"event": "track", "payload": {"status": "busy"}})
    await ada.wait(
        "a Phoenix status is seen by native", about("presence.status", room, "grace", status="busy")
    )
    await until(
        "by Yjs, too",
        lambda: ((yara.user(id="grace") or {}).get("presence") or {}).get("status") == "busy",
        seen=lambda: yara.view,
    )
    yara.tell(state={"user": {"name": "Yara X", "color": "#00bb00"}})
    await ada.wait(
        "a new name of a Yjs user is seen",
        lambda m: m.get("userId") == yjs_id and m.get("user", {}).get("username") == "Yara X",
    )

    # One user in two ecosystems is one user with two devices.
    twin = await YjsClient.start(
        far, room, {"user": {"id": "ada", "name": "Ada", "color": "#aa0000"}}
    )
    await ada.wait(
        "a Yjs editor of a native user is a second device",
        lambda m: m.get("userId") == "ada" and m.get("devices") == 2,
    )
    await until("two metas for Phoenix", lambda: len(phoenix().get("ada", [])) == 2, seen=phoenix)
    twin.tell(leave=True)
    await ada.wait("that leaves", lambda m: m.get("userId") == "ada" and m.get("devices") == 1)

    # Each leaves in its own way, and is gone for all others.
    async def gone(text, user, name):
        await until(f"{text} is gone for Phoenix", lambda: user not in phoenix(), seen=phoenix)
        await until(f"{text} is gone for Supabase", lambda: user not in sue.keys(), seen=sue.state)
        await until(
            f"{text} is gone for Yjs", lambda: not yara.user(name=name), seen=lambda: yara.view
        )
        await ada.wait(f"{text} is gone for native", about("presence.offline", room, user))

    yuri.tell(leave=True)
    await gone("a Yjs user", "yuri", "Yuri")
    await linus.call("POST", "/api/v1/disconnect", {"sessionToken": token})
    await gone("who sent heartbeats", "linus", "Linus")
    await sue.channel.untrack()
    await gone("a Supabase user", "sue", "Sue")
    await ada.ask("the native user leaves", "leave", room=room)
    await until("it is gone for Phoenix", lambda: "ada" not in phoenix(), seen=phoenix)
    await until("and for Yjs", lambda: not yara.user(id="ada"), seen=lambda: yara.view)
    await grace.send("1", "9", topic, "phx_leave", {})
    await until(
        "a Phoenix user is gone for Yjs", lambda: not yara.user(id="grace"), seen=lambda: yara.view
    )
    equal("the last one sees nobody", yara.states, [])
    ok("all left")


if __name__ == "__main__":
    run(main(arguments(__doc__, least=3)))
