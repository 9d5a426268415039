#!/usr/bin/env python3
"""Drives pycrdt's awareness, and an unmodified y-websocket provider at another node.

    yjs_pycrdt.py URL URL [URL]

pycrdt speaks y-websocket's framing by its own functions, over a plain WebSocket. Its client ids have
53 bits, those of Yjs 32.
"""

import asyncio

import websockets
from pycrdt import (
    Awareness,
    Doc,
    YMessageType,
    create_awareness_message,
    create_sync_message,
    handle_sync_message,
    read_message,
)

from checks import YjsClient, arguments, check, equal, ok, run, socket_url, until


class Client:
    """pycrdt's awareness of a room at a node."""

    def __init__(self, client_id=None):
        self.doc = Doc(client_id=client_id)
        self.awareness = Awareness(self.doc)
        self.awareness.observe(self.changed)
        self.socket, self.is_synced, self.outbox = None, False, asyncio.Queue()

    def changed(self, topic, event):
        changes, origin = event
        if topic == "update" and origin == "local" and self.socket:
            ids = changes["added"] + changes["updated"] + changes["removed"]
            self.outbox.put_nowait(
                create_awareness_message(self.awareness.encode_awareness_update(ids))
            )

    async def connect(self, base, room):
        self.socket = await websockets.connect(socket_url(base, f"/yjs/{room}"), proxy=None)
        await self.socket.send(create_sync_message(self.doc))
        mine = self.awareness.encode_awareness_update([self.awareness.client_id])
        await self.socket.send(create_awareness_message(mine))
        self.tasks = [asyncio.create_task(self.receive()), asyncio.create_task(self.send())]
        await until("pycrdt gets the answer to its sync step 1", lambda: self.is_synced)

    async def receive(self):
        async for frame in self.socket:
            if frame[0] == YMessageType.SYNC:
                # Step 2 is an answer to ours; step 1 asks for one.
                self.is_synced = self.is_synced or frame[1] == 1
                if reply := handle_sync_message(frame[1:], self.doc):
                    await self.socket.send(reply)
            elif frame[0] == YMessageType.AWARENESS:
                self.awareness.apply_awareness_update(read_message(frame[1:]), "remote")

    async def send(self):
        while True:
            await self.socket.send(await self.outbox.get())

    def named(self, name):
        return [
            state
            for id, state in self.awareness.states.items()
            if id != self.awareness.client_id and (state.get("user") or {}).get("name") == name
        ]


def person(name, **more):
    return {"user": {"name": name, "color": "#6fb2c8"}, **more}


async def main(options):
    room = options.room
    yara = await YjsClient.start(
        options.bases[1], room, person("Yara", cursor={"anchor": 1, "head": 2})
    )
    # The largest id that is exact in JavaScript; Yjs must still tell it apart.
    pia = Client(2**53 - 1)
    pia.awareness.set_local_state(person("Pia", cursor={"anchor": 5, "head": 5}))
    await pia.connect(options.bases[0], room)

    await until(
        "pycrdt sees the provider of another node",
        lambda: len(pia.named("Yara")) == 1,
        seen=lambda: pia.awareness.states,
    )
    equal("with its cursor", pia.named("Yara")[0].get("cursor"), {"anchor": 1, "head": 2})
    await until(
        "the provider sees pycrdt, with its cursor",
        lambda: (yara.user(name="Pia") or {}).get("cursor") == {"anchor": 5, "head": 5},
        seen=lambda: yara.view,
    )

    pia.awareness.set_local_state_field("cursor", {"anchor": 6, "head": 8})
    await until(
        "an update of pycrdt is seen",
        lambda: (yara.user(name="Pia") or {}).get("cursor") == {"anchor": 6, "head": 8},
        seen=lambda: yara.view,
    )
    yara.tell(state=person("Yara", cursor=None, text="ünï 🦉"))
    await until(
        "an update of the provider is seen",
        lambda: [s.get("text") for s in pia.named("Yara")] == ["ünï 🦉"],
        seen=lambda: pia.awareness.states,
    )

    # A second pycrdt on the third node, or the first: pycrdt sees pycrdt.
    paul = Client()
    paul.awareness.set_local_state(person("Paul"))
    await paul.connect(options.bases[-1], room)
    await until(
        "pycrdt sees pycrdt",
        lambda: pia.named("Paul") and paul.named("Pia") and paul.named("Yara"),
        seen=lambda: paul.awareness.states,
    )
    check(
        "nobody sees itself as another",
        not pia.named("Pia") and not paul.named("Paul"),
        "nobody",
        None,
    )

    yara.tell(leave=True)
    await until(
        "the provider leaves",
        lambda: not pia.named("Yara") and not paul.named("Yara"),
        3,
        lambda: pia.awareness.states,
    )
    paul.awareness.set_local_state(None)
    await until(
        "a state of none is gone", lambda: not pia.named("Paul"), 3, lambda: pia.awareness.states
    )
    for client in (pia, paul):
        for task in client.tasks:
            task.cancel()
        await client.socket.close()
    ok("clients close")


if __name__ == "__main__":
    run(main(arguments(__doc__, least=2)))
