package import MeshCRDT
package import MeshCRDT2

// What simulations look at, beside what users do.

extension Engine {
  /// The position and root of the newest checkpoint of an origin that is complete here; `nil`: none is.
  package func summary(of other: OriginID) -> OriginSummary? {
    guard let slot = records.slot(of: other), let complete = records.complete(slot: slot) else {
      return nil
    }
    return OriginSummary(complete.body.facts)
  }

  /// True when an incarnation of an origin contradicted itself.
  package func isQuarantined(_ other: OriginID, _ incarnation: Incarnation) -> Bool {
    quarantine.contains(other, incarnation)
  }

  /// The bytes of keys and values of the living records of this node that another lacks. Cost: all of them.
  package func ownBytes(missingAt other: Engine) -> UInt64 {
    guard let held = records.replica.replica(slot: ownSlot) else { return 0 }
    let there = other.records.slot(of: origin).flatMap { other.records.replica.replica(slot: $0) }
    var bytes = 0
    for (room, log) in held.logs {
      log.tree.visit { key, value in
        if there?.logs[room]?.tree[Array(key)].map({ $0 == value }) != true {
          bytes += key.count + value.count
        }
      }
    }
    return UInt64(bytes)
  }

  /// How old another origin's last sign of life is, as far as is known here, before pauses are granted.
  package func age(of other: OriginID) -> Span? { members.clock(of: other)?.age(at: context.now) }

  /// True when something of an origin is held that its complete checkpoint does not have.
  package func hasUnfinishedWords(of other: OriginID) -> Bool {
    records.slot(of: other).flatMap { records.replica.replica(slot: $0) }?.written.isEmpty == false
  }
}
