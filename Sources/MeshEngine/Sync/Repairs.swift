import MeshCRDT
import MeshWire

/// Asks for batches that are missing, of whoever showed that they are.
///
/// It waits a few milliseconds first, since datagrams overtake each other; then it asks whoever sent what
/// came behind the gap, then the origin itself, then anybody. When that does not help, the trees of the next
/// checkpoint are fetched. Bound: one repair an origin.
struct Repairs: Sendable {
  private struct Repair: Sendable {
    let address: PeerAddress
    /// Who was asked last, and up to which version.
    var asked: (address: PeerAddress, through: UInt64)?
    var attempts = 0
    var due: MonotonicTime
  }

  private var repairs: [OriginID: Repair] = [:]

  var count: Int { repairs.count }

  /// True when a peer was asked last for a missing version of an origin, or a higher one.
  func isAsked(_ address: PeerAddress, for version: UInt64, of origin: OriginID) -> Bool {
    repairs[origin]?.asked.map { $0.address == address && version <= $0.through } ?? false
  }

  /// Something of an origin is missing.
  mutating func want(
    _ origin: OriginID, from address: PeerAddress, _ context: inout EngineContext
  ) {
    guard repairs[origin] == nil, repairs.count < Limits.origins,
      !PlantedBug.isActive(.repairNotAsked)
    else { return }
    let due = context.now + EngineLimits.repairDelay
    repairs[origin] = Repair(address: address, due: due)
    context.timers.set(.repair(origin), at: due)
  }

  /// Nothing of an origin is missing any more.
  mutating func complete(_ origin: OriginID) { repairs[origin] = nil }

  /// Whom to ask for what is missing of an origin.
  enum Due: Sendable {
    case notYet
    case ask(PeerAddress)
    /// Nobody had it.
    case givenUp(PeerAddress)
  }

  /// A repair's time has come.
  ///
  /// - Parameters:
  ///   - through: the highest version that is missing.
  ///   - ownPath: the best path to the origin itself.
  ///   - peers: all paths.
  ///   - patience: how long an answer of a peer may take, the first time.
  mutating func handle(
    _ origin: OriginID, through: UInt64, ownPath: PeerAddress?, peers: [PeerAddress],
    patience: (PeerAddress) -> Span, _ context: inout EngineContext
  ) -> Due {
    guard var repair = repairs[origin] else { return .notYet }
    guard repair.due <= context.now else {
      context.timers.set(.repair(origin), at: repair.due)
      return .notYet
    }
    repair.attempts += 1
    guard repair.attempts <= EngineLimits.repairAttempts else {
      repairs[origin] = nil
      return .givenUp(repair.address)
    }
    let anybody = context.random.sample(peers, 1).first
    let asked =
      switch repair.attempts {
      case 1: repair.address
      case 2: ownPath ?? anybody ?? repair.address
      default: anybody ?? repair.address
      }
    repair.asked = (asked, through)
    let wait = patience(asked).scaled(UInt64(repair.attempts), over: 1)
    repair.due = context.now + min(wait, EngineLimits.longestPatience)
    context.timers.set(.repair(origin), at: repair.due)
    repairs[origin] = repair
    return .ask(asked)
  }
}
