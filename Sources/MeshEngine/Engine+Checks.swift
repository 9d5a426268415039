package import MeshCRDT
import MeshTrust
import MeshWire

// For tests and the simulator: what must hold at any time.

extension Engine {
  /// True when an origin is part of the state, shown or hidden.
  package func holds(_ origin: OriginID) -> Bool { state.slot(of: origin) != nil }

  /// What is held of an origin, in words, for a failing simulation.
  package func describe(_ origin: OriginID) -> String {
    guard let slot = state.slot(of: origin) else {
      return graves[origin].map { "in a grave of generation \($0.generation)" } ?? "unknown"
    }
    let log = state.logs[slot]
    let pull = pulls[origin].map { "\($0.step) \($0.failures) failures" } ?? "no pull"
    let life = liveness[slot]
    let words =
      "\(life.health), left \(now.since(life.leftAt).milliseconds) ms ago, judged by "
      + "\(now.since(life.heardAt).milliseconds) ms"
    return "generation \(log.generation) cut \(log.cut.version)/\(log.cut.count) claim "
      + "\(log.claim.version)/\(log.claim.count) live \(log.liveCount) highest "
      + "\(log.highestVersion) heartbeat \(life.heartbeat), \(words), "
      + "\(pull) path \(pathOf[origin].map { "\($0)" } ?? "none") batches \(stores[slot].count)"
  }

  /// The origins of the state, in the order of their ids.
  package var origins: [OriginID] { state.sortedSlots.compactMap { state.origins[$0] } }

  /// How many visible origins there are whose heads were missed within the last of their periods, in a
  /// big mesh.
  package var doubtedCount: Int {
    guard isLarge else { return 0 }
    return state.sortedSlots.count { slot in
      guard isVisible(slot), let doubtedAt = liveness[slot].doubtedAt else { return false }
      return now < doubtedAt + liveness[slot].period
    }
  }

  /// What is known completely of an origin.
  package func digestEntry(_ origin: OriginID) -> DigestEntry? {
    state.slot(of: origin).flatMap { state.digestEntry(slot: $0) }
  }

  /// The version up to which all of an origin's log is held; 0: nothing of this life is.
  package func heldVersion(of origin: OriginID) -> UInt64 {
    state.slot(of: origin).map { state.logs[$0].held.version } ?? 0
  }

  /// The bytes of this node's own batches with a live record above a version.
  package func ownBytes(after version: UInt64) -> UInt64 {
    stores[ownSlot].batches.reduce(0) {
      $1.live > 0 && $1.last > version ? $0 + UInt64($1.envelope.bytes.count) : $0
    }
  }

  /// The Lamport counter.
  package var lamportCounter: UInt64 { state.lamport.counter }

  /// Compares what is kept incrementally with what it is made from, and tables with their bounds.
  /// Cost: the whole state.
  package func invariantViolation() -> String? {
    if let violation = state.invariantViolation() { return violation }
    for slot in state.sortedSlots {
      let log = state.logs[slot]
      if log.cut == log.claim, log.highestVersion <= log.cut.version,
        log.liveHash != log.cut.hash || log.liveCount != log.cut.count
      {
        return "a settled log does not hash to its cut"
      }
      for (key, cell) in log.cells() where !cell.isTombstone && !stores[slot].covers(cell.version) {
        return "record \(key.lane) \(cell.version) of \(key.session) lives, but its batch is gone"
      }
      if log.highestVersion > log.claim.version { return "a record is above every claim" }
    }
    if paths.count > PathLimits.paths { return "more paths than the bound" }
    if contacts.count > PathLimits.contacts { return "more contacts than the bound" }
    if pulls.count > Limits.origins { return "more pulls than the bound" }
    for session in shown.sessions where winner(session) != shown.onlySlot(of: session) {
      return "session \(session) is shown by another host than its winner"
    }
    return nil
  }

  /// A batch or head in the state whose signature is not its origin's; `nil`: there is none. Looks at
  /// the newest batches of each origin. Cost: a verification for each.
  package func unverifiedBatch(newest count: Int = .max) -> String? {
    for slot in state.sortedSlots {
      let heads = liveness[slot].head.map { [$0] } ?? []
      for envelope in stores[slot].batches.suffix(count).map(\.envelope) + heads {
        let signed = envelope.signedBytes(mesh: configuration.mesh.bytes)
        if envelope.origin != state.origins[slot]
          || !crypto.verify(signed, signature: envelope.signature, by: envelope.origin)
        {
          return "a \(envelope.kind) that \(envelope.origin.short) did not sign"
        }
      }
    }
    return nil
  }
}
