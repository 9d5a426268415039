"""Encodings, values, records and messages (Protocol.md §3, §6; Protocol-2.md §1–§3, §6)."""
from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Callable, ClassVar, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, Union

from beats import Schedule
from crypto import Signer, hash256, verify

ROOM, COUNTER = 64, 1 << 48
MESSAGES = 1087
NO_INCARNATION = bytes(12)
T = TypeVar("T")


class Malformed(Exception):
  """Bytes that are not in the one form that they must have."""


def need(condition: bool, what: str) -> None:
  if not condition:
    raise Malformed(what)


class Reader:
  """Reads fields from the front of bytes."""

  def __init__(self, data: bytes) -> None:
    self.data, self.at = data, 0

  def take(self, count: int) -> bytes:
    need(self.at + count <= len(self.data), "truncated")
    self.at += count
    return self.data[self.at - count:self.at]

  def rest(self) -> bytes:
    return self.take(len(self.data) - self.at)

  def more(self) -> bool:
    return self.at < len(self.data)

  def end(self) -> None:
    need(not self.more(), "bytes are left over")

  def number(self, count: int) -> int:
    return int.from_bytes(self.take(count), "big")

  def varint(self, bound: int, lowest: int = 0) -> int:
    value = 0
    for place in range(8):
      byte = self.number(1)
      value |= (byte & 0x7F) << 7 * place
      if byte < 0x80:
        need(byte > 0 or place == 0, "not canonical")
        need(lowest <= value < bound, "out of bounds")
        return value
    raise Malformed("out of bounds")

  def blob(self, most: int, least: int = 0) -> bytes:
    return self.take(self.varint(most + 1, least))

  def text(self, most: int, least: int = 0) -> str:
    return read_text(self.blob(most, least))

  def flag(self) -> bool:
    return self.varint(2) == 1

  def flags(self, known: int) -> int:
    value = self.number(1)
    need(value & ~known == 0, "an unknown flag")
    return value

  def incarnation(self) -> bytes:
    value = self.take(12)
    need(value[:4] != bytes(4), "no incarnation")
    return value

  def list(self, bound: int, read: Callable[[], T], least: int = 1) -> List[T]:
    return [read() for _ in range(self.varint(bound, least))]


def read_text(data: bytes) -> str:
  try:
    text = data.decode("utf-8")
  except UnicodeDecodeError:
    raise Malformed("not UTF-8") from None
  need(not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text), "a control character")
  return text


def varint(value: int) -> bytes:
  out = bytearray()
  while value > 0x7F:
    out.append(value & 0x7F | 0x80)
    value >>= 7
  return bytes(out) + bytes([value])


def blob(data: bytes) -> bytes:
  return varint(len(data)) + data


def text(value: str) -> bytes:
  return blob(value.encode())


# Values of records.

SESSION, PRESENCE, CURSOR, REMOVAL, SUBSCRIPTION, OCCUPANCY = range(6)


@dataclass(frozen=True)
class Session:
  user: str
  name: str = ""
  colour: bytes = bytes(3)
  avatar: str = ""
  data: bytes = b""
  device: str = ""
  joined_at: int = 0

  def encode(self) -> bytes:
    return (text(self.user) + text(self.name) + self.colour + text(self.avatar) + blob(self.data)
            + text(self.device) + varint(self.joined_at))

  @classmethod
  def read(cls, r: Reader) -> Session:
    return cls(r.text(64, 1), r.text(64), r.take(3), r.text(200), r.blob(256), r.text(32), r.varint(COUNTER))


STATUSES = ("", "online", "away", "busy", "active", "idle", "typing")


@dataclass(frozen=True)
class Presence:
  entered: int
  status: int = 0
  status_counter: int = 0
  changed_at: int = 0
  message: str = ""
  typing: bool = False
  data: bytes = b""

  def encode(self) -> bytes:
    status = varint(self.status_counter) + varint(self.changed_at) if self.status else b""
    return (varint(self.entered) + bytes([self.status]) + status + text(self.message)
            + bytes([self.typing]) + blob(self.data))

  @classmethod
  def read(cls, r: Reader) -> Presence:
    entered, status = r.varint(COUNTER), r.number(1)
    need(status < len(STATUSES), "no such status")
    counter, changed = (r.varint(COUNTER), r.varint(COUNTER)) if status else (0, 0)
    return cls(entered, status, counter, changed, r.text(140), r.flag(), r.blob(384))


