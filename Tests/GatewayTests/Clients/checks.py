"""What the Python programs of this directory share: arguments, reporting, sockets, HTTP, processes."""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import httpx
import websockets

HERE = Path(__file__).parent
#: A change must be seen on another node within this many seconds.
SOON = 5


class Failed(Exception):
    """A check that did not hold: what was expected, and what was seen."""


def ok(text):
    print(f"ok {text}", flush=True)


def check(text, holds, expected, seen):
    if not holds:
        raise Failed(f"{text}\n  expected: {expected}\n  seen:     {shown(seen)}")
    ok(text)


def equal(text, seen, expected):
    check(text, seen == expected, shown(expected), seen)


def shown(value):
    text = value if isinstance(value, str) else json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) < 2000 else text[:2000] + " …"


async def until(text, condition, seconds=SOON, seen=lambda: None):
    """Waits until `condition()` is true, and gives what it gave."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"{text}\n  expected: within {seconds} s\n  seen:     {shown(seen())}")
        await asyncio.sleep(0.02)
    ok(text)
    return value


async def throughout(text, condition, seconds, seen=lambda: None):
    """Fails if `condition()` stops to be true within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise Failed(f"{text}\n  expected: for {seconds} s\n  seen:     {shown(seen())}")
        await asyncio.sleep(0.02)
    ok(text)


# --- Running


