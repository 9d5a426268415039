"""Leaf peers that talk to each other in one process, over a network of lists and a clock of numbers."""
from __future__ import annotations

import pathlib
import random
import sys
import unittest
from dataclasses import replace
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import beats, crypto, mesh, paths, state, tree, wire  # noqa: E401,E402

MESH, KEY = bytes(range(16)), bytes(range(32))


def address(number: int) -> bytes:
  return bytes(10) + b"\xff\xff\x7f\0\0\1" + number.to_bytes(2, "big")


class Network:
  """Carries datagrams at once, in steps of 10 ms."""

  def __init__(self, seed: int = 1, loss: float = 0) -> None:
    self.now, self.loss, self.dice = 100.0, loss, random.Random(seed)
    self.leaves: Dict[bytes, mesh.Leaf] = {}
    self.disk: Dict[bytes, int] = {}
    self.log: List[Any] = []

  def leaf(self, number: int, contacts: List[int] = [], counter: Optional[int] = None, seed: Optional[int] = None,
           **more: Any) -> mesh.Leaf:
    signer = crypto.Signer(bytes([number if seed is None else seed]) * 32)
    disk = self.disk
    counter = disk.get(signer.origin, 0) + 1 if counter is None else counter
    leaf = mesh.Leaf(crypto.Seal(MESH, {1: KEY}), signer, counter, self.now, random=self.dice.randbytes,
                     remember=lambda n: disk.update({signer.origin: n}), wall=lambda: 1_700_000_000_000,
                     contacts=[address(n) for n in contacts], **more)
    self.leaves[address(number)] = leaf
    return leaf

  def run(self, seconds: float) -> None:
    end = self.now + seconds
    while self.now < end:
      self.now = round(self.now + 0.01, 6)
      for leaf in list(self.leaves.values()):
        leaf.tick(self.now)
      for _ in range(6):
        for source, leaf in list(self.leaves.items()):
          sent, leaf.outbox = leaf.outbox, []
          for target, datagram in sent:
            if target in self.leaves and self.dice.random() >= self.loss:
              self.log.append((source, target, datagram))
              self.leaves[target].receive(datagram, source, self.now)


def users(leaf: mesh.Leaf, now: float, room: str = "") -> List[str]:
  return sorted(row["user"] for (_, where), row in leaf.view(now).items() if where == room)


