import MeshCRDT

/// The highest status counter that was seen for each user, of all origins.
///
/// Two generations of at most ``generationBound`` users each: when the younger is full it becomes the older
/// one, and what was the older one goes. So a user whose status was written or asked for stays as long as
/// at most so many others' were since. A forgotten counter can make a new status lose to an old one that
/// is still held, until the old one is read again. Users are told apart by a hash of 64 bits; two that
/// share one raise each other's counter, which does no harm. About 25 bytes for each user with a status.
struct UserStatusCounters: Sendable {
  private struct UserHash: DenseKey, Comparable {
    let bits: UInt64
    var spread: UInt64 { DenseSeed.spread(bits, ~bits) }

    static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
  }

  /// The most users of a generation.
  static let generationBound = 262_144

  private let hashKey: HashKey
  private let bound: Int
  private var younger = ShardedMap<UserHash, UInt64>()
  private var older = ShardedMap<UserHash, UInt64>()

  init(hashKey: HashKey, bound: Int = generationBound) {
    self.hashKey = hashKey
    self.bound = bound
  }

  /// Notes a counter. Cost: one look-up, or two.
  mutating func note(_ counter: UInt64, of user: String) {
    guard counter > 0 else { return }
    raise(hash(user), to: counter)
  }

  /// The highest counter of a user; 0: none was seen. Cost: one look-up, or two.
  mutating func highest(of user: String) -> UInt64 {
    let user = hash(user)
    if let counter = younger[user] { return counter }
    guard let counter = older[user] else { return 0 }
    raise(user, to: counter)
    return counter
  }

  private mutating func raise(_ user: UserHash, to counter: UInt64) {
    if let known = younger[user] {
      if counter > known { younger.set(user, counter) }
      return
    }
    if younger.count >= bound {
      older = younger
      younger = ShardedMap()
    }
    younger.set(user, max(counter, older[user] ?? 0))
  }

  private func hash(_ user: String) -> UserHash {
    var user = user
    var hasher = SipHash(key: hashKey)
    user.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    return UserHash(bits: hasher.finalize())
  }
}
