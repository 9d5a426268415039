#!/usr/bin/env python3
"""Computes the vectors of behaviour once more, from the text of the protocol (version 2) alone.

    python3 check.py

Uses the standard library only. Exits with 1 when a value differs. The hash key is 00 01 … 0f.
"""

import hashlib
import json
import os
import struct
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
MESH = bytes(range(16))
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


# Section 5: ages


class Reference:
    """A moment in nanoseconds that moves later by a thousandth of the time since it was set."""

    def __init__(self, moment, now):
        self.moment, self.at = moment, now

    def value(self, now):
        return self.moment + (now - self.at) // 1000

    def lower(self, moment, now):
        if moment < self.value(now):
            self.moment, self.at = moment, now


class Clock:
    def __init__(self, terms, age, now):
        self.terms, self.beat, self.contact = terms, terms["beat"], now
        arrived = now - self.span(terms["beat"])
        self.heard = Reference(arrived, now)
        self.told = None if terms["own_word"] else Reference(arrived - age, now)

    def span(self, beat):
        return beat * self.terms["period"] * 10**6

    def checkpoint(self, terms, age, now):
        """The clock that holds afterwards: another one at first contact."""
        mine = self.terms
        if (terms["incarnation"], terms["chain"]) < (mine["incarnation"], mine["chain"]):
            return self
        if terms["incarnation"] > mine["incarnation"] or (
            terms["chain"] > mine["chain"] and terms["schedule"] != mine["schedule"]
        ):
            return Clock(terms, age, now)
        is_new = terms["chain"] > mine["chain"] or terms["beat"] > self.beat
        if terms["chain"] > mine["chain"]:
            shift = (terms["offset"] - mine["offset"]) * 10**6
            self.heard.moment += shift
            if self.told:
                self.told.moment += shift
            self.terms = terms
        if terms["own_word"]:
            self.told = None
        elif self.told:
            self.told.lower(now - age - self.span(terms["beat"]), now)
        if is_new:
            self.hear(terms["beat"], now)
        return self

    def accept(self, beat, now):
        fits = self.beat < beat <= self.beat + 512
        if fits:
            self.hear(beat, now)
        return fits

    def hear(self, beat, now):
        self.beat = beat
        self.heard.lower(now - self.span(beat), now)
        if now >= self.contact + self.time_to_live():
            self.told = None

    def time_to_live(self):
        return self.terms["period"] * 2_500_000

    def age(self, now):
        references = [one.value(now) for one in (self.heard, self.told) if one]
        return max(0, now - min(references) - self.span(self.beat))


def ages():
    for case in load("ages"):
        clock = None
        for step in case["steps"]:
            now = step["at"] * 10**6
            if "checkpoint" in step:
                terms = step["checkpoint"]
                age = terms["age"] * 10**6
                clock = clock.checkpoint(terms, age, now) if clock else Clock(terms, age, now)
            elif "beat" in step:
                check(f"{case['name']}, beat {step['beat']}", step["fits"], clock.accept(step["beat"], now))
            age, live = clock.age(now), clock.time_to_live()
            what = f"{case['name']}, at {step['at']}"
            check(what, step["age_microseconds"], age // 1000)
            check(what, step["health"], "offline" if age >= live else "suspect" if 2 * age >= live else "online")


# Section 4: trees


def siphash(data, key=MESH):
    k0, k1 = struct.unpack("<QQ", key)
    mask = 2**64 - 1
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(word, bits):
        return (word << bits | word >> 64 - bits) & mask

    def rounds(count):
        for _ in range(count):
            v[0], v[2] = v[0] + v[1] & mask, v[2] + v[3] & mask
            v[1], v[3] = turn(v[1], 13) ^ v[0], turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2], v[0] = v[2] + v[1] & mask, v[0] + v[3] & mask
            v[1], v[3] = turn(v[1], 17) ^ v[2], turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    whole = len(data) // 8 * 8
    tail = data[whole:] + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (number,) in struct.iter_unpack("<Q", data[:whole] + tail):
        v[3] ^= number
        rounds(2)
        v[0] ^= number
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def hash128(data):
    return hashlib.blake2b(data, digest_size=16).digest() if data else bytes(16)


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


