import MeshCRDT
import MeshWire

// The fields of values by name, for readers of the vectors.

extension RecordChange {
  var described: JSON {
    .object([
      "kind": .number(UInt64(key.kind.rawValue)),
      "session": .text(key.session.description),
      "room": key.kind.namesRoom ? .text(key.room.text) : .null,
      "counter": .number(counter),
      "value": value.map { Self.described($0[...], key.kind) } ?? .null,
    ])
  }

  private static func described(_ bytes: ArraySlice<UInt8>, _ kind: RecordKind) -> JSON {
    switch kind {
    case .session: RecordValues.session(from: bytes)?.described ?? .null
    case .presence: RecordValues.presence(from: bytes)?.described ?? .null
    case .cursor: RecordValues.cursor(from: bytes)?.described ?? .null
    case .removal:
      RecordValues.removal(from: bytes).map { .object(["is_final": .flag($0.isFinal)]) } ?? .null
    case .subscription:
      RecordValues.subscription(from: bytes).map { ids in
        .object(["rooms": .list(ids.map { .hex($0.bits) })])
      } ?? .null
    case .occupancy: .object([:])
    default: .object(["bytes": .hex(bytes)])
    }
  }
}

extension SessionValue {
  var described: JSON {
    .object([
      "user_id": .text(profile.userID), "name": .text(profile.name),
      "colour": .text(profile.colour.description), "avatar": .text(profile.avatar),
      "data": .hex(profile.data), "device": .text(device),
      "joined_at": .number(joinedAt.milliseconds),
    ])
  }
}

