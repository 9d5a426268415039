import MeshCRDT

/// When the sessions of this node end because their clients fell silent.
///
/// A pause of the node itself is granted to a session once until its client's next sign of life:
/// what the client sent meanwhile may still wait to be read. Bound: the sessions that are hosted.
struct Leases: Sendable {
  private struct Entry: Sendable {
    var timeToLive: Span
    var heardAt: MonotonicTime
  }

  private struct Pause: Sendable {
    let endedAt: MonotonicTime
    let span: Span
  }

  private var entries: [SessionID: Entry] = [:]
  private var deadlines = Deadlines<SessionID>()
  /// The earliest first; at most ``HostingLimits/pauses``.
  private var pauses: [Pause] = []

  /// When a lease may end.
  var deadline: MonotonicTime? { deadlines.next }

  /// Sets the lease of a session, counted from now. An attached one does not end.
  mutating func set(_ session: SessionID, _ lease: Lease, now: MonotonicTime) {
    switch lease {
    case .attached: remove(session)
    case .leased(let timeToLive):
      let timeToLive =
        PlantedBug.isActive(.leaseEndsEarly) ? timeToLive.scaled(1, over: 2) : timeToLive
      entries[session] = Entry(timeToLive: timeToLive, heardAt: now)
      deadlines.set(session, at: now + timeToLive)
    }
  }

  /// Takes in a sign of life of a session's client.
  mutating func renew(_ session: SessionID, now: MonotonicTime) {
    guard let index = entries.index(forKey: session) else { return }
    entries.values[index].heardAt = now
    deadlines.set(session, at: now + entries.values[index].timeToLive)
  }

  mutating func remove(_ session: SessionID) {
    entries[session] = nil
    deadlines.remove(session)
  }

  /// Grants a pause of the node that ended now. To be called before ``take(due:)``.
  mutating func grant(_ pause: Span, now: MonotonicTime) {
    if pauses.count == HostingLimits.pauses { pauses.removeFirst() }
    pauses.append(Pause(endedAt: now, span: pause))
  }

  /// Takes a session whose lease has ended.
  mutating func take(due now: MonotonicTime) -> SessionID? {
    while let session = deadlines.take(due: now) {
      guard let entry = entries[session] else { continue }
      let granted = pauses.first { $0.endedAt > entry.heardAt }?.span ?? Span(nanoseconds: 0)
      let end = entry.heardAt + entry.timeToLive + granted
      guard end <= now else {
        deadlines.set(session, at: end)
        continue
      }
      entries[session] = nil
      return session
    }
    return nil
  }
}
