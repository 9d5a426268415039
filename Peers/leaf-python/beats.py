"""Heartbeat chains, and the ages that follow from them (§5)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional

from crypto import hash256

if TYPE_CHECKING:
  from wire import Checkpoint

LENGTH, LONGEST_STEP, CHECKPOINT_EACH, LIVES = 4096, 512, 448, 2.5

def step(origin: bytes, incarnation: bytes, value: bytes) -> bytes:
  return hash256(b"PresenceMesh/2 beat" + origin + incarnation + value)[:16]

class Chain:
  """The chain of this peer: the seconds of its monotonic clock at which it began, and its values."""

  def __init__(self, origin: bytes, incarnation: bytes, seed: bytes, start: float, period: int,
               number: int = 1, schedule: int = 1, offset: int = 0) -> None:
    self.start, self.period = start, period
    self.number, self.schedule, self.offset = number, schedule, offset
    self._values: List[bytes] = [seed]
    for _ in range(LENGTH):
      self._values.append(step(origin, incarnation, self._values[-1]))

  def value(self, beat: int) -> bytes:
    return self._values[LENGTH - beat]

  def beat(self, now: float) -> int:
    """The beat whose moment has come last."""
    return max(0, min(LENGTH - 1, int((now - self.start) * 1000 / self.period)))

  def age(self, beat: int, now: float) -> int:
    """Milliseconds since the moment of a beat."""
    return max(0, int((now - self.start) * 1000) - beat * self.period)

  def next(self, origin: bytes, incarnation: bytes, seed: bytes, now: float, stood_still: bool) -> Chain:
    if stood_still:
      return Chain(origin, incarnation, seed, now, self.period, self.number + 1, self.number + 1, 0)
    passed = max(0, int((now - self.start) * 1000))
    return Chain(origin, incarnation, seed, self.start + passed / 1000, self.period,
                 self.number + 1, self.schedule, self.offset + passed)

@dataclass
class Reference:
  """The moment at which a chain would have started; it moves later by 1/1,000 of the time since it was set."""
  moment: float
  since: float

  def at(self, now: float) -> float:
    return self.moment + (now - self.since) / 1000

def earlier(known: Optional[Reference], moment: float, now: float) -> Reference:
  return Reference(moment, now) if known is None or moment < known.at(now) else known

class Age:
  """What is known of one origin's signs of life."""

  def __init__(self, origin: bytes) -> None:
    self.origin = origin
    self.known: Optional[Checkpoint] = None  # the first one of the newest chain
    self.newest, self.value = 0, b""  # beat of that chain
    self.heard: Optional[Reference] = None
    self.told: Optional[Reference] = None
    self.first_contact = 0.0
    self._told_ended = False

  def checkpoint(self, word: Checkpoint, age: int, now: float, news: bool, direct: bool) -> None:
    """A verified checkpoint came; *direct*: from the origin itself on its own path."""
    known = self.known
    if known is not None and (word.incarnation, word.chain) < (known.incarnation, known.chain):
      return
    if known is None or word.incarnation != known.incarnation or (
        word.chain > known.chain and word.schedule != known.schedule):
      self.heard, self.told = None, None
      self.first_contact, self._told_ended = now, direct
    elif word.chain > known.chain:
      for reference in (self.heard, self.told):
        if reference is not None:
          reference.moment += (word.offset - known.offset) / 1000
    if known is None or (word.incarnation, word.chain) > (known.incarnation, known.chain):
      self.known = known = word
      self.newest = -1
    if word.beat > self.newest:
      self.newest, self.value = word.beat, word.value
    start = now - word.beat * known.period / 1000
    if news:
      self.heard = earlier(self.heard, start, now)
      self._sign_of_life(now, direct)
    if direct:
      self._end_told()
    elif not self._told_ended:
      self.told = earlier(self.told, start - age / 1000, now)

  def beat(self, index: int, value: bytes, now: float, direct: bool) -> Optional[bool]:
    """True: it fits; false: it is wrong; nothing: it is known, or cannot be verified."""
    known = self.known
    if known is None or not self.newest < index <= self.newest + LONGEST_STEP:
      return None
    reached = value
    for _ in range(index - self.newest):
      reached = step(self.origin, known.incarnation, reached)
    if reached != self.value:
      return False
    self.newest, self.value = index, value
    self.heard = earlier(self.heard, now - index * known.period / 1000, now)
    self._sign_of_life(now, direct)
    return True

  def _sign_of_life(self, now: float, direct: bool) -> None:
    if direct or (self.known is not None and now - self.first_contact >= LIVES * self.known.period / 1000):
      self._end_told()

  def _end_told(self) -> None:
    self.told, self._told_ended = None, True

  def seconds(self, now: float) -> float:
    """The age; endless while no checkpoint came."""
    references = [r.at(now) for r in (self.heard, self.told) if r is not None]
    if self.known is None or not references:
      return float("inf")
    return max(0.0, now - min(references) - self.newest * self.known.period / 1000)

  def health(self, now: float) -> str:
    if self.known is None:
      return "offline"
    lives, age = LIVES * self.known.period / 1000, self.seconds(now)
    return "online" if age < lives / 2 else "suspect" if age < lives else "offline"
