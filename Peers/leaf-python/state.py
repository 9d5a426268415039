"""What origins say: room logs, versions, trees, and what is shown of them (Protocol.md §2, §4, §8, §11)."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

import tree
from beats import Age
from crypto import hash128
from wire import (CURSOR, MESSAGES, OCCUPANCY, PRESENCE, REMOVAL, SESSION, STATUSES, Batch, Checkpoint, Compare,
                  Cursor, Malformed, Node, Nodes, Place, Presence, Reader, Record, Session, Signed, blob,
                  sequence, write_node_place, write_varint)

RECENT, AHEAD, MOVES, RECORDS = 128, 4096, 4096, 131_072
Key = Tuple[bytes, str]  # session and room
Moves = Dict[Key, Tuple[int, Cursor]]

class Log:
  """What one origin says in one room: its living records with their versions."""

  def __init__(self) -> None:
    self.version = 0
    self.records: Dict[bytes, Tuple[int, Record]] = {}
    self._nodes: Optional[Dict[str, bytes]] = None

  def apply(self, batch: Batch) -> None:
    if batch.previous == 0:
      self.records.clear()
    for version, record in enumerate(batch.records, batch.first):
      if record.value is None:
        self.records.pop(record.key, None)
      else:
        self.records[record.key] = version, record
    self.version = batch.last if self.records else 0
    self._nodes = None

  def nodes(self, mesh_id: bytes) -> Dict[str, bytes]:
    """The nodes of its tree of records."""
    if self._nodes is None:
      self._nodes = tree.build({key: r.in_tree(version) for key, (version, r) in self.records.items()}, mesh_id)
    return self._nodes

Logs = Dict[str, Log]

def trees(logs: Logs, mesh_id: bytes) -> Tuple[Dict[tree.Place, bytes], bytes]:
  """All nodes of the tree of rooms and of its rooms' trees, and the root."""
  rooms = {b"/" + room.encode(): write_varint(log.version) + write_varint(len(log.records))
           + tree.top(log.nodes(mesh_id)) for room, log in logs.items() if log.records}
  top = tree.build(rooms, mesh_id)
  nodes: Dict[tree.Place, bytes] = {(None, path): node for path, node in top.items()}
  for room, log in logs.items():
    nodes.update({(room, path): node for path, node in log.nodes(mesh_id).items()})
  return nodes, tree.root(top)

def answer(ask: Compare, own: Optional[Place], nodes: Dict[tree.Place, bytes], most: int) -> List[Nodes]:
  """The messages that answer a comparison from these trees (§7); at most about so many bytes of nodes."""
  found: List[Node] = []
  left = min(ask.budget, most)

  def put(room: Optional[str], path: str, below: bool) -> None:
    nonlocal left
    node = nodes.get((room, path), b"")
    left -= len(write_node_place((room, path, b""), found[-1] if found else None)) + len(blob(901).write(node))
    found.append((room, path, node))
    digits = tree.children_of(node) if node else {}
    children = [(room, path + digit) for digit in digits or ()]
    if digits is None and room is None and own is not None:
      children = [(key[1:].decode(), "") for key in tree.entries_of(node)]
    for child in children if below else ():
      if left > 0:
        put(*child, below)

  if own is None or (ask.place is not None and ask.place.order <= own.order):
    for room, path, sent in ask.nodes:
      node = nodes.get((room, path))
      if sent != (hash128(node) if node else tree.NOTHING):
        put(room, path, sent == tree.NOTHING)
  pages = [Nodes(own, ask.request, 0x8000, ())]
  for entry in found:
    longer = replace(pages[-1], nodes=(*pages[-1].nodes, entry))
    if len(longer.encode()) + (len(longer.nodes) < 128) > MESSAGES or len(longer.nodes) > 255:  # 2 bytes of count
      pages[-1] = replace(pages[-1], page=len(pages) - 1)
      longer = Nodes(own, ask.request, 0x8000 | len(pages), (entry,))
      pages.append(longer)
    pages[-1] = longer
  return pages