@dataclass(frozen=True)
class Cursor:
  column: int
  row: int
  visible: bool = True
  anchor: Optional[str] = None

  def encode(self) -> bytes:
    anchor = b"" if self.anchor is None else text(self.anchor)
    return struct.pack(">HHB", self.column, self.row, self.visible | (self.anchor is not None) << 1) + anchor

  @classmethod
  def read(cls, r: Reader) -> Cursor:
    column, row, flags = r.number(2), r.number(2), r.flags(3)
    return cls(column, row, flags & 1 == 1, r.text(64) if flags & 2 else None)

  @property
  def order(self) -> Tuple[int, int, bool, bool, bytes]:
    return self.column, self.row, self.visible, self.anchor is not None, (self.anchor or "").encode()


@dataclass(frozen=True)
class Removal:
  final: bool

  def encode(self) -> bytes:
    return bytes([self.final])

  @classmethod
  def read(cls, r: Reader) -> Removal:
    return cls(r.flag())


@dataclass(frozen=True)
class Subscription:
  rooms: Tuple[int, ...]

  def encode(self) -> bytes:
    return varint(len(self.rooms)) + b"".join(room.to_bytes(8, "big") for room in self.rooms)

  @classmethod
  def read(cls, r: Reader) -> Subscription:
    rooms = r.list(65, lambda: r.number(8), 0)
    need(all(room % 8 == 0 for room in rooms), "the low bits of a room id")
    need(all(a < b for a, b in zip(rooms, rooms[1:])), "falling room ids")
    return cls(tuple(rooms))


@dataclass(frozen=True)
class Occupancy:
  def encode(self) -> bytes:
    return b""

  @classmethod
  def read(cls, r: Reader) -> Occupancy:
    return cls()


Value = Union[Session, Presence, Cursor, Removal, Subscription, Occupancy, bytes]
VALUES: Tuple[Type[Union[Session, Presence, Cursor, Removal, Subscription, Occupancy]], ...] = (
  Session, Presence, Cursor, Removal, Subscription, Occupancy)


def read_value(kind: int, data: bytes) -> Value:
  """The value from exactly these bytes; bytes themselves for an unknown kind."""
  if kind >= len(VALUES):
    need(len(data) <= 800, "a long value")
    return data
  r = Reader(data)
  value = VALUES[kind].read(r)
  r.end()
  return value


@dataclass(frozen=True)
class Record:
  kind: int
  session: bytes
  counter: int
  value: Optional[Value]  # None: a tombstone
  room: str = ""          # of the key: removals and occupancies only

  @property
  def key(self) -> bytes:
    return bytes([self.kind]) + self.session + self.room.encode()

  @property
  def value_bytes(self) -> bytes:
    return self.value if isinstance(self.value, bytes) else self.value.encode() if self.value else b""

  def check(self, log: str) -> Record:
    """This record, if it may stand in the log of that room."""
    need(log == "" or self.kind in (PRESENCE, CURSOR) or self.kind > OCCUPANCY, "a record of the lobby in a room")
    need(self.kind != SUBSCRIPTION or (self.session == bytes(16) and self.counter == 0), "a subscription")
    need(self.kind != OCCUPANCY or self.room != "", "an occupancy of the lobby")
    return self

  def encode(self) -> bytes:
    room = text(self.room) if self.kind in (REMOVAL, OCCUPANCY) else b""
    front = bytes([self.kind | (self.value is None) << 7]) + self.session + room + varint(self.counter)
    return front if self.value is None else front + blob(self.value_bytes)

  @classmethod
  def read(cls, r: Reader, log: str) -> Record:
    flags, session = r.flags(0xBF), r.take(16)
    kind = flags & 0x3F
    room = r.text(ROOM) if kind in (REMOVAL, OCCUPANCY) else ""
    counter = r.varint(COUNTER)
    value = None if flags & 0x80 else read_value(kind, r.blob(800))
    return cls(kind, session, counter, value, room).check(log)

  def in_tree(self, version: int) -> bytes:
    return varint(version) + varint(self.counter) + self.value_bytes

  @classmethod
  def from_tree(cls, key: bytes, value: bytes, log: str) -> Tuple[int, Record]:
    """A living record with its version, from an entry of a tree of records."""
    need(len(key) >= 17 and key[0] < 64 and len(key) <= 17 + ROOM, "a record key")
    need(len(key) == 17 or key[0] in (REMOVAL, OCCUPANCY), "a record key with a room")
    r = Reader(value)
    version, counter = r.varint(COUNTER, 1), r.varint(COUNTER)
    found = cls(key[0], key[1:17], counter, read_value(key[0], r.rest()), read_text(key[17:]))
    return version, found.check(log)


