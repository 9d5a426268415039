"""The leaf without input or output: datagrams and moments in, datagrams out (Protocol.md §7–§9, §11, §13)."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import tree
from crypto import Seal, Signer, hash128, placement
from paths import Path
from publish import Publisher
from state import Held, Key, Source, logs_of, survey, trees, view
from wire import (Batch, Beats, Checkpoint, Compare, Contradiction, CursorFrame, Malformed, Message, Node, Nodes,
                  Place, Probe, Signed)

ORIGINS, QUARANTINE, FETCHES, FETCH_BYTES, WALK_NODES, BUDGET = 4096, 4096, 32, 32 << 20, 4096, 65_536
Order = Tuple[bytes, int]  # incarnation and sequence
NEVER: Order = (b"", 0)

@dataclass
class Fetch:
  """The fetching of one origin's trees from one peer after the other."""
  sources: List[bytes]
  gather: tree.Gather = field(default_factory=lambda: tree.Gather(tree.NO_ROOT, {}))
  checkpoint: Optional[Checkpoint] = None  # whose trees are gathered
  source: bytes = b""
  request: int = -1
  asked: float = 0.0
  last: float = 0.0  # when something of the answer came
  silences: int = 0
  news: bool = False  # the answer brought something
  taken: int = 0

  @property
  def place(self) -> Order:
    return self.checkpoint.place if self.checkpoint else NEVER

@dataclass
class Walk:
  """A comparison down the tree of the replica, with one peer."""
  request: int
  own: Dict[str, bytes]
  todo: Dict[str, bytes]
  asked: float
  seen: int = 0

