import MeshCRDT
import Testing

@Suite("The roster of a room")
struct RosterTests {
  @Test("Two tabs and one closes: two devices become one, and nobody goes offline")
  func closingOneOfTwoTabs() {
    var roster = Roster(room: .lobby)
    #expect(kinds(roster.upsert(snapshot(1, of: "ann"), now: at(1))) == ["online"])
    #expect(kinds(roster.upsert(snapshot(2, of: "ann"), now: at(2))) == ["updated"])
    #expect(roster.user("ann")?.devices == 2)
    let closing = roster.remove(session(1), now: at(3))
    #expect(kinds(closing) == ["updated"])
    #expect(roster.user("ann")?.devices == 1)
    #expect(roster.user("ann")?.lastDisconnected == nil)
    #expect(kinds(roster.remove(session(2), now: at(4))) == ["offline"])
    #expect(roster.user("ann")?.devices == 0)
    #expect(roster.user("ann")?.isOnline == false)
    #expect(roster.user("ann")?.lastDisconnected == at(4))
  }

  @Test("A session that moves to another host is one update, without going and coming")
  func movedSession() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann", on: 1), now: at(1))
    let moved = roster.upsert(snapshot(1, of: "ann", on: 2), now: at(2))
    #expect(kinds(moved) == ["updated"])
    #expect(roster.user("ann")?.sessions.map(\.host) == [node(2)])
  }

  @Test("The same session told again changes nothing")
  func nothingNew() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann", [.lobby: presence(.busy)]), now: at(1))
    #expect(roster.upsert(snapshot(1, of: "ann", [.lobby: presence(.busy)]), now: at(9)) == [])
    #expect(roster.remove(session(7), now: at(9)) == [])
    #expect(roster.move(session(7), to: Cursor(x: 0, y: 0)) == [])
  }

  @Test("The status with the highest counter wins, and of two equal ones that of the higher node")
  func lastWriterWins() {
    let away = snapshot(1, of: "ann", on: 2, [.lobby: presence(.away, counter: 5, message: "a")])
    let busy = snapshot(2, of: "ann", on: 1, [.lobby: presence(.busy, counter: 5, message: "b")])
    let idle = snapshot(3, of: "ann", on: 9, [.lobby: presence(.idle, counter: 4, message: "c")])
    for order in [[away, busy, idle], [idle, busy, away], [busy, idle, away]] {
      var roster = Roster(room: .lobby)
      for snapshot in order { _ = roster.upsert(snapshot, now: at(1)) }
      #expect(roster.user("ann")?.status == .away)
      #expect(roster.user("ann")?.message == "a")
      #expect(roster.user("ann")?.statusChangedAt == at(5))
      _ = roster.remove(session(1), now: at(2))
      #expect(roster.user("ann")?.status == .busy)
    }
  }

  @Test("A status in a room stands before that of the lobby; without one the lobby's holds")
  func roomStatusStandsFirst() {
    let here = room("here")
    let there = room("there")
    let places = [
      RoomName.lobby: presence(.away, counter: 9, message: "out"),
      here: presence(.busy, counter: 2, message: "in"), there: presence(),
    ]
    func user(_ name: RoomName) -> User? {
      var roster = Roster(room: name)
      _ = roster.upsert(snapshot(1, of: "ann", places), now: at(1))
      return roster.user("ann")
    }
    #expect(user(here)?.status == .busy)
    #expect(user(here)?.message == "in")
    #expect(user(there)?.status == .away)
    #expect(user(there)?.message == "out")
    #expect(user(.lobby)?.status == .away)
    #expect(user(room("elsewhere")) == nil)
  }

  @Test("Without any status a user is online")
  func defaultStatus() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann"), now: at(1))
    #expect(roster.user("ann")?.status == .online)
    #expect(roster.user("ann")?.statusChangedAt == nil)
  }

  @Test("A user types while any session does")
  func typing() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann"), now: at(1))
    _ = roster.upsert(snapshot(2, of: "ann"), now: at(1))
    let on = roster.upsert(
      snapshot(2, of: "ann", [.lobby: presence(isTyping: true)]), now: at(2))
    #expect(kinds(on) == ["typing"])
    #expect(roster.user("ann")?.isTyping == true)
    #expect(kinds(roster.upsert(snapshot(2, of: "ann"), now: at(3))) == ["typing"])
    #expect(roster.user("ann")?.isTyping == false)
  }

  @Test("Each kind of change has its own event, and a cursor never looks like an update")
  func kindsOfChanges() {
    let here = room("here")
    var roster = Roster(room: here)
    _ = roster.upsert(snapshot(1, of: "ann", [here: presence()]), now: at(1))
    let status = roster.upsert(snapshot(1, of: "ann", [here: presence(.busy)]), now: at(2))
    #expect(kinds(status) == ["status"])
    let cursor = Cursor(x: 0.5, y: 0.25)
    let resting = snapshot(1, of: "ann", [here: presence(.busy)], cursors: [here: cursor])
    #expect(kinds(roster.upsert(resting, now: at(3))) == ["cursor"])
    #expect(kinds(roster.move(session(1), to: Cursor(x: 0.5, y: 0.5))) == ["cursor"])
    #expect(roster.user("ann")?.sessions.first?.cursor == Cursor(x: 0.5, y: 0.5))
    var data = presence(.busy)
    data.data = [1]
    #expect(kinds(roster.upsert(snapshot(1, of: "ann", [here: data]), now: at(4))) == ["updated"])
  }

  @Test("A silent host makes its users suspect, seen last when it fell silent; then they are back")
  func suspectHosts() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann", on: 1), now: at(1))
    _ = roster.upsert(snapshot(2, of: "ann", on: 2), now: at(1))
    #expect(kinds(roster.setSuspect(node(1), true, now: at(10))) == ["updated"])
    #expect(roster.setSuspect(node(1), true, now: at(11)) == [])
    #expect(roster.user("ann")?.isSuspect == false)
    #expect(roster.user("ann")?.lastSeen == nil)
    _ = roster.setSuspect(node(2), true, now: at(20))
    #expect(roster.user("ann")?.isSuspect == true)
    #expect(roster.user("ann")?.lastSeen == at(20))
    _ = roster.remove(session(1), now: at(30))
    _ = roster.remove(session(2), now: at(30))
    #expect(roster.user("ann")?.lastSeen == at(20))
    #expect(roster.user("ann")?.lastDisconnected == at(30))
    _ = roster.upsert(snapshot(2, of: "ann", on: 2), now: at(40))
    #expect(roster.user("ann")?.isSuspect == true)
    #expect(roster.user("ann")?.lastDisconnected == nil)
    #expect(kinds(roster.setSuspect(node(2), false, now: at(50))) == ["updated"])
    #expect(roster.user("ann")?.isSuspect == false)
  }

  @Test("Departed users are listed most recent first, up to the bound")
  func departedBound() {
    var roster = Roster(room: .lobby, departedLimit: 3)
    for number in 1...5 as ClosedRange<UInt64> {
      _ = roster.upsert(snapshot(number, of: "u\(number)"), now: at(1))
    }
    for number in [2, 4, 1, 5] as [UInt64] {
      _ = roster.remove(session(number), now: at(number == 5 ? 1 : 10 + number))
    }
    #expect(roster.users().map(\.id) == ["u3", "u4", "u2", "u1"])
    #expect(roster.users(onlineOnly: true).map(\.id) == ["u3"])
    _ = roster.upsert(snapshot(2, of: "u2"), now: at(20))
    #expect(roster.users().map(\.id) == ["u2", "u3", "u4", "u1"])
  }

  @Test("Pages put together are the list, whatever their size")
  func paging() {
    var roster = Roster(room: .lobby)
    for number in 0..<20 as Range<UInt64> {
      _ = roster.upsert(snapshot(number, of: "u\(number % 15)"), now: at(1))
    }
    for number in 0..<8 as Range<UInt64> { _ = roster.remove(session(number), now: at(2 + number)) }
    for onlineOnly in [false, true] {
      let all = roster.users(onlineOnly: onlineOnly)
      #expect(all.count == (onlineOnly ? roster.userCount : 15))
      #expect(all == all.filter(\.isOnline) + all.filter { !$0.isOnline })
      for size in 1...16 {
        var pages: [User] = []
        for _ in 0...all.count {
          let page = roster.users(onlineOnly: onlineOnly, limit: size, offset: pages.count)
          #expect(page.count <= size)
          pages += page
        }
        #expect(pages == all)
      }
    }
    #expect(roster.users(limit: 0) == [])
    #expect(roster.users(limit: -1, offset: -1) == [])
    #expect(roster.users(offset: .max) == [])
  }

  @Test("Users whose ids differ in bytes are different users")
  func idsAreBytes() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "\u{E9}"), now: at(1))
    _ = roster.upsert(snapshot(2, of: "e\u{301}"), now: at(1))
    #expect(roster.userCount == 2)
    #expect(roster.user("\u{E9}")?.devices == 1)
  }

  @Test("A session whose user changes leaves the one and comes to the other")
  func sessionOfAnotherUser() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "bob"), now: at(1))
    let changes = roster.upsert(snapshot(1, of: "ann"), now: at(2))
    #expect(kinds(changes) == ["online", "offline"])
    #expect(changes.map(\.userID) == ["ann", "bob"])
  }

  @Test("A user joined with the earliest session, and is called as in the newest")
  func joinedAtAndProfile() {
    var roster = Roster(room: .lobby)
    for (number, joinedAt) in [(1, 200), (2, 100), (3, 300), (4, 300)] as [(UInt64, UInt64)] {
      let value = SessionValue(
        profile: Profile(userID: "ann", name: "Ann \(number)"), device: "", joinedAt: at(joinedAt))
      let snapshot = SessionSnapshot(
        id: session(number), host: node(1), value: value, places: [])
      _ = roster.upsert(snapshot, now: at(1))
    }
    #expect(roster.user("ann")?.joinedAt == at(100))
    #expect(roster.user("ann")?.profile.name == "Ann 4")
    _ = roster.remove(session(2), now: at(2))
    #expect(roster.user("ann")?.joinedAt == at(200))
  }

  @Test("A reset tells of the difference only")
  func resetTellsTheDifference() {
    var roster = Roster(room: .lobby)
    _ = roster.upsert(snapshot(1, of: "ann"), now: at(1))
    _ = roster.upsert(snapshot(2, of: "bob"), now: at(1))
    let changes = roster.reset(
      to: [snapshot(1, of: "ann"), snapshot(3, of: "cid"), snapshot(4, of: "ann")], now: at(2))
    #expect(kinds(changes) == ["updated", "offline", "online"])
    #expect(changes.map(\.userID) == ["ann", "bob", "cid"])
  }
}