class Tree:
    """Nodes by path; a path is a string of hexadecimal digits."""

    def __init__(self, entries):
        self.nodes = {}
        self.build([("%016x" % siphash(key), key, value) for key, value in sorted(entries.items())], "")

    def build(self, entries, path):
        bucket = b"".join(bytes([len(k)]) + k + struct.pack(">H", len(v)) + v for _, k, v in entries)
        if not entries:
            return
        if len(bucket) <= 900 or len(path) == 16:
            self.nodes[path] = b"\0" + bucket
            return
        mask, hashes = 0, b""
        for digit in range(16):
            below = [entry for entry in entries if entry[0][len(path)] == "%x" % digit]
            self.build(below, path + "%x" % digit)
            if below:
                mask |= 1 << digit
                hashes += hash128(self.nodes[path + "%x" % digit])
        self.nodes[path] = b"\1" + struct.pack(">H", mask) + hashes

    def hash(self, path=""):
        return hash128(self.nodes.get(path, b""))

    def root(self):
        top = self.nodes.get("")
        return hashlib.blake2b(top, digest_size=32).digest() if top else bytes(32)

    def children(self, path):
        return [path + digit for digit in "0123456789abcdef" if path + digit in self.nodes]


def entries_of_bucket(node):
    at = 1
    while node[:1] == b"\0" and at < len(node):
        key = node[at + 1 : at + 1 + node[at]]
        at += 1 + len(key)
        (length,) = struct.unpack(">H", node[at : at + 2])
        yield key, node[at + 2 : at + 2 + length]
        at += 2 + length


def rooms_tree(rooms):
    """The tree of rooms from {room: (version, entries)}, and the trees of records."""
    trees = {room: Tree(entries) for room, (_, entries) in rooms.items() if entries}
    lines = {
        b"/" + room.encode(): varint(rooms[room][0]) + varint(len(rooms[room][1])) + tree.hash()
        for room, tree in trees.items()
    }
    return Tree(lines), trees


# Section 8: completeness


def logs():
    for case in load("logs"):
        rooms, applied = {}, set()
        complete, complete_at = ({}, set()), None
        for number, step in enumerate(case["steps"]):
            what = f"{case['name']}, step {number}"
            if "checkpoint" in step:
                told = step["checkpoint"]
                version, outcome, missing = told["version"], None, []
                if complete_at and complete_at["sequence"] >= told["sequence"]:
                    outcome = "complete" if complete_at == told else "overtaken"
                else:
                    for one in range(1, version + 1):
                        if one in applied:
                            continue
                        if missing and missing[-1][1] == one - 1:
                            missing[-1][1] = one
                        else:
                            missing.append([one, one])
                    if missing:
                        outcome = "missing"
                        check(what, step["missing"], missing)
                    elif max(applied, default=0) > version:
                        outcome = "overtaken"
                    elif rooms_tree(rooms)[0].root().hex() != told["root"]:
                        outcome = "differs"
                    else:
                        outcome = "complete"
                        complete_at = told
                        rooms = {room: log for room, log in rooms.items() if log[1]}
                        complete = ({r: (v, dict(e)) for r, (v, e) in rooms.items()}, set(applied))
                check(what, step["outcome"], outcome)
            elif "hidden" in step:
                rooms = {room: (v, dict(e)) for room, (v, e) in complete[0].items()}
                applied = set(complete[1])
            else:
                check(what, step["outcome"], apply(step, rooms, applied))
            check(what + ", root", step["root_after"], rooms_tree(rooms)[0].root().hex())


