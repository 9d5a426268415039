package import MeshCRDT
package import MeshTrust
package import MeshWire

/// The settings of an engine. All spans are by the monotonic clock.
///
/// What a user may set stands here; what the protocol or the size of tables fixes stands in
/// ``EngineLimits``.
package struct EngineConfiguration: Sendable {
  package var mesh: MeshID
  /// The incarnation to begin with: its counter is above that of any earlier one of this node, as far
  /// as its disk remembers, and its random bits are new in each process.
  package var incarnation: Incarnation
  /// 32 random bytes, new in each process: nonces, jitter and choices are drawn from them.
  package var seed: (UInt64, UInt64, UInt64, UInt64)

  /// What a closed mesh goes by; `nil`: the mesh is open, and whoever has its key is a member.
  package var trust: TrustConfiguration?

  // MARK: Signs of life

  /// The least time between two beats, 100 ms…1 h. In large meshes they come more rarely.
  package var beatPeriod: Span = .seconds(2)
  /// How long a hidden origin stays in the state, at the least.
  package var forgetAfter: Span = .seconds(1800)
  /// Timers that fire so much too late tell of a pause of the process.
  package var pauseThreshold: Span = .milliseconds(300)
  /// The most bytes of beats and checkpoints that a node sends in a second, in large meshes.
  package var lifeSignRate: UInt64 = 11_250

  // MARK: Writing

  /// The least time between two batches of this node; a first change goes at once.
  package var batchInterval: Span = .milliseconds(10)
  /// The least time between two cursor updates of one session in one room; a first one goes at once.
  package var cursorInterval: Span = Span(nanoseconds: 16_666_667)
  /// After how long without an update a cursor is at rest.
  package var cursorRest: Span = .seconds(1)
  /// After how long without a renewal typing ends.
  package var typingTimeout: Span = .seconds(4)
  /// A checkpoint is signed so long after the last change,
  package var checkpointDelay: Span = .milliseconds(40)
  /// and at the latest so long after the first.
  package var checkpointDelayAtMost: Span = .milliseconds(500)
  /// How long at least a removed session may not come back; longer than leases mostly are.
  package var removalHold: Span = .seconds(120)
  /// How long a removal is kept at the most, for a host that is not heard.
  package var removalRetention: Span = .seconds(86_400)

  // MARK: Comparing and spreading

  /// The time between two comparisons.
  package var comparisonPeriod: Span = .seconds(1)
  /// Up to so many peers, everything goes straight to each.
  package var directPeers = 16
  /// Beyond that, to two neighbours on each of so many rings, who send it on.
  package var rings = 2

  // MARK: Paths

  /// A path that was silent for so long is lost, and is tried again.
  package var pathTimeout: Span = .seconds(10)
  /// The longest time between two tries to reach a configured or lost address.
  package var retryPeriod: Span = .seconds(8)
  /// Announce on the LAN every so often; `nil`: never.
  package var announcePeriod: Span?

  // MARK: Sending

  /// The most bytes that a node sends in a second, 1…2^32-1; `nil`: as many as there are.
  package var sendRate: UInt64?
  /// The most bytes that it sends to one address in a second; `nil`: as many as there are.
  package var peerRate: UInt64?
  /// The most bytes of answers that one path may ask for in a second.
  package var answerRate: UInt64 = 32 << 20

  /// True when inputs are recorded, to be replayed; they grow in memory up to a bound.
  package var isRecording = false
  /// True when somebody reads the events.
  package var emitsEvents = true

  /// The most bytes that go to one address in a second.
  var rate: UInt64 { min(peerRate ?? .max, sendRate ?? .max) }

  package init(
    mesh: MeshID, incarnation: Incarnation, seed: (UInt64, UInt64, UInt64, UInt64)
  ) {
    self.mesh = mesh
    self.incarnation = incarnation
    self.seed = seed
  }
}

/// What a member of a closed mesh begins with.
package struct TrustConfiguration: Sendable {
  /// The first authority of the mesh.
  package var authority: OriginID
  /// The certificate of this node.
  package var certificate: Certificate
  /// What is known of the membership, as far as the disk remembers.
  package var decrees: [Decree]
  /// The admission key of an epoch, from a ticket: what a node without mesh key seals its requests to.
  package var admission: (epoch: UInt32, key: [UInt8])?
  /// Milliseconds since 1970 at the start of the engine.
  package var wallMilliseconds: UInt64

  package init(
    authority: OriginID, certificate: Certificate, decrees: [Decree] = [],
    admission: (epoch: UInt32, key: [UInt8])? = nil, wallMilliseconds: UInt64
  ) {
    self.admission = admission
    self.authority = authority
    self.certificate = certificate
    self.decrees = decrees
    self.wallMilliseconds = wallMilliseconds
  }
}
