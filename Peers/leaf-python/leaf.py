#!/usr/bin/env python3
"""A leaf peer of PresenceMesh over UDP: see README.md."""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import select
import signal
import socket
import sys
import time
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from crypto import Invite, Seal, Signer, siphash, split_address
from mesh import Leaf
from state import Key
from wire import STATUSES, Malformed, Session, read_text

PORT = 7946
# A clock that goes on while the machine sleeps, where there is one.
CLOCK = getattr(time, "CLOCK_BOOTTIME", None if not hasattr(time, "CLOCK_MONOTONIC") else time.CLOCK_MONOTONIC)

def now() -> float:
  return time.monotonic() if CLOCK is None else time.clock_gettime(CLOCK)

def fail(message: str, code: int = 1) -> NoReturn:
  print(f"leaf: {message}", file=sys.stderr)
  sys.exit(code)

def address_of(text: str) -> Tuple[str, int]:
  """The host and port of *host:port*, *[IPv6]:port*, or a host alone."""
  host, colon, port = text.rpartition(":")
  if not colon or "]" in port or (":" in host and not host.startswith("[")):
    host, port = text, str(PORT)
  if not port.isdigit() or not int(port) < 65536 or not host:
    raise argparse.ArgumentTypeError(f"{text!r} is no host:port")
  return host.strip("[]"), int(port)

def resolve(target: Tuple[str, int]) -> bytes:
  """The 18 bytes of an address; the first that the resolver gives."""
  family, _, _, _, found = socket.getaddrinfo(*target, type=socket.SOCK_DGRAM)[0]
  host = socket.inet_pton(family, str(found[0]).partition("%")[0])
  return (host if len(host) == 16 else bytes(10) + b"\xff\xff" + host) + int(found[1]).to_bytes(2, "big")

def bounded(most: int, least: int = 0) -> Any:
  def read(text: str) -> str:
    if not least <= len(text.encode()) <= most:
      raise argparse.ArgumentTypeError(f"{text!r} has not {least} to {most} bytes")
    try:
      return read_text(text.encode())
    except Malformed as error:
      raise argparse.ArgumentTypeError(f"{text!r} has {error}") from None
  return read

def room_of(text: str) -> str:
  return "" if text == "lobby" else str(bounded(64)(text))

def invite_of(text: str) -> Invite:
  try:
    return Invite.decode(sys.stdin.readline() if text == "-" else text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error)) from None

