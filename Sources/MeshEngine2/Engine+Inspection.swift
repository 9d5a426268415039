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

  /// How old another origin's last sign of life is, as far as is known here, before pauses are granted.
  package func age(of other: OriginID) -> Span? { members.clock(of: other)?.age(at: context.now) }
}