# Bodies of signed messages (§3): *front* is what the signature covers as it is, *behind* what it covers as a hash.

@dataclass(frozen=True)
class PathProof:
  KIND: ClassVar[int] = 2
  DOMAIN: ClassVar[str] = "PresenceMesh/2 path"
  LONGEST: ClassVar[int] = 29
  incarnation: bytes
  echo: bytes
  token: bytes
  wants_proof: bool

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    return self.incarnation + self.echo + self.token + bytes([self.wants_proof]), None

  @classmethod
  def read(cls, r: Reader) -> PathProof:
    return cls(r.incarnation(), r.take(8), r.take(8), r.flag())


@dataclass(frozen=True)
class Batch:
  KIND: ClassVar[int] = 3
  DOMAIN: ClassVar[str] = "PresenceMesh/2 batch"
  LONGEST: ClassVar[int] = 988
  incarnation: bytes
  room: str
  previous: int
  first: int
  records: Tuple[Record, ...]

  @property
  def last(self) -> int:
    return self.first + len(self.records) - 1

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    front = self.incarnation + text(self.room) + varint(self.previous) + varint(self.first)
    return front + varint(len(self.records)), b"".join(record.encode() for record in self.records)

  @classmethod
  def read_front(cls, r: Reader) -> Tuple[bytes, str, int, int, int]:
    incarnation, room, previous = r.incarnation(), r.text(ROOM), r.varint(COUNTER)
    first, count = r.varint(COUNTER, max(1, previous + 1)), r.varint(65, 1)
    need(first + count <= COUNTER, "versions reach the bound")
    return incarnation, room, previous, first, count

  @classmethod
  def read(cls, r: Reader) -> Batch:
    incarnation, room, previous, first, count = cls.read_front(r)
    return cls(incarnation, room, previous, first, tuple(Record.read(r, room) for _ in range(count)))


@dataclass(frozen=True)
class Checkpoint:
  KIND: ClassVar[int] = 4
  DOMAIN: ClassVar[str] = "PresenceMesh/2 checkpoint"
  LONGEST: ClassVar[int] = 983
  incarnation: bytes
  sequence: int
  version: int
  root: bytes
  value: bytes
  chain: int
  schedule: int
  offset: int
  beat: int
  period: int
  leaving: bool = False
  names_all: bool = False
  features: int = 0
  certificate: bytes = b""
  changed: Tuple[Tuple[str, int], ...] = ()

  @property
  def place(self) -> Tuple[bytes, int]:
    return self.incarnation, self.sequence

  def heartbeats(self) -> Schedule:
    return Schedule(self.incarnation, self.chain, self.schedule, self.offset, self.beat, self.value, self.period)

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    flags = self.leaving | (self.certificate != b"") << 1 | self.names_all << 2
    front = (self.incarnation + varint(self.sequence) + varint(self.version) + self.root + self.value
             + varint(self.chain) + varint(self.schedule) + varint(self.offset) + varint(self.beat)
             + varint(self.period) + bytes([flags]) + varint(self.features))
    certificate = blob(self.certificate) if self.certificate else b""
    changed = b"".join(text(room) + varint(version) for room, version in self.changed)
    return front, certificate + varint(len(self.changed)) + changed

  @classmethod
  def read_front(cls, r: Reader) -> Tuple[Checkpoint, bool]:
    """The front, and whether a certificate follows."""
    incarnation, sequence, version = r.incarnation(), r.varint(COUNTER, 1), r.varint(COUNTER)
    root, value, chain = r.take(32), r.take(16), r.varint(1 << 32, 1)
    schedule, offset = r.varint(chain + 1, 1), r.varint(1 << 42)
    need(offset == 0 or schedule < chain, "an offset from the chain itself")
    beat, period, flags = r.varint(4096), r.varint(3_600_001, 100), r.flags(7)
    return cls(incarnation, sequence, version, root, value, chain, schedule, offset, beat, period,
               flags & 1 == 1, flags & 4 == 4, r.varint(1 << 56)), flags & 2 == 2

  @classmethod
  def read(cls, r: Reader) -> Checkpoint:
    found, certified = cls.read_front(r)
    certificate = r.blob(400, 1) if certified else b""
    changed = r.list(65, lambda: (r.text(ROOM), r.varint(found.version + 1)), 0)
    names = [room.encode() for room, _ in changed]
    need(all(a < b for a, b in zip(names, names[1:])), "falling rooms")
    return replace(found, certificate=certificate, changed=tuple(changed))


