import MeshCRDT

/// When the sessions of this node end because their clients fell silent.
///
/// Leases stand still while the node pauses: what clients sent meanwhile may still wait to be read. So each
/// pause is granted once to each session. Bound: the sessions that are hosted.
struct Leases: Sendable {
  private struct Entry: Sendable {
    var timeToLive: Span
    /// When it ends, less ``paused``.
    var end: MonotonicTime
  }

  private var entries: [SessionID: Entry] = [:]
  private var deadlines = Deadlines<SessionID>()
  /// How long the node has paused in all.
  private var paused = Span(nanoseconds: 0)

  /// When a lease may end.
  var deadline: MonotonicTime? { deadlines.next }

  /// Sets the lease of a session, counted from now. An attached one does not end.
  mutating func set(_ session: SessionID, _ lease: Lease, now: MonotonicTime) {
    switch lease {
    case .attached: remove(session)
    case .leased(let timeToLive):
      let timeToLive =
        PlantedBug.isActive(.leaseEndsEarly) ? timeToLive.scaled(1, over: 2) : timeToLive
      entries[session] = Entry(timeToLive: timeToLive, end: now)
      renew(session, now: now)
    }
  }

  /// Takes in a sign of life of a session's client.
  mutating func renew(_ session: SessionID, now: MonotonicTime) {
    guard let index = entries.index(forKey: session) else { return }
    let due = now + entries.values[index].timeToLive
    entries.values[index].end = due - paused
    deadlines.set(session, at: due)
  }

  mutating func remove(_ session: SessionID) {
    entries[session] = nil
    deadlines.remove(session)
  }

  /// Grants a pause of the node that ended now. To be called before ``take(due:)``.
  mutating func grant(_ pause: Span) { paused = paused + pause }

  /// Takes a session whose lease has ended.
  mutating func take(due now: MonotonicTime) -> SessionID? {
    while let session = deadlines.take(due: now) {
      guard let entry = entries[session] else { continue }
      let due = entry.end + paused
      guard due <= now else {
        deadlines.set(session, at: due)
        continue
      }
      entries[session] = nil
      return session
    }
    return nil
  }
}