class Leaf(Publisher):
  """The layer of others' words."""

  def __init__(self, seal: Seal, signer: Signer, counter: int, now: float, *, random: Callable[[int], bytes],
               remember: Callable[[int], None], wall: Callable[[], int], period: int = 2000,
               contacts: Iterable[bytes] = ()) -> None:
    self.held: Dict[bytes, Held] = {}
    self.quarantine: Dict[bytes, bytes] = {}  # origin: highest incarnation that is not heard
    self._begins: Dict[bytes, bytes] = {}  # the first 8 bytes of origins with a checkpoint
    self._fetches: Dict[bytes, Fetch] = {}
    self._due: Dict[bytes, Tuple[float, float]] = {}  # origin: when to fetch, and the rest after a failure
    self._walks: Dict[bytes, Walk] = {}
    self._request, self._next_compare = 0, now
    self._lost_at: Dict[bytes, float] = {}  # sessions that another host has, since when
    super().__init__(seal, signer, now, period, contacts, random, counter=counter, remember=remember, wall=wall,
                     now=now)

  def sources(self, now: float) -> List[Source]:
    others = (Source(h.origin, h.logs, h.moves, h.health(now)) for h in self.held.values())
    return [*super().sources(now), *others]

  def view(self, now: float) -> Dict[Key, Dict[str, Any]]:
    """All sessions that are shown, by session and room."""
    return view(self.sources(now))

  def health(self, now: float) -> Dict[bytes, str]:
    return {origin: held.health(now) for origin, held in self.held.items() if held.word is not None}

  def period_of(self, origin: bytes) -> int:
    held = self.held.get(origin)
    return held.word.period if held is not None and held.word is not None else 2000

  def greeting(self, path: Path, now: float) -> List[Message]:
    return [self.checkpoint(now), self._compare(path, now)]

  def tick(self, now: float) -> None:
    """Does what is due; to be called each 10 ms or so."""
    if self.stopped:
      return
    if self.keep_paths(now):
      self._forget_and_probe(now)
    self.publish(now)
    if now >= self._next_compare and self.paths:
      self._next_compare = now + 1 - self.dice.random() / 5
      path = self.dice.choice(list(self.routes().values()))
      silent = path.address in self._walks  # such as another leaf: it may lack the checkpoint
      self.send(path.address, [*([self.checkpoint(now)] if silent else []), self._compare(path, now)])
    self._keep_fetches(now)
    if (self.changed or self._lost_at) and self.counters:
      self._obey(now)

  # Words of others.

  def on_message(self, message: Message, path: Path, now: float) -> None:
    if isinstance(message, Signed):
      if message.origin == self.origin:
        self._on_own_word(message, now)
      elif isinstance(message.body, Checkpoint):
        self._on_checkpoint(message, message.body, path, now)
      elif isinstance(message.body, (Batch, CursorFrame)):
        self._on_words(message, message.body, path, now)
    elif isinstance(message, Beats):
      for prefix, index, value in message.beats:
        held = self.held.get(self._begins.get(prefix, b""))
        if held is not None and held.word is not None and not held.word.leaving:
          if held.age.beat(index, value, now, path.life == (held.origin, held.word.incarnation)) is False:
            self.counts["beatsWrong"] += 1
    elif isinstance(message, Nodes):
      self._on_nodes(message, path, now)
    elif isinstance(message, Contradiction):
      self._on_contradiction(message)
    else:
      super().on_message(message, path, now)

  def _verified(self, message: Any) -> bool:
    right = bool(message.verified(self.mesh_id))
    self.counts["signaturesWrong"] += not right
    return right

  def _is_heard(self, origin: bytes, incarnation: bytes) -> bool:
    return incarnation > self.quarantine.get(origin, b"")

  def _on_own_word(self, message: Signed, now: float) -> None:
    """One of an incarnation above the present one: this peer's disk was lost or put back."""
    body = message.body
    if isinstance(body, (Batch, Checkpoint)) and body.incarnation > self.incarnation and self._verified(message):
      counter = int.from_bytes(body.incarnation[:4], "big") + 1
      if counter < 1 << 32:
        self.begin(counter, now)
      else:
        self.stopped = "the counter of the incarnation is used up"

  def _on_checkpoint(self, message: Signed, word: Checkpoint, path: Path, now: float) -> None:
    held, direct = self.held.get(message.origin), path.life == (message.origin, word.incarnation)
    if not self._is_heard(message.origin, word.incarnation):
      return
    if held is None and len(self.held) >= ORIGINS:
      self.counts["originsRefused"] += 1
      return
    if held is not None and held.word is not None and word.place <= held.word.place:
      if replace(message, age=0) == held.checkpoint:
        held.age.checkpoint(word, message.age, now, False, direct)
      return
    if not self._verified(message):
      return
    held = self.held.setdefault(message.origin, held or Held(message.origin))
    if held.word is None or word.incarnation > held.word.incarnation:
      held.reset()
      held.since = now
    self._begins.setdefault(held.origin[:8], held.origin)
    held.checkpoint, held.word, self.changed = replace(message, age=0), word, True
    held.age.checkpoint(word, message.age, now, True, direct)
    if held.reached <= word.version and not held.is_whole(self.mesh_id):
      self._want(held, now, path.origin)

  def _on_words(self, message: Signed, body: Any, path: Path, now: float) -> None:
    """A batch or a cursor frame."""
    held = self.held.get(message.origin)
    if held is None or held.word is None or held.word.incarnation != body.incarnation or held.word.leaving:
      return
    if isinstance(body, Batch) and body.last <= held.reached or not self._verified(message):
      return
    if isinstance(body, Batch):
      if not held.hear(body):
        self._want(held, now, path.origin)
      for record in body.records:
        self.witness(record.session, record.counter)
      self.changed = True
      return
    for session, counter, cursor in body.updates:
      self.changed |= held.move(body.room, session, counter, cursor)
      self.witness(session, counter)

  def _on_contradiction(self, message: Contradiction) -> None:
    if message.origin == self.origin or not self._is_heard(message.origin, message.incarnation):
      return
    if len(self.quarantine) < QUARANTINE and self._verified(message):
      self.quarantine[message.origin] = message.incarnation
      held = self.held.get(message.origin)
      if held is not None and held.word is not None and held.word.incarnation <= message.incarnation:
        self._forget(message.origin)

  def _forget(self, origin: bytes) -> None:
    for table in (self.held, self._fetches, self._due):
      table.pop(origin, None)
    if self._begins.get(origin[:8]) == origin:
      del self._begins[origin[:8]]
    self.changed = True

  def _forget_and_probe(self, now: float) -> None:
    routes = self.routes()
    for held in list(self.held.values()):
      age, lasts = held.age.seconds(now), self.period_of(held.origin) / 1000
      if held.word is None:
        if now - held.since > 60 and held.origin not in self._fetches:
          self._forget(held.origin)
      elif age >= max(1800.0, 10 * lasts) and now - held.since >= max(10.0, 5 * lasts):
        self._forget(held.origin)
      elif age >= 1.1 * lasts and not held.word.leaving and (
          now - held.probed >= min(60.0, max(lasts, age / 4, 1.0))):
        held.probed = now
        others = [origin for origin in routes if origin != held.origin]
        for origin in (held.origin, *self.dice.sample(others, min(3, len(others)))):
          if origin in routes:
            self.send(routes[origin].address, [Probe(((held.origin, *held.word.place, held.age.newest),))])

  def _obey(self, now: float) -> None:
    """Heeds removals of own sessions, and ends those that moved to another host 250 ms ago (§11)."""
    found = survey(self.sources(now))
    for session in self.sessions():
      if found.ended(session):
        self.close(session, now)
      elif found.hosts[session][1] != self.origin:
        if now - self._lost_at.setdefault(session, now) >= 0.25:
          self.close(session, now)
      else:
        self._lost_at.pop(session, None)
        for room in [room for key, room in found.removed if key == session and room]:
          said = self.said(session, room)
          if said is not None and found.removed[session, room] >= said.entered:
            self.close(session, now, room)
    self._lost_at = {session: at for session, at in self._lost_at.items() if session in self.sessions()}

  # Comparing.

  def _ask(self, place: Optional[Place], nodes: Iterable[Node]) -> Compare:
    """A comparison of as many of these nodes as fit."""
    self._request = (self._request + 1) & 0xFFFF
    ask = Compare(place, self._request, BUDGET, ())
    for node in nodes:
      longer = replace(ask, nodes=(*ask.nodes, node))
      if len(longer.nodes) > 57 or len(longer.encode()) > 1087:
        break
      ask = longer
    return ask

  def _compare(self, path: Path, now: float) -> Compare:
    """Begins a walk down the tree of the replica."""
    words = {o: h.complete for o, h in self.held.items() if h.complete is not None}
    own = tree.build({origin: word.incarnation + word.sequence.to_bytes(8, "big") + word.version.to_bytes(8, "big")
                      + word.root for origin, word in (*words.items(), (self.origin, self.word))}, self.mesh_id)
    ask = self._ask(None, [(None, "", tree.top(own))])
    self._walks[path.address] = Walk(ask.request, own, {"": tree.top(own)}, now)
    self._walks = {address: walk for address, walk in self._walks.items() if address in self.paths}
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
    walk, own_place = self._walks.get(path.address), placement(self.mesh_id, self.origin)
    if walk is None or walk.request != message.request:
      return
    if message.page & 0x7FFF == 0:
      path.answered(now - walk.asked)
    news = False
    for _, at, node in message.nodes:
      if walk.seen >= WALK_NODES or walk.todo.pop(at, None) is None:
        continue
      walk.seen, news, lacking = walk.seen + 1, True, own_place.startswith(at)
      children = tree.children_of(node) if node else {}
      for digit, theirs in (children or {}).items():
        mine = hash128(walk.own[at + digit]) if at + digit in walk.own else tree.NOTHING
        lacking = lacking and own_place[len(at)] != digit
        if mine != theirs:
          walk.todo[at + digit] = mine
      for origin, value in (tree.entries_of(node) if children is None else {}).items():
        if len(origin) != 32 or len(value) != 60:
          raise tree.BadNode("the entry of an origin")
        told = value[:12], int.from_bytes(value[12:20], "big")
        if origin != self.origin:
          self._told(origin, told, path, now)
          continue
        lacking = told < self.word.place
        if told[0] > self.incarnation:  # a hint that the disk was lost: the signed word is asked for
          self.send(path.address, [Probe(((self.origin, *self.word.place, self.word.beat),))])
      if lacking:
        self.send(path.address, [self.checkpoint(now)])
    if message.last and walk.todo and news and walk.seen < WALK_NODES:
      ask = self._ask(None, [(None, at, mine) for at, mine in walk.todo.items()])
      walk.request, walk.asked = ask.request, now
      self.send(path.address, [ask])
    elif message.last:
      del self._walks[path.address]

  def _told(self, origin: bytes, place: Order, path: Path, now: float) -> None:
    """Somebody tells that there is this checkpoint."""
    held = self.held.get(origin)
    known = held.word.place if held is not None and held.word is not None else NEVER
    if place <= known or not self._is_heard(origin, place[0]) or (held is None and len(self.held) >= ORIGINS):
      return
    if held is None:
      held = self.held[origin] = Held(origin)
      held.since = now
    held.told = max(held.told, place)
    self._want(held, now, path.origin)

  # Fetching.

  def _want(self, held: Held, now: float, told_by: bytes) -> None:
    """Fetches soon: what is missing may only have been overtaken."""
    held.told_by = told_by
    self._due.setdefault(held.origin, (now + 0.02, 1.0))

  def _keep_fetches(self, now: float) -> None:
    routes = self.routes() if self._due else {}
    for origin, (at, _) in list(self._due.items()):
      held, fetch = self.held[origin], self._fetches.get(origin)
      if held.word is not None and held.told <= held.word.place and held.is_whole(self.mesh_id):
        del self._due[origin]
        self._fetches.pop(origin, None)
      elif fetch is not None:
        source = routes.get(fetch.source)
        if source is None or now - fetch.last > source.patience:
          self._fetch(origin, now) if fetch.news else self._silence(origin, now)
      elif now >= at and len(self._fetches) < FETCHES:
        others = self.dice.sample(sorted(routes), min(6, len(routes)))
        fetch = Fetch([o for o in dict.fromkeys((origin, held.told_by, *others)) if o in routes][:6])
        self._fetches[origin] = fetch
        if held.word is not None:
          self._follow(fetch, held, held.word)
        self._next_source(origin, now)

  def _follow(self, fetch: Fetch, held: Held, word: Checkpoint) -> None:
    """Goes on with this checkpoint; nodes whose hashes still occur are kept."""
    nodes, root = trees(held.logs, self.mesh_id)
    kept = {**fetch.gather.kept, **{hash128(node): node for node in nodes.values()}}
    if (None, "") in nodes:
      kept[root] = nodes[None, ""]
    fetch.checkpoint, fetch.gather, fetch.news = word, tree.Gather(word.root, kept), True

  def _next_source(self, origin: bytes, now: float) -> None:
    fetch, held, routes = self._fetches[origin], self.held[origin], self.routes()
    fetch.sources, fetch.silences = [source for source in fetch.sources if source in routes], 0
    if fetch.sources:
      fetch.source = fetch.sources.pop(0)
      self._fetch(origin, now)
    elif held.word is None:
      self._forget(origin)
    else:
      del self._fetches[origin]
      held.told, rest = held.word.place, self._due[origin][1]
      self._due[origin] = now + rest, min(32.0, rest * 2)

  def _fetch(self, origin: bytes, now: float) -> None:
    """Asks for what is missing; for the top, while the checkpoint is."""
    fetch, held, routes = self._fetches[origin], self.held[origin], self.routes()
    if fetch.source not in routes:
      self._next_source(origin, now)
      return
    own = tree.NOTHING  # the hash of the top that is held
    if held.logs and ((None, "") in fetch.gather.wanted or not fetch.gather.wanted):
      own = hash128(trees(held.logs, self.mesh_id)[0][None, ""])
    wanted = fetch.gather.wanted or {(None, ""): b""}
    ask = self._ask(Place(origin, *max(held.told, fetch.place)),
                    [(*at, own if at == (None, "") else tree.NOTHING) for at in wanted])
    fetch.request, fetch.asked, fetch.last, fetch.news = ask.request, now, now, False
    self.send(routes[fetch.source].address, [ask])

  def _on_trees(self, message: Nodes, place: Place, path: Path, now: float) -> None:
    fetch, held = self._fetches.get(place.origin), self.held.get(place.origin)
    if fetch is None or held is None or (fetch.request, fetch.source) != (message.request, path.origin):
      return
    if fetch.last == fetch.asked:
      path.answered(now - fetch.asked)
    fetch.last = now
    if place.order < max(fetch.place, held.told):
      self._next_source(place.origin, now)
      return
    if place.order > fetch.place and held.word is not None and held.word.place >= place.order:
      self._follow(fetch, held, held.word)
    if fetch.place == place.order:
      for room, at, node in message.nodes:
        if fetch.gather.offer((room, at), node):
          fetch.news, fetch.silences, fetch.taken = True, 0, fetch.taken + len(node)
      if fetch.taken > FETCH_BYTES:  # not asked for again, until a newer checkpoint comes
        self.counts["originsTooLarge"] += 1
        del self._fetches[place.origin], self._due[place.origin]
        return
      if fetch.checkpoint is not None and not fetch.gather.wanted:
        self._take(held, fetch.gather, fetch.checkpoint, now)
        return
    if message.last:
      self._fetch(place.origin, now) if fetch.news else self._silence(place.origin, now)

  def _silence(self, origin: bytes, now: float) -> None:
    fetch = self._fetches[origin]
    fetch.silences += 1
    self._next_source(origin, now) if fetch.silences >= 2 else self._fetch(origin, now)

  def _take(self, held: Held, gather: tree.Gather, checkpoint: Checkpoint, now: float) -> None:
    """All trees of a checkpoint are here: they take the place of what was held."""
    held.replace(logs_of(gather, checkpoint, self.mesh_id), checkpoint)
    del self._fetches[held.origin], self._due[held.origin]
    for log in held.logs.values():
      for _, record in log.records.values():
        self.witness(record.session, record.counter)
    self.changed = True
    self.counts["fetches"] += 1
    if held.word is not None and held.reached <= held.word.version and not held.is_whole(self.mesh_id):
      self._want(held, now, held.told_by)
