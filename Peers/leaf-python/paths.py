"""Datagrams and paths: what is sent where, and whose words are heard (Protocol.md §1, §10)."""
from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from crypto import Refused, Seal, Signer
from wire import (MESSAGES, Challenge, Header, Malformed, Message, Passed, PathProof, PeerExchange, Reader, Signed,
                  read_messages)

PATHS, PATHS_OF_ONE, CONTACTS, PEERS_WANTED, ANSWERS = 1024, 4, 256, 16, 200
HINT_BYTES = 250  # what hints may make it send in a second, besides 3 times their own bytes
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
  round_trip: float = 0.0875  # so that the first answers are waited for for 400 ms
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
    shifted = self._window << min(ahead, 1024) | 1 if ahead > 0 else self._window | 1 << -ahead
    self._window, self._highest, self.heard = shifted & (1 << 1024) - 1, max(self._highest, counter), now

  def answered(self, seconds: float) -> None:
    self.round_trip = (self.round_trip + seconds) / 2

  @property
  def patience(self) -> float:
    """How long an answer may be silent."""
    return min(2.0, 4 * self.round_trip + 0.05)

@dataclass
class Contact:
  """An address that is tried."""
  tries: Optional[int]  # None: without end
  next: float
  delay: float = 0.5
  hinted: bool = False

class Paths:
  """The lowest layer of the leaf."""
  incarnation: bytes

  def __init__(self, seal: Seal, signer: Signer, now: float, period: int, contacts: Iterable[bytes],
               random_bytes: Callable[[int], bytes]) -> None:
    self.seal, self.signer, self.origin, self.mesh_id = seal, signer, signer.origin, seal.mesh_id
    self.random, self.period, self.dice = random_bytes, period, random.Random(random_bytes(8))
    self.outbox: List[Tuple[bytes, bytes]] = []  # address, datagram
    self.counts: Counter[str] = Counter()
    self.stopped = ""  # why it says nothing more
    self.paths: Dict[bytes, Path] = {}
    self.contacts = {address: Contact(None, now) for address in contacts}
    self._nonce, self._token_key, self._bits = random_bytes(16), random_bytes(16), random_bytes(8)
    self._sent, self._second, self._answers = 0, now, Counter[Any]()
    self._hint_bytes = 0

  # What the layers above do.

  def greeting(self, path: Path, now: float) -> List[Message]:
    raise NotImplementedError

  def on_message(self, message: Message, path: Path, now: float) -> None:
    """Handles a message on a path."""
    if isinstance(message, Passed):
      self.counts["messagesMalformed" if message.reason else "messagesUnknown"] += 1
    elif isinstance(message, PeerExchange):
      routes = self.routes()
      for origin, address in message.peers:
        if origin != self.origin and origin not in routes and len(routes) < PEERS_WANTED:
          if address not in self.paths and len(self.contacts) < CONTACTS:
            self.contacts.setdefault(address, Contact(6, now, hinted=True))
            self._hint_bytes += 3 * 50

  def period_of(self, origin: bytes) -> int:
    raise NotImplementedError

  # Sending.

  def send(self, address: bytes, messages: Iterable[Message], echo: Optional[bytes] = None) -> None:
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
    return {path.origin: path for path in sorted(self.paths.values(), key=lambda path: path.heard)}

  def send_to_all(self, *messages: Message) -> None:
    for path in self.routes().values():
      self.send(path.address, messages)

  def token(self, address: bytes, now: float, spans_before: int = 0) -> bytes:
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
    except (Refused, Malformed) as error:
      self.counts[str(error) if isinstance(error, Refused) else "datagramsMalformed"] += 1
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
    tokens = self.token(address, now), self.token(address, now, 1)
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
        self.on_message(message, path, now)
    except Malformed:
      self.counts["messagesMalformed"] += 1

  def _may_answer(self, *keys: Any) -> bool:
    if self._answers["all"] >= ANSWERS or any(self._answers[key] >= 2 for key in keys):
      self.counts["challengesWithheld"] += 1
      return False
    self._answers.update(("all", *keys))
    return True

  def _proof(self, echo: bytes, token: bytes, wants: bool) -> Signed:
    return Signed.sign(PathProof(self.incarnation, echo, token, wants), self.signer, self.mesh_id)

  def _on_unproven(self, first: Optional[Message], header: Header, address: bytes, token: bytes) -> None:
    path = self.paths.get(address)
    if isinstance(first, Challenge) and first.token != NO_TOKEN:
      self.send(address, [self._proof(first.token, token, not (path and path.token == first.token))], first.token)
    elif not isinstance(first, Challenge) or not (path and path.origin == header.sender):
      self.send(address, [Challenge(token)], NO_TOKEN)

  def _on_proof(self, proof: Optional[Message], header: Header, address: bytes, now: float) -> Optional[Path]:
    """The path that a path proof makes or renews; nothing if it is wrong."""
    if not isinstance(proof, Signed) or not isinstance(proof.body, PathProof):
      return None
    body, life, path = proof.body, (header.sender, header.incarnation), self.paths.get(address)
    if (proof.origin, body.incarnation, body.echo) != (*life, header.echo) or not proof.verified(self.mesh_id):
      return None
    if proof.origin == self.origin:
      self.stopped = "another process speaks with this key"
      return None
    if path and path.origin == header.sender and path.incarnation > header.incarnation and (
        now - path.heard < 1.5 * self.period / 1000):
      return None
    is_new = path is None or path.life != life
    if path is None or is_new:
      theirs = [other for other in self.paths.values() if other.origin == header.sender]
      full = theirs if len(theirs) >= PATHS_OF_ONE else self.paths.values() if len(self.paths) >= PATHS else []
      if path is None and full:
        del self.paths[min(full, key=lambda other: other.heard).address]
      path = self.paths[address] = Path(address, *life, body.token, header.echo, now)
    path.token, path.given, path.heard = body.token, header.echo, now
    if body.wants_proof and self._may_answer((address, body.token, "proof")):
      self.send(address, [self._proof(body.token, header.echo, False)])
    if is_new:
      self.send(address, self.greeting(path, now))
    return path

  # Time.

  def keep_paths(self, now: float) -> bool:
    """Tries addresses, and drops silent paths; true once a second."""
    for address, contact in list(self.contacts.items()):
      if now >= contact.next and address not in self.paths:
        if contact.tries == 0:
          del self.contacts[address]
          continue
        if contact.hinted and self._hint_bytes < 124:
          continue
        self._hint_bytes -= 124 * contact.hinted
        contact.tries = None if contact.tries is None else contact.tries - 1
        contact.next, contact.delay = now + contact.delay * (1 - self.dice.random() / 5), min(8.0, contact.delay * 2)
        self.send(address, [Challenge(self.token(address, now))], NO_TOKEN)
    if now - self._second < 1:
      return False
    self._second, self._answers, self._hint_bytes = now, Counter(), min(self._hint_bytes + HINT_BYTES, 2400)
    for address, path in list(self.paths.items()):
      if now - path.heard > max(10.0, 3 * self.period_of(path.origin) / 1000):
        del self.paths[address]
        contact = self.contacts.get(address, Contact(20, now))
        contact.next, contact.delay = now, 0.5
        if len(self.contacts) < CONTACTS:
          self.contacts[address] = contact
    return True
