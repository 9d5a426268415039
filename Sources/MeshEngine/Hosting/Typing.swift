import MeshCRDT

/// When typing ends that is not renewed: on at once, off after a while without a renewal.
///
/// Bound: the rooms of the sessions that are hosted.
struct Typing: Sendable {
  private let timeout: Span
  private var deadlines = Deadlines<SessionPlace>()

  init(timeout: Span) { self.timeout = timeout }

  /// When typing may end somewhere.
  var deadline: MonotonicTime? { deadlines.next }

  /// Typing begins, or is renewed.
  mutating func begin(_ place: SessionPlace, now: MonotonicTime) {
    deadlines.set(place, at: now + timeout)
  }

  /// Typing ended, or its session left the room.
  mutating func end(_ place: SessionPlace) { deadlines.remove(place) }

  /// Takes a place where typing was not renewed.
  mutating func take(due now: MonotonicTime) -> SessionPlace? { deadlines.take(due: now) }
}
