"""The program: two of it on loopback, and what it says about wrong usage."""
from __future__ import annotations

import pathlib
import signal
import socket
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]
from crypto import Invite  # noqa: E402
from programs import HERE, Case, Leaf  # noqa: E402

INVITE = Invite(bytes(range(16)), 1, bytes(range(32)), []).encode()


class Program(Case):
  def test_two_leaves_talk_over_loopback(self) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
      probe.bind(("127.0.0.1", 0))
      nobody = "127.0.0.1:%d" % probe.getsockname()[1]
    a = Leaf(self, INVITE, "--peer", nobody, "--user", "ada", "--room", "design", state="a")
    b = Leaf(self, INVITE, "--peer", a.address, "--user", "bob", "--room", "design", state="b")
    self.within(5, lambda: a.row("bob", "design") and b.row("ada", "design"))
    a.say("status busy in a call")
    a.say("cursor 0.25 0.75")
    self.within(5, lambda: b.row("ada", "design").get("message") == "in a call" and b.row("ada", "design")["cursor"])
    self.assertEqual(b.row("ada", "design")["cursor"], [0.25, 0.75])
    a.say("typing on")
    self.within(5, lambda: b.row("ada", "design").get("typing"))
    self.assertEqual(a.end(), 0)
    self.within(1.5, lambda: not b.row("ada"))
    self.assertEqual(b.end(signal.SIGINT), 0)

  def test_a_restart_raises_the_incarnation(self) -> None:
    counters = []
    for _ in range(3):
      a = Leaf(self, INVITE, "--peer", "127.0.0.1:9")
      counters.append((a.counter, a.origin))
      a.end(signal.SIGKILL)
    self.assertEqual(counters, [(1, a.origin), (2, a.origin), (3, a.origin)])

  def run_leaf(self, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(HERE.parent / "leaf.py"), *arguments], capture_output=True, text=True,
                          timeout=20, stdin=subprocess.DEVNULL)

  def test_wrong_usage_ends_with_2_and_says_why(self) -> None:
    state = ("--state", str(self.folder / "s"))
    for arguments, word in (
        ((), "join"), (("join", *state), "--invite"), (("join", "--invite", "presence-mesh:1:xyz", *state), "invite"),
        (("join", "--invite", INVITE, *state), "no address"),
        (("join", "--invite", INVITE, "--peer", "a:b", *state), "host:port"),
        (("join", "--invite", INVITE, "--peer", "127.0.0.1:9", "--user", "u" * 65, *state), "bytes"),
        (("join", "--invite", INVITE, "--peer", "127.0.0.1:9", "--room", "a\nb", *state), "control"),
        (("join", "--invite", INVITE, "--peer", "127.0.0.1:9", "--period", "99", *state), "period")):
      done = self.run_leaf(*arguments)
      self.assertEqual((done.returncode, word in done.stderr), (2, True), (arguments, done.stderr))
      self.assertNotIn("Traceback", done.stderr)

  def test_failures_end_with_1_and_say_why(self) -> None:
    (self.folder / "s").mkdir()
    (self.folder / "s" / "leaf.json").write_text("{}")
    common = ("join", "--invite", INVITE, "--peer", "127.0.0.1:9")
    for arguments in ((*common, "--state", str(self.folder / "s")),
                      (*common, "--state", str(self.folder / "s" / "leaf.json" / "x")),
                      (*common, "--state", str(self.folder / "t"), "--bind", "192.0.2.1:0")):
      done = self.run_leaf(*arguments)
      self.assertEqual(done.returncode, 1, done.stderr)
      self.assertTrue(done.stderr.startswith("leaf: "), done.stderr)


if __name__ == "__main__":
  unittest.main()
