import MeshCRDT

/// The pauses of this node that still count for some origin: when they ended, and how long they were.
///
/// What a node could not hear must not count against others. An origin is granted the part of a pause that
/// lies behind the moment of its newest beat: of several pauses the greatest part, they do not add up. So
/// whoever is silent is hidden one time to live after the pause at the latest, and a node whose timers are
/// always late still hides the dead, at most one pause later.
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

  /// What an origin is granted whose newest beat is so old.
  func grant(age: Span, at now: MonotonicTime) -> Span {
    pauses.reduce(Span(nanoseconds: 0)) { longest, pause in
      if PlantedBug.isActive(.grantWithoutEnd) { return max(longest, pause.span) }
      let since = min(age, now.since(pause.end))
      return max(longest, min(pause.span, Span(nanoseconds: age.nanoseconds - since.nanoseconds)))
    }
  }
}
