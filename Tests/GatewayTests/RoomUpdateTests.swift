import Foundation
import MeshCRDT
import NIOCore
import PresenceMesh
import Testing

@testable import MeshGateway

/// SplitMix64 (Steele, Lea and Flood, 2014): one word of seed, the same numbers everywhere.
private struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

@Suite("What is told of one tick")
struct RoomUpdateTests {
  private static let room = RoomName("r") ?? .lobby

  private static func session(
    _ number: Int, data: String, status: Status? = nil, counter: UInt64 = 1,
    message: String = "", isTyping: Bool = false, cursor: Cursor? = nil
  ) -> SessionSnapshot {
    SessionSnapshot(
      id: SessionID(0, UInt64(number)), host: OriginID(1, 0, 0, 0),
      value: SessionValue(
        profile: Profile(userID: "user\(number / 3)"), device: "tab",
        joinedAt: WallTime(milliseconds: UInt64(100 + number))),
      places: [
        SessionSnapshot.Place(
          room: room,
          presence: PresenceValue(
            enteredCounter: 1,
            status: status.map {
              StatusValue(
                status: $0, counter: counter, changedAt: WallTime(milliseconds: counter))
            }, message: message, isTyping: isTyping, data: Array(data.utf8)),
          cursor: cursor)
      ])
  }

  private static func event(_ change: RosterChange) -> PresenceEvent {
    switch change {
    case .online(let user): .online(user)
    case .updated(let user): .updated(user)
    case .offline(let user): .offline(user)
    case .status(let user): .status(user)
    case .typing(let user): .typing(user)
    case .cursor(let user, let session, let cursor): .cursor(user: user, session: session, cursor)
    }
  }

  /// The messages of a tick as their objects.
  private static func messages(_ events: [PresenceEvent]) throws -> [[String: Any]] {
    let (changes, cursors) = RoomUpdate.coalesced(events)
    var buffers = changes.compactMap { NativeWords.message($0, room: room, resume: "") }
    if !cursors.isEmpty {
      buffers.append(NativeWords.cursors(cursors, room: room, resume: ""))
    }
    return try buffers.map { buffer in
      let object = try JSONSerialization.jsonObject(with: Data(buffer.readableBytesView))
      return try #require(object as? [String: Any])
    }
  }

  @Test("Several updates of a user are one, that of the last; statuses stay")
  func updatesAreOne() throws {
    var roster = Roster(room: Self.room)
    let now = WallTime(milliseconds: 1000)
    _ = roster.upsert(Self.session(0, data: "0"), now: now)
    _ = roster.upsert(Self.session(3, data: "0"), now: now)
    var events: [PresenceEvent] = []
    for number in 1...5 {
      events += roster.upsert(Self.session(0, data: "\(number)"), now: now).map(Self.event)
      events += roster.upsert(Self.session(3, data: "\(number)"), now: now).map(Self.event)
    }
    events +=
      roster.upsert(Self.session(0, data: "5", status: .busy), now: now).map(Self.event)
    events +=
      roster.upsert(Self.session(0, data: "6", status: .busy), now: now).map(Self.event)
    #expect(events.count == 12)
    let messages = try Self.messages(events)
    #expect(
      messages.map { "\($0["type"] ?? "") \($0["userId"] ?? "")" } == [
        "presence.update user1", "presence.status user0", "presence.update user0",
      ])
    let sessions = (messages.last?["user"] as? [String: Any])?["sessions"] as? [[String: Any]]
    #expect(sessions?.first?["data"] as? Int == 6)
  }

  @Test("Replaying what is told of any ticks gives the room", arguments: 0..<60)
  func replay(seed: UInt64) throws {
    var generator = Generator(state: seed)
    var roster = Roster(room: Self.room)
    var shown: [String: [String: Any]] = [:]
    for tick in 0..<40 {
      var events: [PresenceEvent] = []
      for step in 0..<generator.below(12) {
        let now = WallTime(milliseconds: UInt64(1000 + tick * 100 + step))
        let number = generator.below(9)
        let changes: [RosterChange]
        switch generator.below(10) {
        case 0: changes = roster.remove(SessionID(0, UInt64(number)), now: now)
        case 1, 2:
          changes = roster.move(
            SessionID(0, UInt64(number)), to: Cursor(x: Double(generator.below(9)) / 8, y: 0.5))
        default:
          changes = roster.upsert(
            Self.session(
              number, data: "\(generator.below(5))",
              status: [nil, .busy, .away][generator.below(3)],
              counter: UInt64(tick * 100 + step + 1), message: ["", "m"][generator.below(2)],
              isTyping: generator.below(3) == 0,
              cursor: generator.below(3) == 0 ? Cursor(x: 0.25, y: 0.75) : nil), now: now)
        }
        events += changes.map(Self.event)
      }
      let messages = try Self.messages(events)
      let updates = messages.filter { $0["type"] as? String == "presence.update" }
        .compactMap { $0["userId"] as? String }
      #expect(Set(updates).count == updates.count, "one update of a user")
      for message in messages { try Self.take(message, into: &shown) }
      #expect(Self.essence(shown) == Self.essence(try Self.list(roster.users())))
    }
  }

  // MARK: A client

  /// What a client does with a message.
  private static func take(
    _ message: [String: Any], into users: inout [String: [String: Any]]
  ) throws {
    let id = message["userId"] as? String ?? ""
    switch message["type"] as? String {
    case "presence.online", "presence.update":
      users[id] = try #require(message["user"] as? [String: Any])
    case "presence.offline":
      users[id]?["online"] = false
      users[id]?["lastDisconnected"] = message["lastDisconnected"]
    case "presence.status":
      users[id]?["status"] = message["status"]
      users[id]?["message"] = message["message"]
      users[id]?["statusChangedAt"] = message["timestamp"]
    case "presence.typing": users[id]?["typing"] = message["typing"]
    case "presence.cursor":
      for cursor in message["cursors"] as? [[String: Any]] ?? [] {
        let user = try #require(cursor["userId"] as? String)
        var sessions = users[user]?["sessions"] as? [[String: Any]] ?? []
        for index in sessions.indices
        where sessions[index]["sessionId"] as? String == cursor["sessionId"] as? String {
          sessions[index]["cursor"] = cursor.filter { $0.key != "userId" && $0.key != "sessionId" }
        }
        users[user]?["sessions"] = sessions
      }
    default: Issue.record("an unknown message")
    }
  }

  private static func list(_ users: [User]) throws -> [String: [String: Any]] {
    var list: [String: [String: Any]] = [:]
    for user in users {
      var writer = JSONWriter()
      writer.user(user)
      list[user.id] =
        try JSONSerialization.jsonObject(with: Data(writer.bytes)) as? [String: Any]
    }
    return list
  }

  /// What can be compared: of those who are gone, that they are, and since when. What sessions say
  /// for themselves is told with the next update only.
  private static func essence(_ users: [String: [String: Any]]) -> NSDictionary {
    users.mapValues { user -> [String: Any] in
      guard user["online"] as? Bool == true else {
        return user.filter { ["userId", "online", "lastDisconnected"].contains($0.key) }
      }
      var user = user
      let sessions = user["sessions"] as? [[String: Any]] ?? []
      user["sessions"] = sessions.map { session in
        session.filter { $0.key != "status" && $0.key != "typing" }
      }
      return user
    } as NSDictionary
  }
}
