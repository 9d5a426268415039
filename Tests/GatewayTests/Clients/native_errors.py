"""The checks of what the native WebSocket refuses, as native.py runs them."""

import websockets

from checks import Failed, equal, until
from native_client import Socket, about


async def check_errors(base, room):
    deep = lambda n: '{"type":"presence.data","room":"%s","data":%s1%s}' % (room, "[" * n, "]" * n)
    client = await Socket.open(base)
    await client.join(room, "frank")
    await client.sync(room, "frank has a sync")
    for text, raw in {
        "not JSON": "{",
        "empty": "",
        "trailing comma": '{"type":"heartbeat",}',
        "two values": "{}{}",
        "a key twice": '{"type":"heartbeat","type":"heartbeat"}',
        "a key twice, written otherwise": '{"type":"heartbeat","\\u0074ype":"heartbeat"}',
        "too deep": deep(16),
        "far too deep": deep(5000),
        "a number out of range": '{"type":"presence.cursor","room":"%s","x":1e999,"y":0}' % room,
        "NaN": '{"type":NaN}',
        "a control character in a text": '{"type":"heart\nbeat"}',
        "half a surrogate pair": '{"type":"\\ud800"}',
    }.items():
        await client.refused(text, ["malformed_json"], raw=raw)
    for text, raw in {
        "an array": "[]",
        "a text": '"heartbeat"',
        "null": "null",
        "no type": "{}",
        "a type that is a number": '{"type":1}',
        "__proto__ instead of a type": '{"__proto__":{"type":"heartbeat"}}',
    }.items():
        await client.refused(text, ["invalid_request"], raw=raw)

    bad = ["invalid_request"]
    await client.refused("an unknown type", bad, "presence.fly")
    await client.refused("a type of the server", bad, "presence.sync", room=room, users=[])
    await client.refused(
        "an unknown status", ["unknown_status"], "presence.status", room=room, status="dead"
    )
    await client.refused(
        "a status of the wrong kind",
        bad + ["unknown_status"],
        "presence.status",
        room=room,
        status=["busy"],
    )
    await client.refused("a missing room", bad, "presence.status", status="busy")
    await client.refused("a room that is a number", bad, "presence.status", room=1, status="busy")
    await client.refused(
        "a room where one is not",
        bad + ["unknown_room", "forbidden"],
        "presence.status",
        room=room + "-not",
        status="busy",
    )
    await client.refused(
        "an unknown field", bad, "presence.typing", room=room, typing=True, speed=3
    )
    await client.refused("a field __proto__", bad, "heartbeat", **{"__proto__": {}})
    await client.refused("typing that is a text", bad, "presence.typing", room=room, typing="yes")
    await client.refused("x out of bounds", bad, "presence.cursor", room=room, x=1.01, y=0)
    await client.refused("y that is a text", bad, "presence.cursor", room=room, x=0, y="0")
    await client.refused("no y", bad, "presence.cursor", room=room, x=0)
    await client.refused("data that is too long", bad, "presence.data", room=room, data="x" * 400)
    await client.refused("a user's data that is too long", bad, "presence.profile", data="x" * 300)
    await client.refused("a name that is a list", bad, "presence.profile", name=["F"])
    await client.refused(
        "another user",
        bad + ["session_conflict", "forbidden"],
        "join",
        room=room + "-2",
        user={"id": "not-frank"},
    )
    await client.refused("a user without id", bad, "join", room=room + "-2", user={"name": "F"})
    await client.refused("a user that is a text", bad, "join", room=room + "-2", user="frank")
    await client.refused(
        "an interval that is too short",
        bad,
        "join",
        room=room + "-2",
        user={"id": "frank"},
        interval=999,
    )
    await client.refused(
        "an interval that is too long",
        bad,
        "join",
        room=room + "-2",
        user={"id": "frank"},
        interval=3600001,
    )
    await client.refused(
        "a session id that is too long",
        bad,
        "join",
        room=room + "-2",
        user={"id": "frank"},
        sessionId="x" * 129,
    )
    client.read = len(client.messages)
    await client.send("presence.list", room=room)
    sync = await client.sync(room, "after all that: a list")
    frank = [user for user in sync["users"] if user["userId"] == "frank"][0]
    equal(
        "nothing has changed",
        (
            frank["status"],
            frank["typing"],
            frank["username"],
            frank["data"],
            frank["sessions"][0]["data"],
            frank["sessions"][0]["cursor"],
        ),
        ("online", False, "Frank", None, None, None),
    )

    proto = await Socket.open(base)
    await proto.join(room, "__proto__")
    seen = await client.wait(
        "a user called __proto__ is seen", about("presence.online", room, "__proto__")
    )
    equal("with its name", seen["user"]["username"], "__Proto__")
    await proto.ask("it leaves", "leave", room=room)
    await proto.socket.close()

    for number in range(31):
        await client.send("join", room=f"{room}-r{number}", user={"id": "frank"})
    ref = client.refs
    await client.wait(
        "32 rooms can be joined", lambda m: m.get("ref") == ref and m["type"] == "joined"
    )
    await client.refused(
        "but not 33",
        ["too_many_rooms", "invalid_request", "too_many_requests"],
        "join",
        room=f"{room}-r32",
        user={"id": "frank"},
    )
    await client.socket.send("x" * 70000)
    await client.closes("a frame above 64 KiB ends the connection", 1009)

    binary = await Socket.open(base)
    await binary.socket.send(b"\x00\x01")
    await until(
        "a binary frame is refused",
        lambda: binary.is_closed or any(map(about("error"), binary.messages)),
    )
    await binary.socket.close()
    try:
        await Socket.open(base, origin="http://evil.example")
        raise Failed("a foreign origin\n  expected: HTTP 403\n  seen:     a connection")
    except websockets.InvalidStatus as error:
        equal("a foreign origin is refused", error.response.status_code, 403)
