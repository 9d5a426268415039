import MeshCRDT

/// SplitMix64 (Steele, Lea and Flood, 2014): one word of seed, the same numbers everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

func node(_ number: UInt64) -> OriginID { OriginID(number, 0, 0, 0) }

func session(_ number: UInt64) -> SessionID { SessionID(0, number) }

func at(_ milliseconds: UInt64) -> WallTime { WallTime(milliseconds: milliseconds) }

func room(_ text: String) -> RoomName { RoomName(text) ?? .lobby }

/// What a session says in a room.
func presence(
  _ status: Status? = nil, counter: UInt64 = 1, message: String = "", isTyping: Bool = false
) -> PresenceValue {
  PresenceValue(
    enteredCounter: 1,
    status: status.map { StatusValue(status: $0, counter: counter, changedAt: at(counter)) },
    message: message, isTyping: isTyping)
}

func snapshot(
  _ number: UInt64, of user: String, on host: UInt64 = 1, joinedAt: UInt64 = 100,
  _ places: [RoomName: PresenceValue] = [:], cursors: [RoomName: Cursor] = [:]
) -> SessionSnapshot {
  SessionSnapshot(
    id: session(number), host: node(host),
    value: SessionValue(
      profile: Profile(userID: user), device: "tab", joinedAt: at(joinedAt)),
    places: places.map {
      SessionSnapshot.Place(room: $0.key, presence: $0.value, cursor: cursors[$0.key])
    })
}

/// The kinds of some changes, for comparing.
func kinds(_ changes: [RosterChange]) -> [String] {
  changes.map {
    switch $0 {
    case .online: "online"
    case .updated: "updated"
    case .offline: "offline"
    case .status: "status"
    case .typing: "typing"
    case .cursor: "cursor"
    }
  }
}