def arguments(description, least=1, more=lambda parser: None):
    """The base URLs, with either scheme, and the room: a new one for each run unless it is given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "bases", nargs="+", metavar="URL", help="http://127.0.0.1:7980 …, one per node"
    )
    parser.add_argument("--room", default=f"room-{random.randrange(16**8):08x}")
    more(parser)
    options = parser.parse_args()
    if len(options.bases) < least:
        parser.error(f"needs the URLs of {least} nodes")
    options.bases = [
        base.rstrip("/").replace("ws", "http", 1) if base.startswith("ws") else base.rstrip("/")
        for base in options.bases
    ]
    return options


def run(main, seconds=58):
    """Runs the checks, and ends with 1 at the first that fails."""

    # The last resort, for clients that block their thread: threads cannot be cancelled.
    def alarm(*_):
        print(f"FAILED all checks\n  expected: an end within {seconds} s", flush=True)
        stop_processes()
        os._exit(1)

    # Whoever started this program may have blocked signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)
    status = 1
    try:
        # Not asyncio.run: it waits for the tasks of clients that do not let themselves be cancelled.
        asyncio.new_event_loop().run_until_complete(ended(main))
        status = 0
    except Failed as failure:
        print(f"FAILED {failure}", flush=True)
    except Exception as error:  # a refused connection, a frame that is not JSON, …
        print(f"FAILED all checks\n  expected: no exception\n  seen:     {error!r}", flush=True)
        traceback.print_exc()
    finally:
        stop_processes()
    sys.stdout.flush()
    os._exit(status)  # clients of others leave threads behind


processes = []


async def ended(main):
    """Waits for `main`, then ends the processes that it started."""
    try:
        await main
    finally:
        stop_processes()
        for process in processes:
            await process.wait()


def stop_processes():
    for process in processes:
        if process.returncode is None:
            try:
                process.kill()
            except ProcessLookupError:
                pass


# --- WebSockets


def socket_url(base, path):
    return base.replace("http", "ws", 1) + path


class Inbox:
    """The messages of a connection; `wait` reads in order, `take` picks one out."""

    def __init__(self, socket, decode=json.loads):
        self.socket = socket
        self.messages = []
        self.read = 0
        self.is_closed = False
        self.task = asyncio.create_task(self._collect(decode))

    async def _collect(self, decode):
        try:
            async for text in self.socket:
                self.messages.append(decode(text))
        except websockets.ConnectionClosed:
            pass
        self.is_closed = True

    def unread(self):
        return self.messages[self.read :]

    async def wait(self, text, fits, seconds=SOON):
        """The next message that fits; all before it count as read."""
        self.read = await self._find(text, fits, seconds) + 1
        return self.messages[self.read - 1]

    async def take(self, text, fits, seconds=SOON):
        """The next message that fits; all before it stay unread: for answers, which may come at any place."""
        return self.messages.pop(await self._find(text, fits, seconds))

    async def _find(self, text, fits, seconds):
        end = time.monotonic() + seconds
        while True:
            for index in range(self.read, len(self.messages)):
                if fits(self.messages[index]):
                    ok(text)
                    return index
            if time.monotonic() > end or (self.is_closed and self.task.done()):
                closed = f", closed with {self.socket.close_code}" if self.is_closed else ""
                raise Failed(
                    f"{text}\n  expected: a message within {seconds} s"
                    f"\n  seen:     {shown(self.unread())}{closed}"
                )
            await asyncio.sleep(0.01)

    async def silent(self, text, fits, seconds=1.0):
        """Fails if a message that fits comes within `seconds`, or is there unread."""
        await throughout(
            text,
            lambda: not any(map(fits, self.unread())),
            seconds,
            lambda: [m for m in self.unread() if fits(m)],
        )

    async def closes(self, text, code, seconds=SOON):
        await until(text, lambda: self.is_closed, seconds, self.unread)
        equal(f"{text}: the close code", self.socket.close_code, code)

    def cut(self):
        """Drops the connection as a lost network would for the client: no closing handshake."""
        self.socket.transport.abort()


# --- HTTP


class API:
    """One node over HTTP."""

    def __init__(self, base):
        self.client = httpx.AsyncClient(base_url=base, timeout=5, trust_env=False)

    async def call(self, method, path, body=None, status=200, text=None, **more):
        """The JSON of an answer that has the status; `body` is sent as JSON, bytes as they are."""
        if isinstance(body, bytes):
            more["content"] = body
            more.setdefault("headers", {"content-type": "application/json"})
        elif body is not None:
            more["json"] = body
        answer = await self.client.request(method, path, **more)
        name = text or f"{method} {path}"
        if answer.status_code != status:
            raise Failed(
                f"{name}\n  expected: HTTP {status}\n  seen:     HTTP {answer.status_code} "
                + shown(answer.text)
            )
        if text:
            ok(text)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer

    async def refused(self, text, code, status, method, path, body=None, **more):
        """Checks an error's status, shape and code."""
        answer = await self.call(method, path, body, status, **more)
        seen = answer if isinstance(answer, dict) else {"text": answer.text}
        error = seen.get("error", {})
        check(
            text,
            set(seen) == {"error"}
            and error.get("code") == code
            and isinstance(error.get("message"), str),
            {"error": {"code": code, "message": "…"}},
            seen,
        )


# --- Other programs


class YjsClient:
    """An unmodified y-websocket provider in a process of its own: `yjs.cjs --hold`."""

    @classmethod
    async def start(cls, base, room, state, id=None):
        self = cls()
        self.view = {"id": None, "synced": False, "states": {}}
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(HERE / "yjs.cjs"),
            "--hold",
            "--room",
            room,
            "--state",
            json.dumps(state),
            *([] if id is None else ["--id", str(id)]),
            socket_url(base, ""),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(self.process)
        self.task = asyncio.create_task(self._follow())
        await until(
            "a y-websocket provider reports synced",
            lambda: self.view["synced"],
            seen=lambda: self.view,
        )
        return self

    async def _follow(self):
        async for line in self.process.stdout:
            self.view = json.loads(line)

    @property
    def states(self):
        return list(self.view["states"].values())

    def user(self, **fields):
        """The state of the others whose `user` has these fields, None if it is not one alone."""
        found = [
            state
            for state in self.states
            if isinstance(state.get("user"), dict) and fields.items() <= state["user"].items()
        ]
        return found[0] if len(found) == 1 else None

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
