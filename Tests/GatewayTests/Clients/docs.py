#!/usr/bin/env python3
"""Runs every example of Docs/Gateway.md, and compares the answers: docs.py URL [URL …]

    docs.py [--document FILE] http://127.0.0.1:7980 http://127.0.0.1:7981

An example is a fenced block: `sh`, `js`, or `json` with frames of WebSockets behind → and ←. The block
after it is the answer: `json` (one value or several), `http` (a status, some headers, a body) or
`text`. Every block of the document is one of these, or the run fails. Commands and modules without an
answer must print nothing.

`…` stands for anything; in what is sent, `"name": "…"` for what was heard last under that name. The
first node stands at 127.0.0.1:7980 of the document, the next ones at 7981 and so on. Examples share a
directory. Those that need the command-line peer are left out where PRESENCE_BINARY does not name it;
a node that one of them starts gets a port of its own, and the next blocks find it there.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import websockets

from checks import HERE, Failed, Inbox, arguments, ok, processes, run

DOCUMENT = HERE.parents[2] / "Docs" / "Gateway.md"
ANY = "…"
#: The rooms of the document: each run has rooms and sessions of its own.
ROOMS = ("design", "lounge", "studio", "atelier", "den", "empty")
#: An answer must be there within this many seconds.
PATIENCE = 15
#: Nothing more may come for this many seconds after an answer, where more could.
QUIET = 0.4
#: `presence up` as the tests run it: with a state of its own, heard by nobody else.
PRELUDE = """presence() {
  if [ "$1" = up ]; then
    shift
    exec "$PRESENCE_BINARY" up --state "$PWD/state-$$" --listen 127.0.0.1:0 --no-multicast "$@"
  fi
  "$PRESENCE_BINARY" "$@"
}
"""


class Block:
    """A fenced block: its language, text and place."""

    def __init__(self, language, text, line):
        self.language, self.text, self.line = language, text, line
        self.answer = None

    @property
    def is_frames(self):
        return self.language == "json" and re.search(r"^\w+ [→←] ", self.text, re.MULTILINE)

    @property
    def is_example(self):
        return self.language in ("sh", "js") or bool(self.is_frames)

    @property
    def needs_peer(self):
        return re.search(r"\bpresence \w|127\.0\.0\.1:7990", self.text) is not None

    def __str__(self):
        first = self.text.splitlines()[0] if self.text else "(empty)"
        return f"line {self.line}: {first[:80]}"


def blocks(document):
    """The blocks of a document."""
    found, opened = [], None
    lines = document.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            if opened:
                opened[2].append(line)
        elif opened:
            found.append(Block(opened[0], "\n".join(opened[2]), opened[1]))
            opened = None
        else:
            opened = (line[3:].strip(), number, [])
    if opened:
        raise Failed(f"line {opened[1]}: the block has no end")
    return found


def examples(document):
    """The examples, each with its answer; fails for a block that is neither."""
    found = []
    for block in blocks(document):
        if block.is_example:
            found.append(block)
            waits = not block.is_frames
        elif block.language in ("json", "http", "text") and found and waits:
            found[-1].answer = block
            waits = False
        else:
            raise Failed(f"{block}\n  expected: an example, or the answer of the one before it")
    return found


# --- Comparing


def differs(seen, expected, place="it"):
    """Where a value is not as documented; None if it is."""
    if expected == ANY:
        return None
    if isinstance(expected, dict) and isinstance(seen, dict):
        for key in expected.keys() | seen.keys():
            if key not in expected:
                return f"{place}.{key} is not documented"
            if key not in seen:
                return f"{place}.{key} is missing"
            if found := differs(seen[key], expected[key], f"{place}.{key}"):
                return found
        return None
    if isinstance(expected, list) and isinstance(seen, list):
        if len(seen) != len(expected):
            return f"{place} has {len(seen)} elements, not {len(expected)}"
        pairs = enumerate(zip(seen, expected))
        return next((d for i, (s, e) in pairs if (d := differs(s, e, f"{place}[{i}]"))), None)
    if isinstance(expected, str) and isinstance(seen, str):
        return None if alike(seen, expected) else f"{place} is {seen!r}, not {expected!r}"
    if type(seen) is type(expected) and seen == expected:
        return None
    return f"{place} is {json.dumps(seen)}, not {json.dumps(expected)}"


def alike(seen, expected):
    """Whether a text is as documented, `…` being any text."""
    parts = [re.escape(part) for part in expected.split(ANY)]
    return re.fullmatch(".*".join(parts), seen, re.DOTALL) is not None


def values(text):
    """The JSON values that stand in a text, one after the other."""
    decoder, found, index = json.JSONDecoder(), [], 0
    while index < len(text):
        if text[index].isspace():
            index += 1
            continue
        value, index = decoder.raw_decode(text, index)
        found.append(value)
    return found


def members(value):
    """All members with a text or number, however deep."""
    if isinstance(value, list):
        for element in value:
            yield from members(element)
    elif isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, (str, int, float)):
                yield key, member
            yield from members(member)


def lines(text):
    """The lines of a text, without empty ones and the comments that keep event streams open."""
    return [line for line in text.splitlines() if line.strip() not in ("", ":")]


class Runner:
    """Runs examples, and knows what was heard so far."""

    def __init__(self, options, directory):
        self.directory = Path(directory)
        self.heard = {}
        self.places = {}
        for index in range(10):
            base = options.bases[index % len(options.bases)]
            self.places[f"127.0.0.1:{7980 + index}"] = base.removeprefix("http://")
        self.room = options.room
        self.processes = processes
        modules = os.environ.get("NODE_PATH") or "/usr/share/nodejs"
        (self.directory / "node_modules").symlink_to(modules.split(":")[0])
        own = {"CURL_HOME": directory, "NO_PROXY": "*", "no_proxy": "*"}
        self.environment = {**os.environ, **own}

    def located(self, text):
        """A text of the document with the addresses, rooms and sessions of this run."""
        for place, real in self.places.items():
            text = text.replace(place, real)
        text = re.sub(rf"\b({'|'.join(ROOMS)})\b", rf"\1-{self.room}", text)
        return re.sub(r'(sessionId"?: "[^"…]+)"', rf'\1-{self.room}"', text)

    def filled(self, text, heard):
        """What is sent, with what was heard before."""

        def value(match):
            if match[1] not in heard:
                raise Failed(f'"{match[1]}": "…" is sent, and was not heard before')
            return f'"{match[1]}": {json.dumps(heard[match[1]])}'

        return re.sub(r'"(\w+)": "…"', value, self.located(text))

    def listen(self, value, *more):
        for heard in (self.heard, *more):
            heard.update(members(value))

    async def run(self, block):
        if block.is_frames:
            return await Transcript(self).run(block)
        known = dict(self.places)
        for place in re.findall(r"presence up .*--http (127\.0\.0\.1:\d+)", block.text):
            self.places[place] = free_address()
        text = self.filled(block.text, self.heard)
        if block.language == "sh":
            arguments = ["sh", "-e", "-c", PRELUDE + text]
        else:
            path = self.directory / f"line{block.line}.mjs"
            path.write_text(text, encoding="utf-8")
            # Modules are found beside the link, not where it leads.
            arguments = ["node", "--preserve-symlinks", "--preserve-symlinks-main", path]
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=self.directory, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        self.processes.append(process)
        answer = block.answer and self.located(block.answer.text)
        # The nodes that were given stay where they are for the examples that follow.
        self.places.update(known)
        isText = block.answer and block.answer.language == "text"
        output = await self.output(process, len(lines(answer)) if isText else None)
        if process.returncode not in (0, None):
            raise Failed(f"it ends with {process.returncode}\n  seen:     {output}")
        if block.answer is None:
            found = f"it prints {output!r}" if output.strip() else None
        else:
            found = getattr(self, block.answer.language)(output, answer)
        if found:
            raise Failed(f"{found}\n  expected: {answer}\n  seen:     {output}")
        if "presence up" not in block.text:
            await stop(process)

    async def output(self, process, count):
        """What a process prints: all, or so many lines if it goes on after them."""
        text = ""
        while True:
            full = count is not None and len(lines(text)) >= count
            try:
                line = await asyncio.wait_for(process.stdout.readline(), QUIET if full else PATIENCE)
            except asyncio.TimeoutError:
                if full:
                    return text
                raise Failed(f"nothing more within {PATIENCE} s\n  seen:     {text}") from None
            if not line:
                await process.wait()
                return text
            text += line.decode()

    # How an answer of each language differs; None if it does not.

    def json(self, output, answer):
        try:
            seen = values(output)
        except ValueError as error:
            return f"no JSON: {error}"
        self.listen(seen)
        expected = values(answer)
        if len(expected) == len(seen) == 1:
            seen, expected = seen[0], expected[0]
        return differs(seen, expected)

    def http(self, output, answer):
        head, _, body = output.replace("\r\n", "\n").partition("\n\n")
        expected, _, expectedBody = answer.partition("\n\n")
        seen = head.splitlines()
        for index, line in enumerate(expected.splitlines()):
            if not any(alike(one, line) for one in (seen[:1] if index == 0 else seen[1:])):
                return f"there is no {line!r}"
        return self.json(body, expectedBody)

    def text(self, output, answer):
        seen, expected = lines(output), lines(answer)
        for index in range(max(len(seen), len(expected))):
            if index >= len(seen) or index >= len(expected):
                return f"{len(seen)} lines, not {len(expected)}"
            (mine, theirs), mark = (seen[index], expected[index]), "data: "
            if mine.startswith(mark) and theirs.startswith(mark):
                found = self.json(mine.removeprefix(mark), theirs.removeprefix(mark))
                if found:
                    return f"line {index + 1}: {found}"
            elif not alike(mine, theirs):
                return f"line {index + 1} is {mine!r}, not {theirs!r}"
        return None


class Transcript:
    """Frames of several WebSockets: `name: ws://…` opens one, → sends, ← is heard.

    Frames that are not alike in kind may come in another order than they stand there, because an
    answer and what others see of it are told apart. `name ← …` is any number of further frames;
    without it there are none. `name: closes` closes without a word.
    """

    def __init__(self, runner):
        self.runner, self.sockets, self.heard, self.free = runner, {}, {}, set()

    async def run(self, block):
        try:
            for text in re.split(r"\n(?=\w+(?:: | [→←] ))", block.text):
                try:
                    await self.step(text)
                except Failed as failure:
                    raise Failed(f"{text}\n  {failure}") from None
            await asyncio.sleep(QUIET)
            for name, inbox in self.sockets.items():
                if inbox.unread() and name not in self.free:
                    raise Failed(f"{name} hears more\n  seen:     {inbox.unread()}")
        finally:
            for inbox in self.sockets.values():
                await inbox.socket.close()

    async def step(self, text):
        name, verb, rest = re.match(r"(\w+)(:| →| ←) (.*)", text, re.DOTALL).groups()
        heard = self.heard.setdefault(name, {})
        if verb == ":" and rest == "closes":
            self.sockets.pop(name).cut()
        elif verb == ":":
            url = self.runner.located(rest)
            connection = await websockets.connect(url, proxy=None, ping_interval=None)
            self.sockets[name] = Inbox(connection)
        elif verb == " →":
            message = self.runner.filled(rest, {**self.runner.heard, **heard})
            json.loads(message)
            await self.sockets[name].socket.send(message)
        elif rest == ANY:
            self.free.add(name)
        else:
            seen = await self.next(self.sockets[name], json.loads(self.runner.located(rest)))
            self.runner.listen(seen, heard)

    async def next(self, inbox, expected):
        """The next frame of the kind that is expected, which must be as expected."""
        with contextlib.redirect_stdout(None):
            frame = await inbox.take("a frame", lambda f: kind(f) == kind(expected), PATIENCE)
        if found := differs(frame, expected):
            raise Failed(f"{found}\n  seen:     {json.dumps(frame, ensure_ascii=False)}")
        return frame


def kind(frame):
    return frame.get("type") if isinstance(frame, dict) else (frame[2], frame[3])


async def stop(process):
    """Ends a process, and those that it started."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def main(options):
    found = examples(Path(options.document))
    hasPeer = bool(os.environ.get("PRESENCE_BINARY"))
    done, left = 0, 0
    with tempfile.TemporaryDirectory() as directory:
        runner = Runner(options, directory)
        try:
            for block in found:
                if block.needs_peer and not hasPeer:
                    print(f"skip {block}: PRESENCE_BINARY is not set", flush=True)
                    left += 1
                    continue
                try:
                    await runner.run(block)
                except Failed as failure:
                    raise Failed(f"{block}\n  {failure}") from None
                ok(str(block))
                done += 1
        finally:
            for process in runner.processes:
                await stop(process)
    # Told apart by another look at the text than the one that found them.
    text = Path(options.document).read_text(encoding="utf-8")
    told = len(re.findall(r"^```(?:sh|js)$", text, re.MULTILINE))
    told += len(re.findall(r"^```json\n\w+: ws:", text, re.MULTILINE))
    if not done or done + left != told:
        raise Failed(f"examples\n  expected: {told}\n  seen:     {done} run, {left} left out")
    ok(f"{done} examples run, {left} left out")


if __name__ == "__main__":
    more = lambda parser: parser.add_argument("--document", default=DOCUMENT)
    run(main(arguments(__doc__, more=more)), 150)
