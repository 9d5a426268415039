import MeshCRDT

/// The pauses of this node that still count for some origin: when they ended, and how long they were.
///
/// What a node could not hear must not count against others. An origin is granted the *longest* pause
/// that ended since its last sign of life came in time; pauses do not add up. So a node whose timers
/// are always late still hides the dead, at most one pause later.
///
/// The list has falling spans: a longer pause takes the place of the shorter ones before it. Bound: 16;
/// beyond, the two latest become one, with the end of the later and the span of the longer.
/// Cost: the entries.
struct PauseLog: Sendable {
  private struct Pause: Sendable {
    let end: MonotonicTime
    let span: Span
  }

  private var pauses: [Pause] = []

  var count: Int { pauses.count }

  /// Notes a pause of a span that ended just now.
  mutating func note(_ span: Span, endedAt now: MonotonicTime) {
    let span =
      PlantedBug.isActive(.grantsAddUp) ? span + (pauses.last?.span ?? Span(nanoseconds: 0)) : span
    while let last = pauses.last, last.span <= span { pauses.removeLast() }
    if pauses.count == MembershipLimits.pauses, let last = pauses.popLast() {
      pauses.append(Pause(end: now, span: last.span))
    } else {
      pauses.append(Pause(end: now, span: span))
    }
  }

  /// What an origin is granted whose last sign of life in time came at a time.
  func grant(since time: MonotonicTime) -> Span {
    pauses.first { $0.end > time || PlantedBug.isActive(.grantWithoutEnd) }?.span
      ?? Span(nanoseconds: 0)
  }
}