def logs_of(gather: tree.Gather, checkpoint: Checkpoint, mesh_id: bytes) -> Logs:
  """The room logs from gathered trees. Raises Malformed unless they are in their one form."""
  logs: Logs = {}
  for key, value in gather.rooms.items():
    room, log = key[1:].decode(), Log()
    log.records = {k: Record.from_tree(k, v, room) for k, v in gather.records[room].items()}
    log.version = sequence.read(Reader(value))
    highest = max((version for version, _ in log.records.values()), default=0)
    if not 0 < highest <= log.version <= checkpoint.version:
      raise Malformed("a version")
    logs[room] = log
  if trees(logs, mesh_id)[1] != checkpoint.root:
    raise Malformed("trees in another form")
  return logs

class Held:
  """What is held of one other origin."""

  def __init__(self, origin: bytes) -> None:
    self.origin = origin
    self.checkpoint: Optional[Signed] = None
    self.word: Optional[Checkpoint] = None  # its body
    self.complete: Optional[Checkpoint] = None
    self.since = 0.0  # first word
    self.probed = 0.0
    self.told: Tuple[bytes, int] = (b"", 0)  # the highest (incarnation, sequence) that somebody told
    self.told_by = b""
    self.age = Age(origin)
    self.reset()

  def reset(self) -> None:
    self.logs: Logs = {}
    self.reached = 0
    self._ahead: Set[int] = set()
    self.recent: Dict[int, Batch] = {}
    self.moves: Moves = {}
    self.complete = None

  def health(self, now: float) -> str:
    return "left" if self.word is not None and self.word.leaving else self.age.health(now)

  def _applied(self, first: int, last: int) -> None:
    self._ahead.update(range(max(first, self.reached + 1), last + 1))
    while self.reached + 1 in self._ahead:
      self.reached += 1
      self._ahead.discard(self.reached)

  def hear(self, batch: Batch) -> bool:
    """Takes in a verified batch; false if it waits for one before it."""
    if batch.last > self.reached and batch.first not in self.recent:
      self.recent[batch.first] = batch
      if len(self.recent) > RECENT:
        del self.recent[min(self.recent)]
    fits = self._apply(batch)
    while fits and any(self._apply(other) for _, other in sorted(self.recent.items()) if self._waits(other)):
      pass
    return fits

  def _waits(self, batch: Batch) -> bool:
    return any(v > self.reached and v not in self._ahead for v in range(batch.first, batch.last + 1))

  def _apply(self, batch: Batch) -> bool:
    log = self.logs.get(batch.room) or Log()
    if not self._waits(batch):
      return True
    if batch.last > log.version:
      if len(self._ahead) > AHEAD or sum(len(x.records) for x in self.logs.values()) > RECORDS:
        return False
      if batch.first <= log.version or batch.previous not in (0, log.version):
        return False
      log.apply(batch)
      self.logs[batch.room] = log
      if not log.records:
        del self.logs[batch.room]
      for record in batch.records:
        self._settle(record, batch.room)
    self._applied(batch.first, batch.last)
    return True

  def _settle(self, record: Record, room: str) -> None:
    key = record.session, room
    if key in self.moves and (record.kind == CURSOR and record.counter >= self.moves[key][0]
                              or record.kind == PRESENCE and record.value is None):
      del self.moves[key]

  def replace(self, logs: Logs, checkpoint: Checkpoint) -> None:
    """Takes fetched logs; batches above them that came meanwhile are applied again."""
    self.logs, self.reached, self.complete = logs, checkpoint.version, checkpoint
    self._ahead.clear()
    for room, log in logs.items():
      for _, record in log.records.values():
        self._settle(record, room)
    self.recent = {first: batch for first, batch in self.recent.items() if batch.last > self.reached}
    for _, batch in sorted(self.recent.items()):
      self._apply(batch)

  def is_whole(self, mesh_id: bytes) -> bool:
    """Whether the newest checkpoint is held completely; notes it if so."""
    word = self.word
    if word is None or self.reached != word.version or self._ahead:
      return False
    if self.complete is not word and trees(self.logs, mesh_id)[1] == word.root:
      self.complete = word
      self.recent = {first: batch for first, batch in self.recent.items() if batch.last > word.version}
    return self.complete is word

  def move(self, room: str, session: bytes, counter: int, cursor: Cursor) -> bool:
    """Takes in a cursor update; false if it is no news."""
    records = self.logs[room].records if room in self.logs else {}
    resting = records.get(bytes([CURSOR]) + session)
    presence = records.get(bytes([PRESENCE]) + session)
    entered = presence[1].value.entered if presence and isinstance(presence[1].value, Presence) else 0
    known = self.moves.get((session, room))
    if counter <= max(entered, resting[1].counter if resting else 0) or (known is None and len(self.moves) >= MOVES):
      return False
    if known is not None and (counter, cursor.order) <= (known[0], known[1].order):
      return False
    self.moves[session, room] = counter, cursor
    return True

