"""The checks of the HTTP API of Docs/Gateway.md, as native.py runs them."""

import asyncio
import json
import time

from checks import API, SOON, Failed, check, equal, ok
from native_client import new_id


async def check_http(bases, room):
    near, far = API(bases[0]), API(bases[1])
    heartbeat = "/api/v1/heartbeat"
    path = f"/api/v1/rooms/{room}-h"
    body = {"room": f"{room}-h", "user": {"id": "hugo", "name": "Hugo"}, "sessionId": new_id()}
    first = await near.call(
        "POST",
        heartbeat,
        {**body, "status": "busy", "message": "m"},
        text="a heartbeat opens a session",
    )
    equal(
        "its answer",
        (sorted(first), len(first["sessionId"]), first["restored"], first["expiresIn"]),
        (["expiresIn", "restored", "sessionId", "sessionToken"], 32, False, 75000),
    )
    # The id that the node made of it stands for itself.
    body["sessionId"] = first["sessionId"]
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

    room_seen = await shows(
        "the room is seen at another node", lambda room: room["totalUsers"] == 1
    )
    equal(
        "keys of a room",
        sorted(room_seen),
        ["hash", "room", "stale", "totalConnections", "totalUsers", "users"],
    )
    equal(
        "status and message",
        [(u["userId"], u["status"], u["message"]) for u in room_seen["users"]],
        [("hugo", "busy", "m")],
    )
    equal(
        "count",
        await far.call("GET", f"{path}/count"),
        {"room": f"{room}-h", "users": 1, "sessions": 1},
    )

    for number in range(4):
        await near.call(
            "POST",
            heartbeat,
            {"room": f"{room}-h", "user": {"id": f"u{number}"}, "sessionId": f"{room}{number}"},
        )
    gone = await near.call(
        "POST",
        heartbeat,
        {"room": f"{room}-h", "user": {"id": "gone"}, "sessionId": f"{room}-gone"},
    )
    await shows("six users", lambda room: room["totalUsers"] == 6)
    for time_ in ("once", "twice"):
        await near.call(
            "POST",
            "/api/v1/disconnect",
            text=f"a beacon as text/plain, {time_}",
            body=json.dumps({"sessionToken": gone["sessionToken"]}).encode(),
            headers={"content-type": "text/plain;charset=UTF-8"},
        )
    seen = await shows("who disconnected is listed last", lambda room: room["totalUsers"] == 5)
    equal("online first", [user["online"] for user in seen["users"]], [True] * 5 + [False])
    only = await far.call("GET", path, params={"onlineOnly": "true"})
    equal("onlineOnly", [user["online"] for user in only["users"]], [True] * 5)
    pages = [
        await far.call("GET", path, params={"limit": 2, "offset": offset}) for offset in (0, 2, 4)
    ]
    equal(
        "pages are the list",
        [u["userId"] for page in pages for u in page["users"]],
        [u["userId"] for u in seen["users"]],
    )

    token = first["sessionToken"]
    await near.call(
        "PATCH",
        f"{path}/users/hugo",
        {
            "sessionToken": token,
            "status": "away",
            "typing": True,
            "data": {"a": 1},
            "cursor": {"x": 0.5, "y": 0.25},
        },
        text="a PATCH",
    )
    await shows(
        "it is seen",
        lambda room: any(
            u["userId"] == "hugo"
            and u["status"] in ("away", "typing")
            and u["typing"]
            and u["sessions"][0]["data"] == {"a": 1}
            and u["sessions"][0]["cursor"]
            for u in room["users"]
        ),
    )
    user = await shows("rooms of a user", lambda u: u["online"], where="/api/v1/users/hugo/rooms")
    check("with this one", f"{room}-h" in json.dumps(user["rooms"]), f"{room}-h", user)
    both = await far.call("GET", f"/api/v1/statistics?room={room}-h&room={room}-none")
    equal("statistics are unique over the rooms", (both["users"], both["sessions"]), (5, 5))
    equal(
        "and per room",
        {r["room"]: (r["users"], r["sessions"]) for r in both["rooms"]}[f"{room}-h"],
        (5, 5),
    )
    rooms = await far.call("GET", "/api/v1/rooms")
    check(
        "rooms",
        {"room": f"{room}-h", "users": 5, "sessions": 5} in rooms["rooms"],
        "the room",
        rooms,
    )
    nodes = await near.call("GET", "/api/v1/nodes")
    check(
        "nodes",
        {"node", "stateHash", "stale", "demo", "addresses", "nodes", "counters"} <= set(nodes)
        and len(nodes["nodes"]) >= 1,
        "keys of section 5",
        sorted(nodes),
    )

    removed = await near.call("DELETE", f"{path}/users/hugo", text="a user is removed from a room")
    equal("one session", removed, {"removed": 1})
    await shows(
        "it is gone everywhere",
        lambda room: "hugo" not in [u["userId"] for u in room["users"] if u["online"]],
    )
    await near.call("DELETE", path, text="a room is removed")
    await shows("nobody is online in it", lambda room: room["totalUsers"] == 0)

    await near.refused("no JSON", "malformed_json", 400, "POST", heartbeat, b"{")
    await near.refused(
        "a key twice", "malformed_json", 400, "POST", heartbeat, b'{"room":"a","room":"b"}'
    )
    await near.refused("too deep", "malformed_json", 400, "POST", heartbeat, b"[" * 17 + b"]" * 17)
    await near.refused("a missing field", "invalid_request", 400, "POST", heartbeat, {"room": "a"})
    await near.refused(
        "a wrong kind", "invalid_request", 400, "POST", heartbeat, {**body, "interval": "1"}
    )
    await near.refused(
        "an unknown status", "unknown_status", 400, "POST", heartbeat, {**body, "status": "x"}
    )
    await near.refused("a body that is too long", "too_large", 413, "POST", heartbeat, b" " * 70000)
    await near.refused(
        "another content type",
        "unsupported_media_type",
        415,
        "POST",
        heartbeat,
        b"{}",
        headers={"content-type": "application/xml"},
    )
    await near.refused("another method", "method_not_allowed", 405, "PUT", heartbeat, {})
    await near.refused("another path", "not_found", 404, "GET", "/api/v1/nothing")
    await near.refused(
        "a limit out of bounds", "invalid_request", 400, "GET", path, params={"limit": 1001}
    )
    await near.refused("an unknown user", "unknown_user", 404, "GET", "/api/v1/users/nobody-at-all")
    await near.refused(
        "a foreign origin",
        "origin_refused",
        403,
        "GET",
        "/api/v1/rooms",
        headers={"origin": "http://evil.example"},
    )
    other = {**body, "room": f"{room}-h2", "sessionId": f"{room}-fixed"}
    await near.call("POST", heartbeat, other)
    await near.refused(
        "a session in another room",
        "session_conflict",
        409,
        "POST",
        heartbeat,
        {**other, "room": f"{room}-h3"},
    )
    await near.call("DELETE", f"/api/v1/rooms/{room}-h2")
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/"):
        await near.call("GET", path, text=f"GET {path}")


async def read_events(base, room, events):
    """Server-sent events as the EventSource of a browser would read them."""
    client = API(base).client
    async with client.stream("GET", f"/api/v1/rooms/{room}/events", timeout=None) as answer:
        equal(
            "content type of events",
            answer.headers["content-type"].split(";")[0],
            "text/event-stream",
        )
        event = {}
        async for line in answer.aiter_lines():
            if not line:
                if "data" in event:
                    events.append((event.get("event"), json.loads(event["data"])))
                event = {}
            elif not line.startswith(":"):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                event[field] = (
                    event[field] + "\n" + value if field == "data" and field in event else value
                )