extension PresenceValue {
  var described: JSON {
    .object([
      "entered_counter": .number(enteredCounter),
      "status": status.map { status in
        .object([
          "status": .number(UInt64(status.status.rawValue)), "counter": .number(status.counter),
          "changed_at": .number(status.changedAt.milliseconds),
        ])
      } ?? .null,
      "message": .text(message), "is_typing": .flag(isTyping), "data": .hex(data),
    ])
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

extension TreePath {
  /// A digit for each level.
  var digits: String { (0..<depth).map { String(self[$0], radix: 16) }.joined() }
}

extension ComparisonPlace {
  var described: JSON {
    switch self {
    case .replica: .null
    case .origin(let origin, let incarnation, let sequence):
      .object([
        "origin": .hex(origin.bytes), "incarnation": .hex(incarnation.bytes),
        "sequence": .number(sequence),
      ])
    }
  }
}

extension OriginFetch.Tree {
  /// The room of a tree of records; `null` for a tree above those.
  var described: JSON {
    switch self {
    case .rooms: .null
    case .records(let room): .text(room.text)
    }
  }
}

extension SignedMessage {
  /// The fields of the body by name.
  func described() throws -> JSON {
    switch kind {
    case .pathProof:
      let proof = try read(PathProof.self)
      return .object([
        "incarnation": .hex(proof.incarnation.bytes), "echo": .hex(proof.echo),
        "token": .hex(proof.token), "wants_proof": .flag(proof.wantsProof),
      ])
    case .batch:
      let batch = try read(Batch.self)
      return .object([
        "incarnation": .hex(batch.incarnation.bytes), "room": .text(batch.room.text),
        "previous": .number(batch.previous), "first": .number(batch.first),
        "records": .list(batch.changes.map(\.described)),
      ])
    case .checkpoint: return try read(Checkpoint.self).described
    case .cursorFrame:
      let frame = try read(CursorFrame.self)
      return .object([
        "incarnation": .hex(frame.incarnation.bytes), "room": .text(frame.room.text),
        "updates": .list(
          frame.updates.map {
            .object([
              "session": .text($0.session.description), "counter": .number($0.counter),
              "cursor": $0.cursor.described,
            ])
          }),
      ])
    }
  }
}

extension Checkpoint {
  var described: JSON {
    .object([
      "incarnation": .hex(incarnation.bytes), "sequence": .number(sequence),
      "version": .number(version), "root": .hex(root.bytes), "value": .hex(value.bytes),
      "chain": .number(chain), "schedule": .number(schedule),
      "offset_milliseconds": .number(offsetMilliseconds), "beat": .number(beat),
      "period_milliseconds": .number(periodMilliseconds), "is_leaving": .flag(isLeaving),
      "features": .number(features),
      "names_all_changed": .flag(namesAllChanged),
      "changed": .list(
        changed.map { .object(["room": .text($0.room.text), "version": .number($0.version)]) }),
    ])
  }
}

extension MeshMessage {
  /// The fields of the message by name.
  func described() throws -> JSON {
    switch self {
    case .challenge(let token): return .object(["token": .hex(token)])
    case .pathProof(let signed), .batch(let signed), .cursorFrame(let signed):
      return .object(["body": try signed.described()])
    case .checkpoint(let age, let signed):
      return .object(["age": .number(age), "body": try signed.described()])
    case .beats(let beats):
      return .list(
        beats.map {
          .object([
            "origin_prefix": .hex($0.originPrefix), "index": .number($0.index),
            "value": .hex($0.value.bytes),
          ])
        })
    case .compare(let request):
      return .object([
        "place": request.place.described, "request": .number(UInt64(request.request)),
        "budget": .number(request.budget),
        "nodes": .list(
          request.nodes.map {
            .object([
              "room": $0.tree.described, "path": .text($0.path.digits),
              "hash": .hex($0.hash.bytes),
            ])
          }),
      ])
    case .nodes(let answer):
      return .object([
        "place": answer.place.described, "request": .number(UInt64(answer.request)),
        "page": .number(UInt64(answer.page)), "is_last": .flag(answer.isLast),
        "nodes": .list(
          answer.nodes.map {
            .object([
              "room": $0.tree.described, "path": .text($0.path.digits), "bytes": .hex($0.bytes),
            ])
          }),
      ])
    case .repair(let request):
      return .object([
        "origin": .hex(request.origin.bytes), "incarnation": .hex(request.incarnation.bytes),
        "room": request.room.map { .text($0.text) } ?? .null, "after": .number(request.after),
        "through": .number(request.through),
      ])
    case .probe(let probes):
      return .list(
        probes.map {
          .object([
            "origin": .hex($0.origin.bytes),
            "incarnation": .hex($0.incarnation?.bytes ?? [UInt8](repeating: 0, count: 12)),
            "sequence": .number($0.sequence), "beat": .number($0.beat),
          ])
        })
    case .contradiction(let contradiction):
      return .object([
        "origin": .hex(contradiction.origin.bytes),
        "kind": .number(UInt64(contradiction.kind.rawValue)),
        "statements": .list(
          [contradiction.lower, contradiction.higher].map {
            .object(["statement": .hex($0.statement), "signature": .hex($0.signature)])
          }),
      ])
    case .peerExchange(let peers):
      return .list(
        peers.map {
          .object([
            "origin": .hex($0.origin.bytes),
            "address": .hex($0.addressHigh.bigEndianBytes + $0.addressLow.bigEndianBytes),
            "port": .number(UInt64($0.port)),
          ])
        })
    case .prune(let origins): return .list(origins.map { .hex($0.bytes) })
    case .certificate(let certificate): return certificate.described
    case .decree(let decree): return decree.described
    }
  }
}

extension Rights {
  var described: JSON {
    let scope: JSON =
      switch users {
      case .none: .text("none")
      case .all: .text("all")
      case .some(let patterns):
        .list(
          patterns.map { .object(["text": .text($0.text), "is_prefix": .flag($0.isPrefix)]) })
      }
    return .object([
      "role": .number(UInt64(role.rawValue)), "users": scope,
      "sessions": .number(quotas.sessions), "rooms": .number(quotas.rooms),
      "records": .number(quotas.records), "bytes_per_second": .number(quotas.bytesPerSecond),
    ])
  }
}

extension CertificateLink {
  var described: JSON {
    .object([
      "issuer": .hex(ticket.issuer.bytes), "ticket_signature": .hex(ticket.signature),
      "ticket_key": .hex(ticket.key.bytes), "rights": ticket.rights.described,
      "uses": .number(ticket.uses), "issued_at": .number(ticket.issuedAt),
      "expires": .number(ticket.expires), "lifetime": .number(ticket.lifetime),
      "bound_at": .number(boundAt), "signature": .hex(signature),
    ])
  }
}

extension Certificate {
  var described: JSON {
    .object([
      "node": .hex(node.bytes), "link": link.described, "issuer": issuer?.described ?? .null,
      "not_after": .number(notAfter),
    ])
  }
}

extension Decree {
  var described: JSON {
    var fields: [String: JSON] = [
      "signer": .hex(signer.bytes), "signature": .hex(signature), "issued_at": .number(issuedAt),
      "until": .number(until), "link": link?.described ?? .null,
      "tree_key": .hex(key),
    ]
    switch subject {
    case .revokedNode(let key): fields["revoked_node"] = .hex(key.bytes)
    case .revokedTicket(let key): fields["revoked_ticket"] = .hex(key.bytes)
    case .revokedUser(let user): fields["revoked_user"] = .text(user)
    case .epoch(let epoch, let check):
      fields["epoch"] = .number(UInt64(epoch))
      fields["check"] = .hex(check.bytes)
    case .authority(let key): fields["authority"] = .hex(key.bytes)
    }
    return .object(fields)
  }
}
