"""What the leaf says: its incarnation, records, checkpoints, beats and cursors (Protocol.md §2–§5, §13)."""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from beats import CHECKPOINT_EACH, LENGTH, Chain
from crypto import siphash
from paths import Path, Paths
from state import RECENT, Key, Log, Logs, Source, answer, trees
from wire import (CURSOR, OCCUPANCY, PRESENCE, SESSION, Batch, Beats, Checkpoint, Compare, Cursor, CursorFrame,
                  Message, Place, Presence, Probe, Record, Repair, Session, Signed)

ANSWER_BYTES = 8 << 20  # in a second

class Publisher(Paths):
  """The layer of own words."""

  def __init__(self, *paths: Any, counter: int, remember: Callable[[int], None], wall: Callable[[], int],
               now: float) -> None:
    super().__init__(*paths)
    self.remember, self.wall = remember, wall
    self.changed = True  # what is shown may have changed
    self.logs: Logs = {}
    self.counters: Dict[bytes, int] = {}  # the highest counters that were seen of own sessions
    self._moves: Dict[Key, List[Any]] = {}  # counter, cursor, when it moved, whether it is to be told
    self._frame_at = 0.0
    self.begin(counter, now)

  def sources(self, now: float) -> List[Source]:
    """All that is known of all origins, the own first."""
    return [Source(self.origin, self.logs, {key: (m[0], m[1]) for key, m in self._moves.items()}, "online")]

  # Incarnation, checkpoints and beats.

  def begin(self, counter: int, now: float) -> None:
    """Begins an incarnation; all that was written is written again."""
    self.remember(counter)
    self.incarnation = counter.to_bytes(4, "big") + self._bits
    self.sequence = self.version = self._beat = 0
    self._changed: Dict[str, int] = {}
    self._recent: List[Signed] = []  # own batches, for repairs
    self._dirty: Optional[Tuple[float, float]] = None  # first and last change since the checkpoint
    self.chain = Chain(self.origin, self.incarnation, self.random(16), now, self.period)
    before, self.logs = self.logs, {}
    for room in sorted(before, reverse=True):  # the lobby last
      self.write(room, [record for _, record in before[room].records.values()], now)
    self.sign(now)

  def sign(self, now: float, leaving: bool = False) -> None:
    """Signs a checkpoint of all that was written, and sends it to everybody."""
    self.sequence += 1
    self._trees, root = trees(self.logs, self.mesh_id)
    self._beat, chain = self.chain.beat(now), self.chain
    changed = tuple(sorted(self._changed.items(), key=lambda item: item[0].encode()))
    body = Checkpoint(self.incarnation, self.sequence, self.version, root, chain.value(self._beat), chain.number,
                      chain.schedule, chain.offset, self._beat, self.period, leaving | 2, changed=changed[:64])
    while len(changed) > 64 or body.size > Checkpoint.LONGEST:
      changed = changed[:min(64, len(changed) - 1)]
      body = replace(body, flags=int(leaving), changed=changed)
    self._checkpoint, self.word = Signed.sign(body, self.signer, self.mesh_id), body
    self._changed, self._dirty = {}, None
    self.send_to_all(self.checkpoint(now))

  def checkpoint(self, now: float) -> Signed:
    """The newest one, with its age."""
    return replace(self._checkpoint, age=self.chain.age(self.word.beat, now))

  def beat(self) -> Beats:
    return Beats(((self.origin[:8], self._beat, self.chain.value(self._beat)),))

  def clock_stood_still(self, now: float) -> None:
    """Begins a schedule (§5): the moments of the old chain are not known any more."""
    self.chain = self.chain.next(self.origin, self.incarnation, self.random(16), now, True)
    self.sign(now)

  def publish(self, now: float) -> None:
    """Sends the beats, checkpoints and cursors that are due."""
    beat = self.chain.beat(now)
    if beat >= LENGTH - 1:
      self.chain = self.chain.next(self.origin, self.incarnation, self.random(16), now, False)
      self.sign(now)
    elif beat >= self.word.beat + CHECKPOINT_EACH or (
        self._dirty and now >= min(self._dirty[1] + 0.04, self._dirty[0] + 0.5)):
      self.sign(now)
    elif beat > self._beat:
      self._beat = beat
      self.send_to_all(self.beat())
    self._tell_cursors(now)

  # Sessions.

  def open(self, session: Session, rooms: Iterable[str], now: float) -> bytes:
    """Opens a session in the lobby and these rooms."""
    # The first half says whose it is.
    key = siphash(self.mesh_id, session.user.encode()).to_bytes(8, "big") + self.random(16)[8:]
    for room in sorted({"", *rooms}, reverse=True):
      self.say(key, room, now)
    self.write("", [Record(SESSION, key, self._count(key), session)], now)
    return key

  def say(self, session: bytes, room: str, now: float, status: Optional[int] = None, **words: Any) -> None:
    """Writes what a session says in a room: status, message, typing, data. It enters, if it is not there yet."""
    counter = self._count(session)
    said = replace(self.said(session, room) or Presence(counter), **words)
    if status is not None:
      said = replace(said, status=status, status_counter=self._status_counter(session) if status else 0,
                     changed_at=self.wall() if status else 0)
    self.write(room, [Record(PRESENCE, session, counter, said)], now)

  def point(self, session: bytes, room: str, now: float, x: float, y: float, anchor: Optional[str] = None) -> None:
    if self.said(session, room) is not None:
      column, row = (int(65535 * min(max(v, 0.0), 1.0) + 0.5) for v in (x, y))
      self._moves[session, room] = [0, Cursor(column, row, 1 if anchor is None else 3, anchor), now, True]

  def close(self, session: bytes, now: float, only: Optional[str] = None) -> None:
    """Writes tombstones for all of a session, or for what it says in one room."""
    counter = self._count(session)
    for room in sorted(self.logs, reverse=True):
      gone = [r for _, r in self.logs[room].records.values() if r.session == session
              and (only in (None, room) or (r.kind, r.room) == (OCCUPANCY, only))]
      self.write(room, [replace(record, counter=counter, value=None) for record in gone], now)
    self._moves = {key: move for key, move in self._moves.items() if key[0] != session or only not in (None, key[1])}

  def leave(self, now: float) -> None:
    """Ends all sessions and says farewell; once more with `farewell`, as datagrams get lost."""
    for session in self.sessions():
      self.close(session, now)
    self.sign(now, leaving=True)
    self.stopped = "left"

  def farewell(self, now: float) -> None:
    self.send_to_all(self.checkpoint(now))

  def sessions(self) -> List[bytes]:
    return [r.session for _, r in self.logs.get("", Log()).records.values() if r.kind == SESSION]

  def said(self, session: bytes, room: str) -> Optional[Presence]:
    found = self.logs.get(room, Log()).records.get(bytes([PRESENCE]) + session)
    return found[1].value if found and isinstance(found[1].value, Presence) else None

  def _count(self, session: bytes) -> int:
    """The highest counter that was seen of a session, plus one."""
    self.counters[session] = self.counters.get(session, 0) + 1
    return self.counters[session]

  def witness(self, session: bytes, counter: int) -> None:
    if session in self.counters:
      self.counters[session] = max(self.counters[session], counter)

  def _status_counter(self, session: bytes) -> int:
    """The highest status counter of the session's user, plus one."""
    records = [r for source in self.sources(0) for log in source.logs.values() for _, r in log.records.values()]
    user_of = {r.session: r.value.user for r in records if isinstance(r.value, Session)}
    return 1 + max((r.value.status_counter for r in records if isinstance(r.value, Presence) and (
      r.session == session or user_of.get(r.session, "") == user_of.get(session))), default=0)

  def write(self, room: str, records: List[Record], now: float) -> None:
    """Writes records in one room log, as one or more batches, to everybody."""
    while records and not self.stopped:
      log, count = self.logs.setdefault(room, Log()), 64
      batch = Batch(self.incarnation, room, log.version, self.version + 1, tuple(records[:count]))
      while batch.size > Batch.LONGEST:
        count -= 1
        batch = replace(batch, records=tuple(records[:count]))
      log.apply(batch)
      self.version, records = batch.last, records[count:]
      self._changed[room], self.changed = log.version, True
      self._dirty = self._dirty[0] if self._dirty else now, now
      self._recent = [*self._recent[1 - RECENT:], Signed.sign(batch, self.signer, self.mesh_id)]
      self.send_to_all(self._recent[-1])

  def _tell_cursors(self, now: float) -> None:
    due = [key for key, move in self._moves.items() if move[3]] if now - self._frame_at >= 0.016 else []
    for session, room in due:
      move, self._frame_at = self._moves[session, room], now
      move[0], move[3] = self._count(session), False
      frame = CursorFrame(self.incarnation, room, ((session, move[0], move[1]),))
      self.send_to_all(Signed.sign(frame, self.signer, self.mesh_id))
    for (session, room), (counter, cursor, moved, untold) in list(self._moves.items()):
      if now - moved >= 1 and not untold:
        del self._moves[session, room]
        self.write(room, [Record(CURSOR, session, counter, cursor)], now)

  # Answers about itself.

  def on_message(self, message: Message, path: Path, now: float) -> None:
    if isinstance(message, Compare):
      self._on_compare(message, path, now)
    elif isinstance(message, Probe):
      for origin, incarnation, sequence, beat in message.asks:
        if origin == self.origin:
          newer = [self.checkpoint(now)] if self.word.place > (incarnation, sequence) else []
          later = [self.beat()] if self._beat > beat or incarnation != self.incarnation else []
          self.send(path.address, [*newer, *later])
    elif isinstance(message, Repair):
      if (message.origin, message.incarnation) == (self.origin, self.incarnation):
        self.send(path.address, [s for s in self._recent if isinstance(s.body, Batch) and message.room in (
          None, s.body.room) and message.after < s.body.last and s.body.first <= message.through])
    else:
      super().on_message(message, path, now)

  def _on_compare(self, ask: Compare, path: Path, now: float) -> None:
    if ask.place is not None and ask.place.origin == self.origin:
      own = Place(self.origin, *self.word.place)
      pages = answer(ask, own, self._trees, ANSWER_BYTES - self._answers["bytes"])
      self._answers["bytes"] += sum(len(node) for page in pages for _, _, node in page.nodes)
      first = ask.place != own or any(node[:2] == (None, "") for node in ask.nodes)
      self.send(path.address, [*([self.checkpoint(now)] if first else []), *pages])
