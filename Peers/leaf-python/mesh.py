"""A leaf peer of PresenceMesh without input or output: datagrams and moments in, datagrams out (Protocol-2.md §13)."""
from __future__ import annotations

import hashlib
import itertools
import random as _random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import tree
from beats import CHECKPOINT_EACH, LENGTH, Chain
from crypto import Refused, Seal, Signer, hash128, placement
from state import RECENT, Held, Key, Log, Logs, Source, answer, logs_of, survey, trees, view
from wire import (CURSOR, MESSAGES, OCCUPANCY, PRESENCE, SESSION, Batch, Beats, Challenge, Checkpoint, Compare,
                  Contradiction, Cursor, CursorFrame, Header, Malformed, Message, Nodes, Passed, PathProof,
                  PeerExchange, Place, Presence, Probe, Reader, Record, Repair, Session, Signed, read_messages)

ORIGINS, PATHS, PATHS_OF_ONE, CONTACTS, QUARANTINE = 4096, 1024, 4, 256, 4096
FETCHES, FETCH_BYTES, WALK_NODES, BUDGET, PEERS_WANTED = 32, 32 << 20, 4096, 65_536, 16
ANSWERS, ANSWER_BYTES = 200, 8 << 20  # in a second
NO_TOKEN = bytes(8)


@dataclass
class Path:
  """An address that has proven that it hears us, and the key of its origin."""
  address: bytes
  origin: bytes
  incarnation: bytes
  token: bytes  # that it gave to us: the echo of what is sent to it
  given: bytes  # that it was proven with
  heard: float
  proven: float
  round_trip: float = 0.5
  _highest: int = 0
  _window: int = 0  # bit n: the counter n below the highest was accepted

  @property
  def life(self) -> Tuple[bytes, bytes]:
    return self.origin, self.incarnation

  def is_replayed(self, counter: int) -> bool:
    behind = self._highest - counter
    return behind >= 1024 or behind >= 0 and self._window >> behind & 1 == 1

  def accept(self, counter: int, now: float) -> None:
    ahead = counter - self._highest
    self._window = (self._window << min(ahead, 1024) | 1 if ahead > 0 else self._window | 1 << -ahead) & (1 << 1024) - 1
    self._highest, self.heard = max(self._highest, counter), now


@dataclass
class Contact:
  """An address that is tried."""
  tries: Optional[int]  # None: without end
  next: float
  delay: float = 0.5


@dataclass
class Fetch:
  """The fetching of one origin's trees from one peer after the other."""
  sources: List[bytes] = field(default_factory=list)
  source: bytes = b""
  request: int = -1
  asked: float = 0.0
  last: float = 0.0
  silences: int = 0
  news: bool = False
  heard: bool = False
  checkpoint: Optional[Checkpoint] = None
  gather: Optional[tree.Gather] = None
  taken: int = 0


@dataclass
class Walk:
  """A comparison down the tree of the replica, with one peer."""
  request: int
  own: Dict[str, bytes]
  todo: Dict[str, bytes]
  asked: float
  seen: int = 0


