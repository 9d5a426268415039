import MeshCRDT
import MeshSimulator
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("How much and how often a node sends")
struct PacingTests {
  private static func moves(_ events: [MeshEvent], of session: SessionID) -> [Cursor] {
    events.compactMap {
      guard case .cursor(let id, _, let cursor) = $0, id == session else { return nil }
      return cursor
    }
  }

  @Test("The first move of a session goes at once, though others of its room move on and on")
  func firstMoveGoesAtOnce() throws {
    var pair = try Pair()
    let (busy, calm) = (SessionID(1, 1), SessionID(1, 2))
    try pair.enter(busy)
    try pair.enter(calm)
    pair.pass(milliseconds: 100)
    for step in 0..<50 {
      try pair.move(busy, to: Double(step) / 100)
      pair.pass(milliseconds: 3)
    }
    try pair.move(calm, to: 0.9)
    // Half an interval at the most.
    #expect(Self.moves(pair.pass(milliseconds: 9).events, of: calm) == [Cursor(x: 0.9, y: 0)])
  }

  @Test("Sessions that move on and on are told at most at the rate each, and go together")
  func ratePerSession() throws {
    var pair = try Pair()
    let sessions = (0..<8).map { SessionID(1, UInt64($0)) }
    for session in sessions { try pair.enter(session) }
    pair.pass(milliseconds: 100)
    let before = pair.writer.counters[.framesSent]
    var events: [MeshEvent] = []
    for step in 1...1000 {
      // Each at a time of its own, 125 times a second.
      let session = sessions[step % 8]
      try pair.move(session, to: Double(step) / 1000)
      events += pair.pass(milliseconds: 1).events
    }
    events += pair.pass(milliseconds: 40).events
    for session in sessions {
      let moves = Self.moves(events, of: session)
      #expect((50...62).contains(moves.count), "\(moves.count) moves of \(session)")
    }
    let last = (993...1000).map { Cursor(x: Double($0) / 1000, y: 0) }
    #expect(Set(sessions.compactMap { Self.moves(events, of: $0).last }) == Set(last))
    let frames = pair.writer.counters[.framesSent] - before
    #expect(frames <= 62 + 8, "\(frames) frames")
  }

  @Test("A node sends an address no more than its rate, and everything in the end")
  func peerRateIsKept() throws {
    var pair = try Pair { $0.peerRate = 20_000 }
    let sessions = (0..<300).map { SessionID(1, UInt64($0)) }
    for session in sessions {
      try pair.enter(session)
      try pair.writer.perform(
        .setData(session, Pair.room, [UInt8](repeating: 1, count: 300)), now: pair.now)
    }
    var second = 0
    while pair.reader.snapshot().sessions.count < 300
      || pair.reader.stateHash != pair.writer.stateHash
    {
      second += 1
      try #require(second < 60, "\(pair.reader.snapshot().sessions.count) sessions")
      let bytes = pair.pass(milliseconds: 1000).bytes
      // The burst of the first second is four datagrams.
      #expect(bytes <= 20_000 + 4 * 1200, "\(bytes) bytes in second \(second)")
    }
    // It cannot have been faster.
    #expect(second >= 4)
  }

  @Test("A node sends all addresses together no more than its own rate")
  func sendRateIsKept() throws {
    var pair = try Pair { $0.sendRate = 30_000 }
    let session = SessionID(1, 1)
    try pair.enter(session)
    for step in 0..<3000 {
      try pair.writer.perform(
        .setData(session, Pair.room, [UInt8](repeating: UInt8(step & 255), count: 380)),
        now: pair.now)
      if step.isMultiple(of: 1000) {
        #expect(pair.pass(milliseconds: 1000).bytes <= 30_000 + 4 * 1200)
      }
      pair.pass(milliseconds: 1)
    }
    pair.pass(milliseconds: 4000)
    #expect(pair.reader.stateHash == pair.writer.stateHash)
  }
}
