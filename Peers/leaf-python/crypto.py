"""Hashes, signatures, sealed datagrams and invites (Protocol.md §0, §1, §3, §4, §15)."""
from __future__ import annotations

import base64
import functools
import hashlib
import struct
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from nacl import bindings
from nacl.exceptions import CryptoError

VERSION = 2
CLEAR, AUTHENTICATOR, DATAGRAM = 37, 16, 1200
OVERHEAD = CLEAR + 60 + AUTHENTICATOR
_MASK = (1 << 64) - 1

class Refused(Exception):
  """A datagram that is dropped; the message is the name of its counter."""

def siphash(key: bytes, data: bytes) -> int:
  """SipHash-2-4 with 64 bits of result."""
  k0, k1 = (int.from_bytes(half, "little") for half in (key[:8], key[8:]))
  a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
  c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
  tail = len(data) % 8
  padded = data + bytes(7 - tail) + bytes([len(data) & 0xFF])
  words = [int.from_bytes(padded[at:at + 8], "little") for at in range(0, len(padded), 8)]
  for last, word in (*((False, word) for word in words), (True, 0)):
    if last:
      c ^= 0xFF
    d ^= word
    for _ in range(4 if last else 2):
      a = (a + b) & _MASK
      b = ((b << 13 | b >> 51) & _MASK) ^ a
      a = (a << 32 | a >> 32) & _MASK
      c = (c + d) & _MASK
      d = ((d << 16 | d >> 48) & _MASK) ^ c
      a = (a + d) & _MASK
      d = ((d << 21 | d >> 43) & _MASK) ^ a
      c = (c + b) & _MASK
      b = ((b << 17 | b >> 47) & _MASK) ^ c
      c = (c << 32 | c >> 32) & _MASK
    a ^= word
  return a ^ b ^ c ^ d

@functools.lru_cache(maxsize=65536)
def placement(mesh_id: bytes, key: bytes) -> str:
  """The 16 digits of a key's place in a tree (§4), from digit 0 on."""
  return f"{siphash(mesh_id, key):016x}"

def hash128(data: bytes) -> bytes:
  return hashlib.blake2b(data, digest_size=16).digest()

def hash256(data: bytes) -> bytes:
  return hashlib.blake2b(data, digest_size=32).digest()

def signed_bytes(domain: str, mesh_id: bytes, origin: bytes, statement: bytes) -> bytes:
  return domain.encode() + b"\0" + mesh_id + origin + statement

class Signer:
  """An Ed25519 key; its public half is the origin id."""

  def __init__(self, seed: bytes) -> None:
    self.origin, self._secret = bindings.crypto_sign_seed_keypair(seed)

  def sign(self, domain: str, mesh_id: bytes, statement: bytes) -> bytes:
    message = signed_bytes(domain, mesh_id, self.origin, statement)
    return bindings.crypto_sign(message, self._secret)[:64]

def verify(domain: str, mesh_id: bytes, origin: bytes, signature: bytes, statement: bytes) -> bool:
  try:
    bindings.crypto_sign_open(signature + signed_bytes(domain, mesh_id, origin, statement), origin)
    return True
  except CryptoError:
    return False

class Seal:
  """What seals and opens the datagrams of one mesh."""

  def __init__(self, mesh_id: bytes, keys: Dict[int, bytes]) -> None:
    self.mesh_id, self.keys = mesh_id, keys
    self.tag = siphash(mesh_id, b"PresenceMesh tag")

  def seal(self, opened: bytes, nonce: bytes, epoch: Optional[int] = None) -> bytes:
    epoch = max(self.keys) if epoch is None else epoch
    front = struct.pack(">BQI", VERSION, self.tag, epoch)
    return front + nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
      opened, front, nonce, self.keys[epoch])

  def open(self, datagram: bytes) -> bytes:
    if datagram[:1] == b"\1":
      raise Refused("datagramsOfProtocol1")
    if not OVERHEAD <= len(datagram) <= DATAGRAM or datagram[0] != VERSION:
      raise Refused("datagramsMalformed")
    _, tag, epoch = struct.unpack(">BQI", datagram[:13])
    if tag != self.tag:
      raise Refused("datagramsForeign")
    if epoch not in self.keys:
      raise Refused("datagramsForged")
    try:
      return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
        datagram[CLEAR:], datagram[:13], datagram[13:CLEAR], self.keys[epoch])
    except CryptoError:
      raise Refused("datagramsForged") from None

@dataclass
class Invite:
  """The line of text that a member needs: mesh id, key, addresses."""
  mesh_id: bytes
  epoch: int
  key: bytes
  addresses: List[bytes]

  _PREFIX = "presence-mesh:1:"
  _CHECK = bytes.fromhex("65636e65736572706e69206873656d2d")

  def encode(self) -> str:
    body = self.mesh_id + struct.pack(">I", self.epoch) + self.key + bytes([len(self.addresses)])
    body += b"".join(self.addresses)
    body += siphash(self._CHECK, self._PREFIX.encode() + body).to_bytes(8, "big")
    return self._PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")

  @classmethod
  def decode(cls, line: str) -> Invite:
    line = line.strip().strip("\"'“”").strip()
    if not line.startswith(cls._PREFIX):
      raise ValueError("an invite begins with " + cls._PREFIX)
    text = line[len(cls._PREFIX):]
    try:
      body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
      raise ValueError("the invite is not Base64 for URLs") from None
    count = body[52] if len(body) > 52 else 255
    if count > 8 or len(body) != 53 + 18 * count + 8:
      raise ValueError("the invite has a wrong length")
    found = cls(body[:16], int.from_bytes(body[16:20], "big"), body[20:52],
                [body[53 + 18 * i:71 + 18 * i] for i in range(count)])
    if found.encode() != line or found.epoch < 1:
      raise ValueError("the invite is mistyped")
    return found

def split_address(address: bytes) -> Tuple[bytes, int]:
  """The 16 bytes of an IPv6 address, and the port."""
  return address[:16], int.from_bytes(address[16:], "big")
