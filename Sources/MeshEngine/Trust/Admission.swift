import MeshCRDT
import MeshTrust
import MeshWire

/// Bounds what admission makes a node do, and remembers whom it asked.
///
/// A node that lacks the newest mesh key says hello to whoever may have it, sends the cookie that comes back with
/// its certificate, and gets the key sealed to its own. Whoever answers keeps nothing, and does no costly work
/// before the address has shown its cookie.
struct Admission: Sendable {
  /// The tag of the mesh.
  let tag: UInt64
  private var cookies: FairBudget
  private var requests: FairBudget
  private struct Greeting: Sendable {
    /// When this node asked there first, and last.
    let began: MonotonicTime
    var askedAt: MonotonicTime
    /// What came back, as long as it is good for asking again.
    var cookie: UInt64?
    var requests = 0
    /// True when it is asked again while nothing comes.
    var isRepeated: Bool
  }

  private var greeted: [PeerAddress: Greeting] = [:]
  private var lanGreetedAt: MonotonicTime?
  private var hints: FairBudget
  /// Datagrams that wait to be sent; `nil`: to everybody on the LAN.
  private var waiting: [(bytes: [UInt8], address: PeerAddress?)] = []
  /// Why others gave no key, since one was asked for.
  private(set) var refusals: [PeerAddress: RefusalReason] = [:]

  init(tag: UInt64, now: MonotonicTime) {
    self.tag = tag
    cookies = FairBudget(perSecond: EngineLimits.cookiesPerSecond, now: now)
    requests = FairBudget(perSecond: EngineLimits.admissionsPerSecond, now: now)
    hints = FairBudget(perSecond: EngineLimits.epochHintsPerSecond, now: now)
  }

  var hasDatagram: Bool { !waiting.isEmpty }

  mutating func nextDatagram() -> (bytes: [UInt8], address: PeerAddress?)? {
    waiting.isEmpty ? nil : waiting.removeFirst()
  }

  mutating func send(_ bytes: [UInt8], to address: PeerAddress?) {
    if waiting.count < EngineLimits.openings { waiting.append((bytes, address)) }
  }

  /// True when a hello may be answered.
  mutating func takeCookie(for address: PeerAddress, now: MonotonicTime) -> Bool {
    cookies.take(for: address, now: now)
  }

  /// True when a request may be looked at.
  mutating func takeRequest(of address: PeerAddress, now: MonotonicTime) -> Bool {
    requests.take(for: address, now: now)
  }

  /// True when a datagram of an unknown epoch may be a reason to ask.
  mutating func takeHint(from address: PeerAddress, now: MonotonicTime) -> Bool {
    hints.take(for: address, now: now)
  }

  /// What is to go to an address now.
  enum Ask: Hashable, Sendable {
    case nothing
    case hello
    case request(cookie: UInt64)
  }

  mutating func ask(_ address: PeerAddress?, isRepeated: Bool, now: MonotonicTime) -> Ask {
    guard let address else {
      if let lanGreetedAt, now < lanGreetedAt + EngineLimits.helloPause { return .nothing }
      lanGreetedAt = now
      return .hello
    }
    guard var greeting = greeted[address] else {
      if greeted.count >= EngineLimits.openings {
        greeted = greeted.filter { now < $0.value.askedAt + EngineLimits.helloAnswerTime }
        if greeted.count >= EngineLimits.openings { return .nothing }
      }
      greeted[address] = Greeting(began: now, askedAt: now, isRepeated: isRepeated)
      return .hello
    }
    guard greeting.askedAt + EngineLimits.helloPause <= now else { return .nothing }
    greeting.askedAt = now
    greeting.requests += 1
    if greeting.requests > EngineLimits.requestsPerCookie {
      greeting.cookie = nil
      greeting.requests = 0
    }
    greeted[address] = greeting
    return greeting.cookie.map { .request(cookie: $0) } ?? .hello
  }

  /// The addresses that were asked a while ago, and are to be asked again. Those that were for long are
  /// forgotten: whoever had asked there may do so anew.
  mutating func takeUnanswered(now: MonotonicTime) -> [PeerAddress] {
    greeted = greeted.filter { now < $0.value.began + EngineLimits.askedAgainFor }
    return greeted.filter(\.value.isRepeated).keys.sorted()
  }

  /// Notes a cookie that was asked for. False when no request is to go with it now.
  mutating func note(cookie: UInt64, from address: PeerAddress, now: MonotonicTime) -> Bool {
    guard var greeting = greeted[address], greeting.cookie == nil,
      now < greeting.askedAt + EngineLimits.helloAnswerTime
    else { return false }
    greeting.cookie = cookie
    greeting.requests = 0
    // Who answers with a cookie is there: what gets lost now is asked for again.
    greeting.isRepeated = true
    greeted[address] = greeting
    return true
  }

  /// True while answers to a hello to all are read.
  func isAskingAll(now: MonotonicTime) -> Bool {
    lanGreetedAt.map { now < $0 + EngineLimits.helloAnswerTime } ?? false
  }

  /// True when a node may be answered that this one said hello to.
  func isAwaited(_ address: PeerAddress, now: MonotonicTime) -> Bool {
    greeted[address].map { now < $0.askedAt + EngineLimits.helloAnswerTime } ?? false
  }

  mutating func note(_ reason: RefusalReason?, from address: PeerAddress) {
    if refusals.count >= EngineLimits.openings { refusals = [:] }
    refusals[address] = reason
  }

  /// The key has come.
  mutating func end() {
    greeted = [:]
    refusals = [:]
  }
}
