"""Encodings, values, records and messages (Protocol.md §0–§3, §6)."""
from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import Any, Callable, ClassVar, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from crypto import Signer, hash256, verify

ROOM, COUNTER, MESSAGES = 64, 1 << 48, 1087
NO_INCARNATION = bytes(12)

class Malformed(Exception):
  """Bytes that are not in the one form that they must have."""

def need(condition: bool, what: str) -> None:
  if not condition:
    raise Malformed(what)

# Encodings: how a field is read from the front of bytes, and written.

class Reader:
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

class Codec(NamedTuple):
  read: Callable[[Reader], Any]
  write: Callable[[Any], bytes]

def write_varint(value: int) -> bytes:
  out = b""
  while value > 0x7F:
    out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
  return out + bytes([value])

def varint(bound: int, lowest: int = 0) -> Codec:
  def read(r: Reader) -> int:
    value = 0
    for place in range(8):
      byte, = r.take(1)
      value |= (byte & 0x7F) << 7 * place
      if byte < 0x80:
        need(byte > 0 or place == 0, "not canonical")
        need(lowest <= value < bound, "out of bounds")
        return value
    raise Malformed("out of bounds")
  return Codec(read, write_varint)

def fixed(count: int) -> Codec:
  return Codec(lambda r: r.take(count), bytes)

def number(count: int) -> Codec:
  return Codec(lambda r: int.from_bytes(r.take(count), "big"), lambda v: int(v).to_bytes(count, "big"))

def small(bound: int) -> Codec:
  """One byte below a bound."""
  def read(r: Reader) -> int:
    value, = r.take(1)
    need(value < bound, "out of bounds")
    return value
  return Codec(read, lambda v: bytes([v]))

def blob(most: int, least: int = 0) -> Codec:
  size = varint(most + 1, least)
  return Codec(lambda r: r.take(size.read(r)), lambda v: write_varint(len(v)) + v)

def text(most: int, least: int = 0) -> Codec:
  data = blob(most, least)
  return Codec(lambda r: read_text(data.read(r)), lambda v: data.write(v.encode()))

def read_text(data: bytes) -> str:
  try:
    found = data.decode("utf-8")
  except UnicodeDecodeError:
    raise Malformed("not UTF-8") from None
  need(not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in found), "a control character")
  return found

def many(item: Codec, most: int, least: int = 1) -> Codec:
  """A count, and that many items."""
  size = varint(most + 1, least)
  return Codec(lambda r: tuple(item.read(r) for _ in range(size.read(r))),
               lambda v: write_varint(len(v)) + b"".join(map(item.write, v)))

def to_end(item: Codec, most: int) -> Codec:
  def read(r: Reader) -> Tuple[Any, ...]:
    found = [item.read(r)]
    while r.more():
      need(len(found) < most, "too many")
      found.append(item.read(r))
    return tuple(found)
  return Codec(read, lambda v: b"".join(map(item.write, v)))

def row(*items: Codec) -> Codec:
  return Codec(lambda r: tuple(item.read(r) for item in items),
               lambda v: b"".join(item.write(x) for item, x in zip(items, v)))

def when(item: Codec, absent: Any = None) -> Codec:
  """A flag, and with it an item."""
  return Codec(lambda r: item.read(r) if flag.read(r) else absent,
               lambda v: b"\0" if v == absent else b"\1" + item.write(v))

def read_incarnation(r: Reader) -> bytes:
  value = r.take(12)
  need(value[:4] != bytes(4), "no incarnation")
  return value

u16, token, session_id, origin_id, address = number(2), fixed(8), fixed(16), fixed(32), fixed(18)
flag = Codec(lambda r: small(2).read(r) == 1, lambda v: bytes([v]))
counter, sequence, room_name, beat_index = varint(COUNTER), varint(COUNTER, 1), text(ROOM), varint(4096)
incarnation = Codec(read_incarnation, bytes)

def wire(codec: Codec, only: Optional[Callable[[Any], Any]] = None, **default: Any) -> Any:
  """A field of a Struct; with *only*, it is there if that is true of the fields before it."""
  return field(metadata={"codec": codec, "only": only}, **default)

S = TypeVar("S", bound="Struct")

