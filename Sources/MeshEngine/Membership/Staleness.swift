import MeshCRDT

/// Whether this node hears anybody at all.
///
/// A node that hears nobody cannot tell whether the others stopped or it was cut off itself. It is *cut
/// off* after 1.25 typical periods without a datagram on any path. The typical period is the lower
/// median of those of the visible origins, and at most a minute: by then half of them at least should
/// have sent a beat, and that all of these died at once is less likely than a cut. An origin with a
/// period of an hour does not delay that for the others, and one with 100 ms does not hasten it; it
/// takes half of the origins to move the median.
struct Staleness: Sendable {
  private var heardAt: MonotonicTime
  /// True from the silence of all until somebody is heard.
  private(set) var isCutOff = false

  init(startingAt now: MonotonicTime) { heardAt = now }

  /// Notes a datagram on a path.
  /// - Returns: how long nobody was heard, if the node was cut off until now: to be granted to the
  ///   origins, which could not be heard either.
  mutating func hear(at now: MonotonicTime) -> Span? {
    let silence = now.since(heardAt)
    heardAt = max(heardAt, now)
    guard isCutOff else { return nil }
    isCutOff = false
    return silence
  }

  /// Takes a pause of this node off the silence.
  mutating func grant(_ pause: Span, at now: MonotonicTime) { heardAt = min(heardAt + pause, now) }

  /// Looks at the silence.
  /// - Parameter typicalPeriod: of the visible origins; `nil` when there are none: a node alone is not
  ///   cut off.
  /// - Returns: true if the node is cut off from now on.
  mutating func evaluate(at now: MonotonicTime, typicalPeriod: Span?) -> Bool {
    guard let deadline = deadline(typicalPeriod: typicalPeriod), deadline <= now,
      !PlantedBug.isActive(.cutOffNotNoticed)
    else {
      return false
    }
    isCutOff = true
    return true
  }

  /// When to look again; `nil`: not before something is heard or becomes visible.
  func deadline(typicalPeriod: Span?) -> MonotonicTime? {
    guard !isCutOff, let typicalPeriod else { return nil }
    return heardAt
      + min(typicalPeriod, MembershipLimits.longestTypicalPeriod).scaled(5, over: 4)
  }
}
