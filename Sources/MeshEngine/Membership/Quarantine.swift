import MeshCRDT
import MeshWire

/// The incarnations that have signed statements which contradict each other.
///
/// No words of such an incarnation are heard, nor of a lower one of its origin; a higher one ends the
/// quarantine. The proof is kept, for those who missed it. Bound: 4,096 origins, 700 bytes each; the one that
/// was noted first goes.
struct Quarantine: Sendable {
  private struct Note: Hashable, Sendable {
    let incarnation: Incarnation
    let proof: Contradiction?
  }

  private var notes: BoundedNotes<OriginID, Note>

  init(bound: Int = MembershipLimits.quarantined) { notes = BoundedNotes(bound: bound) }

  var count: Int { notes.count }

  /// What became of an incarnation that contradicted itself.
  enum Addition: Hashable, Sendable {
    /// It is in quarantine now. The note of another origin may have had to go.
    case added(evicted: OriginID?)
    /// It was already, or a higher one of its origin is.
    case known
  }

  mutating func add(
    _ origin: OriginID, _ incarnation: Incarnation, proof: Contradiction? = nil
  ) -> Addition {
    if contains(origin, incarnation) { return .known }
    let note = Note(incarnation: incarnation, proof: proof)
    return .added(evicted: notes.set(origin, note)?.key)
  }

  /// What proves that an origin in quarantine contradicted itself.
  func proof(of origin: OriginID) -> Contradiction? { notes[origin]?.proof }

  /// True when words of an incarnation are not heard.
  func contains(_ origin: OriginID, _ incarnation: Incarnation) -> Bool {
    notes[origin].map {
      PlantedBug.isActive(.quarantineOfLowerOnly)
        ? incarnation < $0.incarnation : incarnation <= $0.incarnation
    } ?? false
  }

  /// Ends the quarantine of an origin, if the signed words of a higher incarnation have come.
  /// - Returns: true if there was one.
  mutating func release(_ origin: OriginID, by incarnation: Incarnation) -> Bool {
    guard let noted = notes[origin], incarnation > noted.incarnation else { return false }
    return notes.remove(origin) != nil
  }
}
