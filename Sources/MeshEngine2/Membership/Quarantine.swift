import MeshCRDT
import MeshCRDT2

/// The incarnations that have signed statements which contradict each other.
///
/// No words of such an incarnation are heard, nor of a lower one of its origin; a higher one ends the
/// quarantine. Bound: 4,096 origins; the one that was noted first goes.
struct Quarantine: Sendable {
  private var notes: BoundedNotes<OriginID, Incarnation>

  init(bound: Int = MembershipLimits.quarantined) { notes = BoundedNotes(bound: bound) }

  var count: Int { notes.count }

  /// What became of an incarnation that contradicted itself.
  enum Addition: Hashable, Sendable {
    /// It is in quarantine now. The note of another origin may have had to go.
    case added(evicted: OriginID?)
    /// It was already, or a higher one of its origin is.
    case known
  }

  mutating func add(_ origin: OriginID, _ incarnation: Incarnation) -> Addition {
    if contains(origin, incarnation) { return .known }
    return .added(evicted: notes.set(origin, incarnation)?.key)
  }

  /// True when words of an incarnation are not heard.
  func contains(_ origin: OriginID, _ incarnation: Incarnation) -> Bool {
    notes[origin].map {
      PlantedBug.isActive(.quarantineOfLowerOnly) ? incarnation < $0 : incarnation <= $0
    } ?? false
  }

  /// Ends the quarantine of an origin, if the signed words of a higher incarnation have come.
  /// - Returns: true if there was one.
  mutating func release(_ origin: OriginID, by incarnation: Incarnation) -> Bool {
    guard let noted = notes[origin], incarnation > noted else { return false }
    return notes.remove(origin) != nil
  }
}
