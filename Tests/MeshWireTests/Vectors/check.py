#!/usr/bin/env python3
"""Computes the test vectors once more, from the text of the protocol alone.

    python3 check.py [folder of the JSON files]

Uses the standard library only; signatures are checked when PyNaCl or `cryptography` is installed.
Exits with 1 when a value differs.
"""

import hashlib
import json
import os
import struct
import sys

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
MASK = 2**64 - 1
checked, failed = 0, 0


def load(name):
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def check(what, told, found):
    global checked, failed
    checked += 1
    if told != found:
        failed += 1
        print(f"{what}:\n  told  {told}\n  found {found}")


# Hashes (sections 3, 4, 5)


def siphash(key, data):
    """SipHash-2-4 as a number; the key's halves and the input are little-endian."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(word, bits):
        return (word << bits | word >> 64 - bits) & MASK

    def rounds(count):
        for _ in range(count):
            v[0] = v[0] + v[1] & MASK
            v[2] = v[2] + v[3] & MASK
            v[1], v[3] = rotated(v[1], 13) ^ v[0], rotated(v[3], 16) ^ v[2]
            v[0] = rotated(v[0], 32)
            v[2] = v[2] + v[1] & MASK
            v[0] = v[0] + v[3] & MASK
            v[1], v[3] = rotated(v[1], 17) ^ v[2], rotated(v[3], 21) ^ v[0]
            v[2] = rotated(v[2], 32)

    tail = data[len(data) // 8 * 8 :]
    words = [data[at : at + 8] for at in range(0, len(data) // 8 * 8, 8)]
    words.append(tail + bytes(7 - len(tail)) + bytes([len(data) & 0xFF]))
    for word in words:
        (number,) = struct.unpack("<Q", word)
        v[3] ^= number
        rounds(2)
        v[0] ^= number
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def hash128(data):
    return hashlib.blake2b(data, digest_size=16).digest()


def hash256(data):
    return hashlib.blake2b(data, digest_size=32).digest()


# Encodings (sections 1, 2)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def blob(data):
    return varint(len(data)) + data


def text(value):
    return blob(value.encode("utf-8"))


def raw(value):
    return bytes.fromhex(value)


def flag(value):
    return b"\1" if value else b"\0"


def u64(value):
    return struct.pack(">Q", value)


def cursor(value):
    flags = (1 if value["is_visible"] else 0) | (0 if value["anchor"] is None else 2)
    out = struct.pack(">HHB", value["column"], value["row"], flags)
    return out if value["anchor"] is None else out + text(value["anchor"])


def value_bytes(kind, value):
    if kind == 0:
        return (
            text(value["user_id"]) + text(value["name"]) + raw(value["colour"][1:]) + text(value["avatar"])
            + blob(raw(value["data"])) + text(value["device"]) + varint(value["joined_at"])
        )
    if kind == 1:
        status = value["status"]
        return (
            varint(value["entered_counter"])
            + (b"\0" if status is None else bytes([status["status"]]) + varint(status["counter"]) + varint(status["changed_at"]))
            + text(value["message"]) + flag(value["is_typing"]) + blob(raw(value["data"]))
        )
    if kind == 2:
        return cursor(value)
    if kind == 3:
        return flag(value["is_final"])
    if kind == 4:
        return varint(len(value["rooms"])) + b"".join(raw(room) for room in value["rooms"])
    if kind == 5:
        return b""
    return raw(value["bytes"])


def record(item):
    out = bytes([item["kind"] | (0x80 if item["value"] is None else 0)]) + raw(item["session"])
    if item["kind"] in (3, 5):
        out += text(item["room"])
    out += varint(item["counter"])
    return out if item["value"] is None else out + blob(value_bytes(item["kind"], item["value"]))


def tree_key(item):
    return bytes([item["kind"]]) + raw(item["session"]) + (item["room"] or "").encode("utf-8")


# Signed messages (section 3): the front of the body, and what is behind it


def batch(body):
    front = (
        raw(body["incarnation"]) + text(body["room"]) + varint(body["previous"]) + varint(body["first"])
        + varint(len(body["records"]))
    )
    return front, b"".join(record(item) for item in body["records"])


def checkpoint(body):
    flags = body["is_leaving"] | body["names_all_changed"] << 1
    front = (
        raw(body["incarnation"]) + varint(body["sequence"]) + varint(body["version"]) + raw(body["root"])
        + raw(body["value"]) + varint(body["chain"]) + varint(body["schedule"])
        + varint(body["offset_milliseconds"]) + varint(body["beat"])
        + varint(body["period_milliseconds"]) + bytes([flags]) + varint(body["features"])
    )
    rest = varint(len(body["changed"]))
    return front, rest + b"".join(text(line["room"]) + varint(line["version"]) for line in body["changed"])


def cursor_frame(body):
    out = raw(body["incarnation"]) + text(body["room"]) + varint(len(body["updates"]))
    for update in body["updates"]:
        out += raw(update["session"]) + varint(update["counter"]) + cursor(update["cursor"])
    return out, b""


def path_proof(body):
    return raw(body["incarnation"]) + raw(body["echo"]) + raw(body["token"]) + flag(body["wants_proof"]), b""


SIGNED = {
    2: ("path", path_proof), 3: ("batch", batch), 4: ("checkpoint", checkpoint), 5: ("cursors", cursor_frame),
}


# Messages (section 6)


def place(value):
    if value is None:
        return b"\0"
    return b"\1" + raw(value["origin"]) + raw(value["incarnation"]) + varint(value["sequence"])


def node_list(nodes, content):
    """Nodes, each with its place: a room is named where it is another one than that of the node before."""
    out, before = varint(len(nodes)), None
    for line in nodes:
        digits, room = line["path"], line["room"]
        bits = 0 if room is None else 0xC0 if room == before else 0x80
        out += bytes([bits | len(digits)]) + (text(room) if bits == 0x80 else b"")
        out += bytes.fromhex(digits + "0" * (len(digits) % 2)) + content(line)
        before = room
    return out


# Trust (section 19)


def rights(value):
    users = value["users"]
    if isinstance(users, str):
        scope = bytes([("none", "all").index(users)])
    else:
        scope = b"\2" + varint(len(users)) + b"".join(bytes([item["is_prefix"]]) + text(item["text"]) for item in users)
    quotas = b"".join(varint(value[name]) for name in ("sessions", "rooms", "records", "bytes_per_second"))
    return bytes([value["role"]]) + scope + quotas


def ticket_content(link):
    numbers = b"".join(varint(link[name]) for name in ("uses", "issued_at", "expires", "lifetime"))
    return raw(link["ticket_key"]) + rights(link["rights"]) + numbers


def ticket(link):
    return raw(link["issuer"]) + raw(link["ticket_signature"]) + ticket_content(link)


def link_bytes(link):
    return ticket(link) + varint(link["bound_at"]) + raw(link["signature"])


def decree_content(value):
    number, subject = next(
        (number, value[name])
        for number, name in enumerate(("revoked_node", "revoked_ticket", "revoked_user", "epoch", "authority"), 1)
        if name in value
    )
    front = bytes([number]) + varint(value["issued_at"]) + varint(value["until"])
    signer = raw(value["signer"])
    if number == 3:
        return front + text(subject), bytes([2, 3]) + subject.encode("utf-8") + signer
    if number == 4:
        epoch = struct.pack(">I", subject)
        return front + epoch + raw(value["check"]), bytes([2, 4]) + epoch + signer
    return front + raw(subject), bytes([2, number]) + raw(subject) + signer


def trust_signatures(kind, value):
    """What signatures of a certificate or a decree cover: (what, domain, signer, signature, content)."""
    links = []
    if kind == 14:
        links = [(value["node"], value["link"])]
        if value["issuer"]:
            links.append((value["link"]["issuer"], value["issuer"]))
    else:
        yield "decree", "decree", value["signer"], value["signature"], decree_content(value)[0]
        if value["link"]:
            links = [(value["signer"], value["link"])]
    for node, link in links:
        yield "ticket", "ticket", link["issuer"], link["ticket_signature"], ticket_content(link)
        content = raw(node) + varint(link["bound_at"]) + ticket(link)
        yield "binding", "binding", link["ticket_key"], link["signature"], content


def message(kind, value, signed):
    """The body of a message; of a signed one with the origin and signature that are told."""
    if kind == 1:
        return raw(value["token"])
    if kind in SIGNED:
        front, rest = SIGNED[kind][1](value["body"])
        age = varint(value["age"]) if kind == 4 else b""
        return age + raw(signed["origin"]) + raw(signed["signature"]) + front + rest
    if kind == 6:
        return b"".join(raw(beat["origin_prefix"]) + varint(beat["index"]) + raw(beat["value"]) for beat in value)
    if kind == 7:
        nodes = node_list(value["nodes"], lambda line: raw(line["hash"]))
        return place(value["place"]) + struct.pack(">H", value["request"]) + varint(value["budget"]) + nodes
    if kind == 8:
        nodes = node_list(value["nodes"], lambda line: blob(raw(line["bytes"])))
        return place(value["place"]) + struct.pack(">H", value["request"]) + struct.pack(">H", value["page"] | value["is_last"] << 15) + nodes
    if kind == 9:
        room = b"\0" if value["room"] is None else b"\1" + text(value["room"])
        return raw(value["origin"]) + raw(value["incarnation"]) + room + varint(value["after"]) + varint(value["through"])
    if kind == 10:
        return b"".join(
            raw(line["origin"]) + raw(line["incarnation"]) + varint(line["sequence"]) + varint(line["beat"])
            for line in value
        )
    if kind == 11:
        statements = b"".join(blob(raw(one["statement"])) + raw(one["signature"]) for one in value["statements"])
        return raw(value["origin"]) + bytes([value["kind"]]) + statements
    if kind == 12:
        lines = [raw(line["origin"]) + raw(line["address"]) + struct.pack(">H", line["port"]) for line in value]
        return varint(len(lines)) + b"".join(lines)
    if kind == 14:
        issuer = value["issuer"]
        rest = link_bytes(issuer) if issuer else b""
        return raw(value["node"]) + bytes([issuer is not None]) + link_bytes(value["link"]) + rest
    if kind == 15:
        link = value["link"]
        rest = bytes([link is not None]) + (link_bytes(link) if link else b"")
        return raw(value["signer"]) + raw(value["signature"]) + decree_content(value)[0] + rest
    return varint(len(value)) + b"".join(raw(origin) for origin in value)


# Trees (section 4)


def node(entries, depth, at, found):
    """The bytes of the node of some (placement, key, value), sorted by key; also into `found`."""
    bucket = b"".join(
        bytes([len(key)]) + key + struct.pack(">H", len(value)) + value for _, key, value in entries
    )
    if not entries:
        return b""
    if len(bucket) <= 900 or depth == 16:
        found[at] = b"\0" + bucket
        return found[at]
    mask, hashes = 0, b""
    found[at] = b""
    for digit in range(16):
        below = [entry for entry in entries if entry[0] >> 60 - 4 * depth & 15 == digit]
        if below:
            mask |= 1 << digit
            hashes += hash128(node(below, depth + 1, at + "%x" % digit, found))
    found[at] = b"\1" + struct.pack(">H", mask) + hashes
    return found[at]


def tree(entries, mesh):
    """Nodes by path, hash and root of a map."""
    found = {}
    top = node([(siphash(mesh, key), key, value) for key, value in sorted(entries.items())], 0, "", found)
    return found, hash128(top) if top else bytes(16), hash256(top) if top else bytes(32)


def verifier():
    """A function (key, signature, bytes) → bool; None when no library is there."""
    try:
        from nacl.signing import VerifyKey

        def verify(key, signature, data):
            try:
                VerifyKey(key).verify(data, signature)
                return True
            except Exception:
                return False

        return verify
    except ImportError:
        pass
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        def verify(key, signature, data):
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
                return True
            except Exception:
                return False

        return verify
    except ImportError:
        return None


def main():
    keys = load("keys")
    mesh = raw(keys["mesh_id"])
    check("mesh tag", keys["mesh_tag"], u64(siphash(mesh, b"PresenceMesh tag")).hex())

    logs = {}
    for item in load("records"):
        name, told = item["name"], item["record"]
        check(name, item["encoded"], record(told).hex())
        check(name + ", key", item["tree_key"], tree_key(told).hex())
        entries = logs.setdefault(item["log"], {"entries": {}, "version": 0})
        entries["version"] = item["version"]
        if told["value"] is None:
            entries["entries"].pop(tree_key(told), None)
        else:
            value = value_bytes(told["kind"], told["value"])
            check(name + ", value", item["value_bytes"], value.hex())
            stored = varint(item["version"]) + varint(told["counter"]) + value
            check(name + ", in the tree", item["tree_value"], stored.hex())
            entries["entries"][tree_key(told)] = stored

    roots = {}
    for item in load("trees"):
        name = item["name"]
        entries = {raw(entry["key"]): raw(entry["value"]) for entry in item["entries"]}
        for entry in item["entries"]:
            check(name + ", placement", entry["placement"], u64(siphash(mesh, raw(entry["key"]))).hex())
        found, top, root = tree(entries, mesh)
        check(name + ", paths", [line["path"] for line in item["nodes"]], list(found))
        for line in item["nodes"]:
            check(f"{name}, node {line['path']}", line["bytes"], found.get(line["path"], b"").hex())
            check(f"{name}, hash {line['path']}", line["hash"], hash128(found.get(line["path"], b"")).hex())
        check(name + ", hash", item["hash"], top.hex())
        check(name + ", root", item["root"], root.hex())
        roots[name] = root

    # The tree of rooms from the records, and so the root that the checkpoints sign.
    rooms = {}
    for room, log in logs.items():
        top = tree(log["entries"], mesh)[1]
        rooms[b"/" + room.encode("utf-8")] = varint(log["version"]) + varint(len(log["entries"])) + top
    root = tree(rooms, mesh)[2]
    check("root of the rooms", roots["rooms of an origin"].hex(), root.hex())

    beats = load("heartbeats")
    value, chain = raw(beats["seed"]), [raw(beats["seed"])]
    for _ in range(4096):
        value = hash256(b"PresenceMesh/2 beat" + raw(beats["origin"]) + raw(beats["incarnation"]) + value)[:16]
        chain.append(value)
    check("anchor", beats["anchor"], chain[4096].hex())
    for beat in beats["beats"]:
        check(f"beat {beat['index']}", beat["value"], chain[4096 - beat["index"]].hex())

    verify = verifier()
    if verify is None:
        print("signatures are not checked: neither PyNaCl nor cryptography is installed")
    encoded = {}
    for item in load("messages"):
        name, kind, signed = item["name"], item["kind"], item.get("signed")
        body = message(kind, item["message"], signed)
        encoded[name] = bytes([kind]) + struct.pack(">H", len(body)) + body
        check(name, item["encoded"], encoded[name].hex())

        def covered(domain, origin, statement):
            return b"PresenceMesh/2 " + domain.encode() + b"\0" + mesh + origin + statement

        if kind in SIGNED:
            domain, parts = SIGNED[kind]
            front, rest = parts(item["message"]["body"])
            statement = front + (hash256(rest) if kind in (3, 4) else b"")
            check(name + ", statement", signed["statement"], statement.hex())
            data = covered(domain, raw(signed["origin"]), statement)
            check(name + ", signed bytes", signed["signed_bytes"], data.hex())
            if verify:
                check(name + ", signature", True, verify(raw(signed["origin"]), raw(signed["signature"]), data))
        if kind in (14, 15):
            for what, domain, signer, signature, content in trust_signatures(kind, item["message"]):
                if verify:
                    data = covered(domain, raw(signer), content)
                    check(f"{name}, {what}", True, verify(raw(signer), raw(signature), data))
        if kind == 14:
            links = [item["message"]["link"]] + ([item["message"]["issuer"]] if item["message"]["issuer"] else [])
            ends = min(link["bound_at"] + link["lifetime"] for link in links)
            check(name + ", end", item["message"]["not_after"], ends)
        if kind == 15:
            check(name + ", key", item["message"]["tree_key"], decree_content(item["message"])[1].hex())
            if "epoch" in item["message"]:
                key = next(raw(line["key"]) for line in keys["mesh_keys"] if line["epoch"] == item["message"]["epoch"])
                derived = hashlib.blake2b(
                    b"PresenceMesh/2 epoch" + u64(item["message"]["epoch"]), digest_size=32, key=key
                )
                check(name + ", check", item["message"]["check"], derived.hexdigest())
        if kind == 4:
            check(name + ", root", item["message"]["body"]["root"], root.hex())
            beat = item["message"]["body"]["beat"]
            check(name + ", value", item["message"]["body"]["value"], chain[4096 - beat].hex())
        if kind == 11 and verify:
            domain = SIGNED[item["message"]["kind"]][0]
            origin = raw(item["message"]["origin"])
            for one in item["message"]["statements"]:
                data = covered(domain, origin, raw(one["statement"]))
                check(name + ", signature", True, verify(origin, raw(one["signature"]), data))

    for item in load("datagrams"):
        opened = (
            raw(item["sender"]) + raw(item["incarnation"]) + u64(item["counter"]) + raw(item["echo"])
            + b"".join(encoded[name] for name in item["messages"])
        )
        check(item["name"], item["opened"], opened.hex())
        clear = b"\2" + raw(keys["mesh_tag"]) + struct.pack(">I", item["epoch"]) + raw(item["nonce"])
        check(item["name"] + ", clear part", item["sealed"][:74], clear.hex())
        check(item["name"] + ", length", len(raw(item["sealed"])), 37 + len(opened) + 16)

    print(f"{checked} values checked, {failed} differ")
    sys.exit(1 if failed else 0)


main()
