import MeshCRDT

/// What the paths may make this node do, and what they have wasted.
///
/// Each path has units of work and bytes of answers in a second. What is refused for lack of them is
/// dropped: its sender asks again. A path from which only waste comes is dropped, and its
/// address is not proven again for a while, each time for twice as long. Its origin may be proven elsewhere:
/// keys cost nothing, and others can pass its proofs on.
///
/// Bounded by the paths, and by ``EngineLimits/bans``.
struct PathBudgets: Sendable {
  private struct Account: Sendable {
    let origin: OriginID
    var work: Budget
    var answers: Budget
    /// Bytes that hints may still make this node send.
    var reflection: UInt64 = 0
    /// Units of waste, as far as they are not forgiven.
    var waste: UInt64 = 0
    var wasteAt: MonotonicTime
  }

  private struct Ban: Sendable {
    var until: MonotonicTime
    var span: Span
  }

  private var accounts: [PeerAddress: Account] = [:]
  private var bans: [PeerAddress: Ban] = [:]
  /// Bytes of tries at hinted addresses that are needed and whose sources have no credit.
  private var spareReflection: Budget

  init(now: MonotonicTime) {
    spareReflection = Budget(
      perSecond: EngineLimits.spareReflectionPerSecond,
      burst: EngineLimits.spareReflectionBurst, now: now)
  }

  /// A second of work at once.
  private static let workBurst = EngineLimits.workPerSecond
  private static let reflectionBound: UInt64 = 16 << 10
}

/// What handling a message costs, in units of about a microsecond.
enum WorkUnits {
  /// A signature to verify.
  static let signature: UInt64 = 50
  /// A value of a heartbeat chain to hash once.
  static let hash: UInt64 = 1
  /// A beat: a few hashes; one that is far ahead, or wrong, costs more than it pays.
  static let beat: UInt64 = 10
  /// A node of a tree to look up and encode.
  static let treeNode: UInt64 = 5
  /// A node of a tree to hash and take in.
  static let receivedNode: UInt64 = 2
  /// An address to note.
  static let hint: UInt64 = 20
  /// A message that is read and found to be known.
  static let message: UInt64 = 2
}

/// What a peer sends that no honest one does.
enum Waste: Hashable, Sendable {
  case wrongSignature
  /// A body or a message that breaks a bound.
  case malformed
  /// An answer to a comparison whose hash is another one. Its bytes were hashed in vain.
  case wrongAnswer
  /// A contradiction that is none.
  case falseContradiction

  /// The units of work that were in vain.
  fileprivate var work: UInt64 {
    switch self {
    case .wrongSignature: WorkUnits.signature
    case .malformed: 10
    case .wrongAnswer: 20
    case .falseContradiction: 2 * WorkUnits.signature
    }
  }
}

// MARK: - Accounts

extension PathBudgets {
  /// Opens the account of a path, unless it has one.
  mutating func open(_ address: PeerAddress, origin: OriginID, _ context: EngineContext) {
    guard accounts[address]?.origin != origin else { return }
    accounts[address] = Account(
      origin: origin,
      work: Budget(
        perSecond: EngineLimits.workPerSecond, burst: Self.workBurst, now: context.now),
      // A second at once: a fetch from nearby asks faster than it may in the long run.
      answers: Budget(
        perSecond: min(context.configuration.answerRate, 1 << 31),
        burst: min(context.configuration.answerRate, 1 << 31), now: context.now),
      wasteAt: context.now)
  }

  /// Closes the account of a path that was lost.
  mutating func close(_ address: PeerAddress) { accounts[address] = nil }

  /// Takes units of work of a path. False, and counted, when it has too few.
  ///
  /// - Parameter isOwnWord: true for what the path's own origin says of itself. A part of the units is
  ///   kept for that.
  /// - Parameter reserved: units that must be there as well, since what is done may cost them; whoever calls
  ///   takes what it did cost.
  mutating func takeWork(
    _ units: UInt64, reserved: UInt64 = 0, of address: PeerAddress, isOwnWord: Bool,
    _ context: inout EngineContext
  ) -> Bool {
    let kept = reserved + (isOwnWord ? 0 : Self.workBurst / EngineLimits.workShareOfOwnWords)
    guard units <= Self.workBurst - kept, let index = accounts.index(forKey: address),
      accounts.values[index].work.wait(for: units + kept, now: context.now) == nil
    else {
      context.counters.count(.workRefused)
      return false
    }
    accounts.values[index].work.spend(units)
    return true
  }

