/// What the gateway counts. Every drop and refusal has a number.
struct GatewayCounters: Sendable {
  /// The names; each is described in Docs/Gateway.md.
  enum Name: String, CaseIterable {
    case connectionsAccepted, connectionsRefused, connectionsIdleClosed
    case requests, requestsRefused, originsRefused, tokensRefused
    case socketsOpened, socketsTakenOver, socketsBroken
    case messagesReceived, messagesRefused, messagesSent, bytesSent
    case updatesSkipped, resynchronized, resumed
    case sessionsOpened, sessionsRestored, sessionsExpired, sessionsRemoved
    case limitsHit
    case yjsClaimsRefused, yjsStatesTruncated
  }

  private var values = [UInt64](repeating: 0, count: Name.allCases.count)
  private static let indices = Dictionary(
    uniqueKeysWithValues: Name.allCases.enumerated().map { ($1, $0) })

  mutating func count(_ name: Name, _ amount: Int = 1) {
    values[Self.index(of: name)] &+= UInt64(amount)
  }

  private static func index(of name: Name) -> Int { indices[name] ?? 0 }

  var all: [(name: String, value: UInt64)] {
    zip(Name.allCases, values).map { ($0.rawValue, $1) }
  }
}