class Leaf:
  def __init__(self, seal: Seal, signer: Signer, counter: int, now: float, *, random: Callable[[int], bytes],
               remember: Callable[[int], None], wall: Callable[[], int], period: int = 2000,
               contacts: Iterable[bytes] = ()) -> None:
    self.seal, self.signer, self.origin, self.mesh_id = seal, signer, signer.origin, seal.mesh_id
    self.random, self.remember, self.wall, self.period = random, remember, wall, period
    self.outbox: List[Tuple[bytes, bytes]] = []  # address, datagram
    self.counts: Counter[str] = Counter()
    self.stopped = ""  # why it says nothing more
    self.changed = True  # what is shown may have changed
    self.paths: Dict[bytes, Path] = {}
    self.contacts = {address: Contact(None, now) for address in contacts}
    self.held: Dict[bytes, Held] = {}
    self.quarantine: Dict[bytes, bytes] = {}  # origin: highest incarnation that is not heard
    self._nonce, self._token_key, self._dice = random(16), random(16), _random.Random(random(8))
    self._sent, self._request, self._second, self._answered = 0, 0, now, Counter[Any]()
    self._fetches: Dict[bytes, Fetch] = {}
    self._due: Dict[bytes, Tuple[float, float]] = {}  # origin: when to fetch, and the rest after a failure
    self._walks: Dict[bytes, Walk] = {}
    self._next_compare, self._next_minute = now, now
    self._bits = random(8)
    self.logs: Logs = {}
    self._counters: Dict[bytes, int] = {}  # the highest counters that were seen of own sessions
    self._moves: Dict[Key, List[Any]] = {}  # counter, cursor, when it moved, whether it is to be told
    self._frame_at, self._lost_at = 0.0, dict[bytes, float]()
    self._begin(counter, now)

  # Incarnation, checkpoints and beats.

  def _begin(self, counter: int, now: float) -> None:
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
      self._write(room, [record for _, record in before[room].records.values()], now)
    self._sign(now)

  def _sign(self, now: float, leaving: bool = False) -> None:
    """Signs a checkpoint of all that was written, and sends it to everybody."""
    self.sequence += 1
    self._trees, root = trees(self.logs, self.mesh_id)
    beat = self._beat = self.chain.beat(now)
    changed = sorted(self._changed.items(), key=lambda item: item[0].encode())
    body = Checkpoint(self.incarnation, self.sequence, self.version, root, self.chain.value(beat), self.chain.number,
                      self.chain.schedule, self.chain.offset, beat, self.period, leaving | 4, changed=tuple(changed[:64]))
    while len(changed) > 64 or body.size > Checkpoint.LONGEST:
      changed = changed[:min(64, len(changed) - 1)]
      body = replace(body, flags=body.flags & 1, changed=tuple(changed))
    self.checkpoint, self.word = Signed.sign(body, self.signer, self.mesh_id), body
    self._changed, self._dirty = {}, None
    self._to_all(now, self._own_checkpoint(now))

  def _own_checkpoint(self, now: float) -> Signed:
    return replace(self.checkpoint, age=self.chain.age(self.word.beat, now))

  def _own_beat(self) -> Beats:
    return Beats(((self.origin[:8], self._beat, self.chain.value(self._beat)),))

  def clock_stood_still(self, now: float) -> None:
    """Begins a schedule (§5): the moments of the old chain are not known any more."""
    if not self.stopped:
      self.chain = self.chain.next(self.origin, self.incarnation, self.random(16), now, True)
      self._sign(now)

  # Publishing.

  def open(self, session: Session, rooms: Iterable[str], now: float) -> bytes:
    """Opens a session in the lobby and these rooms."""
    key = self.random(16)
    for room in sorted(set(rooms) | {""}, reverse=True):
      self.say(key, room, now)
    self._write("", [Record(SESSION, key, self._count(key), session)], now)
    return key

  def say(self, session: bytes, room: str, now: float, status: Optional[int] = None, **words: Any) -> None:
    """Writes what a session says in a room: status, message, typing, data. It enters, if it is not there yet."""
    counter, before = self._count(session), self._said(session, room)
    said = replace(before or Presence(counter), **words)
    if status is not None:
      said = replace(said, status=status, status_counter=self._status_counter(session) if status else 0,
                     changed_at=self.wall() if status else 0)
    self._write(room, [Record(PRESENCE, session, counter, said)], now)

  def point(self, session: bytes, room: str, now: float, x: float, y: float, anchor: Optional[str] = None) -> None:
    if self._said(session, room) is not None:
      column, row = (int(65535 * min(max(v, 0.0), 1.0) + 0.5) for v in (x, y))
      self._moves[session, room] = [0, Cursor(column, row, True, anchor), now, True]

  def close(self, session: bytes, now: float, only: Optional[str] = None) -> None:
    """Writes tombstones for all of a session, or for what it says in one room."""
    counter = self._count(session)
    for room in sorted(self.logs, reverse=True):
      gone = [replace(record, counter=counter, value=None) for _, record in self.logs[room].records.values()
              if record.session == session and (only is None or only == room
                                                or record.kind == OCCUPANCY and record.room == only)]
      self._write(room, gone, now)
    self._moves = {key: move for key, move in self._moves.items() if key[0] != session or only not in (None, key[1])}
    if only is None:
      self._counters.pop(session, None)

  def leave(self, now: float) -> None:
    """Ends all sessions and says farewell; the farewell is to be sent once more, by `farewell`."""
    if not self.stopped:
      for session in self.sessions():
        self.close(session, now)
      self._sign(now, leaving=True)
      self.stopped = "left"

  def farewell(self, now: float) -> None:
    self._to_all(now, self._own_checkpoint(now))

  def sessions(self) -> List[bytes]:
    return [r.session for _, r in self.logs.get("", Log()).records.values() if r.kind == SESSION]

  def _said(self, session: bytes, room: str) -> Optional[Presence]:
    found = self.logs.get(room, Log()).records.get(bytes([PRESENCE]) + session)
    return found[1].value if found and isinstance(found[1].value, Presence) else None

  def _count(self, session: bytes) -> int:
    """The highest counter that was seen of a session, plus one."""
    self._counters[session] = self._counters.get(session, 0) + 1
    return self._counters[session]

  def _status_counter(self, session: bytes) -> int:
    """The highest status counter of the session's user, plus one."""
    sources = self._sources(0)
    user_of = {r.session: r.value.user for s in sources for _, r in s.logs.get("", Log()).records.values()
               if isinstance(r.value, Session)}
    return 1 + max((r.value.status_counter for s in sources for log in s.logs.values()
                    for _, r in log.records.values() if isinstance(r.value, Presence)
                    and (r.session == session or user_of.get(r.session) == user_of.get(session, ""))), default=0)

  def _write(self, room: str, records: List[Record], now: float) -> None:
    """Writes records in one room log, as one or more batches, to everybody."""
    while records and not self.stopped:
      log, count = self.logs.setdefault(room, Log()), 65
      batch: Optional[Batch] = None
      while batch is None or batch.size > Batch.LONGEST:
        count -= 1
        batch = Batch(self.incarnation, room, log.version, self.version + 1, tuple(records[:count]))
      log.apply(batch)
      self.version, records = batch.last, records[count:]
      self._changed[room] = log.version
      self._dirty = (self._dirty[0] if self._dirty else now), now
      self.changed = True
      self._recent = [*self._recent[1 - RECENT:], Signed.sign(batch, self.signer, self.mesh_id)]
      self._to_all(now, self._recent[-1])

  # Sending.

  def _to(self, address: bytes, messages: Iterable[Message], echo: Optional[bytes] = None) -> None:
    """Sends messages to an address, in as few datagrams as they fit into in turn."""
    echo = self.paths[address].token if echo is None else echo
    body = b""
    for data in (*(message.encode() for message in messages), None):
      if body and (data is None or len(body) + len(data) > MESSAGES):
        self._sent += 1
        opened = Header(self.origin, self.incarnation, self._sent, echo).encode() + body
        self.outbox.append((address, self.seal.seal(opened, self._nonce + self._sent.to_bytes(8, "big"))))
        self.counts["datagramsSent"] += 1
        body = b""
      body += data or b""

  def routes(self) -> Dict[bytes, Path]:
    """The path of each origin: that which was heard last."""
    found: Dict[bytes, Path] = {}
    for path in self.paths.values():
      if path.origin not in found or path.heard > found[path.origin].heard:
        found[path.origin] = path
    return found

  def _to_all(self, now: float, *messages: Message) -> None:
    for path in self.routes().values():
      self._to(path.address, messages)

  def _token(self, address: bytes, now: float, spans_before: int = 0) -> bytes:
    """The token of an address in this span of 60 s, or in one before."""
    span = (int(now // 60) - spans_before).to_bytes(8, "big", signed=True)
    token = hashlib.blake2b(span + address, digest_size=8, key=self._token_key).digest()
    return token if token != NO_TOKEN else bytes(7) + b"\1"

  # Receiving.

  def receive(self, data: bytes, address: bytes, now: float) -> None:
    """Takes in one datagram."""
    self.counts["datagramsReceived"] += 1
    if self.stopped:
      return
    try:
      reader = Reader(self.seal.open(data))
      header, body = Header.read(reader), reader.rest()
    except Refused as refused:
      self.counts[str(refused)] += 1
      return
    except Malformed:
      self.counts["datagramsMalformed"] += 1
      return
    path = self.paths.get(address)
    path = path if path and path.life == (header.sender, header.incarnation) else None
    if header.sender == self.origin and header.incarnation[4:] == self._bits:
      self.counts["datagramsOwn"] += 1
    elif path and path.is_replayed(header.counter):
      self.counts["datagramsReplayed"] += 1
    else:
      self._on_datagram(header, body, data[-16:], address, path, now)

  def _on_datagram(self, header: Header, body: bytes, mark: bytes, address: bytes, path: Optional[Path],
                   now: float) -> None:
    """Handles a datagram that opened; *path* is the one of its life at its address."""
    tokens = self._token(address, now), self._token(address, now, 1)
    token = path.given if path else tokens[0]
    messages, first, malformed = read_messages(body), None, False
    try:
      first = next(messages, None)
    except Malformed:
      malformed = True
    if header.echo in (token, *tokens) and body[:1] == b"\2":
      path = None if malformed else self._on_proof(first, header, address, now)
      if path is None:
        self.counts["proofsRefused"] += 1
        return
    elif header.echo not in (token, *tokens) or path is None:
      self.counts["datagramsUnproven"] += 1
      if not malformed and self._may_answer(mark, (address, first.token if isinstance(first, Challenge) else None)):
        self._on_unproven(first, header, address, token)
      return
    path.accept(header.counter, now)
    self.counts["datagramsAccepted"] += 1
    try:
      if malformed:
        raise Malformed
      for message in itertools.chain([first] if first else [], messages):
        self._on_message(message, path, now)
    except Malformed:
      self.counts["messagesMalformed"] += 1

  def _may_answer(self, *keys: Any) -> bool:
    if self._answered["all"] >= ANSWERS or any(self._answered[key] >= 2 for key in keys):
      self.counts["challengesWithheld"] += 1
      return False
    self._answered.update(("all", *keys))
    return True

  def _proof(self, echo: bytes, token: bytes, wants: bool) -> Signed:
    return Signed.sign(PathProof(self.incarnation, echo, token, wants), self.signer, self.mesh_id)

  def _on_unproven(self, first: Optional[Message], header: Header, address: bytes, token: bytes) -> None:
    path = self.paths.get(address)
    if not isinstance(first, Challenge):
      self._to(address, [Challenge(token)], NO_TOKEN)
    elif first.token != NO_TOKEN:
      self._to(address, [self._proof(first.token, token, not (path and path.token == first.token))], first.token)
    elif not (path and path.origin == header.sender):
      self._to(address, [Challenge(token)], NO_TOKEN)

  def _on_proof(self, proof: Optional[Message], header: Header, address: bytes, now: float) -> Optional[Path]:
    """The path that a path proof makes or renews; nothing if it is wrong."""
    if not isinstance(proof, Signed) or not isinstance(proof.body, PathProof):
      return None
    body, life = proof.body, (header.sender, header.incarnation)
    if (proof.origin, body.incarnation, body.echo) != (*life, header.echo) or not proof.verified(self.mesh_id):
      return None
    if proof.origin == self.origin:
      self.stopped = "another process speaks with this key"
      return None
    path = self.paths.get(address)
    if path and path.origin == header.sender and path.incarnation > header.incarnation and (
        now - path.heard < 1.5 * self.period / 1000):
      return None
    is_new = path is None or path.life != life
    if path is None or is_new:
      theirs = [other for other in self.paths.values() if other.origin == header.sender]
      if path is None and (len(self.paths) >= PATHS or len(theirs) >= PATHS_OF_ONE):
        longest = min(theirs if len(theirs) >= PATHS_OF_ONE else self.paths.values(), key=lambda p: p.heard)
        del self.paths[longest.address]
      path = self.paths[address] = Path(address, *life, body.token, header.echo, now, now)
    path.token, path.given, path.heard = body.token, header.echo, now
    if body.wants_proof and self._may_answer((address, body.token, "proof")):
      self._to(address, [self._proof(body.token, header.echo, False)])
    if is_new:
      self._to(address, [self._own_checkpoint(now), self._compare(path, now)])
    return path

  def _on_message(self, message: Message, path: Path, now: float) -> None:
    if isinstance(message, Passed):
      self.counts["messagesMalformed" if message.reason else "messagesUnknown"] += 1
    elif isinstance(message, Signed):
      if isinstance(message.body, Checkpoint):
        self._on_checkpoint(message, message.body, path, now)
      elif isinstance(message.body, Batch):
        self._on_batch(message, message.body, path, now)
      elif isinstance(message.body, CursorFrame):
        self._on_cursors(message, message.body)
    elif isinstance(message, Beats):
      self._on_beats(message, path, now)
    elif isinstance(message, Compare):
      if message.place is not None and message.place.origin == self.origin:
        self._answer(message, message.place, path, now)
    elif isinstance(message, Nodes):
      self._on_nodes(message, path, now)
    elif isinstance(message, Probe):
      self._on_probe(message, path, now)
    elif isinstance(message, Repair):
      self._on_repair(message, path)
    elif isinstance(message, Contradiction):
      self._on_contradiction(message)
    elif isinstance(message, PeerExchange):
      routes = self.routes()
      for origin, address in message.peers:
        if origin != self.origin and origin not in routes and len(routes) < PEERS_WANTED:
          if address not in self.paths and len(self.contacts) < CONTACTS:
            self.contacts.setdefault(address, Contact(6, now))

  def _verified(self, message: Signed) -> bool:
    right = message.verified(self.mesh_id)
    if not right:
      self.counts["signaturesWrong"] += 1
    return right

  def _is_heard(self, origin: bytes, incarnation: bytes) -> bool:
    return incarnation > self.quarantine.get(origin, b"")

  def _own_word(self, message: Signed, incarnation: bytes, now: float) -> None:
    """An own word of an incarnation above the present one: this peer's disk was lost or put back."""
    if incarnation > self.incarnation and self._verified(message):
      counter = int.from_bytes(incarnation[:4], "big") + 1
      if counter < 1 << 32:
        self._begin(counter, now)
      else:
        self.stopped = "the counter of the incarnation is used up"

  def _on_checkpoint(self, message: Signed, word: Checkpoint, path: Path, now: float) -> None:
    if message.origin == self.origin:
      return self._own_word(message, word.incarnation, now)
    if not self._is_heard(message.origin, word.incarnation):
      return None
    held = self.held.get(message.origin)
    if held is None and len(self.held) >= ORIGINS:
      self.counts["originsRefused"] += 1
      return None
    direct = path.origin == message.origin and path.incarnation == word.incarnation
    if held is not None and held.word is not None and word.place <= held.word.place:
      if held.checkpoint is not None and replace(message, age=0) == held.checkpoint:
        held.age.checkpoint(word.heartbeats(), message.age, now, False, direct)
      return None
    if not self._verified(message):
      return None
    held = held or self.held.setdefault(message.origin, Held(message.origin))
    if held.word is None or word.incarnation > held.word.incarnation:
      held.reset()
      held.since = now
    held.checkpoint, held.word = replace(message, age=0), word
    held.age.checkpoint(word.heartbeats(), message.age, now, True, direct)
    self.changed = True
    if not held.is_whole(self.mesh_id) and held.reached <= word.version:
      self._want(held, now, path.origin)
    return None

  def _on_batch(self, message: Signed, batch: Batch, path: Path, now: float) -> None:
    if message.origin == self.origin:
      return self._own_word(message, batch.incarnation, now)
    held = self.held.get(message.origin)
    if held is None or held.word is None or held.word.incarnation != batch.incarnation or held.word.leaving:
      return None
    if batch.last <= held.reached or not self._verified(message):
      return None
    if not held.hear(batch):
      self._want(held, now, path.origin)
    self._witness(batch.records)
    self.changed = True
    held.is_whole(self.mesh_id)
    return None

  def _witness(self, records: Iterable[Record]) -> None:
    for record in records:
      if record.session in self._counters:
        self._counters[record.session] = max(self._counters[record.session], record.counter)

  def _on_cursors(self, message: Signed, frame: CursorFrame) -> None:
    held = self.held.get(message.origin)
    if held is None or held.word is None or held.word.incarnation != frame.incarnation or held.word.leaving:
      return
    if self._verified(message):
      for session, counter, cursor in frame.updates:
        self.changed |= held.move(frame.room, session, counter, cursor)
        if session in self._counters:
          self._counters[session] = max(self._counters[session], counter)

  def _on_beats(self, message: Beats, path: Path, now: float) -> None:
    for prefix, index, value in message.beats:
      held = next((h for o, h in self.held.items() if o[:8] == prefix and h.word is not None), None)
      if held is not None and held.word is not None and not held.word.leaving:
        direct = path.origin == held.origin and path.incarnation == held.word.incarnation
        if held.age.beat(index, value, now, direct) is False:
          self.counts["beatsWrong"] += 1

  def _on_probe(self, message: Probe, path: Path, now: float) -> None:
    for origin, incarnation, sequence, beat in message.asks:
      if origin == self.origin:
        answer: List[Message] = []
        if self.word.place > (incarnation, sequence):
          answer.append(self._own_checkpoint(now))
        if self._beat > beat or incarnation != self.incarnation:
          answer.append(self._own_beat())
        self._to(path.address, answer)

  def _on_repair(self, message: Repair, path: Path) -> None:
    if (message.origin, message.incarnation) == (self.origin, self.incarnation):
      self._to(path.address, [signed for signed in self._recent if isinstance(signed.body, Batch)
                              and message.room in (None, signed.body.room)
                              and message.after < signed.body.last and signed.body.first <= message.through])

  def _on_contradiction(self, message: Contradiction) -> None:
    if message.origin != self.origin and self._is_heard(message.origin, message.incarnation):
      if not message.verified(self.mesh_id):
        self.counts["signaturesWrong"] += 1
      elif len(self.quarantine) < QUARANTINE or message.origin in self.quarantine:
        self.quarantine[message.origin] = message.incarnation
        held = self.held.get(message.origin)
        if held is not None and held.word is not None and held.word.incarnation <= message.incarnation:
          self._forget(message.origin)

  def _forget(self, origin: bytes) -> None:
    for table in (self.held, self._fetches, self._due):
      table.pop(origin, None)
    self.changed = True

  # Comparing: answers about itself.

  def _answer(self, ask: Compare, place: Place, path: Path, now: float) -> None:
    own = Place(self.origin, *self.word.place)
    pages = answer(ask, own, self._trees, ANSWER_BYTES - self._answered["bytes"])
    self._answered["bytes"] += sum(len(node) for page in pages for _, _, node in page.nodes)
    first = place != own or any(node[:2] == (None, "") for node in ask.nodes)
    self._to(path.address, [*([self._own_checkpoint(now)] if first else []), *pages])

  # Comparing: what others have.

  def _replica(self) -> Dict[str, bytes]:
    words = {o: h.complete for o, h in self.held.items() if h.complete is not None}
    words[self.origin] = self.word
    return tree.build({origin: word.incarnation + word.sequence.to_bytes(8, "big") + word.version.to_bytes(8, "big")
                       + word.root for origin, word in words.items()}, self.mesh_id)

  def _ask(self, place: Optional[Place], nodes: Iterable[Tuple[Optional[str], str, bytes]]) -> Compare:
    """A comparison of as many of these nodes as fit."""
    self._request = (self._request + 1) & 0xFFFF
    ask = Compare(place, self._request, BUDGET, ())
    for node in nodes:
      longer = replace(ask, nodes=(*ask.nodes, node))
      if len(longer.nodes) > 64 or len(longer.encode()) > MESSAGES:
        break
      ask = longer
    return ask

  def _compare(self, path: Path, now: float) -> Compare:
    own = self._replica()
    ask = self._ask(None, [(None, "", tree.top(own))])
    self._walks[path.address] = Walk(ask.request, own, {"": tree.top(own)}, now)
    return ask

  def _on_nodes(self, message: Nodes, path: Path, now: float) -> None:
    try:
      if message.place is None:
        self._on_replica(message, path, now)
      else:
        self._on_trees(message, message.place, path, now)
    except (tree.BadNode, Malformed):
      self.counts["nodesWrong"] += 1
      if message.place is None:
        self._walks.pop(path.address, None)
      else:
        self._next_source(message.place.origin, now)

  def _on_replica(self, message: Nodes, path: Path, now: float) -> None:
    walk = self._walks.get(path.address)
    if walk is None or walk.request != message.request:
      return
    if message.page & 0x7FFF == 0:
      path.round_trip = (path.round_trip + now - walk.asked) / 2
    place, news = placement(self.mesh_id, self.origin), False
    for _, at, node in message.nodes:
      if walk.todo.pop(at, None) is None or walk.seen >= WALK_NODES:
        continue
      walk.seen, news = walk.seen + 1, True
      children = tree.children_of(node) if node else {}
      lacking = place.startswith(at)
      for digit, theirs in (children or {}).items():
        mine = hash128(walk.own[at + digit]) if at + digit in walk.own else tree.NOTHING
        lacking = lacking and place[len(at)] != digit
        if mine != theirs:
          walk.todo[at + digit] = mine
      for origin, value in (tree.entries_of(node) if children is None else {}).items():
        if len(origin) != 32 or len(value) != 60:
          raise tree.BadNode("the entry of an origin")
        theirs_place = value[:12], int.from_bytes(value[12:20], "big")
        if origin == self.origin:
          lacking = theirs_place < self.word.place
          if theirs_place[0] > self.incarnation:  # a hint that the disk was lost; the signed word is to come
            self._to(path.address, [Probe(((self.origin, self.incarnation, self.sequence, self._beat),))])
        else:
          self._told(origin, theirs_place, path, now)
      if lacking:
        self._to(path.address, [self._own_checkpoint(now)])
    if message.last:
      if walk.todo and (news or walk.seen == 0) and walk.seen < WALK_NODES and message.nodes:
        ask = self._ask(None, [(None, at, mine) for at, mine in walk.todo.items()])
        walk.request, walk.asked = ask.request, now
        self._to(path.address, [ask])
      else:
        del self._walks[path.address]

  def _told(self, origin: bytes, place: Tuple[bytes, int], path: Path, now: float) -> None:
    held = self.held.get(origin)
    known = held.word.place if held is not None and held.word is not None else (b"", 0)
    if place <= known or not self._is_heard(origin, place[0]) or (held is None and len(self.held) >= ORIGINS):
      return
    if held is None:
      held = self.held[origin] = Held(origin)
      held.since = now
    if place > held.told:
      held.told, held.told_by = place, path.origin
    self._want(held, now, path.origin)

  # Fetching.

  def _want(self, held: Held, now: float, told_by: bytes) -> None:
    """Fetches soon: what is missing may only have been overtaken."""
    held.told_by = told_by
    if held.origin not in self._fetches:
      self._due.setdefault(held.origin, (now + 0.02, 1.0))

  def _begin_fetches(self, now: float) -> None:
    for origin, (at, _) in list(self._due.items()):
      held = self.held[origin]
      if held.word is not None and held.told <= held.word.place and held.is_whole(self.mesh_id):
        del self._due[origin]
        self._fetches.pop(origin, None)
        continue
      if now < at or origin in self._fetches or len(self._fetches) >= FETCHES:
        continue
      routes = self.routes()
      others = self._dice.sample(sorted(routes), min(6, len(routes)))
      sources = [o for o in dict.fromkeys((origin, held.told_by, *others)) if o in routes][:6]
      self._fetches[origin] = Fetch(sources)
      if held.word is not None:
        self._follow(self._fetches[origin], held, held.word)
      self._next_source(origin, now)

  def _follow(self, fetch: Fetch, held: Held, word: Checkpoint) -> None:
    """Goes on with this checkpoint; nodes whose hashes still occur are kept."""
    if fetch.gather is None:
      fetch.gather = tree.Gather(tree.NO_ROOT, {})
    nodes, root = trees(held.logs, self.mesh_id)
    kept = {**fetch.gather.kept, **{hash128(node): node for node in nodes.values()}}
    if (None, "") in nodes:
      kept[root] = nodes[None, ""]
    fetch.checkpoint, fetch.gather = word, tree.Gather(word.root, kept)

  def _next_source(self, origin: bytes, now: float) -> None:
    fetch, held = self._fetches[origin], self.held[origin]
    routes = self.routes()
    fetch.sources = [source for source in fetch.sources if source in routes]
    fetch.silences = 0
    if fetch.sources:
      fetch.source = fetch.sources.pop(0)
      self._fetch(origin, now)
      return
    del self._fetches[origin]
    rest = self._due[origin][1]
    held.told = held.word.place if held.word is not None else (b"", 0)
    if held.word is None:
      self._forget(origin)
    else:
      self._due[origin] = now + rest, min(32.0, rest * 2)

  def _fetch(self, origin: bytes, now: float) -> None:
    """Asks for what is missing; or takes it, when nothing is."""
    fetch, held = self._fetches[origin], self.held[origin]
    path = self.routes().get(fetch.source)
    told = max(held.told, fetch.checkpoint.place if fetch.checkpoint else (b"", 0))
    if fetch.gather is not None and fetch.checkpoint is not None and not fetch.gather.wanted and (
        held.told <= fetch.checkpoint.place):
      self._take(origin, fetch.gather, fetch.checkpoint, now)
    elif path is None:
      self._next_source(origin, now)
    else:
      wanted = fetch.gather.wanted if fetch.gather is not None and fetch.gather.wanted else {(None, ""): b""}
      nodes, _ = trees(held.logs, self.mesh_id) if (None, "") in wanted else ({}, b"")
      own = hash128(nodes[None, ""]) if (None, "") in nodes else tree.NOTHING
      asks = [(room, at, own if room is None and at == "" else tree.NOTHING) for room, at in wanted]
      ask = self._ask(Place(origin, *told), asks)
      fetch.request, fetch.asked, fetch.last, fetch.news, fetch.heard = ask.request, now, now, False, False
      self._to(path.address, [ask])

  def _on_trees(self, message: Nodes, place: Place, path: Path, now: float) -> None:
    fetch, held = self._fetches.get(place.origin), self.held.get(place.origin)
    if fetch is None or held is None or fetch.request != message.request or fetch.source != path.origin:
      return
    if not fetch.heard:
      path.round_trip = (path.round_trip + now - fetch.asked) / 2
    fetch.last, fetch.heard = now, True
    at = fetch.checkpoint.place if fetch.checkpoint else (b"", 0)
    if place.order < max(at, held.told):
      return self._next_source(place.origin, now)
    if place.order > at and held.word is not None and held.word.place >= place.order:
      self._follow(fetch, held, held.word)
      fetch.news = True
    if fetch.gather is not None and fetch.checkpoint is not None and fetch.checkpoint.place == place.order:
      for room, node_path, node in message.nodes:
        if fetch.gather.offer((room, node_path), node):
          fetch.news, fetch.silences, fetch.taken = True, 0, fetch.taken + len(node)
      if fetch.taken > FETCH_BYTES:
        raise tree.BadNode("too much of one origin")
      if not fetch.gather.wanted:
        return self._take(place.origin, fetch.gather, fetch.checkpoint, now)
    if message.last:
      self._silence(place.origin, now) if not fetch.news else self._fetch(place.origin, now)
    return None

  def _silence(self, origin: bytes, now: float) -> None:
    fetch = self._fetches[origin]
    fetch.silences += 1
    self._next_source(origin, now) if fetch.silences >= 2 else self._fetch(origin, now)

  def _take(self, origin: bytes, gather: tree.Gather, checkpoint: Checkpoint, now: float) -> None:
    """All trees of a checkpoint are here: they take the place of what was held."""
    held = self.held[origin]
    logs = logs_of(gather, checkpoint, self.mesh_id)
    del self._fetches[origin], self._due[origin]
    held.told = max(held.told, checkpoint.place)
    held.replace(logs, checkpoint)
    for log in logs.values():
      self._witness(record for _, record in log.records.values())
    self.changed = True
    self.counts["fetches"] += 1
    if not held.is_whole(self.mesh_id) and held.word is not None and held.reached <= held.word.version:
      self._want(held, now, held.told_by)

  # Time.

  def tick(self, now: float) -> None:
    """Does what is due; to be called each 10 ms or so."""
    if self.stopped:
      return
    if now - self._second >= 1:
      self._second, self._answered = now, Counter()
      self._each_second(now)
    for address, contact in list(self.contacts.items()):
      if now >= contact.next and address not in self.paths:
        if contact.tries == 0:
          del self.contacts[address]
          continue
        contact.tries = None if contact.tries is None else contact.tries - 1
        contact.next, contact.delay = now + contact.delay, min(8.0, contact.delay * 2)
        self._to(address, [Challenge(self._token(address, now))], NO_TOKEN)
    self._heartbeat(now)
    if self._dirty and now >= min(self._dirty[1] + 0.04, self._dirty[0] + 0.5):
      self._sign(now)
    self._tell_cursors(now)
    if now >= self._next_compare and self.paths:
      self._next_compare = now + 1 - self._dice.random() / 5
      path = self._dice.choice(list(self.routes().values()))
      silent = path.address in self._walks  # such as another leaf: it may lack the checkpoint
      self._to(path.address, [*([self._own_checkpoint(now)] if silent else []), self._compare(path, now)])
    self._begin_fetches(now)
    for origin, fetch in list(self._fetches.items()):
      path_now = self.routes().get(fetch.source)
      if now - fetch.last > min(2.0, 4 * (path_now.round_trip if path_now else 0) + 0.05):
        try:
          self._fetch(origin, now) if fetch.news else self._silence(origin, now)
        except (Malformed, tree.BadNode):
          self._next_source(origin, now)
    if self.changed and self.sessions():
      self._obey(now)

  def _heartbeat(self, now: float) -> None:
    beat = self.chain.beat(now)
    if beat >= LENGTH - 1:
      self.chain = self.chain.next(self.origin, self.incarnation, self.random(16), now, False)
      self._sign(now)
    elif beat >= self.word.beat + CHECKPOINT_EACH and self.word.chain == self.chain.number:
      self._sign(now)
    if beat > self._beat:
      self._beat = beat
      self._to_all(now, self._own_beat())

  def _tell_cursors(self, now: float) -> None:
    due = [key for key, move in self._moves.items() if move[3]]
    if due and now - self._frame_at >= 0.016:
      self._frame_at = now
      for room in {room for _, room in due}:
        updates = []
        for key in [key for key in due if key[1] == room][:32]:
          self._moves[key][0], self._moves[key][3] = self._count(key[0]), False
          updates.append((key[0], self._moves[key][0], self._moves[key][1]))
        while updates:
          count = next(n for n in range(len(updates), 0, -1) if self._fits(room, updates[:n]))
          frame = CursorFrame(self.incarnation, room, tuple(updates[:count]))
          self._to_all(now, Signed.sign(frame, self.signer, self.mesh_id))
          updates = updates[count:]
    for (session, room), (counter, cursor, moved, untold) in list(self._moves.items()):
      if now - moved >= 1 and not untold:
        del self._moves[session, room]
        self._write(room, [Record(CURSOR, session, counter, cursor)], now)

  def _fits(self, room: str, updates: List[Any]) -> bool:
    return CursorFrame(self.incarnation, room, tuple(updates)).size <= CursorFrame.LONGEST

  def _each_second(self, now: float) -> None:
    for address, path in list(self.paths.items()):
      held = self.held.get(path.origin)
      period = held.word.period if held is not None and held.word is not None else 2000
      if now - path.heard > max(10.0, 3 * period / 1000):
        del self.paths[address]
        self._walks.pop(address, None)
        if len(self.contacts) < CONTACTS:
          self.contacts.setdefault(address, Contact(20, now))
        self.contacts[address].next, self.contacts[address].delay = now, 0.5
    routes = self.routes()
    for held in list(self.held.values()):
      age, lasts = held.age.seconds(now), held.age.known.period / 1000 if held.age.known else 1.0
      if held.word is None and held.origin not in self._fetches or (
          age >= max(1800.0, 10 * lasts) and now - held.since >= max(10.0, 5 * lasts)):
        if held.word is not None or now - held.since > 60:
          self._forget(held.origin)
      elif held.word is not None and age >= 1.1 * lasts and not held.word.leaving:
        if now - held.probed >= min(60.0, max(lasts, age / 4, 1.0)):
          held.probed = now
          newest = held.age.known.beat if held.age.known else 0
          others = [o for o in routes if o != held.origin]
          for origin in (held.origin, *self._dice.sample(others, min(3, len(others)))):
            if origin in routes:
              self._to(routes[origin].address, [Probe(((held.origin, *held.word.place, newest),))])

  def _obey(self, now: float) -> None:
    """Heeds removals of own sessions, and leaves those that moved to another host (Protocol.md §11)."""
    found = survey(self._sources(now))
    for session in self.sessions():
      host = found.hosts[session]
      if found.ended(session):
        self.close(session, now)
      elif host[1] != self.origin:
        if now - self._lost_at.setdefault(session, now) >= 0.25:
          self.close(session, now)
          del self._lost_at[session]
      else:
        self._lost_at.pop(session, None)
        for room in [room for key, room in found.removed if key == session and room]:
          said = self._said(session, room)
          if said is not None and found.removed[session, room] >= said.entered:
            self.close(session, now, room)

  # Reading.

  def _sources(self, now: float) -> List[Source]:
    own = {key: (move[0], move[1]) for key, move in self._moves.items()}
    return [Source(self.origin, self.logs, own, "online"),
            *(Source(h.origin, h.logs, h.moves, h.health(now)) for h in self.held.values())]

  def view(self, now: float) -> Dict[Key, Dict[str, Any]]:
    """All sessions that are shown, by session and room."""
    return view(self._sources(now))

  def health(self, now: float) -> Dict[bytes, str]:
    return {origin: held.health(now) for origin, held in self.held.items() if held.word is not None}