@dataclass(frozen=True)
class CursorFrame:
  KIND: ClassVar[int] = 5
  DOMAIN: ClassVar[str] = "PresenceMesh/2 cursors"
  LONGEST: ClassVar[int] = 988
  incarnation: bytes
  room: str
  updates: Tuple[Tuple[bytes, int, Cursor], ...]

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    updates = b"".join(session + varint(counter) + cursor.encode() for session, counter, cursor in self.updates)
    return self.incarnation + text(self.room) + varint(len(self.updates)) + updates, None

  @classmethod
  def read(cls, r: Reader) -> CursorFrame:
    return cls(r.incarnation(), r.text(ROOM),
               tuple(r.list(65, lambda: (r.take(16), r.varint(COUNTER, 1), Cursor.read(r)))))


Body = Union[PathProof, Batch, Checkpoint, CursorFrame]


@dataclass(frozen=True)
class Signed:
  """A signed message. Every field has one form, so that writing it again gives the bytes that came."""
  body: Body
  origin: bytes
  signature: bytes
  age: int = 0  # of a checkpoint only

  @property
  def statement(self) -> bytes:
    front, behind = self.body.parts()
    return front if behind is None else front + hash256(behind)

  def verified(self, mesh_id: bytes) -> bool:
    return verify(self.body.DOMAIN, mesh_id, self.origin, self.signature, self.statement)

  def encode(self) -> bytes:
    front, behind = self.body.parts()
    age = varint(self.age) if self.body.KIND == Checkpoint.KIND else b""
    return frame(self.body.KIND, age + self.origin + self.signature + front + (behind or b""))

  @classmethod
  def sign(cls, body: Body, signer: Signer, mesh_id: bytes, age: int = 0) -> Signed:
    unsigned = cls(body, signer.origin, b"", age)
    return replace(unsigned, signature=signer.sign(body.DOMAIN, mesh_id, unsigned.statement))


# Other messages.

@dataclass(frozen=True)
class Challenge:
  KIND: ClassVar[int] = 1
  token: bytes

  def encode(self) -> bytes:
    return frame(self.KIND, self.token)

  @classmethod
  def read(cls, r: Reader) -> Challenge:
    return cls(r.take(8))


@dataclass(frozen=True)
class Beats:
  KIND: ClassVar[int] = 6
  beats: Tuple[Tuple[bytes, int, bytes], ...]  # beginning of the origin, index, value

  def encode(self) -> bytes:
    return frame(self.KIND, b"".join(origin[:8] + varint(index) + value for origin, index, value in self.beats))

  @classmethod
  def read(cls, r: Reader) -> Beats:
    return cls(tuple(to_end(r, 40, lambda: (r.take(8), r.varint(4096), r.take(16)))))


@dataclass(frozen=True)
class Place:
  """The checkpoint whose trees are meant."""
  origin: bytes
  incarnation: bytes
  sequence: int

  @property
  def order(self) -> Tuple[bytes, int]:
    return self.incarnation, self.sequence


def encode_place(place: Optional[Place]) -> bytes:
  return b"\0" if place is None else b"\1" + place.origin + place.incarnation + varint(place.sequence)


def read_place(r: Reader) -> Optional[Place]:
  return Place(r.take(32), r.incarnation(), r.varint(COUNTER, 1)) if r.varint(2) else None


Node = Tuple[Optional[str], str, bytes]  # room (None: no tree of records), path, hash or bytes


def encode_node_place(node: Node, before: Optional[Node]) -> bytes:
  room, path, _ = node
  same = room is not None and before is not None and before[0] == room
  named = text(room) if room is not None and not same else b""
  return bytes([len(path) | same << 6 | (room is not None) << 7]) + named + bytes.fromhex(path + "0" * (len(path) % 2))


