import MeshCRDT
package import MeshTrust

/// The settings of an engine. All spans are by the monotonic clock.
package struct EngineConfiguration: Sendable {
  package var mesh: MeshID
  /// This life of the node: 1…2^32-1, higher than that of any earlier life.
  package var generation: UInt64
  /// The Lamport counter to begin above.
  package var lamport: UInt64
  /// 32 random bytes, different in each life: nonces, jitter and choices are drawn from them.
  package var seed: (UInt64, UInt64, UInt64, UInt64)

  /// The least time between two heads, 100 ms…1 h. In big meshes they come more rarely.
  package var headPeriod: Span = .seconds(2)
  /// How many periods of an origin without a heartbeat hide it, in halves: 5 is 2.5 periods.
  package var timeToLiveHalfPeriods: UInt64 = 5
  /// How long a hidden origin stays in the state.
  package var forgetAfter: Span = .seconds(1800)
  /// The time between two digests.
  package var digestPeriod: Span = .seconds(1)
  /// The least time between two batches of this node; a first change goes at once.
  package var batchInterval: Span = .milliseconds(10)
  /// The least time between two moves of one session in one room; a first move goes at once.
  package var frameInterval: Span = Span(nanoseconds: 16_666_667)
  /// After how long without a move a cursor is at rest.
  package var cursorRest: Span = .seconds(1)
  /// After how long without a renewal typing ends.
  package var typingTimeout: Span = .seconds(4)
  /// How long at least a removed session may not come back; longer than leases mostly are.
  package var removalHold: Span = .seconds(120)
  /// How long an order to remove is kept at the most, for a host that is not heard.
  package var removalLife: Span = .seconds(86_400)
  /// A path that was silent for so long is lost, and is retried.
  package var pathTimeout: Span = .seconds(10)
  /// The longest time between two tries to reach a configured or lost address.
  package var retryPeriod: Span = .seconds(8)
  /// Timers that fire so much too late tell of a pause of the process.
  package var pauseThreshold: Span = .milliseconds(300)
  /// Up to so many peers, everything goes straight to each.
  package var directPeers = 16
  /// Beyond that, to two neighbours on each of so many rings, who send it on.
  package var rings = 2
  /// The most bytes of heads that a node sends in a second, in big meshes.
  package var headBudget: UInt64 = 16_000
  /// The most bytes that a node sends in a second, 1…2^32-1; `nil`: as many as there are.
  package var sendRate: UInt64?
  /// The most bytes that it sends to one address in a second; `nil`: as many as there are.
  package var peerRate: UInt64?
  /// Announce on the LAN every so often; `nil`: never.
  package var announcePeriod: Span?
  /// True when inputs are recorded, to be replayed; they grow in memory up to a bound.
  package var isRecording = false
  /// True when somebody reads the events.
  package var emitsEvents = true

  /// The most bytes that go to one address in a second.
  var rate: UInt64 { min(peerRate ?? .max, sendRate ?? .max) }

  package init(
    mesh: MeshID, generation: UInt64, lamport: UInt64, seed: (UInt64, UInt64, UInt64, UInt64)
  ) {
    precondition((1..<Limits.generationBound).contains(generation))
    self.mesh = mesh
    self.generation = generation
    self.lamport = lamport
    self.seed = seed
  }
}
