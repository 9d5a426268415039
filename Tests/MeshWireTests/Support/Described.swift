import MeshCRDT
import MeshWire

extension Record {
  /// The fields by name, for readers of the vectors.
  var described: JSON {
    .object([
      "session": .text(session.description),
      "lane": .text("\(lane)"),
      "room": .text(room.text),
      "counter": .number(counter),
      "value": value?.described ?? .null,
    ])
  }
}

extension RecordValue {
  var described: JSON {
    switch self {
    case .session(let value):
      .object([
        "user_id": .text(value.profile.userID),
        "name": .text(value.profile.name),
        "colour": .text(value.profile.colour.description),
        "avatar": .text(value.profile.avatar),
        "data": .hex(value.profile.data),
        "device": .text(value.device),
        "joined_at": .number(value.joinedAt.milliseconds),
      ])
    case .presence(let value):
      .object([
        "entered_counter": .number(value.enteredCounter),
        "status": value.status.map { status in
          .object([
            "status": .text(status.status.name),
            "counter": .number(status.counter),
            "changed_at": .number(status.changedAt.milliseconds),
          ])
        } ?? .null,
        "message": .text(value.message),
        "is_typing": .flag(value.isTyping),
        "data": .hex(value.data),
      ])
    case .cursor(let value): value.described
    case .removal(let value): .object(["is_final": .flag(value.isFinal)])
    case .interest(let value):
      .object(["rooms": .list(value.rooms.map { .hex($0.bits.bigEndianBytes) })])
    case .visit: .object([:])
    }
  }
}

extension Cursor {
  var described: JSON {
    .object([
      "column": .number(UInt64(column)), "row": .number(UInt64(row)),
      "is_visible": .flag(isVisible), "anchor": anchor.map { .text($0) } ?? .null,
    ])
  }
}

extension Cut {
  var described: JSON {
    .object(["version": .number(version), "live_count": .number(count), "live_hash": .hex(hash)])
  }
}

extension DigestEntry {
  var described: JSON {
    .object([
      "origin": .hex(origin.bytes), "room": .hex(room.bits), "generation": .number(generation),
      "held": held.described,
    ])
  }
}

extension Envelope {
  /// The fields of the body by name.
  func described() throws -> JSON {
    var reader = body
    switch kind {
    case .batch:
      let body = try BatchBody.read(&reader)
      return .object([
        "generation": .number(body.generation), "room": .text(body.room.text),
        "first": .number(body.first), "claim": body.claim.described,
        "records": .list(body.records.map(\.described)),
      ])
    case .head:
      let body = try HeadBody.read(&reader)
      return .object([
        "generation": .number(body.generation), "heartbeat": .number(body.heartbeat),
        "claim": body.claim.described, "counter": .number(body.counter),
        "period_milliseconds": .number(body.periodMilliseconds),
        "is_leaving": .flag(body.isLeaving), "certificate": .hex(body.certificate),
      ])
    case .frame:
      let body = try FrameBody.read(&reader)
      let moves = body.moves.map {
        JSON.object(["session": .text($0.session.description), "cursor": $0.cursor.described])
      }
      return .object([
        "generation": .number(body.generation), "counter": .number(body.counter),
        "room": .text(body.room.text), "moves": .list(moves),
      ])
    case .proof:
      let body = try ProofBody.read(&reader)
      return .object([
        "generation": .number(body.generation), "life": .hex(body.life),
        "echo": .hex(body.echo),
        "token": .hex(body.token), "wants_proof": .flag(body.wantsProof),
      ])
    }
  }
}

extension Message {
  /// The fields by name; of a signed message, those of its body, and the age of a head.
  func described() throws -> JSON {
    switch self {
    case .challenge(let token): return .object(["token": .hex(token)])
    case .proof(let envelope), .batch(let envelope), .frame(let envelope):
      return try envelope.described()
    case .head(let age, let envelope):
      return .object(["age_milliseconds": .number(age), "head": try envelope.described()])
    case .digest(let nonce, let digest):
      return .object([
        "nonce": .hex(nonce), "buckets": .list(digest.buckets.map { .hex($0) }),
      ])
    case .prune(let origins):
      return .object(["origins": .list(origins.map { .hex($0.bytes) })])
    case .entries(let entries):
      return .object([
        "nonce": .hex(entries.nonce), "wants_answer": .flag(entries.wantsAnswer),
        "has_more": .flag(entries.hasMore), "mask": .number(UInt64(entries.mask)),
        "after_origin": .hex(entries.after.origin.bytes),
        "after_room": .hex(entries.after.room.bits),
        "entries": .list(entries.entries.map(\.described)),
      ])
    case .pull(let pull):
      return Self.range(pull.shelf, pull.generation, ["after": .number(pull.after)])
    case .pullEnd(let end):
      return Self.range(
        end.shelf, end.generation,
        [
          "after": .number(end.after), "through": .number(end.through),
          "has_more": .flag(end.hasMore),
        ])
    case .manifestRequest(let request):
      return Self.range(request.shelf, request.generation, ["after": .number(request.after)])
    case .manifest(let manifest):
      let items = manifest.items.map {
        JSON.object(["version": .number($0.version), "hash": .hex($0.hash)])
      }
      return Self.range(
        manifest.shelf, manifest.generation,
        [
          "after": .number(manifest.after), "through": .number(manifest.through),
          "is_last": .flag(manifest.isLast), "items": .list(items),
        ])
    case .headQuery(let known):
      return .list(
        known.map {
          .object([
            "origin": .hex($0.origin.bytes), "generation": .number($0.generation),
            "heartbeat": .number($0.heartbeat),
          ])
        })
    case .introduction(let introductions):
      return .list(
        introductions.map {
          .object([
            "origin": .hex($0.origin.bytes), "port": .number(UInt64($0.port)),
            "address": .hex($0.addressHigh.bigEndianBytes + $0.addressLow.bigEndianBytes),
          ])
        })
    case .fetch(let nonce, let room):
      return .object(["nonce": .hex(nonce), "room": .hex(room.bits)])
    }
  }

  private static func range(
    _ shelf: ShelfID, _ generation: UInt64, _ more: [String: JSON]
  ) -> JSON {
    .object(
      more.merging([
        "origin": .hex(shelf.origin.bytes), "room": .hex(shelf.room.bits),
        "generation": .number(generation),
      ]) { $1 })
  }
}