def read_nodes(r: Reader, place: Optional[Place], count: int, payload: Callable[[], bytes]) -> Tuple[Node, ...]:
  nodes: List[Node] = []
  for _ in range(count):
    depth = r.number(1)
    before, room, same, records = nodes[-1][0] if nodes else None, None, depth >> 6 & 1 == 1, depth >> 7 == 1
    need(not depth & 0x20 and depth & 0x1F <= 16, "a depth")
    need(not same or (records and before is not None), "the same room as none")
    need(not records or place is not None, "records in a replica")
    if records:
      room = before if same else r.text(ROOM)
      need(same or room != before, "a room that is named twice")
    digits = r.take(((depth & 0x1F) + 1) // 2).hex()
    need(depth % 2 == 0 or digits[-1] == "0", "an unused half")
    nodes.append((room, digits[:depth & 0x1F], payload()))
  return tuple(nodes)


@dataclass(frozen=True)
class Compare:
  KIND: ClassVar[int] = 7
  place: Optional[Place]
  request: int
  budget: int
  nodes: Tuple[Node, ...]

  def encode(self) -> bytes:
    front = encode_place(self.place) + struct.pack(">H", self.request) + varint(self.budget)
    nodes = (encode_node_place(node, before) + node[2] for node, before in zip(self.nodes, (None, *self.nodes)))
    return frame(self.KIND, front + varint(len(self.nodes)) + b"".join(nodes))

  @classmethod
  def read(cls, r: Reader) -> Compare:
    place, request, budget = read_place(r), r.number(2), r.varint(65537)
    return cls(place, request, budget, read_nodes(r, place, r.varint(65, 1), lambda: r.take(16)))


@dataclass(frozen=True)
class Nodes:
  KIND: ClassVar[int] = 8
  place: Optional[Place]
  request: int
  page: int
  last: bool
  nodes: Tuple[Node, ...]

  def encode(self) -> bytes:
    front = encode_place(self.place) + struct.pack(">HH", self.request, self.page | self.last << 15)
    nodes = (encode_node_place(node, before) + blob(node[2]) for node, before in zip(self.nodes, (None, *self.nodes)))
    return frame(self.KIND, front + varint(len(self.nodes)) + b"".join(nodes))

  @classmethod
  def read(cls, r: Reader) -> Nodes:
    place, request, page = read_place(r), r.number(2), r.number(2)
    nodes = read_nodes(r, place, r.varint(256), lambda: r.blob(901))
    return cls(place, request, page & 0x7FFF, page >> 15 == 1, nodes)


@dataclass(frozen=True)
class Repair:
  KIND: ClassVar[int] = 9
  origin: bytes
  incarnation: bytes
  room: Optional[str]
  after: int
  through: int

  def encode(self) -> bytes:
    room = b"\0" if self.room is None else b"\1" + text(self.room)
    return frame(self.KIND, self.origin + self.incarnation + room + varint(self.after) + varint(self.through))

  @classmethod
  def read(cls, r: Reader) -> Repair:
    origin, incarnation, room = r.take(32), r.incarnation(), r.text(ROOM) if r.flag() else None
    after = r.varint(COUNTER)
    return cls(origin, incarnation, room, after, r.varint(COUNTER, after + 1))


@dataclass(frozen=True)
class Probe:
  KIND: ClassVar[int] = 10
  asks: Tuple[Tuple[bytes, bytes, int, int], ...]  # origin, incarnation, sequence, beat

  def encode(self) -> bytes:
    return frame(self.KIND, b"".join(o + i + varint(s) + varint(b) for o, i, s, b in self.asks))

  @classmethod
  def read(cls, r: Reader) -> Probe:
    def ask() -> Tuple[bytes, bytes, int, int]:
      origin, incarnation, sequence, beat = r.take(32), r.take(12), r.varint(COUNTER), r.varint(4096)
      need(incarnation[:4] != bytes(4) or (incarnation == NO_INCARNATION and sequence == 0), "no incarnation")
      need(sequence > 0 or beat == 0, "a beat without a sequence")
      return origin, incarnation, sequence, beat
    return cls(tuple(to_end(r, 16, ask)))


@dataclass(frozen=True)
class Contradiction:
  KIND: ClassVar[int] = 11
  origin: bytes
  kind: int
  statements: Tuple[Tuple[bytes, bytes], ...]  # statement, signature; two

  @property
  def incarnation(self) -> bytes:
    return self.statements[0][0][:12]

  def verified(self, mesh_id: bytes) -> bool:
    domain = Batch.DOMAIN if self.kind == Batch.KIND else Checkpoint.DOMAIN
    return all(verify(domain, mesh_id, self.origin, signature, words) for words, signature in self.statements)

  def encode(self) -> bytes:
    return frame(self.KIND, self.origin + bytes([self.kind]) + b"".join(blob(w) + s for w, s in self.statements))

  @classmethod
  def read(cls, r: Reader) -> Contradiction:
    origin, kind = r.take(32), r.number(1)
    need(kind in (Batch.KIND, Checkpoint.KIND), "a contradiction of another kind")
    a, b = (r.blob(137), r.take(64)), (r.blob(137), r.take(64))
    need(a[0] < b[0], "statements that do not rise")
    spans = []
    for words, _ in (a, b):
      front = Reader(words)
      if kind == Batch.KIND:
        incarnation, _, _, first, count = Batch.read_front(front)
        spans.append((incarnation, first, first + count))
      else:
        found, _ = Checkpoint.read_front(front)
        spans.append((found.incarnation, found.sequence, found.sequence + 1))
      front.take(32)
      front.end()
    need(spans[0][0] == spans[1][0] and spans[0][1] < spans[1][2] and spans[1][1] < spans[0][2], "no contradiction")
    return cls(origin, kind, (a, b))


@dataclass(frozen=True)
class PeerExchange:
  KIND: ClassVar[int] = 12
  peers: Tuple[Tuple[bytes, bytes], ...]  # origin, address

  def encode(self) -> bytes:
    return frame(self.KIND, varint(len(self.peers)) + b"".join(origin + address for origin, address in self.peers))

  @classmethod
  def read(cls, r: Reader) -> PeerExchange:
    return cls(tuple(r.list(17, lambda: (r.take(32), r.take(18)))))


@dataclass(frozen=True)
class Prune:
  KIND: ClassVar[int] = 13
  origins: Tuple[bytes, ...]

  def encode(self) -> bytes:
    return frame(self.KIND, varint(len(self.origins)) + b"".join(self.origins))

  @classmethod
  def read(cls, r: Reader) -> Prune:
    return cls(tuple(r.list(17, lambda: r.take(32))))


@dataclass(frozen=True)
class Passed:
  """A message that is passed over: of a kind above 13, or signed with a malformed body (*reason*)."""
  kind: int
  reason: str = ""

  def encode(self) -> bytes:
    return frame(self.kind, b"")


Message = Union[Challenge, Signed, Beats, Compare, Nodes, Repair, Probe, Contradiction, PeerExchange, Prune, Passed]
BODIES: Dict[int, Type[Body]] = {2: PathProof, 3: Batch, 4: Checkpoint, 5: CursorFrame}
OTHERS: Dict[int, Type[Union[Challenge, Beats, Compare, Nodes, Repair, Probe, Contradiction, PeerExchange, Prune]]] = {
  c.KIND: c for c in (Challenge, Beats, Compare, Nodes, Repair, Probe, Contradiction, PeerExchange, Prune)}


def to_end(r: Reader, most: int, read: Callable[[], T]) -> List[T]:
  found = [read()]
  while r.more():
    need(len(found) < most, "too many")
    found.append(read())
  return found


def frame(kind: int, body: bytes) -> bytes:
  return struct.pack(">BH", kind, len(body)) + body


def read_message(kind: int, data: bytes) -> Message:
  need(kind > 0, "kind 0")
  r = Reader(data)
  if kind not in BODIES:
    if kind not in OTHERS:
      return Passed(kind)
    found = OTHERS[kind].read(r)
    r.end()
    return found
  age = r.varint(1 << 34) if kind == Checkpoint.KIND else 0
  origin, signature = r.take(32), r.take(64)
  body = Reader(r.rest())
  try:
    need(0 < len(body.data) <= BODIES[kind].LONGEST, "no body, or a long one")
    signed = BODIES[kind].read(body)
    body.end()
  except Malformed as error:
    if kind == PathProof.KIND:
      raise
    return Passed(kind, str(error))
  return Signed(signed, origin, signature, age)


def read_messages(data: bytes) -> Iterator[Message]:
  """The messages one by one; raises at the first malformed one."""
  r = Reader(data)
  while r.more():
    kind, length = r.number(1), r.number(2)
    yield read_message(kind, r.take(length))


@dataclass(frozen=True)
class Header:
  """The header of the opened part of a datagram."""
  sender: bytes
  incarnation: bytes
  counter: int
  echo: bytes

  def encode(self) -> bytes:
    return self.sender + self.incarnation + struct.pack(">Q", self.counter) + self.echo

  @classmethod
  def read(cls, opened: bytes) -> Tuple[Header, bytes]:
    r = Reader(opened)
    sender, incarnation, counter = r.take(32), r.incarnation(), r.number(8)
    need(counter > 0, "a datagram counter of 0")
    return cls(sender, incarnation, counter, r.take(8)), r.rest()
