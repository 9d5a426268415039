import MeshCRDT
import Testing

/// A random sequence of what can happen to the sessions of a small mesh, beside the plain table of
/// sessions that the views must agree with.
private struct World {
  static let rooms = [RoomName.lobby, room("a"), room("b"), room("c")]

  var view = MeshView()
  var truth: [SessionID: SessionSnapshot] = [:]
  var suspects: [OriginID: WallTime] = [:]
  var now: UInt64 = 1000
  var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func step() -> [RoomChanges] {
    now += UInt64(random.below(3))
    let number = UInt64(random.below(10))
    switch random.below(10) {
    case 0...4:
      let drawn = drawSession(number)
      truth[drawn.id] = drawn
      return view.upsert(drawn, now: at(now))
    case 5...6:
      truth[session(number)] = nil
      return view.remove(session(number), now: at(now))
    case 7...8:
      let target = Self.rooms[random.below(Self.rooms.count)]
      let cursor = drawCursor()
      if let old = truth[session(number)], old.place(in: target) != nil {
        truth[session(number)] = old.moving(in: target, to: cursor)
      } else if target.isLobby {
        return []
      }
      return view.move(session(number), in: target, to: cursor)
    default:
      let host = node(UInt64(random.below(3)))
      let isSuspect = random.chance(50)
      if isSuspect != (suspects[host] != nil) { suspects[host] = isSuspect ? at(now) : nil }
      return view.setSuspect(host, isSuspect, now: at(now))
    }
  }

  private mutating func drawCursor() -> Cursor {
    Cursor(x: Double(random.below(3)) / 2, y: 0, isVisible: random.chance(80))
  }

  private mutating func drawSession(_ number: UInt64) -> SessionSnapshot {
    var places: [RoomName: PresenceValue] = [:]
    var cursors: [RoomName: Cursor] = [:]
    for room in Self.rooms where random.chance(50) {
      let status = random.chance(50) ? Status.allCases[random.below(6)] : nil
      places[room] = presence(
        status, counter: UInt64(random.below(4)), message: random.chance(30) ? "m" : "",
        isTyping: random.chance(30))
      if random.chance(40) { cursors[room] = drawCursor() }
    }
    // Now and then a session id comes with another user.
    let user = random.chance(5) ? random.below(4) : Int(number) % 4
    return snapshot(
      number, of: "u\(user)", on: UInt64(random.below(3)), joinedAt: UInt64(random.below(3)),
      places,
      cursors: cursors)
  }
}

@Suite("Laws of the rosters")
struct RosterLawTests {
  @Test("After any sequence, the rosters equal those rebuilt from the sessions", arguments: 0..<60)
  func incrementalEqualsRebuilt(seed: UInt64) {
    var world = World(seed: seed)
    for _ in 0..<150 {
      _ = world.step()
      for name in World.rooms {
        var rebuilt = Roster(room: name, suspects: world.suspects)
        let order = world.truth.keys.shuffled(using: &world.random)
        _ = rebuilt.reset(to: order.compactMap { world.truth[$0] }, now: at(0))
        let roster = world.view.roster(name)
        #expect(roster.users(onlineOnly: true) == rebuilt.users(onlineOnly: true))
        #expect(roster.summary == rebuilt.summary)
        #expect(roster.allSessions == rebuilt.allSessions)
      }
      #expect(world.view.allSessions == world.truth.values.sorted { $0.id < $1.id })
    }
  }

  @Test("Replaying the changes over any snapshot gives the next snapshot", arguments: 100..<160)
  func replayEqualsSnapshot(seed: UInt64) {
    var world = World(seed: seed)
    var replicas = World.rooms.map { world.view.roster($0).snapshot }
    for _ in 0..<200 {
      for change in world.step() {
        guard let index = World.rooms.firstIndex(of: change.room) else { continue }
        for change in change.changes {
          check(change, against: replicas[index])
          replicas[index].apply(change)
          let once = replicas[index]
          replicas[index].apply(change)
          #expect(replicas[index] == once)
        }
      }
      for (index, name) in World.rooms.enumerated() {
        #expect(replicas[index] == world.view.roster(name).snapshot)
      }
    }
  }

  /// Online comes for somebody who was not there, everything else for somebody who was.
  private func check(_ change: RosterChange, against replica: RosterSnapshot) {
    let wasOnline = replica.user(change.userID)?.isOnline ?? false
    switch change {
    case .online(let user):
      #expect(!wasOnline)
      #expect(user.isOnline && user.lastDisconnected == nil)
    case .offline(let user):
      #expect(wasOnline)
      #expect(!user.isOnline && user.lastDisconnected != nil)
    case .updated(let user), .status(let user), .typing(let user):
      #expect(wasOnline && user.isOnline)
    case .cursor:
      #expect(wasOnline)
    }
  }

  @Test("The order in which sessions come does not show", arguments: 200..<230)
  func orderDoesNotShow(seed: UInt64) {
    var world = World(seed: seed)
    for _ in 0..<60 { _ = world.step() }
    let sessions = world.truth.values.sorted { $0.id < $1.id }
    var listings: Set<[User]> = []
    for _ in 0..<6 {
      var view = MeshView()
      for snapshot in sessions.shuffled(using: &world.random) {
        _ = view.upsert(snapshot, now: at(0))
      }
      listings.insert(view.roster(.lobby).users())
    }
    #expect(listings.count == 1)
  }

  @Test("The devices of a user are the live sessions, in every room", arguments: 300..<320)
  func devicesAreSessions(seed: UInt64) {
    var world = World(seed: seed)
    for _ in 0..<120 {
      _ = world.step()
      for name in World.rooms {
        let present = world.truth.values.filter { name.isLobby || $0.place(in: name) != nil }
        for user in 0..<4 {
          let own = present.filter { $0.value.profile.userID == "u\(user)" }
          let seen = world.view.roster(name).user("u\(user)")
          #expect(seen?.devices ?? 0 == own.count)
          #expect(world.view.roster(name).isOnline("u\(user)") == !own.isEmpty)
        }
      }
    }
  }
}