  /// The bytes of answers that a path may have now; `nil`, and counted, when that is less than a datagram.
  mutating func answerBytes(of address: PeerAddress, _ context: inout EngineContext) -> Int? {
    let bytes = accounts[address]?.answers.available(now: context.now) ?? 0
    guard bytes >= UInt64(Limits.datagramBytes) else {
      context.counters.count(.answersRefused)
      return nil
    }
    return Int(clamping: bytes)
  }

  /// Takes bytes of an answer that was asked for by ``answerBytes(of:_:)``.
  mutating func spendAnswer(bytes: Int, of address: PeerAddress) {
    accounts[address]?.answers.spend(UInt64(clamping: bytes))
  }

  /// Takes bytes of answers of a path. False, and counted, when it has too few.
  mutating func takeAnswer(
    bytes: Int, of address: PeerAddress, _ context: inout EngineContext
  ) -> Bool {
    let bytes = UInt64(min(max(bytes, 0), 1 << 31))
    guard let isFree = accounts[address]?.answers.canSpend(bytes, now: context.now),
      isFree || PlantedBug.isActive(.answerBudgetIgnored)
    else {
      context.counters.count(.answersRefused)
      return false
    }
    accounts[address]?.answers.spend(bytes)
    return true
  }

  /// Notes that a path has hinted at an address: for the bytes of the hint it may make this node send
  /// some more.
  mutating func noteHint(from address: PeerAddress) {
    guard let known = accounts[address]?.reflection else { return }
    let earned = EngineLimits.hintBytes * EngineLimits.reflectionFactor
    accounts[address]?.reflection = min(known + earned, Self.reflectionBound)
  }

  /// Takes the bytes of a try at a hinted address from the path that hinted at it, or, for an origin
  /// that is wanted, from the little that is for all.
  mutating func takeReflection(
    bytes: Int, of address: PeerAddress, isWanted: Bool, now: MonotonicTime
  ) -> Bool {
    let bytes = UInt64(clamping: bytes)
    guard let known = accounts[address]?.reflection, known >= bytes else {
      guard isWanted, spareReflection.wait(for: bytes, now: now) == nil else { return false }
      spareReflection.spend(bytes)
      return true
    }
    accounts[address]?.reflection = known - bytes
    return true
  }
}

// MARK: - Waste

extension PathBudgets {
  /// Charges a path for waste, many times the work that it caused. True when it has wasted so much that
  /// it is to be dropped; it is banned then.
  mutating func charge(
    _ waste: Waste, to address: PeerAddress, _ context: inout EngineContext
  ) -> Bool {
    guard var account = accounts[address], !PlantedBug.isActive(.wasteForgiven) else {
      return false
    }
    let price = waste.work * EngineLimits.wastePriceFactor
    account.work.spend(price)
    let forgiven = context.now.since(account.wasteAt).scaled(
      EngineLimits.wasteForgivenPerSecond, over: 1_000_000_000)
    account.waste -= min(account.waste, forgiven.nanoseconds)
    account.waste += price
    account.wasteAt = context.now
    accounts[address] = account
    guard account.waste >= EngineLimits.wasteOfDroppedPath else { return false }
    ban(address, now: context.now)
    context.counters.count(.pathsBanned)
    return true
  }

  /// True when an address is not to be proven now.
  func isBanned(_ address: PeerAddress, now: MonotonicTime) -> Bool {
    bans[address].map { $0.until > now } ?? false
  }

  private mutating func ban(_ banned: PeerAddress, now: MonotonicTime) {
    let known = bans[banned]
    // Who was banned lately is banned for longer.
    let isRepeated = known.map { now < $0.until + $0.span + $0.span } ?? false
    let span =
      isRepeated
      ? min((known?.span ?? EngineLimits.banSpan).scaled(2, over: 1), EngineLimits.banSpanAtMost)
      : EngineLimits.banSpan
    if known == nil, bans.count >= EngineLimits.bans {
      let first = bans.min { ($0.value.until, $0.key) < ($1.value.until, $1.key) }
      if let first { bans[first.key] = nil }
    }
    bans[banned] = Ban(until: now + span, span: span)
  }
}