class Struct:
  """Fields that follow each other on the wire."""

  @classmethod
  def read(cls: Type[S], r: Reader, count: Optional[int] = None) -> S:
    """All fields, or the first ones; those that are not read have their defaults."""
    values: Dict[str, Any] = {}
    for f in fields(cls)[:count]:  # type: ignore[arg-type]
      only = f.metadata["only"]
      if only is None or only(SimpleNamespace(**values)):
        values[f.name] = f.metadata["codec"].read(r)
    found = cls(**values)
    found.check()
    return found

  def check(self) -> None:
    """Refuses what the fields alone do not."""

  def coded(self) -> List[bytes]:
    return [f.metadata["codec"].write(getattr(self, f.name)) for f in fields(self)  # type: ignore[arg-type]
            if f.metadata["only"] is None or f.metadata["only"](self)]

  def encode(self) -> bytes:
    return b"".join(self.coded())

# Values of records (§2).

SESSION, PRESENCE, CURSOR, REMOVAL, SUBSCRIPTION, OCCUPANCY = range(6)
STATUSES = ("", "online", "away", "busy", "active", "idle", "typing")

@dataclass(frozen=True)
class Session(Struct):
  user: str = wire(text(64, 1))
  name: str = wire(text(64), default="")
  colour: bytes = wire(fixed(3), default=bytes(3))
  avatar: str = wire(text(200), default="")
  data: bytes = wire(blob(256), default=b"")
  device: str = wire(text(32), default="")
  joined_at: int = wire(counter, default=0)

@dataclass(frozen=True)
class Presence(Struct):
  entered: int = wire(counter)
  status: int = wire(small(len(STATUSES)), default=0)
  status_counter: int = wire(counter, lambda p: p.status, default=0)
  changed_at: int = wire(counter, lambda p: p.status, default=0)
  message: str = wire(text(140), default="")
  typing: bool = wire(flag, default=False)
  data: bytes = wire(blob(384), default=b"")

@dataclass(frozen=True)
class Cursor(Struct):
  column: int = wire(u16)
  row: int = wire(u16)
  flags: int = wire(small(4), default=1)  # 1: visible, 2: an anchor follows
  anchor: Optional[str] = wire(text(64), lambda c: c.flags & 2, default=None)

  @property
  def visible(self) -> bool:
    return self.flags & 1 == 1

  @property
  def order(self) -> Tuple[int, int, int, int, bytes]:
    return self.column, self.row, self.flags & 1, self.flags & 2, (self.anchor or "").encode()

@dataclass(frozen=True)
class Removal(Struct):
  final: bool = wire(flag)

@dataclass(frozen=True)
class Subscription(Struct):
  rooms: Tuple[int, ...] = wire(many(number(8), 64, 0))

  def check(self) -> None:
    need(all(room % 8 == 0 for room in self.rooms), "the low bits of a room id")
    need(all(a < b for a, b in zip(self.rooms, self.rooms[1:])), "falling room ids")

@dataclass(frozen=True)
class Occupancy(Struct):
  pass

Value = Union[Struct, bytes]
VALUES: Tuple[Type[Struct], ...] = (Session, Presence, Cursor, Removal, Subscription, Occupancy)

def read_value(kind: int, data: bytes) -> Value:
  """The value in exactly these bytes; the bytes themselves for an unknown kind."""
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
    room = room_name.write(self.room) if self.kind in (REMOVAL, OCCUPANCY) else b""
    value = b"" if self.value is None else blob(800).write(self.value_bytes)
    return bytes([self.kind | (self.value is None) << 7]) + self.session + room + counter.write(self.counter) + value

  @classmethod
  def read(cls, r: Reader, log: str) -> Record:
    flags, session = row(number(1), session_id).read(r)
    need(not flags & 0x40, "an unknown flag")
    kind = flags & 0x3F
    room = room_name.read(r) if kind in (REMOVAL, OCCUPANCY) else ""
    count = counter.read(r)
    return cls(kind, session, count, None if flags & 0x80 else read_value(kind, blob(800).read(r)), room).check(log)

  def in_tree(self, version: int) -> bytes:
    return write_varint(version) + write_varint(self.counter) + self.value_bytes

  @classmethod
  def from_tree(cls, key: bytes, value: bytes, log: str) -> Tuple[int, Record]:
    """A living record with its version, from an entry of a tree of records."""
    need(17 <= len(key) <= 17 + ROOM and key[0] < 64, "a record key")
    need(len(key) == 17 or key[0] in (REMOVAL, OCCUPANCY), "a record key with a room")
    r = Reader(value)
    version, count = row(sequence, counter).read(r)
    return version, cls(key[0], key[1:17], count, read_value(key[0], r.rest()), read_text(key[17:])).check(log)

