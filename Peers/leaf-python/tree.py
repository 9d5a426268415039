"""The tree of §4, and the gathering of one origin's trees node by node (§7)."""
from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from crypto import hash128, hash256, placement

NOTHING, NO_ROOT = bytes(16), bytes(32)
LARGEST_NODE = 901
Entries = Dict[bytes, bytes]
Place = Tuple[Optional[str], str]  # the room (None: the tree of rooms), and the path as hexadecimal digits

class BadNode(Exception):
  """Bytes that are no node, or not the one that was to come."""

def entry(key: bytes, value: bytes) -> bytes:
  return bytes([len(key)]) + key + len(value).to_bytes(2, "big") + value

def build(entries: Entries, mesh_id: bytes) -> Dict[str, bytes]:
  """All nodes by path, each before its children."""
  nodes: Dict[str, bytes] = {}

  def node(items: List[Tuple[bytes, bytes]], path: str) -> bytes:
    body = b"".join(entry(key, value) for key, value in items)
    if len(body) < LARGEST_NODE or len(path) == 16:
      nodes[path] = b"\0" + body
      return hash128(nodes[path])
    nodes[path] = b""
    children: Dict[str, List[Tuple[bytes, bytes]]] = {}
    for item in items:
      children.setdefault(placement(mesh_id, item[0])[len(path)], []).append(item)
    mask = sum(1 << int(digit, 16) for digit in children)
    hashes = b"".join(node(children[digit], path + digit) for digit in sorted(children))
    nodes[path] = b"\1" + mask.to_bytes(2, "big") + hashes
    return hash128(nodes[path])

  if entries:
    node(sorted(entries.items()), "")
  return nodes

def top(nodes: Dict[str, bytes]) -> bytes:
  return hash128(nodes[""]) if nodes else NOTHING

def root(nodes: Dict[str, bytes]) -> bytes:
  return hash256(nodes[""]) if nodes else NO_ROOT

def children_of(node: bytes) -> Optional[Dict[str, bytes]]:
  """The hashes of a branch's children by digit; nothing for a bucket."""
  if node[:1] != b"\1":
    return None
  mask = int.from_bytes(node[1:3], "big")
  digits = [f"{i:x}" for i in range(16) if mask >> i & 1]
  if not digits or len(node) != 3 + 16 * len(digits):
    raise BadNode("branch")
  found = {digit: node[3 + 16 * i:19 + 16 * i] for i, digit in enumerate(digits)}
  if NOTHING in found.values():
    raise BadNode("a child without a hash")
  return found

def entries_of(node: bytes) -> Entries:
  """The entries of a bucket."""
  if node[:1] != b"\0":
    raise BadNode("neither bucket nor branch")
  found: Entries = {}
  at, last = 1, b""
  while at < len(node):
    key_end = at + 1 + node[at]
    key, end = node[at + 1:key_end], key_end + 2 + int.from_bytes(node[key_end:key_end + 2], "big")
    if end > len(node) or key_end + 2 > len(node) or key <= last:
      raise BadNode("bucket")
    found[key] = node[key_end + 2:end]
    at, last = end, key
  if not found:
    raise BadNode("an empty bucket")
  return found

class Gather:
  """The trees under one signed root, as far as their nodes have come. Each node is checked by the one above."""

  def __init__(self, signed_root: bytes, kept: Dict[bytes, bytes]) -> None:
    self.kept = kept  # nodes by hash; the top also by its root
    self.rooms: Entries = {}
    self.records: Dict[str, Entries] = {}
    self.wanted: Dict[Place, bytes] = {}
    if signed_root != NO_ROOT:
      self._want((None, ""), signed_root)

  def offer(self, place: Place, node: bytes) -> bool:
    """Takes in a node that is wanted; false if it is not. Raises BadNode if it is another one than was promised."""
    wanted = self.wanted.get(place)
    if wanted is None:
      return False
    if (hash256(node) if len(wanted) == 32 else hash128(node)) != wanted:
      raise BadNode("another hash")
    del self.wanted[place]
    self.kept[wanted] = node
    self._take(place, node)
    return True

  def _want(self, place: Place, wanted: bytes) -> None:
    if wanted in self.kept:
      self._take(place, self.kept[wanted])
    else:
      self.wanted[place] = wanted

  def _take(self, place: Place, node: bytes) -> None:
    room, path = place
    children = children_of(node)
    if children is not None:
      if len(path) == 16:
        raise BadNode("a branch below depth 16")
      for digit, child in children.items():
        self._want((room, path + digit), child)
    elif room is not None:
      self.records[room].update(entries_of(node))
    else:
      for key, value in entries_of(node).items():
        try:
          name = key[1:].decode()
        except UnicodeDecodeError:
          raise BadNode("the name of a room") from None
        if key[:1] != b"/" or len(key) > 65 or len(value) < 18:
          raise BadNode("the entry of a room")
        self.rooms[key], self.records[name] = value, {}
        self._want((name, ""), value[-16:])
