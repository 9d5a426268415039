package import MeshCRDT
import MeshWire

// What users and transports read of an engine.

extension Engine {
  /// True when the next output is a datagram, so that others wait for it.
  package var hasDatagram: Bool {
    durable == nil && (!context.outbox.isEmpty || farewell != nil || admission.hasDatagram)
  }

  /// True when something is held of an origin.
  package func holds(_ origin: OriginID) -> Bool { records.slot(of: origin) != nil }

  /// The version of the last record that this node wrote; 0: none yet.
  package var ownVersion: UInt64 { hosting.checkpoints.version }

  /// One hash of everything that is complete here: equal on all nodes that hold the same.
  package mutating func stateHash() -> Hash128 { records.stateHash() }

  /// One hash of what all complete checkpoints say of a room. Cost: the origins.
  package func roomHash(_ room: RoomName) -> Hash128 {
    records.replica.roomHash(room, context.treeHash)
  }

  /// A session as it was told by events; `nil`: it is not visible.
  package func session(_ id: SessionID) -> SessionSnapshot? { view.session(id, records) }

  /// A session that this node hosts, with what is not told yet.
  package func hostedSession(_ id: SessionID) -> SessionSnapshot? { hosting.snapshot(id) }

  /// All sessions and nodes, as they were told by events.
  package func snapshot() -> MeshSnapshot {
    var nodes: [OriginID: NodeHealth] = [origin: .online]
    for (other, _) in others { nodes[other] = members.reportedHealth(of: other) }
    return MeshSnapshot(sessions: view.snapshot(records), nodes: nodes, isStale: isStale)
  }

  /// The other origins, in the order of their ids.
  package func peers(now: MonotonicTime) -> [PeerStatus] {
    others.map { other, slot in
      let health = members.health(of: other) ?? .offline
      let path = paths.table.bestAddress(of: other).flatMap { paths.table.path(at: $0) }
      return PeerStatus(
        origin: other, health: health,
        incarnation: records.replica.incarnation(slot: slot),
        ageMilliseconds: members.clock(of: other)?.age(at: now).milliseconds ?? 0,
        address: path?.address,
        roundTripMicroseconds: path?.roundTrip.map { $0.nanoseconds / 1000 },
        sessions: view.sessionCount(slot: slot),
        version: records.complete(slot: slot)?.body.version ?? 0,
        isComplete: records.isComplete(slot: slot),
        isUnverified: health == .offline && !members.isVerified(other),
        differsMilliseconds: path?.differs.map { $0.last.since($0.first).milliseconds })
    }
  }

  private var others: [(origin: OriginID, slot: Int)] {
    records.replica.allSlots.compactMap { slot in
      guard slot != ownSlot, let origin = records.origin(slot: slot) else { return nil }
      return records.slot(of: origin) == slot ? (origin, slot) : nil
    }.sorted { $0.origin < $1.origin }
  }
}