# Bodies of signed messages (§3): the signature covers the front as it is, and what is behind it by its hash.

class Body(Struct):
  KIND: ClassVar[int]
  DOMAIN: ClassVar[str]
  LONGEST: ClassVar[int] = 988

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    """The front, and what is behind it; nothing behind means that the whole body is signed."""
    return self.encode(), None

  @property
  def size(self) -> int:
    return sum(len(part or b"") for part in self.parts())

@dataclass(frozen=True)
class PathProof(Body):
  KIND, DOMAIN, LONGEST = 2, "PresenceMesh/2 path", 29
  incarnation: bytes = wire(incarnation)
  echo: bytes = wire(token)
  token: bytes = wire(token)
  wants_proof: bool = wire(flag)

@dataclass(frozen=True)
class BatchFront(Struct):
  incarnation: bytes = wire(incarnation)
  room: str = wire(room_name)
  previous: int = wire(counter)
  first: int = wire(sequence)
  count: int = wire(varint(65, 1))

  def check(self) -> None:
    need(self.previous < self.first and self.first + self.count <= COUNTER, "versions")

@dataclass(frozen=True)
class Batch(Body):
  KIND, DOMAIN = 3, "PresenceMesh/2 batch"
  incarnation: bytes
  room: str
  previous: int
  first: int
  records: Tuple[Record, ...]

  @property
  def last(self) -> int:
    return self.first + len(self.records) - 1

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    front = BatchFront(self.incarnation, self.room, self.previous, self.first, len(self.records))
    return front.encode(), b"".join(record.encode() for record in self.records)

  @classmethod
  def read(cls, r: Reader, count: Optional[int] = None) -> Batch:
    f = BatchFront.read(r)
    records = tuple(Record.read(r, f.room) for _ in range(f.count))
    return cls(f.incarnation, f.room, f.previous, f.first, records)

@dataclass(frozen=True)
class Checkpoint(Body):
  KIND, DOMAIN, LONGEST = 4, "PresenceMesh/2 checkpoint", 983
  incarnation: bytes = wire(incarnation)
  sequence: int = wire(sequence)
  version: int = wire(counter)
  root: bytes = wire(fixed(32))
  value: bytes = wire(fixed(16))
  chain: int = wire(varint(1 << 32, 1))
  schedule: int = wire(varint(1 << 32, 1))
  offset: int = wire(varint(1 << 42))
  beat: int = wire(beat_index)
  period: int = wire(varint(3_600_001, 100))
  flags: int = wire(small(4), default=0)  # 1: leaving, 2: names all changed rooms
  features: int = wire(varint(1 << 56), default=0)
  changed: Tuple[Tuple[str, int], ...] = wire(many(row(room_name, counter), 64, 0), default=())

  FRONT: ClassVar[int] = 12  # fields

  @property
  def place(self) -> Tuple[bytes, int]:
    return self.incarnation, self.sequence

  @property
  def leaving(self) -> bool:
    return self.flags & 1 == 1

  def parts(self) -> Tuple[bytes, Optional[bytes]]:
    coded = self.coded()
    return b"".join(coded[:self.FRONT]), b"".join(coded[self.FRONT:])

  def check(self) -> None:
    need(self.schedule <= self.chain and (self.offset == 0 or self.schedule < self.chain), "a schedule")
    names = [room.encode() for room, _ in self.changed]
    need(all(a < b for a, b in zip(names, names[1:])), "falling rooms")
    need(all(version <= self.version for _, version in self.changed), "a room above the version")

