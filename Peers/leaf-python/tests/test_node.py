"""A leaf beside real nodes: the binary that the environment variable PRESENCE names, on loopback alone."""
from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import sys
import time
import unittest
import urllib.request

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]
import mesh  # noqa: E402
from crypto import Invite, Seal, Signer  # noqa: E402
from programs import PRESENCE, Case, Leaf, Node  # noqa: E402


@unittest.skipUnless(PRESENCE, "PRESENCE names no binary of a node")
class BesideANode(Case):
  def setUp(self) -> None:
    super().setUp()
    self.node = Node(self, "--name", "bob", "--room", "design", "--http", "127.0.0.1:0")
    self.invite = self.node.invite

  def leaf(self, *arguments: str, state: str = "leaf") -> Leaf:
    return Leaf(self, self.invite, "--user", "ada", "--room", "design", *arguments, state=state)

  def heartbeat(self, user: str, room: str, **words: object) -> None:
    body = {"room": room, "user": {"id": user, "name": user}, "sessionId": user, "interval": 60_000, **words}
    request = urllib.request.Request(f"http://{self.node.http}/api/v1/heartbeat", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).read()

  def test_each_sees_the_other_and_its_changes(self) -> None:
    leaf = self.leaf("--say", "status busy in a call")
    self.within(5, lambda: leaf.row("bob", "design") and leaf.row("bob"))
    self.within(3, lambda: self.node.user("ada", "design").get("message") == "in a call")
    self.assertEqual(self.node.user("ada", "design")["status"], "busy")
    leaf.say("status away back soon")
    leaf.say("cursor 0.25 0.75")
    self.within(3, lambda: self.node.user("ada", "design").get("message") == "back soon")
    self.within(3, lambda: self.node.user("ada", "design")["sessions"][0]["cursor"])
    cursor = self.node.user("ada", "design")["sessions"][0]["cursor"]
    self.assertAlmostEqual(cursor["x"], 0.25, places=3)
    self.assertAlmostEqual(cursor["y"], 0.75, places=3)
    self.node.run("status", "busy", "--message", "thinking", "--room", "design")
    self.within(3, lambda: leaf.row("bob", "design").get("message") == "thinking")
    self.node.run("cursor", "0.5", "1", "--room", "design")
    self.within(3, lambda: leaf.row("bob", "design").get("cursor") == [0.50001, 1.0])
    time.sleep(1.5)
    self.assertEqual(leaf.row("bob", "design")["cursor"], [0.50001, 1.0])
    self.node.run("typing", "on", "--room", "design")
    self.within(3, lambda: leaf.row("bob", "design").get("typing"))
    self.node.run("leave", "--room", "design")
    self.within(3, lambda: not leaf.row("bob", "design") and leaf.row("bob"))
    self.assertEqual(leaf.end(), 0)
    self.assertTrue(all(peer["complete"] for peer in leaf.stopped["peers"]), leaf.stopped)

  def test_a_farewell_removes_at_once_and_a_kill_after_the_time_to_live(self) -> None:
    leaf = self.leaf()
    self.within(5, lambda: self.node.user("ada"))
    self.assertEqual(leaf.end(), 0)
    self.within(1.5, lambda: not self.node.user("ada"))
    leaf = self.leaf("--period", "1000", state="other")
    self.within(5, lambda: self.node.user("ada"))
    leaf.end(signal.SIGKILL)
    self.assertTrue(self.node.user("ada"))
    self.assertGreater(self.within(10, lambda: not self.node.user("ada")), 0.8)

  def test_a_node_that_leaves_or_dies_is_hidden(self) -> None:
    leaf = self.leaf()
    other = Node(self, "--invite", self.invite, "--name", "eve", state="third")
    self.within(8, lambda: leaf.row("eve") and leaf.row("bob"))
    other.end(signal.SIGTERM)
    self.within(3, lambda: not leaf.row("eve"))
    self.node.end(signal.SIGKILL)
    self.assertTrue(leaf.row("bob"))
    self.assertGreater(self.within(12, lambda: not leaf.row("bob")), 1)

  def test_a_restart_takes_its_own_place(self) -> None:
    self.leaf().end(signal.SIGTERM)
    leaf = self.leaf("--say", "status busy first")
    self.within(5, lambda: self.node.user("ada", "design").get("message") == "first")
    leaf.end(signal.SIGKILL)
    again = self.leaf("--say", "status away second")
    self.assertEqual((again.counter, again.origin), (3, leaf.origin))
    self.within(4, lambda: self.node.user("ada", "design").get("message") == "second")
    self.assertEqual(len(self.node.user("ada", "design")["sessions"]), 1)

  def test_a_lost_disk_is_noticed_by_own_words(self) -> None:
    for _ in range(3):
      leaf = self.leaf()
      self.within(5, lambda: self.node.user("ada"))
      leaf.end(signal.SIGKILL)
    file = self.folder / "leaf" / "leaf.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({**stored, "counter": 0}))
    leaf = self.leaf("--say", "status idle back again")
    self.assertEqual(leaf.counter, 1)
    self.within(8, lambda: self.node.user("ada", "design").get("message") == "back again")
    self.assertEqual(json.loads(file.read_text())["counter"], 4)

  def test_a_third_node_that_comes_late_gets_the_leafs_records(self) -> None:
    leaf = self.leaf("--say", "status busy long ago")
    self.within(5, lambda: self.node.user("ada"))
    time.sleep(1)
    by_node = Node(self, "--invite", self.invite, state="by-node")
    self.within(8, lambda: by_node.user("ada", "design").get("message") == "long ago")
    bare = self.bare_invite()
    by_leaf = Node(self, "--invite", bare, "--peer", leaf.address, state="by-leaf")
    self.within(8, lambda: by_leaf.user("ada", "design").get("message") == "long ago")

  def test_the_leafs_trees_of_many_rooms_are_fetched_by_who_holds_all_and_by_who_holds_one(self) -> None:
    rooms = [f"a room with quite a long name {number}" for number in range(31)]
    leaf = Leaf(self, self.invite, "--user", "ada", *(word for room in rooms for word in ("--room", room)),
                "--say", "status busy everywhere")
    self.within(5, lambda: self.node.user("ada"))
    time.sleep(1)
    arguments = ("--invite", self.bare_invite(), "--peer", leaf.address)
    whole = Node(self, *arguments, state="whole")
    part = Node(self, *arguments, "--follow", rooms[7], state="part")
    for node in (whole, part):
      self.within(8, lambda: node.user("ada", rooms[7]).get("message") == "everywhere")
    self.within(8, lambda: all(whole.user("ada", room).get("message") == "everywhere" for room in rooms))
    leaf.say("status away not any more")
    for node in (whole, part, self.node):
      self.within(8, lambda: node.user("ada", rooms[7]).get("message") == "not any more")

  def bare_invite(self) -> str:
    """The invite without addresses."""
    invite = Invite.decode(self.invite)
    invite.addresses.clear()
    return invite.encode()

  def test_two_hundred_sessions_in_fifty_rooms_are_fetched_whole(self) -> None:
    for number in range(200):
      self.heartbeat(f"user-{number}", f"room-{number % 50}", status="busy", message=f"message {number}")
    leaf = Leaf(self, self.invite, "--user", "ada")
    self.within(10, lambda: sum(room.startswith("room-") for _, room in list(leaf.rows)) == 200)
    for number in range(200):
      self.assertEqual(leaf.row(f"user-{number}", f"room-{number % 50}")["message"], f"message {number}")
    self.assertEqual(sum(room == "" for _, room in list(leaf.rows)), 202)
    leaf.end()
    peer, = leaf.stopped["peers"]
    self.assertTrue(peer["complete"])
    self.assertGreaterEqual(peer["records"], 400)
    self.assertEqual(leaf.stopped["counts"].get("nodesWrong", 0), 0)

  def test_what_is_lost_is_recovered_in_both_directions(self) -> None:
    leaf = self.leaf("--lose", "20")
    self.within(15, lambda: leaf.row("bob", "design") and self.node.user("ada", "design"))
    for number in range(40):
      self.heartbeat(f"user-{number % 20}", "design", status="busy", message=f"word {number}")
      leaf.say(f"status busy answer {number}")
      time.sleep(0.05)
    self.within(15, lambda: all(leaf.row(f"user-{number % 20}", "design").get("message") == f"word {number}"
                                for number in range(20, 40)))
    self.within(15, lambda: self.node.user("ada", "design").get("message") == "answer 39")
    self.within(15, lambda: leaf.row("ada", "design").get("message") == "answer 39")

  def test_the_last_status_of_a_user_counts_on_all_devices(self) -> None:
    leaf = Leaf(self, self.invite, "--user", "bob", "--room", "design")
    self.within(5, lambda: leaf.row("bob", "design") and self.node.user("bob", "design").get("devices") == 2)
    self.node.run("status", "busy", "--room", "design")
    self.within(5, lambda: "busy" in {row["status"] for row in list(leaf.rows.values())})
    leaf.say("status away")
    self.within(5, lambda: self.node.user("bob", "design")["status"] == "away")
    self.node.run("status", "active", "--room", "design")
    self.within(5, lambda: self.node.user("bob", "design")["status"] == "active")

  def test_a_session_that_moves_to_a_node_is_ended_here(self) -> None:
    leaf = self.leaf("--say", "status busy typed here")
    self.within(5, lambda: self.node.user("ada", "design") and leaf.row("ada"))
    session = leaf.row("ada")["session"]
    self.heartbeat("ada", "design", sessionId=session)
    self.within(5, lambda: leaf.row("ada", "design").get("host") == self.node.origin)
    self.assertEqual(leaf.row("ada", "design")["message"], "typed here")
    time.sleep(1)
    leaf.end()
    self.assertEqual(self.node.user("ada", "design")["devices"], 1)

  def test_one_that_cannot_be_reached_stays_shown_by_probes(self) -> None:
    """A leaf that hears one node alone, while another lives behind it."""
    eve = Node(self, "--invite", self.invite, "--name", "eve", state="third")
    invite = Invite.decode(self.invite)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
      udp.bind(("127.0.0.1", 0))
      udp.settimeout(0.01)
      clock = time.monotonic
      leaf = mesh.Leaf(Seal(invite.mesh_id, {invite.epoch: invite.key}), Signer(os.urandom(32)), 1, clock(),
                       random=os.urandom, remember=lambda _: None, wall=lambda: 0, contacts=invite.addresses)
      end, seen = clock() + 12, 0
      while clock() < end:
        for target, datagram in leaf.outbox:
          if target in invite.addresses:
            udp.sendto(datagram, ("127.0.0.1", int.from_bytes(target[16:], "big")))
        leaf.outbox.clear()
        try:
          data, source = udp.recvfrom(2048)
          if source[1] == int.from_bytes(invite.addresses[0][16:], "big"):
            leaf.receive(data, invite.addresses[0], clock())
        except socket.timeout:
          pass
        leaf.tick(clock())
        if clock() > end - 9:  # its beats are 2 s apart; without probes it would be hidden 5 s after the first word
          seen += 1
          self.assertIn("eve", {row["user"] for row in leaf.view(clock()).values()})
      self.assertGreater(seen, 20)
      self.assertNotIn(bytes.fromhex(eve.origin), leaf.routes())


if __name__ == "__main__":
  unittest.main()