class Mesh(unittest.TestCase):
  def setUp(self) -> None:
    self.net = Network()
    self.a = self.net.leaf(1, [2])
    self.b = self.net.leaf(2)

  def test_two_leaves_see_each_other(self) -> None:
    s = self.a.open(wire.Session("ada"), ["design"], self.net.now)
    self.b.open(wire.Session("bob"), [], self.net.now)
    self.net.run(0.5)
    for leaf in (self.a, self.b):
      self.assertEqual(users(leaf, self.net.now), ["ada", "bob"])
      self.assertEqual(users(leaf, self.net.now, "design"), ["ada"])
    self.a.say(s, "design", self.net.now, 3, message="drawing")
    self.net.run(0.02)
    row = self.b.view(self.net.now)[s, "design"]
    self.assertEqual((row["status"], row["message"]), ("busy", "drawing"))
    self.net.run(1)
    held = self.b.held[self.a.origin]
    self.assertEqual(held.complete, self.a.word)
    self.assertFalse(any(name.endswith(("Wrong", "Malformed", "Forged")) for name in self.a.counts + self.b.counts))

  def test_cursors_move_and_come_to_rest(self) -> None:
    s = self.a.open(wire.Session("ada"), ["design"], self.net.now)
    self.net.run(0.5)
    version = self.a.version
    for step in range(10):
      self.a.point(s, "design", self.net.now, step / 10, 0.5)
      self.net.run(0.02)
    self.assertEqual(self.b.view(self.net.now)[s, "design"]["cursor"], [0.90001, 0.50001])
    self.assertEqual(self.a.version, version)
    self.net.run(1.2)
    self.assertEqual(self.a.version, version + 1)
    self.assertEqual(self.b.held[self.a.origin].moves, {})
    self.assertEqual(self.b.view(self.net.now)[s, "design"]["cursor"], [0.90001, 0.50001])

  def test_a_farewell_hides_at_once_and_silence_after_its_time_to_live(self) -> None:
    for polite in (True, False):
      net = Network()
      a, b = net.leaf(1, [2]), net.leaf(2)
      a.open(wire.Session("ada"), [], net.now)
      net.run(1)
      if polite:
        a.leave(net.now)
      net.run(0.02)
      del net.leaves[address(1)]
      self.assertEqual(users(b, net.now), [] if polite else ["ada"])
      self.assertEqual(b.health(net.now)[a.origin], "left" if polite else "online")
      net.run(5.2)
      self.assertEqual(users(b, net.now), [])

  def test_lost_batches_are_recovered(self) -> None:
    net = Network(loss=0.3)
    a, b = net.leaf(1, [2]), net.leaf(2)
    sessions = [a.open(wire.Session(f"user-{n}", data=bytes(200)), [f"room-{n % 5}"], net.now) for n in range(40)]
    for n in range(60):
      a.say(sessions[n % 40], f"room-{n % 5}", net.now, 1 + n % 6, message=f"word {n}")
      net.run(0.1)
    net.loss = 0
    net.run(3)
    self.assertEqual(b.held[a.origin].complete, a.word)
    self.assertEqual(len(users(b, net.now)), 40)
    self.assertGreater(len(a._trees), 20)

  def test_a_late_third_leaf_hears_of_both(self) -> None:
    self.a.open(wire.Session("ada"), [], self.net.now)
    self.net.run(1)
    c = self.net.leaf(3, [1, 2])
    self.net.run(1)
    self.assertEqual(users(c, self.net.now), ["ada"])

  def test_a_lost_disk_is_noticed_only_by_signed_words(self) -> None:
    for _ in range(3):
      self.net.leaf(1, [2])
      self.net.run(0.5)
    again = self.net.leaf(1, [2], counter=1)
    self.net.run(3)
    self.assertEqual(int.from_bytes(again.incarnation[:4], "big"), 1)
    old = replace(self.a.word, incarnation=(9).to_bytes(4, "big") + bytes(8))
    signed = wire.Signed.sign(old, self.a.signer, MESH)
    again.on_message(replace(signed, signature=bytes(64)), next(iter(again.paths.values())), self.net.now)
    self.assertEqual(int.from_bytes(again.incarnation[:4], "big"), 1)
    again.open(wire.Session("ada"), ["design"], self.net.now)
    again.on_message(signed, next(iter(again.paths.values())), self.net.now)
    self.assertEqual(int.from_bytes(again.incarnation[:4], "big"), 10)
    self.assertEqual(self.net.disk[again.origin], 10)
    self.net.run(2)
    self.assertEqual(users(self.b, self.net.now, "design"), ["ada"])

  def test_a_clone_stops(self) -> None:
    self.net.run(0.5)
    clone = self.net.leaf(3, [1], seed=1, counter=7)
    self.net.run(1)
    self.assertIn("another process", self.a.stopped or clone.stopped)
    self.net.log.clear()
    self.net.run(1)
    self.assertNotIn(address(3), [source for source, _, _ in self.net.log])

  def test_a_contradiction_hides_until_a_higher_incarnation(self) -> None:
    self.a.open(wire.Session("ada"), [], self.net.now)
    self.net.run(1)
    path = self.b.paths[address(1)]
    words = []
    for version in (5, 6):
      body = replace(self.a.word, version=version)
      signed = wire.Signed.sign(body, self.a.signer, MESH)
      words.append((signed.statement, signed.signature))
    found = wire.Contradiction(self.a.origin, 4, min(words), max(words))
    false = replace(found, a=(min(words)[0], bytes(64)))
    self.b.on_message(false, path, self.net.now)
    self.assertEqual(users(self.b, self.net.now), ["ada"])
    self.b.on_message(found, path, self.net.now)
    self.net.run(3)
    self.assertEqual(users(self.b, self.net.now), [])
    self.a.begin(2, self.net.now)
    self.net.run(3)
    self.assertEqual(users(self.b, self.net.now), ["ada"])

  def test_wrong_signatures_bring_nothing_in(self) -> None:
    self.net.run(1)
    path = self.b.paths[address(1)]
    stranger = crypto.Signer(bytes([9]) * 32)
    word = replace(self.a.word, sequence=50)
    forged = wire.Signed.sign(word, stranger, MESH)
    self.b.on_message(replace(forged, origin=self.a.origin), path, self.net.now)
    self.assertLess(self.b.held[self.a.origin].checkpoint.body.sequence, 50)  # type: ignore[union-attr]
    batch = wire.Batch(self.a.incarnation, "", 0, 1, (wire.Record(9, bytes(16), 1, b"x"),))
    self.b.on_message(replace(wire.Signed.sign(batch, stranger, MESH), origin=self.a.origin), path, self.net.now)
    self.assertEqual(self.b.held[self.a.origin].reached, 0)
    self.assertEqual(self.b.counts["signaturesWrong"], 2)
    body = wire.PathProof(self.a.incarnation, self.b.token(address(5), self.net.now), bytes(8), False)
    for signer in (stranger, self.a.signer):
      proof = replace(wire.Signed.sign(body, signer, MESH), origin=self.a.origin)
      opened = wire.Header(self.a.origin, self.a.incarnation, 900, body.echo).encode() + proof.encode()
      self.b.receive(self.b.seal.seal(opened, self.net.dice.randbytes(24)), address(5), self.net.now)
      self.assertEqual(address(5) in self.b.paths, signer is self.a.signer)

  def test_one_datagram_and_one_token_are_answered_twice_in_a_second(self) -> None:
    head = wire.Header(bytes([5]) * 32, (1).to_bytes(4, "big") + bytes(8), 1, bytes(8))
    same = self.b.seal.seal(head.encode() + wire.Challenge(b"12345678").encode(), bytes(24))
    for port in range(5):
      self.b.receive(same, address(80 + port), self.net.now)
    self.assertEqual(len(self.b.outbox), 2)
    for count in range(2, 7):
      body = replace(head, counter=count).encode() + wire.Challenge(b"abcdefgh").encode()
      self.b.receive(self.b.seal.seal(body, bytes([count]) * 24), address(90), self.net.now)
    self.assertEqual(len(self.b.outbox), 4)

  def test_a_room_that_became_empty_begins_anew(self) -> None:
    s = self.a.open(wire.Session("ada"), ["design"], self.net.now)
    self.net.run(0.5)
    self.a.close(s, self.net.now, "design")
    self.assertEqual(self.a.logs["design"].version, 0)
    self.a.say(s, "design", self.net.now)
    batch = self.a._recent[-1].body
    assert isinstance(batch, wire.Batch)
    self.assertEqual((batch.room, batch.previous), ("design", 0))
    self.net.run(0.02)
    self.assertEqual(users(self.b, self.net.now, "design"), ["ada"])

  def test_replayed_and_spoilt_datagrams_change_nothing(self) -> None:
    self.a.open(wire.Session("ada"), [], self.net.now)
    self.net.run(3)
    before = self.b.view(self.net.now), self.b.held[self.a.origin].reached
    sent, self.b.outbox = len(self.net.log), []
    for source, target, datagram in list(self.net.log):
      if target == address(2):
        self.b.receive(datagram, source, self.net.now)
        self.b.receive(datagram[:-1] + bytes([datagram[-1] ^ 1]), source, self.net.now)
        self.b.receive(b"\1" + datagram[1:], source, self.net.now)
        self.b.receive(datagram[:50], source, self.net.now)
    self.assertEqual((self.b.view(self.net.now), self.b.held[self.a.origin].reached), before)
    self.assertLessEqual(len(self.b.outbox), 10)
    for name in ("datagramsReplayed", "datagramsForged", "datagramsOfProtocol1", "datagramsMalformed"):
      self.assertGreater(self.b.counts[name], 0, name)
    self.assertGreater(sent, 10)

  def test_garbage_from_a_member_is_counted_and_dropped(self) -> None:
    dice = random.Random(7)
    self.net.run(1)
    path = self.a.paths[address(2)]
    kinds = [m.encode() for m in (self.a.checkpoint(self.net.now), self.a.beat(),
                                  self.a._compare(path, self.net.now), wire.PeerExchange(((bytes(32), address(9)),)))]
    for n in range(3000):
      data = bytearray(dice.choice(kinds))
      for _ in range(dice.randint(1, 4)):
        data[dice.randrange(len(data))] = dice.randrange(256)
      token = self.b.token(address(1), self.net.now)
      opened = wire.Header(self.a.origin, self.a.incarnation, 10_000 + n, token).encode()
      sealed = self.a.seal.seal(opened + bytes(data), dice.randbytes(24))
      self.b.receive(sealed, address(1), self.net.now)
    self.assertGreater(self.b.counts["messagesMalformed"], 500)
    self.assertLess(len(self.b.contacts), paths.CONTACTS + 1)

  def test_an_answer_to_a_stranger_is_never_longer_than_thrice(self) -> None:
    opened = wire.Header(bytes([5]) * 32, (1).to_bytes(4, "big") + bytes(8), 1, bytes(8))
    for port, (body, answers) in enumerate((
      (wire.Challenge(b"12345678").encode(), 1), (wire.Challenge(bytes(8)).encode(), 1), (b"", 1),
      (b"\1\0\1a", 0), (wire.frame(99, b""), 1), (self.a.beat().encode(), 1))):
      self.b.outbox.clear()
      data = self.b.seal.seal(replace(opened, counter=1 + len(body)).encode() + body, bytes(24))
      self.b.receive(data, address(77 + port), self.net.now)
      self.assertEqual(len(self.b.outbox), answers, body)
      for _, answer in self.b.outbox:
        self.assertLessEqual(len(answer), 3 * len(data))

  def test_removals_are_obeyed(self) -> None:
    s = self.a.open(wire.Session("ada"), ["design"], self.net.now)
    self.net.run(1)
    order = wire.Record(wire.REMOVAL, s, self.b.view(self.net.now) and 50, wire.Removal(False), "design")
    self.b.write("", [order], self.net.now)
    self.net.run(0.5)
    self.assertEqual((users(self.a, self.net.now), users(self.a, self.net.now, "design")), (["ada"], []))
    self.assertEqual(self.a.said(s, "design"), None)
    self.b.write("", [replace(order, room="", counter=60)], self.net.now)
    self.net.run(0.5)
    self.assertEqual(self.a.sessions(), [])

  def test_tables_are_bounded(self) -> None:
    self.net.run(1)
    path = self.b.paths[address(1)]
    for n in range(mesh.ORIGINS + 50):
      self.b._told(n.to_bytes(32, "big"), ((1).to_bytes(4, "big") + bytes(8), 1), path, self.net.now)
    self.assertEqual(len(self.b.held), mesh.ORIGINS)
    stranger = crypto.Signer(bytes([9]) * 32)
    self.b.on_message(wire.Signed.sign(self.a.word, stranger, MESH), path, self.net.now)
    self.assertNotIn(stranger.origin, self.b.held)
    self.assertEqual(self.b.counts["originsRefused"], 1)
    exchange = wire.PeerExchange(tuple((bytes(31) + bytes([n]), address(1000 + n)) for n in range(16)))
    for n in range(100):
      self.b.on_message(replace(exchange, peers=tuple((o, address(2000 + 16 * n + i)) for i, (o, _) in
                                                       enumerate(exchange.peers))), path, self.net.now)
    self.assertLessEqual(len(self.b.contacts), paths.CONTACTS)

  def test_hints_make_it_send_little(self) -> None:
    self.net.run(1)
    path = self.b.paths[address(1)]
    exchange = wire.PeerExchange(tuple((bytes(31) + bytes([n]), address(1000 + n)) for n in range(16)))
    self.b.on_message(exchange, path, self.net.now)
    sent: List[int] = []
    end = self.net.now + 10
    while self.net.now < end:
      self.net.now += 0.01
      self.b.tick(self.net.now)
      sent += [len(datagram) for target, datagram in self.b.outbox if int.from_bytes(target[16:], "big") >= 1000]
      self.b.outbox.clear()
    self.assertGreater(len(sent), 15)
    self.assertLess(sum(sent), 3 * 16 * 50 + 11 * paths.HINT_BYTES)


