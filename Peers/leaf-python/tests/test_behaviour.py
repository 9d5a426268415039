"""The vectors of behaviour: ages, room logs, answers to comparisons, and what is shown."""
from __future__ import annotations

import json
import pathlib
import sys
import unittest
from typing import Any, Dict, List, Tuple

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import beats, crypto, state, tree, wire  # noqa: E401,E402

MESH, b = bytes(range(16)), bytes.fromhex


def vectors(name: str) -> Any:
  return json.loads((HERE.parents[2] / f"Tests/MeshEngineTests/Vectors/{name}.json").read_text())


def record_of(r: Any, log: str) -> wire.Record:
  key = b(r["key"])
  value = wire.read_value(key[0], b(r["value"])) if "value" in r else None
  return wire.Record(key[0], key[1:17], r["counter"], value, key[17:].decode())


class Behaviour(unittest.TestCase):
  def test_ages(self) -> None:
    origin = bytes(32)
    for v in vectors("ages"):
      age, chains = beats.Age(origin), {}
      for step in v["steps"]:
        with self.subTest(v["name"], at=step["at"]):
          now = step["at"] / 1000
          if "checkpoint" in step:
            c = step["checkpoint"]
            life = c["incarnation"].to_bytes(12, "big")
            chain = chains.setdefault((life, c["chain"]), beats.Chain(
              origin, life, bytes(15) + bytes([c["chain"]]), 0, c["period"], c["chain"], c["schedule"], c["offset"]))
            known = age.known
            news = known is None or (known.incarnation, known.chain, age.newest) < (life, c["chain"], c["beat"])
            word = wire.Checkpoint(life, 1, 0, bytes(32), chain.value(c["beat"]), c["chain"], c["schedule"],
                                   c["offset"], c["beat"], c["period"])
            age.checkpoint(word, c["age"], now, news, c["own_word"])
          if "beat" in step:
            assert age.known
            value = chains[age.known.incarnation, age.known.chain].value(step["beat"])
            self.assertEqual(age.beat(step["beat"], value, now, False) is True, step["fits"])
          self.assertAlmostEqual(age.seconds(now) * 1e6, step["age_microseconds"], delta=2)
          self.assertEqual(age.health(now), step["health"])

  def test_room_logs(self) -> None:
    for v in vectors("logs"):
      held, sequence = state.Held(bytes(32)), 0
      for number, step in enumerate(v["steps"]):
        with self.subTest(v["name"], step=number):
          if "first" in step:
            records = tuple(record_of(r, step["room"]) for r in step["records"])
            batch = wire.Batch(bytes(12), step["room"], step["previous"], step["first"], records)
            before = held.reached, dict(held.logs)
            fits = held.hear(batch)
            self.assertEqual(fits, step["outcome"] != "waits")
            held.recent.clear()  # the vectors are those of a peer without a window: what waits comes again
            if step["outcome"] == "known":
              self.assertEqual(dict(held.logs), before[1])
          elif "checkpoint" in step:
            c = step["checkpoint"]
            held.word = wire.Checkpoint(bytes(12), c["sequence"], c["version"], b(c["root"]), bytes(16), 1, 1, 0, 0,
                                        2000)
            self.assertEqual(held.is_whole(MESH), step["outcome"] == "complete")
            if step["outcome"] == "missing":
              self.assertLess(held.reached, c["version"])
          else:
            continue  # a leaf keeps what is above the complete checkpoint of one that is hidden
          self.assertEqual(state.trees(held.logs, MESH)[1].hex(), step["root_after"])

  def test_answers_to_comparisons(self) -> None:
    world, *cases = vectors("comparing")
    replica: tree.Entries = {}
    origins: Dict[bytes, Tuple[wire.Place, Dict[tree.Place, bytes]]] = {}
    for o in world["origins"]:
      logs: state.Logs = {}
      for room in o["rooms"]:
        log = logs[room["room"]] = state.Log()
        log.version = room["version"]
        log.records = {b(r["key"]): wire.Record.from_tree(b(r["key"]), b(r["value"]), room["room"])
                       for r in room["records"]}
      nodes, root = state.trees(logs, MESH)
      self.assertEqual(root.hex(), o["root"])
      place = wire.Place(b(o["origin"]), b(o["incarnation"]), o["sequence"])
      origins[place.origin] = place, nodes
      replica[place.origin] = (place.incarnation + place.sequence.to_bytes(8, "big")
                               + o["version"].to_bytes(8, "big") + root)
    whole: Dict[tree.Place, bytes] = {(None, path): node for path, node in tree.build(replica, MESH).items()}
    for v in cases:
      with self.subTest(v["name"]):
        ask, = wire.read_messages(b(v["request"]))
        assert isinstance(ask, wire.Compare)
        if ask.place is None or ask.place.origin in origins:
          own, nodes = origins[ask.place.origin] if ask.place else (None, whole)
          found = [page.encode().hex() for page in state.answer(ask, own, nodes, 1 << 30)]
          self.assertEqual(found, v["answer"])

  def test_what_is_shown(self) -> None:
    for v in vectors("reading"):
      with self.subTest(v["name"]):
        helds: List[state.Held] = []
        for o in v["origins"]:
          held = state.Held(b(o["origin"]))
          for version, r in enumerate(o["records"], 1):
            log = held.logs.setdefault(r["log"], state.Log())
            log.records[b(r["key"])] = version, record_of(r, r["log"])
          helds.append(held)
        for m in v["moves"]:
          value = wire.read_value(wire.CURSOR, b(m["cursor"]))
          assert isinstance(value, wire.Cursor)
          helds[m["origin"]].move(m["room"], b(m["session"]), m["counter"], value)
        sources = [state.Source(h.origin, h.logs, h.moves, "online" if o["is_visible"] else "offline")
                   for h, o in zip(helds, v["origins"])]
        rows = state.view(sources)
        shown = {(s["session"], s["host"]) for s in v["sessions"]}
        self.assertEqual({(r["session"], r["host"]) for r in rows.values()}, shown)
        places = {(s["session"], room) for s in v["sessions"]
                  for room in (*s["by_occupancy"], *(r["room"] for r in s["rooms"]), "")}
        self.assertEqual({(r["session"], r["room"]) for r in rows.values()}, places)
        for s in v["sessions"]:
          for r in s["rooms"]:
            row, presence = rows[b(s["session"]), r["room"]], wire.read_value(wire.PRESENCE, b(r["presence"]))
            cursor = wire.read_value(wire.CURSOR, b(r["cursor"])) if r.get("cursor") else None
            assert isinstance(presence, wire.Presence)
            self.assertEqual(row["typing"], presence.typing)
            place = None
            if isinstance(cursor, wire.Cursor) and cursor.visible:
              place = [round(x / 65535, 5) for x in (cursor.column, cursor.row)]
            self.assertEqual(row["cursor"], place)

  def test_conversation(self) -> None:
    """A node and a peer that joins, publishes and leaves: all that they say is understood, and fits."""
    lines = vectors("conversation")
    parties = {p["party"]: p for p in lines[:2]}
    seal = crypto.Seal(MESH, {p["epoch"]: b(p["mesh_key"]) for p in parties.values()})
    counters = {name: -1 for name in parties}
    proofs: Dict[str, Tuple[bytes, bytes]] = {}
    words: Dict[str, List[Any]] = {name: [] for name in parties}
    sent, heard = {name: 0 for name in parties}, 0
    for line in lines[2:]:
      if "datagram" not in line:
        continue
      name, data = line["from"], b(line["datagram"])
      other = next(n for n in parties if n != name)
      party = parties[name]
      r = wire.Reader(seal.open(data))
      header, messages = wire.Header.read(r), list(wire.read_messages(r.rest()))
      self.assertEqual((header.sender, header.incarnation), (b(party["origin"]), b(party["incarnation"])))
      self.assertGreater(header.counter, counters[name])
      counters[name] = header.counter
      if other not in proofs:
        # Before the other has proven its address it gets at most three times what it sent.
        sent[name] += len(data)
        if name == "node":
          self.assertLessEqual(sent["node"], 3 * sent["leaf"])
      for message in messages:
        if not isinstance(message, wire.Signed):
          if isinstance(message, wire.Nodes) and message.place and message.place.origin == header.sender:
            words[name].append(message)
          if isinstance(message, wire.Beats):
            for start, index, value in message.beats:
              known = next(w for w in reversed(words[name]) if isinstance(w, wire.Checkpoint))
              self.assertEqual(start, header.sender[:8])
              for _ in range(index - known.beat):
                value = beats.step(header.sender, header.incarnation, value)
              self.assertEqual(value, known.value)
              heard += 1
          continue
        self.assertTrue(message.verified(MESH))
        self.assertEqual(message.origin, header.sender)
        if isinstance(message.body, wire.PathProof):
          self.assertEqual(message.body.echo, header.echo)
          proofs[name] = message.body.echo, message.body.token
        else:
          # Nothing is said before both have proven their addresses, and then each with the other's token.
          self.assertEqual(header.echo, proofs[other][1])
          words[name].append(message.body)
    for name in parties:
      # The trees that the node answered are those of a checkpoint, and the batches behind them lead to the last.
      held, last, fetched = state.Held(b(parties[name]["origin"])), None, False
      for body in words[name]:
        if isinstance(body, wire.Batch):
          self.assertTrue(held.hear(body))
        elif isinstance(body, wire.Checkpoint):
          held.word = last = body
        elif isinstance(body, wire.Nodes) and last and body.place.order == last.place:
          gather = tree.Gather(last.root, {})
          for room, path, node in body.nodes:
            gather.offer((room, path), node)
          if not gather.wanted:
            held.replace(state.logs_of(gather, last, MESH), last)
            fetched = True
      assert last
      self.assertTrue(held.is_whole(MESH))
      self.assertEqual((last.leaving, fetched), (name == "leaf", name == "node"))
    self.assertGreater(heard, 4)


if __name__ == "__main__":
  unittest.main()
