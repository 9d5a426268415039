import MeshEngine

/// How long a session lives without a sign of life of its client.
public enum SessionLease: Hashable, Sendable {
  /// As long as this process is in the mesh: for a session of the process itself.
  case process
  /// For a client that gives a sign of life at this interval: it may miss one, and is gone after 2.5
  /// intervals.
  case interval(Duration)
  /// Until this long after the last sign of life.
  case timeToLive(Duration)

  /// The lease of a client that does not say otherwise: a sign of life each 30 s.
  public static let client = SessionLease.interval(.seconds(30))

  var engineLease: Lease {
    switch self {
    case .process: .attached
    case .interval(let interval): .interval(Span(interval))
    case .timeToLive(let time): .leased(timeToLive: Span(time))
    }
  }
}