def apply(step, rooms, applied):
    first, previous = step["first"], step["previous"]
    versions = set(range(first, first + len(step["records"])))
    version, entries = rooms.get(step["room"], (0, {}))
    if versions <= applied or max(versions) <= version:
        applied |= versions
        return "known"
    if previous not in (0, version) or first <= version:
        return "waits"
    entries = dict(entries) if previous else {}
    for offset, record in enumerate(step["records"]):
        key = bytes.fromhex(record["key"])
        entries.pop(key, None)
        if "value" in record:
            value = bytes.fromhex(record["value"])
            entries[key] = varint(first + offset) + varint(record["counter"]) + value
    rooms[step["room"]] = (max(versions), entries)
    applied |= versions
    return "applied"


# Section 7: comparing


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value


def node_place(room, path, before):
    """The place of a node: `room` is None in a tree of rooms and of the replica."""
    digits = bytes.fromhex(path + "0" * (len(path) % 2))
    if room is None:
        return bytes([len(path)]) + digits
    if room == before:
        return bytes([len(path) | 0xC0]) + digits
    return bytes([len(path) | 0x80]) + varint(len(room.encode())) + room.encode() + digits


def read_request(data):
    reader = Reader(data[3:])
    place = None
    if reader.take(1) == b"\1":
        place = (reader.take(32), reader.take(12), reader.number())
    request = reader.take(2)
    budget, nodes, before = reader.number(), [], None
    for _ in range(reader.number()):
        bits = reader.take(1)[0]
        depth = bits & 0x1F
        if bits & 0xC0 == 0x80:
            before = reader.take(reader.number()).decode()
        elif not bits & 0x80:
            before = None
        digits = reader.take((depth + 1) // 2).hex()[:depth]
        nodes.append((before, digits, reader.take(16)))
    return place, request, budget, nodes


def answer(store, data):
    """Whether the checkpoint comes first, and the messages."""
    place, request, budget, asked = read_request(data)
    is_first, out_place, trees = False, b"\0", {}
    if place is None:
        lines = {
            origin: one["incarnation"] + struct.pack(">QQ", one["sequence"], one["version"]) + one["root"]
            for origin, one in store.items()
        }
        trees = {None: Tree(lines)}
    else:
        origin, incarnation, sequence = place
        if origin not in store:
            return False, []
        one = store[origin]
        mine = (one["incarnation"], one["sequence"])
        out_place = b"\1" + origin + mine[0] + varint(mine[1])
        is_first = mine != (incarnation, sequence) or any((r, p) == (None, "") for r, p, _ in asked)
        top, records = rooms_tree(one["rooms"])
        trees = {None: top, **records}
        if mine < (incarnation, sequence):
            asked = []
    pages, room_left, before, left = [[]], 0, None, budget
    capacity = 1087 - 3 - len(out_place) - 2 - 2 - 2

    def put(room, path, node):
        nonlocal room_left, before, left
        content = varint(len(node)) + node
        size = len(node_place(room, path, before)) + len(content)
        if not pages[-1]:
            room_left, before = capacity, None
            size = len(node_place(room, path, before)) + len(content)
        elif size > room_left or len(pages[-1]) == 255:
            pages.append([])
            room_left, before = capacity, None
            size = len(node_place(room, path, before)) + len(content)
        pages[-1].append(node_place(room, path, before) + content)
        room_left, before, left = room_left - size, room, left - size

    def below(room, path):
        for child in trees[room].children(path):
            if left <= 0:
                return
            put(room, child, trees[room].nodes[child])
            below(room, child)
        if room is None and place is not None:
            for key, _ in entries_of_bucket(trees[None].nodes[path]):
                if left <= 0:
                    return
                name = key[1:].decode()
                put(name, "", trees[name].nodes[""])
                below(name, "")

    for room, path, told in asked:
        tree = trees.get(room)
        if (tree.hash(path) if tree else bytes(16)) == told:
            continue
        node = tree.nodes.get(path, b"") if tree else b""
        put(room, path, node)
        if told == bytes(16) and node:
            below(room, path)
    messages = []
    for number, nodes in enumerate(pages):
        page = struct.pack(">H", number | (number == len(pages) - 1) << 15)
        body = out_place + request + page + varint(len(nodes)) + b"".join(nodes)
        messages.append(b"\x08" + struct.pack(">H", len(body)) + body)
    return is_first, messages


def comparing():
    held, *cases = load("comparing")
    store = {}
    for one in held["origins"]:
        rooms = {
            log["room"]: (
                log["version"],
                {bytes.fromhex(r["key"]): bytes.fromhex(r["value"]) for r in log["records"]},
            )
            for log in one["rooms"]
        }
        store[bytes.fromhex(one["origin"])] = {
            "incarnation": bytes.fromhex(one["incarnation"]), "sequence": one["sequence"],
            "version": one["version"], "root": bytes.fromhex(one["root"]), "rooms": rooms,
        }
        check("root of an origin", one["root"], rooms_tree(rooms)[0].root().hex())
    for case in cases:
        is_first, messages = answer(store, bytes.fromhex(case["request"]))
        check(case["name"] + ", checkpoint first", case["checkpoint_first"], is_first)
        check(case["name"], case["answer"], [message.hex() for message in messages])


# Section 11: reading


def reading():
    for case in load("reading"):
        origins = case["origins"]
        records = [
            {(r["log"], bytes.fromhex(r["key"])): (r["counter"], bytes.fromhex(r["value"])) for r in o["records"]}
            for o in origins
        ]

        def key(kind, session, room=""):
            return bytes([kind]) + session + room.encode()

        def removed(session, room, counter):
            found = [log.get(("", key(3, session, room))) for log in records]
            return any(one and one[0] >= counter for one in found)

        def entered(presence):
            return Reader(presence).number()

        moving = {}
        for move in case["moves"]:
            session, room, counter = bytes.fromhex(move["session"]), move["room"], move["counter"]
            log = records[move["origin"]]
            presence = log.get((room, key(1, session)))
            rest = log.get((room, key(2, session)), (0, b""))[0]
            place = (move["origin"], session, room)
            if not origins[move["origin"]]["is_visible"] or not presence:
                continue
            # The bytes of a visible cursor without an anchor have the order of cursors.
            update = (counter, bytes.fromhex(move["cursor"]))
            if counter > max(entered(presence[1]), rest) and update > moving.get(place, (0, b"")):
                moving[place] = update
        shown = []
        for session in sorted({k[1:17] for log in records for _, k in log if k[0] != 3}):
            hosts = [
                (log[("", key(0, session))][0], o["origin"], index)
                for index, (o, log) in enumerate(zip(origins, records))
                if o["is_visible"] and ("", key(0, session)) in log
            ]
            if not hosts or removed(session, "", max(hosts)[0]):
                continue
            counter, host, index = max(hosts)
            log, rooms, occupied = records[index], [], []
            for room in sorted({r for r, k in log} | {k[17:].decode() for _, k in log if k[0] == 5}):
                presence = log.get((room, key(1, session)))
                visit = log.get(("", key(5, session, room)))
                if presence:
                    since = entered(presence[1])
                    if room and removed(session, room, since):
                        continue
                    line = {"room": room, "presence": presence[1].hex()}
                    rest = log.get((room, key(2, session)))
                    if (index, session, room) in moving:
                        line["cursor"] = moving[(index, session, room)][1].hex()
                    elif rest and rest[0] >= since:
                        line["cursor"] = rest[1].hex()
                    rooms.append(line)
                elif visit and not removed(session, room, visit[0]):
                    occupied.append(room)
            value = log[("", key(0, session))][1]
            shown.append(
                {"session": session.hex(), "host": host, "value": value.hex(), "rooms": rooms, "by_occupancy": occupied}
            )
        check(case["name"], case["sessions"], shown)


ages()
logs()
comparing()
reading()
print(f"{checked} values checked, {failed} differ")
sys.exit(1 if failed or not checked else 0)