@dataclass(frozen=True)
class CursorFrame(Body):
  KIND, DOMAIN = 5, "PresenceMesh/2 cursors"
  incarnation: bytes = wire(incarnation)
  room: str = wire(room_name)
  updates: Tuple[Tuple[bytes, int, Cursor], ...] = wire(
    many(row(session_id, sequence, Codec(Cursor.read, Cursor.encode)), 64))

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
    age = write_varint(self.age) if self.body.KIND == Checkpoint.KIND else b""
    return frame(self.body.KIND, age + self.origin + self.signature + front + (behind or b""))

  @classmethod
  def sign(cls, body: Body, signer: Signer, mesh_id: bytes, age: int = 0) -> Signed:
    unsigned = cls(body, signer.origin, b"", age)
    return replace(unsigned, signature=signer.sign(body.DOMAIN, mesh_id, unsigned.statement))

# Other messages (§6).

class Plain(Struct):
  KIND: ClassVar[int]

  def encode(self) -> bytes:
    return frame(self.KIND, super().encode())

@dataclass(frozen=True)
class Challenge(Plain):
  KIND = 1
  token: bytes = wire(token)

@dataclass(frozen=True)
class Beats(Plain):
  KIND = 6
  beats: Tuple[Tuple[bytes, int, bytes], ...] = wire(to_end(row(fixed(8), beat_index, fixed(16)), 40))

@dataclass(frozen=True)
class Place(Struct):
  """The checkpoint whose trees are meant; none: the tree of the replica."""
  origin: bytes = wire(origin_id)
  incarnation: bytes = wire(incarnation)
  sequence: int = wire(sequence)

  @property
  def order(self) -> Tuple[bytes, int]:
    return self.incarnation, self.sequence

Node = Tuple[Optional[str], str, bytes]  # room (None: no tree of records), path in hexadecimal digits, hash or bytes

def write_node_place(node: Node, before: Optional[Node]) -> bytes:
  room, path, _ = node
  same = room is not None and before is not None and before[0] == room
  named = room_name.write(room) if room is not None and not same else b""
  front = bytes([len(path) | same << 6 | (room is not None) << 7])
  return front + named + bytes.fromhex(path + "0" * (len(path) % 2))