@dataclass
class Source:
  """One origin as a reader sees it."""
  origin: bytes
  logs: Logs
  moves: Moves
  health: str

  @property
  def visible(self) -> bool:
    return self.health in ("online", "suspect")

@dataclass
class Survey:
  """Who hosts each session, and what is removed."""
  hosts: Dict[bytes, Tuple[int, bytes]] = field(default_factory=dict)
  removed: Dict[Key, int] = field(default_factory=dict)

  def ended(self, session: bytes) -> bool:
    return self.removed.get((session, ""), -1) >= self.hosts[session][0]

def survey(sources: Iterable[Source]) -> Survey:
  found = Survey()
  for source in sources:
    for _, record in source.logs.get("", Log()).records.values():
      if record.kind == REMOVAL:
        key = record.session, record.room
        found.removed[key] = max(record.counter, found.removed.get(key, 0))
      elif record.kind == SESSION and source.visible:
        stamp = record.counter, source.origin
        found.hosts[record.session] = max(stamp, found.hosts.get(record.session, stamp))
  return found

def view(sources: List[Source]) -> Dict[Key, Dict[str, Any]]:
  """All sessions that are shown, by session and room."""
  found, rows = survey(sources), {}
  for source in sources:
    mine = {s for s, (_, origin) in found.hosts.items() if origin == source.origin and not found.ended(s)}
    lobby = source.logs.get("", Log()).records
    rooms: Dict[bytes, Dict[str, Tuple[int, Optional[Presence]]]] = {session: {} for session in mine}
    for _, record in lobby.values():
      if record.kind == OCCUPANCY and record.session in mine:
        rooms[record.session][record.room] = record.counter, None
    for room, log in source.logs.items():
      for _, record in log.records.values():
        if isinstance(record.value, Presence) and record.session in mine:
          rooms[record.session][room] = record.value.entered, record.value
    for session in mine:
      profile, home = lobby[bytes([SESSION]) + session][1].value, rooms[session].setdefault("", (0, None))[1]
      assert isinstance(profile, Session)
      for room, (entered, said) in rooms[session].items():
        if room == "" or found.removed.get((session, room), -1) < entered:
          rows[session, room] = _row(source, session, room, profile, said, home)
  return rows

def _row(source: Source, session: bytes, room: str, profile: Session, said: Optional[Presence],
         home: Optional[Presence]) -> Dict[str, Any]:
  own, lobby = said or Presence(0), home or Presence(0)
  words = own if own.status else lobby
  message = words.message if words.status else own.message or lobby.message
  cursor = None
  if said is not None:
    log = source.logs.get(room, Log())
    resting, moving = log.records.get(bytes([CURSOR]) + session), source.moves.get((session, room))
    candidates = [moving] if moving else []
    if resting and isinstance(resting[1].value, Cursor):
      candidates.append((resting[1].counter, resting[1].value))
    counter, best = max(candidates, key=lambda c: c[0], default=(-1, None))
    if best is not None and counter >= said.entered and best.visible:
      cursor = [round(best.column / 65535, 5), round(best.row / 65535, 5)]
  return {"session": session.hex(), "room": room, "user": profile.user, "name": profile.name,
          "status": STATUSES[words.status] or "online", "message": message, "typing": own.typing,
          "cursor": cursor, "host": source.origin.hex(), "health": source.health}
