import MeshEngine

/// Another node of the mesh, as this node sees it.
public struct Node: Hashable, Sendable, Identifiable {
  /// Its public key.
  public let id: NodeID
  /// Whether it is heard of.
  public let health: NodeHealth
  /// How long ago its last heartbeat left it, the time on the way included.
  public let age: Duration
  /// The address that it is reached at, such as `192.0.2.1:7946`; `nil` when it is heard of through
  /// others only.
  public let address: String?
  /// The time of a round trip when it was last measured; `nil` when it was not.
  public let roundTrip: Duration?
  /// Which life of the node this is; it rises with each start.
  public let incarnation: UInt64
  /// The number of changes that it has written in this life.
  public let version: UInt64
  /// The number of sessions that it hosts.
  public let sessions: Int
  /// True when this node has everything that the other said it has.
  public let isComplete: Bool
  /// True when it was taken for offline while this node heard nobody, so that no other node can confirm
  /// it: this node may be the one that is cut off.
  public let isUnverified: Bool
  /// For how long every comparison with it has found that the two hold different things; `nil`: the
  /// last one found none, or there was none yet. Moments are usual while something changes.
  public let differsFor: Duration?

  init(_ status: PeerStatus) {
    id = status.origin
    health = status.health
    age = .milliseconds(Int64(clamping: status.ageMilliseconds))
    address = status.address?.description
    roundTrip = status.roundTripMicroseconds.map { .microseconds(Int64(clamping: $0)) }
    incarnation = status.incarnation?.counter ?? 0
    version = status.version
    sessions = status.sessions
    isComplete = status.isComplete
    isUnverified = status.isUnverified
    differsFor = status.differsMilliseconds.map { .milliseconds(Int64(clamping: $0)) }
  }
}

/// One number that a node counts, such as `datagramsReceived`; it never falls in one life.
public struct EngineCounter: Hashable, Sendable {
  /// The name, in camel case.
  public let name: String
  /// The count since the node joined.
  public let value: UInt64
}