class Logs(unittest.TestCase):
  def record(self, counter: int, kind: int = 1, value: bool = True) -> wire.Record:
    return wire.Record(kind, bytes(16), counter, wire.Presence(counter) if value else None)

  def batch(self, room: str, previous: int, first: int, *records: wire.Record) -> wire.Batch:
    return wire.Batch(bytes(12), room, previous, first, records)

  def test_batches_are_applied_once_and_in_order(self) -> None:
    one, two = self.batch("a", 0, 1, self.record(1)), self.batch("a", 1, 2, self.record(2))
    gone = self.batch("a", 2, 3, self.record(3, value=False))
    held = state.Held(bytes(32))
    self.assertFalse(held.hear(two))
    self.assertTrue(held.hear(one))
    self.assertEqual((held.reached, held.logs["a"].version), (2, 2))
    self.assertTrue(held.hear(gone))
    self.assertEqual((held.reached, held.logs), (3, {}))
    for known in (one, two, gone):
      self.assertTrue(held.hear(known))
      self.assertEqual((held.reached, held.logs), (3, {}))

  def test_batches_above_what_was_fetched_are_applied_again(self) -> None:
    held = state.Held(bytes(32))
    held.hear(self.batch("b", 0, 3, wire.Record(9, bytes(16), 1, b"later")))
    log = state.Log()
    log.apply(self.batch("a", 0, 1, self.record(1), self.record(2)))
    word = wire.Checkpoint(bytes(12), 1, 2, state.trees({"a": log}, MESH)[1], bytes(16), 1, 1, 0, 0, 2000)
    held.replace({"a": log}, word)
    self.assertEqual((held.reached, sorted(held.logs)), (3, ["a", "b"]))

  def test_a_removal_outweighs_what_has_its_counter(self) -> None:
    for counter, shown in ((4, True), (5, False), (6, False)):
      log = state.Log()
      log.apply(self.batch("", 0, 1, wire.Record(0, bytes(16), 5, wire.Session("ada")),
                           wire.Record(3, bytes(16), counter, wire.Removal(False))))
      rows = state.view([state.Source(bytes(32), {"": log}, {}, "online")])
      self.assertEqual(bool(rows), shown)

  def test_an_emptied_room_forgets_what_was_missed_before(self) -> None:
    held = state.Held(bytes(32))
    held.hear(self.batch("a", 0, 1, self.record(1)))
    self.assertTrue(held.hear(self.batch("a", 0, 4, wire.Record(9, bytes(16), 1, b"x"))))
    self.assertEqual(list(held.logs["a"].records), [b"\t" + bytes(16)])
    self.assertTrue(held.hear(self.batch("a", 1, 2, self.record(2), self.record(3, value=False))))
    self.assertEqual((held.reached, len(held.logs["a"].records)), (4, 1))

  def test_a_wrong_node_is_noticed(self) -> None:
    nodes = tree.build({b"/" + str(n).encode(): bytes(200) for n in range(1, 40)}, MESH)
    gather = tree.Gather(tree.root(nodes), {})
    child = next(path for path in nodes if path)
    with self.assertRaises(tree.BadNode):
      gather.offer((None, ""), nodes[child])
    self.assertFalse(gather.offer((None, child), nodes[child]))

  def test_trees_in_another_form_are_refused_though_their_hashes_are_right(self) -> None:
    log = state.Log()
    log.apply(self.batch("a", 0, 1, self.record(1), wire.Record(9, bytes(16), 1, b"x")))
    value = wire.write_varint(log.version) + wire.write_varint(2)
    bucket = log.nodes(MESH)[""]
    split = [b"\0" + tree.entry(k, r.in_tree(v)) for k, (v, r) in sorted(log.records.items())]
    branch = b"\1\0\3" + b"".join(map(crypto.hash128, split))
    for top, below in ((bucket, []), (branch, split)):
      rooms = b"\0" + tree.entry(b"/a", value + crypto.hash128(top))
      root = crypto.hash256(rooms)
      gather = tree.Gather(root, {root: rooms, **{crypto.hash128(node): node for node in (top, *below)}})
      self.assertEqual(gather.wanted, {})
      word = wire.Checkpoint(bytes(12), 1, 2, root, bytes(16), 1, 1, 0, 0, 2000)
      if below:
        with self.assertRaises(wire.Malformed):
          state.logs_of(gather, word, MESH)
      else:
        self.assertEqual(state.logs_of(gather, word, MESH)["a"].records, log.records)


