import MeshCRDT

/// One life of a node, as it speaks to this one: what a replay window is kept for.
///
/// A node with an old copy of its disk may begin a second life of the same generation; a random
/// number tells the two apart.
struct Life: Hashable, Sendable {
  let origin: OriginID
  let generation: UInt64
  let number: UInt64

  func hash(into hasher: inout Hasher) { hasher.combine(origin.word0 &+ number) }

  /// What the datagram counters of a life begin with: its lowest 24 bits, above 40 bits that count.
  /// So each datagram tells its life, and old ones are not taken for those of another.
  static func mark(_ number: UInt64) -> UInt64 { (number & 0xFF_FFFF) << 40 }

  /// True when a datagram counter is of this life.
  func covers(_ counter: UInt64) -> Bool { counter >> 40 == number & 0xFF_FFFF }
}

/// A way to a node: an address that has proven that it hears us and that its node owns its key.
struct Path: Sendable {
  let address: PeerAddress
  let life: Life
  /// What the node wants to be answered with.
  var token: UInt64
  /// What this node made for the address, and expects in return: the same as long as it lives.
  let ownToken: UInt64
  var heardAt: MonotonicTime
  /// The last round trip, by a digest and its answer.
  var roundTrip: Span?
  /// The digest that waits for an answer.
  var probe: (nonce: UInt64, sentAt: MonotonicTime)?
  /// Where the last list to the address ended, if it was not all of it.
  var listed: ShelfID?
  /// How many long lists in a row were asked for there and led to nothing.
  var fruitlessLists = 0
  /// Since when each digest that was compared with the node differed; `nil`: the last one did not.
  var differsSince: MonotonicTime?
  /// The last comparison since then, which differed too.
  var differedAt: MonotonicTime?

  /// True once the heads of some origin were cut there, or pruned.
  var isCut = false

  /// The bytes that may be sent there now; `nil`: as many as there are.
  var budget: Budget?

  /// How long it is until a datagram may go there; `nil`: it may go now.
  mutating func wait(now: MonotonicTime) -> Span? {
    budget?.wait(for: UInt64(Limits.datagramBytes), now: now)
  }

  /// ``token``, read where the path lies: a getter would copy all of it out of a dictionary.
  mutating func echo() -> UInt64 { token }
}

/// An address that is tried because there is no path to it.
struct Contact: Sendable {
  /// Given by the user, or remembered: it is never given up.
  var isConfigured: Bool
  /// How often it was tried since there was a path.
  var tries = 0
  /// How often it is still tried, unless it is configured.
  var triesLeft: Int
}

/// Bounds of the tables of addresses.
enum PathLimits {
  static let paths = 1024
  /// Lives whose replay windows are kept, those without a path among them.
  static let windows = 4096
  static let contacts = 1024
  /// How often an address that was only heard of is tried.
  static let triesOfHearsay = 6
  /// How often an address that was lost is tried.
  static let triesOfLost = 200
  /// The time between two tries to reach an address that is not needed now.
  static let idleRetry = Span.seconds(240)
}
