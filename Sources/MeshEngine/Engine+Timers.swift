import MeshCRDT

/// What an engine does by time.
enum EngineTimer: Hashable, Sendable {
  case head, digest, digestAgain, announce, stale
  case flushBatch, flushFrame, flushHeads, flushOffers
  case lease(SessionID)
  case typing(SessionID, RoomName)
  case rest(SessionID, RoomName)
  case removal(SessionID, RoomName)
  case liveness(OriginID)
  case contact(PeerAddress)
  case path(PeerAddress)
  case pull(ShelfID)
  case fetch(RoomID)
}

extension Engine {
  mutating func fire(_ timer: EngineTimer) {
    switch timer {
    case .head: sendHead()
    case .digest: sendDigest()
    case .digestAgain: probeAgain()
    case .announce:
      if let period = configuration.announcePeriod {
        announcement = true
        // Many announce as rarely as few, all together.
        let share = max(1, UInt64(overlay.count) / 16)
        timers.set(.announce, at: now + random.jittered(period.scaled(share, over: 1)))
      }
    case .stale: judgeStaleness()
    case .flushBatch: flushBatches()
    case .flushFrame: flushFrames()
    case .flushHeads: flushHeads()
    case .flushOffers: flushOffers()
    case .lease(let session): judgeLease(session)
    case .typing(let session, let room): judgeTyping(session, room)
    case .rest(let session, let room): judgeRest(session, room)
    case .removal(let session, let room): judgeRemoval(of: session, from: room)
    case .liveness(let origin): if let slot = state.slot(of: origin) { judge(slot) }
    case .contact(let address): tryContact(address)
    case .path(let address): judgePath(address)
    case .pull(let shelf): retryPull(shelf)
    case .fetch(let room): retryFetch(room)
    }
  }
}

/// A rate with a burst: tokens that grow with time up to a bound.
struct Budget: Sendable {
  private let perSecond: UInt64
  private let burst: UInt64
  private var nanoTokens: UInt64
  private var last: MonotonicTime

  /// `perSecond` and `burst` are below 2^32.
  init(perSecond: UInt64, burst: UInt64, now: MonotonicTime) {
    self.perSecond = perSecond
    self.burst = burst
    nanoTokens = burst * 1_000_000_000
    last = now
  }

  /// Takes a token, if there is one.
  mutating func take(now: MonotonicTime) -> Bool {
    let span = min(now.since(last).nanoseconds, 1_000_000_000)
    last = max(last, now)
    nanoTokens = min(nanoTokens + span * perSecond, burst * 1_000_000_000)
    guard nanoTokens >= 1_000_000_000 else { return false }
    nanoTokens -= 1_000_000_000
    return true
  }
}