def node_list(payload: Codec, most: int, least: int) -> Codec:
  def read(r: Reader) -> Tuple[Node, ...]:
    nodes: List[Node] = []
    for _ in range(varint(most + 1, least).read(r)):
      first, = r.take(1)
      before, room, depth = nodes[-1][0] if nodes else None, None, first & 0x1F
      need(not first & 0x20 and depth <= 16, "a depth")
      if first & 0x80:
        room = before if first & 0x40 else room_name.read(r)
        need(room is not None and (room == before) == (first & 0x40 > 0), "a room in another form")
      else:
        need(not first & 0x40, "the same room as none")
      digits = r.take((depth + 1) // 2).hex()
      need(depth % 2 == 0 or digits[-1] == "0", "an unused half")
      nodes.append((room, digits[:depth], payload.read(r)))
    return tuple(nodes)

  def write(nodes: Tuple[Node, ...]) -> bytes:
    pairs = zip(nodes, (None, *nodes))
    return write_varint(len(nodes)) + b"".join(write_node_place(n, before) + payload.write(n[2]) for n, before in pairs)
  return Codec(read, write)

class OfPlace(Plain):
  place: Optional[Place]
  nodes: Tuple[Node, ...]

  def check(self) -> None:
    need(self.place is not None or all(room is None for room, _, _ in self.nodes), "records in a replica")

PLACE = when(Codec(Place.read, Place.encode))

@dataclass(frozen=True)
class Compare(OfPlace):
  KIND = 7
  place: Optional[Place] = wire(PLACE)
  request: int = wire(u16)
  budget: int = wire(varint(65_537))
  nodes: Tuple[Node, ...] = wire(node_list(fixed(16), 64, 1))

@dataclass(frozen=True)
class Nodes(OfPlace):
  KIND = 8
  place: Optional[Place] = wire(PLACE)
  request: int = wire(u16)
  page: int = wire(u16)  # the highest bit: the last one
  nodes: Tuple[Node, ...] = wire(node_list(blob(901), 255, 0))

  @property
  def last(self) -> bool:
    return self.page >> 15 == 1

@dataclass(frozen=True)
class Repair(Plain):
  KIND = 9
  origin: bytes = wire(origin_id)
  incarnation: bytes = wire(incarnation)
  room: Optional[str] = wire(when(room_name))
  after: int = wire(counter)
  through: int = wire(counter)

  def check(self) -> None:
    need(self.after < self.through, "a repair of nothing")

@dataclass(frozen=True)
class Probe(Plain):
  KIND = 10
  asks: Tuple[Tuple[bytes, bytes, int, int], ...] = wire(  # origin, incarnation, sequence, beat
    to_end(row(origin_id, fixed(12), counter, beat_index), 16))

  def check(self) -> None:
    for _, life, number_, beat in self.asks:
      need(life[:4] != bytes(4) or (life == NO_INCARNATION and number_ == 0), "no incarnation")
      need(number_ > 0 or beat == 0, "a beat without a sequence")

@dataclass(frozen=True)
class Contradiction(Plain):
  KIND = 11
  origin: bytes = wire(origin_id)
  kind: int = wire(number(1))
  a: Tuple[bytes, bytes] = wire(row(blob(137), fixed(64)))  # statement, signature
  b: Tuple[bytes, bytes] = wire(row(blob(137), fixed(64)))

  @property
  def incarnation(self) -> bytes:
    return self.a[0][:12]

  def verified(self, mesh_id: bytes) -> bool:
    domain = Batch.DOMAIN if self.kind == Batch.KIND else Checkpoint.DOMAIN
    return all(verify(domain, mesh_id, self.origin, signature, words) for words, signature in (self.a, self.b))

  def _span(self, words: bytes) -> Tuple[bytes, int, int]:
    """The incarnation, the first version or the sequence, and the one behind the last."""
    r = Reader(words)
    if self.kind == Batch.KIND:
      batch = BatchFront.read(r)
      found = batch.incarnation, batch.first, batch.first + batch.count
    else:
      need(self.kind == Checkpoint.KIND, "a contradiction of another kind")
      checkpoint = Checkpoint.read(r, Checkpoint.FRONT)
      found = checkpoint.incarnation, checkpoint.sequence, checkpoint.sequence + 1
    r.take(32)
    r.end()
    return found

  def check(self) -> None:
    need(self.a[0] < self.b[0], "statements that do not rise")
    a, b = self._span(self.a[0]), self._span(self.b[0])
    need(a[0] == b[0] and a[1] < b[2] and b[1] < a[2], "no contradiction")

@dataclass(frozen=True)
class PeerExchange(Plain):
  KIND = 12
  peers: Tuple[Tuple[bytes, bytes], ...] = wire(many(row(origin_id, address), 16))

@dataclass(frozen=True)
class Prune(Plain):
  KIND = 13
  origins: Tuple[bytes, ...] = wire(many(origin_id, 16))

@dataclass(frozen=True)
class Passed:
  """A message that is passed over: of a kind above 13, or signed with a malformed body (*reason*)."""
  kind: int
  reason: str = ""

  def encode(self) -> bytes:
    return frame(self.kind, b"")

Message = Union[Signed, Plain, Passed]
BODIES: Dict[int, Type[Body]] = {c.KIND: c for c in (PathProof, Batch, Checkpoint, CursorFrame)}
OTHERS: Dict[int, Type[Plain]] = {c.KIND: c for c in (
  Challenge, Beats, Compare, Nodes, Repair, Probe, Contradiction, PeerExchange, Prune)}

def frame(kind: int, body: bytes) -> bytes:
  return bytes([kind]) + u16.write(len(body)) + body

def read_message(kind: int, data: bytes) -> Message:
  need(kind > 0, "kind 0")
  r = Reader(data)
  if kind not in BODIES:
    if kind not in OTHERS:
      return Passed(kind)
    found = OTHERS[kind].read(r)
    r.end()
    return found
  age = varint(1 << 34).read(r) if kind == Checkpoint.KIND else 0
  origin, signature, body = r.take(32), r.take(64), Reader(r.rest())
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
    kind, length = row(number(1), u16).read(r)
    yield read_message(kind, r.take(length))

@dataclass(frozen=True)
class Header(Struct):
  """The header of the opened part of a datagram (§1)."""
  sender: bytes = wire(origin_id)
  incarnation: bytes = wire(incarnation)
  counter: int = wire(number(8))
  echo: bytes = wire(token)

  def check(self) -> None:
    need(self.counter > 0, "a datagram counter of 0")