class Ages(unittest.TestCase):
  def setUp(self) -> None:
    self.origin, self.incarnation = bytes(32), bytes(11) + b"\1"
    self.chain = beats.Chain(self.origin, self.incarnation, bytes(16), 0, 2000)
    self.age = beats.Age(self.origin)

  def word(self, beat: int, chain: Optional[beats.Chain] = None) -> wire.Checkpoint:
    c = chain or self.chain
    return wire.Checkpoint(self.incarnation, 1, 0, bytes(32), c.value(beat), c.number, c.schedule, c.offset, beat,
                           c.period)

  def test_beats_fit_or_are_wrong(self) -> None:
    self.age.checkpoint(self.word(3), 0, 106, True, True)
    self.assertIsNone(self.age.beat(3, self.chain.value(3), 106, True))
    self.assertIs(self.age.beat(5, self.chain.value(6), 110, True), False)
    self.assertIs(self.age.beat(5, self.chain.value(5), 110, True), True)
    self.assertIsNone(self.age.beat(518, self.chain.value(518), 110, True))
    self.assertIs(self.age.beat(517, self.chain.value(517), 1134, True), True)

  def test_health_follows_from_the_age(self) -> None:
    self.age.checkpoint(self.word(0), 0, 100, True, True)
    found = [self.age.health(100 + t) for t in (0, 2.4, 2.6, 4.9, 5.1)]
    self.assertEqual(found, ["online", "online", "suspect", "suspect", "offline"])

  def test_a_beat_that_was_held_back_makes_nobody_younger(self) -> None:
    self.age.checkpoint(self.word(0), 0, 100, True, True)
    self.age.beat(1, self.chain.value(1), 106, False)
    self.assertAlmostEqual(self.age.seconds(106), 4, delta=0.01)

  def test_one_that_died_before_is_not_shown(self) -> None:
    self.age.checkpoint(self.word(0), 60_000, 100, True, False)
    self.assertEqual(self.age.health(100), "offline")
    self.assertIs(self.age.beat(1, self.chain.value(1), 101, False), True)
    self.assertEqual(self.age.health(101), "offline")
    self.assertIs(self.age.beat(2, self.chain.value(2), 105, False), True)
    self.assertEqual(self.age.health(105), "online")

  def test_the_own_word_ends_what_was_told(self) -> None:
    self.age.checkpoint(self.word(0), 60_000, 100, True, False)
    self.age.checkpoint(self.word(0), 500, 100.2, False, True)
    self.assertAlmostEqual(self.age.seconds(100.2), 0.2, delta=0.01)
    self.age.checkpoint(self.word(0), 60_000, 100.3, False, False)
    self.assertEqual(self.age.health(100.3), "online")

  def test_a_chain_of_the_same_schedule_keeps_the_age(self) -> None:
    self.age.checkpoint(self.word(5), 0, 110, True, True)
    after = self.chain.next(self.origin, self.incarnation, bytes([1]) * 16, 11.0, False)
    self.assertEqual((after.number, after.schedule, after.offset, after.start), (2, 1, 11_000, 11.0))
    self.age.checkpoint(self.word(0, after), 0, 114, True, False)
    self.assertAlmostEqual(self.age.seconds(114), 3, delta=0.02)
    fresh = after.next(self.origin, self.incarnation, bytes([2]) * 16, 20.0, True)
    self.assertEqual((fresh.number, fresh.schedule, fresh.offset), (3, 3, 0))
    self.age.checkpoint(self.word(0, fresh), 0, 130, True, True)
    self.assertEqual(self.age.seconds(130), 0)
    self.age.checkpoint(self.word(9), 0, 131, True, True)
    self.assertAlmostEqual(self.age.seconds(131), 1, delta=0.01)

  def test_references_drift(self) -> None:
    self.age.checkpoint(self.word(0), 0, 100, True, True)
    self.age.beat(500, self.chain.value(500), 1101.5, True)
    self.assertAlmostEqual(self.age.seconds(1101.5), 0.4985, places=3)

  def test_a_leaf_begins_new_chains_in_time(self) -> None:
    net = Network()
    a, b = net.leaf(1, [2], period=100), net.leaf(2)
    net.run(1)
    a.chain.start -= 403.0
    b_before = b.held[a.origin].age
    net.run(8)
    self.assertEqual((a.word.chain, a.word.schedule), (2, 1))
    self.assertGreater(a.word.offset, 400_000)
    self.assertIs(b.held[a.origin].age, b_before)
    a.clock_stood_still(net.now)
    net.run(0.2)
    self.assertEqual((a.word.chain, a.word.schedule, a.word.offset), (3, 3, 0))
    self.assertEqual(b.health(net.now)[a.origin], "online")


if __name__ == "__main__":
  unittest.main()
