import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Leases and typing")
struct ClockTests {
  private let session = SessionID(1, 1)
  private let room = named("room")

  @Test("A lease ends 2.5 intervals after the last sign of life, and its session with it")
  func leaseEnds() throws {
    var host = try TestHost()
    try host.open(session, lease: .interval(.seconds(2)), rooms: [room])
    host.pass(.seconds(4))
    try host.perform(.heartbeat(session))
    #expect(host.pass(.milliseconds(4999)) == [])
    #expect(host.pass(.milliseconds(1)) == [.leaseEnded(session)])
    host.pass(.milliseconds(20))
    #expect(host.isSilent)
  }

  @Test("Of many leases the earliest end is the one deadline")
  func oneDeadline() {
    var leases = Leases()
    let now = MonotonicTime(milliseconds: 1000)
    for number in 1...50 {
      leases.set(
        SessionID(0, UInt64(number)), .leased(timeToLive: .seconds(UInt64(51 - number))), now: now)
    }
    #expect(leases.deadline == now + .seconds(1))
    #expect(leases.take(due: now + .seconds(1)) == SessionID(0, 50))
    #expect(leases.take(due: now + .seconds(1)) == nil)
    leases.set(SessionID(0, 49), .attached, now: now)
    #expect(leases.take(due: now + .seconds(2)) == nil)
    #expect(leases.take(due: now + .seconds(3)) == SessionID(0, 48))
  }

  @Test("A lease that is changed counts from now")
  func changedLease() throws {
    var host = try TestHost()
    try host.open(session, lease: .leased(timeToLive: .seconds(100)))
    host.pass(.seconds(50))
    try host.perform(.setLease(session, .leased(timeToLive: .seconds(1))))
    #expect(host.pass(.seconds(1)) == [.leaseEnded(session)])
  }

  @Test(
    "Each pause of the node is granted to a lease once, with the sign of life before it or without",
    arguments: 0...3)
  func pausesAreGrantedOnce(renewals: UInt64) {
    var leases = Leases()
    var now = MonotonicTime(milliseconds: 1000)
    leases.set(session, .leased(timeToLive: .seconds(5)), now: now)
    // Three pauses of 3 s, a second apart: with none of them granted twice, 5 s that the node ran.
    var left: UInt64 = 5000
    for pause in 1...3 as ClosedRange<UInt64> {
      now = now + .seconds(1)
      left -= 1000
      if pause <= renewals {
        leases.renew(session, now: now)
        left = 5000
      }
      now = now + .seconds(3)
      leases.grant(.seconds(3))
      #expect(leases.take(due: now) == nil)
    }
    #expect(leases.take(due: now + .milliseconds(left - 1)) == nil)
    #expect(leases.deadline == now + .milliseconds(left))
    #expect(leases.take(due: now + .milliseconds(left)) == session)
    #expect(leases.deadline == nil)
  }

  @Test("A pause before a lease is set is not granted to it")
  func pauseBefore() {
    var leases = Leases()
    let now = MonotonicTime(milliseconds: 90_000)
    leases.grant(.seconds(30))
    leases.set(session, .leased(timeToLive: .seconds(5)), now: now)
    #expect(leases.take(due: now + .milliseconds(4999)) == nil)
    #expect(leases.take(due: now + .seconds(5)) == session)
  }

  @Test("Leases that are set and go leave nothing behind in the queue of deadlines")
  func deadlinesAreBounded() {
    var deadlines = Deadlines<Int>()
    let now = MonotonicTime(milliseconds: 0)
    for number in 0..<10_000 {
      deadlines.set(number, at: now + .seconds(1000))
      if number > 0 { deadlines.remove(number - 1) }
    }
    #expect(deadlines.count == 1)
    #expect(deadlines.queueCount <= 68)
    #expect(deadlines.take(due: now + .seconds(1000)) == 9999)
    #expect(deadlines.next == nil)
  }

  @Test("Typing shows at once, and ends when it was not renewed for its timeout")
  func typing() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(50))
    try host.perform(.setTyping(session, room, true))
    #expect(host.presence(session, room)?.isTyping == true)
    host.pass(.seconds(3))
    let written = host.batches.count
    try host.perform(.setTyping(session, room, true))
    host.pass(.milliseconds(3999))
    #expect(host.batches.count == written)
    #expect(host.presence(session, room)?.isTyping == true)
    host.pass(.milliseconds(1))
    #expect(host.presence(session, room)?.isTyping == false)
    #expect(host.batches.count == written + 1)
  }

  @Test("Typing that the client ends is over at once, and is not ended again")
  func typingEnds() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.setTyping(session, room, true))
    host.pass(.milliseconds(50))
    try host.perform(.setTyping(session, room, false))
    #expect(host.presence(session, room)?.isTyping == false)
    #expect(host.hosting.deadline == nil)
  }
}