def colour_of(user: str) -> bytes:
  """The colour that follows from a user id (Protocol.md §2)."""
  place, ramp = divmod(siphash(bytes(16), user.encode()) % 1536, 256)
  raw = ((255, ramp, 0), (255 - ramp, 255, 0), (0, 255, ramp), (0, 255 - ramp, 255), (ramp, 0, 255),
         (255, 0, 255 - ramp))[place]
  return bytes(64 + 5 * channel // 9 for channel in raw)

class Store:
  """The key and the counter of the incarnation, on disk."""

  def __init__(self, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    self._file = folder / "leaf.json"
    try:
      found = json.loads(self._file.read_text())
      self.seed, self.counter = bytes.fromhex(found["seed"]), int(found["counter"])
    except FileNotFoundError:
      self.seed, self.counter = os.urandom(32), 0
    if len(self.seed) != 32 or not 0 <= self.counter < (1 << 32) - 1:
      raise ValueError(f"{self._file} is damaged")

  def remember(self, counter: int) -> None:
    """Returns when the counter is on the disk."""
    self.counter, aside = counter, self._file.with_suffix(".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
      json.dump({"seed": self.seed.hex(), "counter": counter}, file)
      file.flush()
      os.fsync(file.fileno())
    os.replace(aside, self._file)
    folder = os.open(self._file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

class Program:
  def __init__(self, options: argparse.Namespace) -> None:
    self.options, self.ending = options, False
    try:
      self.store = Store(pathlib.Path(options.state).expanduser())
    except (OSError, ValueError, KeyError, TypeError) as error:
      fail(f"the state directory: {error}")
    try:
      self.family = socket.AF_INET6 if ":" in options.bind[0] else socket.AF_INET
      self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
      self.socket.bind(options.bind)
      self.socket.setblocking(False)
      contacts = [*options.invite.addresses, *map(resolve, options.peer)]
    except OSError as error:
      fail(str(error))
    if not contacts:
      fail("no address to join at: the invite has none, and there is no --peer", 2)
    self.leaf = Leaf(Seal(options.invite.mesh_id, {options.invite.epoch: options.invite.key}), Signer(self.store.seed),
                     self.store.counter + 1, now(), random=os.urandom, remember=self.store.remember,
                     wall=lambda: int(time.time() * 1000), period=options.period, contacts=contacts)
    self.shown: Dict[Key, Dict[str, Any]] = {}
    self.shown_at = 0.0
    self.session: Optional[bytes] = None

  def tell(self, what: str, **fields: Any) -> None:
    print(json.dumps({"event": what, **fields}, ensure_ascii=False), flush=True)

  def run(self) -> int:
    options = self.options
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, lambda *_: setattr(self, "ending", True))
    self.tell("ready", origin=self.leaf.origin.hex(), address="%s:%d" % self.socket.getsockname()[:2],
              incarnation=self.leaf.incarnation.hex())
    if options.user:
      name = options.name or options.user
      session = Session(options.user, name, colour_of(options.user), "", b"", "leaf", int(time.time() * 1000))
      self.session = self.leaf.open(session, options.room or [""], now())
      for command in options.say:
        self.obey(command)
    inputs: List[Any] = [self.socket, *([sys.stdin] if options.stdin else [])]
    waiting = b""
    while not self.ending and not self.leaf.stopped:
      self.flush()
      ready, _, _ = select.select(inputs, [], [], 0.01)
      if self.socket in ready:
        self.receive()
      if sys.stdin in ready:
        came = os.read(sys.stdin.fileno(), 4096)
        *lines, waiting = (waiting + came).split(b"\n")
        for line in lines:
          self.obey(line.decode(errors="replace"))
        if not came:
          inputs.remove(sys.stdin)
      self.leaf.tick(now())
      self.show()
    if self.leaf.stopped:
      fail(self.leaf.stopped)
    self.leaf.leave(now())
    self.flush()
    time.sleep(0.03)
    self.leaf.farewell(now())
    self.flush()
    self.tell("stopped", counts=dict(self.leaf.counts), peers=[
      {"origin": held.origin.hex(), "health": held.health(now()), "complete": held.is_whole(self.leaf.mesh_id),
       "records": sum(len(log.records) for log in held.logs.values())} for held in self.leaf.held.values()])
    return 0

  def receive(self) -> None:
    for _ in range(256):
      try:
        data, source = self.socket.recvfrom(2048)
      except (BlockingIOError, ConnectionError):
        return
      if not self.is_lost():
        host = socket.inet_pton(self.family, source[0].partition("%")[0])
        address = (host if len(host) == 16 else bytes(10) + b"\xff\xff" + host) + source[1].to_bytes(2, "big")
        self.leaf.receive(data, address, now())

  def is_lost(self) -> bool:
    return bool(self.options.lose > 0) and os.urandom(1)[0] * 100 / 256 < self.options.lose

  def flush(self) -> None:
    for address, datagram in self.leaf.outbox:
      host, port = split_address(address)
      mapped = host.startswith(bytes(10) + b"\xff\xff")
      if mapped and self.family == socket.AF_INET:
        host = host[12:]
      elif self.family == socket.AF_INET:
        continue
      if self.is_lost():
        continue
      try:
        self.socket.sendto(datagram, (socket.inet_ntop(self.family, host), port))
      except OSError:
        self.leaf.counts["datagramsUnsent"] += 1
    self.leaf.outbox.clear()

  def obey(self, line: str) -> None:
    """One line of the standard input, such as *status busy in a call*, or *cursor 0.2 0.8*."""
    word, _, rest = line.strip().partition(" ")
    if not word:
      return
    try:
      if self.session not in self.leaf.sessions():
        raise ValueError("there is no session, or it has ended")
      for room in self.options.room or [""]:
        if word == "status":
          status, _, message = rest.partition(" ")
          self.leaf.say(self.session, room, now(), STATUSES.index(status), message=bounded(140)(message))
        elif word == "typing":
          self.leaf.say(self.session, room, now(), typing={"on": True, "off": False}[rest])
        elif word == "cursor":
          x, y = map(float, rest.split())
          self.leaf.point(self.session, room, now(), x, y)
        else:
          raise ValueError("status, typing and cursor are known")
    except (ValueError, KeyError, argparse.ArgumentTypeError) as error:
      print(f"leaf: {line.strip()!r}: {error}", file=sys.stderr)

  def show(self) -> None:
    """Tells what has changed of who is there."""
    moment = now()
    if moment - self.shown_at < (0.03 if self.leaf.changed else 0.25):
      return
    self.leaf.changed, self.shown_at = False, moment
    view = self.leaf.view(moment)
    for key in self.shown.keys() - view.keys():
      self.tell("left", **{name: self.shown[key][name] for name in ("session", "room", "user", "host")})
    for key, row in view.items():
      if row != self.shown.get(key):
        self.tell("changed" if key in self.shown else "entered", **row)
    self.shown = view

def main(arguments: Optional[List[str]] = None) -> int:
  parser = argparse.ArgumentParser(prog="leaf.py", description=__doc__)
  join = parser.add_subparsers(required=True, metavar="join").add_parser("join", help="join a mesh until SIGTERM")
  join.add_argument("--invite", type=invite_of, required="PRESENCE_INVITE" not in os.environ,
                    default=os.environ.get("PRESENCE_INVITE"), help="the invite, or - to read it from standard input")
  join.add_argument("--peer", type=address_of, action="append", default=[], metavar="HOST:PORT")
  join.add_argument("--bind", type=address_of, default=("0.0.0.0", 0), metavar="HOST:PORT")
  join.add_argument("--state", default="~/.local/state/presence-leaf", metavar="DIR", help="key and counter")
  join.add_argument("--period", type=int, default=2000, help="milliseconds between two heartbeats")
  join.add_argument("--user", type=bounded(64, 1), help="open a session of this user")
  join.add_argument("--name", type=bounded(64), help="the name to show")
  join.add_argument("--room", type=room_of, action="append", help="a room of the session; may be repeated")
  join.add_argument("--say", action="append", default=[], metavar="COMMAND", help="such as 'status busy in a call'")
  join.add_argument("--stdin", action="store_true", help="read further commands, one a line")
  join.add_argument("--lose", type=float, default=0, metavar="PERCENT", help="lose datagrams, for tests")
  options = parser.parse_args(arguments)
  if not 100 <= options.period <= 3_600_000:
    join.error("--period: 100 to 3600000")
  if options.room and len(set(options.room)) > 32:
    join.error("--room: at most 32")
  return Program(options).run()

if __name__ == "__main__":
  sys.exit(main())
