"""Processes of leaves and nodes for the tests: on loopback, with free ports and directories of their own."""
from __future__ import annotations

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Dict, List, Optional, Tuple

HERE = pathlib.Path(__file__).resolve().parent
PRESENCE = os.environ.get("PRESENCE", "")
Row = Dict[str, Any]


class Leaf:
  """A running `leaf.py join`, and what it shows."""

  def __init__(self, case: Case, invite: str, *arguments: str, state: str = "leaf") -> None:
    self.process = subprocess.Popen(
      [sys.executable, str(HERE.parent / "leaf.py"), "join", "--invite", invite, "--bind", "127.0.0.1:0", "--stdin",
       "--state", str(case.folder / state), *arguments],
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    case.addCleanup(self.end, signal.SIGKILL)
    self.events: queue.Queue[Row] = queue.Queue()
    self.rows: Dict[Tuple[str, str], Row] = {}
    self.stopped: Row = {}
    threading.Thread(target=self._read, daemon=True).start()
    self.ready = self.events.get(timeout=10)
    self.address, self.origin = self.ready["address"], self.ready["origin"]
    self.counter = int(self.ready["incarnation"][:8], 16)

  def _read(self) -> None:
    assert self.process.stdout
    for line in self.process.stdout:
      event = json.loads(line)
      if event["event"] == "ready":
        self.events.put(event)
      elif event["event"] == "stopped":
        self.stopped = event
      elif event["event"] == "left":
        self.rows.pop((event["session"], event["room"]), None)
      else:
        self.rows[event["session"], event["room"]] = event

  def say(self, line: str) -> None:
    assert self.process.stdin
    self.process.stdin.write(line + "\n")
    self.process.stdin.flush()

  def row(self, user: str, room: str = "") -> Row:
    return next((row for (_, where), row in list(self.rows.items()) if (where, row["user"]) == (room, user)), {})

  def end(self, by: int = signal.SIGTERM) -> int:
    if self.process.poll() is None:
      self.process.send_signal(by)
    code = self.process.wait(10)
    for pipe in (self.process.stdin, self.process.stdout):
      if pipe and by == signal.SIGKILL:
        pipe.close()
    return code


class Node:
  """A running node of the binary in PRESENCE."""

  def __init__(self, case: Case, *arguments: str, state: str = "node") -> None:
    self.folder, self.environment = str(case.folder / state), {**os.environ, "HOME": str(case.folder)}
    if not os.path.exists(self.folder) and "--invite" not in arguments:
      # The leaf speaks in open meshes.
      create = [PRESENCE, "mesh", "create", "--open", "--state", self.folder]
      subprocess.run(create, env=self.environment, capture_output=True, check=True)
    self.process = subprocess.Popen(
      [PRESENCE, "up", "--state", self.folder, "--listen", "127.0.0.1:0", "--no-multicast", *arguments],
      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment)
    case.addCleanup(self.end)
    assert self.process.stdout
    line = self.process.stdout.readline()
    words = dict(word.split("=", 1) for word in line.split()[1:])
    if "addresses" not in words:
      raise AssertionError(f"the node said {line!r}")
    self.origin, self.address, self.http = words["node"], words["addresses"].split(",")[0], words.get("http", "")

  def run(self, *arguments: str) -> str:
    command, *rest = arguments
    done = subprocess.run([PRESENCE, *command.split(), "--state", self.folder, *rest], env=self.environment,
                          capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
      raise AssertionError(f"{arguments}: {done.stderr}")
    return done.stdout

  @property
  def invite(self) -> str:
    return next(line for line in self.run("mesh invite").split() if line.startswith("presence-mesh:"))

  def user(self, user: str, room: str = "") -> Row:
    """What the node shows of a user who is online; nothing of others."""
    users = json.loads(self.run("who", "--json", *([room] if room else [])))["users"]
    return next((row for row in users if row["id"] == user and row["online"]), {})

  def end(self, by: int = signal.SIGKILL) -> None:
    if self.process.poll() is None:
      self.process.send_signal(by)
    self.process.wait(10)
    if self.process.stdout:
      self.process.stdout.close()


class Case(unittest.TestCase):
  def setUp(self) -> None:
    folder = tempfile.TemporaryDirectory(prefix="leaf-")
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def within(self, seconds: float, what: Callable[[], Any]) -> float:
    """Waits until something is true; the seconds that it took."""
    begin = time.monotonic()
    while not what():
      if time.monotonic() - begin > seconds:
        self.fail(f"not within {seconds} s")
      time.sleep(0.02)
    return time.monotonic() - begin
