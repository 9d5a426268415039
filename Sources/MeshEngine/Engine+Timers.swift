import MeshCRDT

/// What an engine does by time.
enum EngineTimer: Hashable, Sendable {
  case head, digest, digestAgain, nextList, announce, stale
  /// What waits for its share of the bytes may go.
  case send
  case flushBatch, hint, flushFrame, flushHeads, flushOffers
  case lease(SessionID)
  case typing(SessionID, RoomName)
  case rest(SessionID, RoomName)
  case removal(SessionID, RoomName)
  case handOver(SessionID)
  /// By the slot of an origin.
  case liveness(Int)
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
    case .nextList: goOnComparing()
    case .announce:
      if let period = configuration.announcePeriod {
        announcement = true
        // Many announce as rarely as few, all together.
        let share = max(1, UInt64(overlay.count) / 16)
        timers.set(.announce, at: now + random.jittered(period.scaled(share, over: 1)))
      }
    case .stale: judgeStaleness()
    // The outputs are taken after each input.
    case .send: break
    case .flushBatch: flushBatches()
    case .hint: hint()
    case .flushFrame: flushFrames()
    case .flushHeads: flushHeads()
    case .flushOffers: flushOffers()
    case .lease(let session): judgeLease(session)
    case .typing(let session, let room): judgeTyping(session, room)
    case .rest(let session, let room): judgeRest(session, room)
    case .removal(let session, let room): judgeRemoval(of: session, from: room)
    case .handOver(let session): judgeHandOver(of: session)
    case .liveness(let slot): judge(slot)
    case .contact(let address): tryContact(address)
    case .path(let address): judgePath(address)
    case .pull(let shelf): retryPull(shelf)
    case .fetch(let room): retryFetch(room)
    }
  }
}
