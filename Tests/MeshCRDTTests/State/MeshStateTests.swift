import MeshCRDT
import Testing

/// The joined state of all origins, and what it keeps incrementally.
@Suite("The state of a mesh")
struct MeshStateTests {
  static func open(
    _ state: inout MeshState, _ origin: OriginID, generation: UInt64 = 1
  ) -> (slot: Int?, dropped: [SessionID]) {
    var dropped: [SessionID] = []
    let slot = state.open(origin, generation: generation, dropped: &dropped)
    return (slot, dropped)
  }

  static func join(_ state: inout MeshState, _ origin: OriginID, _ delta: Delta) {
    guard let slot = open(&state, origin, generation: delta.generation).slot else { return }
    for record in delta.records { _ = state.join(slot: slot, record.key, record.cell) }
    state.sum(slot: slot, room: delta.room)
    state.settle(slot: slot, room: delta.room, claim: delta.claim)
  }

  @Test("After any operations, what is kept equals what it is made from")
  func anyOperationsKeepTheInvariants() {
    var operations = 0
    for seed in seeds(60) {
      var generator = SplitMix64(seed: seed)
      var state = MeshState(hashKey: Sample.hashKey)
      var writers = (0..<4).map { Writer(seed: seed &* 10 + $0, restartPercent: 10) }
      var deltas: [(OriginID, Delta)] = []
      for step in 0..<60 {
        let number = Int.random(in: 0..<4, using: &generator)
        let origin = Sample.origin(UInt64(number))
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<6:
          let delta = writers[number].write()
          deltas.append((origin, delta))
          if generator.chance(70) { Self.join(&state, origin, delta) }
        case 6..<8:
          if let (origin, delta) = deltas.randomElement(using: &generator) {
            Self.join(&state, origin, delta)
          }
        case 8:
          if let slot = state.slot(of: origin) {
            // A manifest of what the origin has now.
            let live = Set(writers[number].log.records)
            let dead = state.logs[slot].records.filter { !live.contains($0) }
            let room = Sample.room(UInt64.random(in: 0...2, using: &generator))
            _ = state.settle(
              slot: slot, room: room, removing: dead.map { ($0.key, $0.cell.version) })
          }
        default:
          guard let slot = state.slot(of: origin) else { continue }
          let room = Sample.room(UInt64.random(in: 0...2, using: &generator))
          if generator.chance(30) {
            let sessions = state.logs[slot].sessions
            #expect(state.forget(slot: slot) == sessions, "seed \(seed)")
          } else if !room.isLobby && generator.chance(50) {
            _ = state.drop(slot: slot, room: room)
            #expect(state.logs[slot].cells(of: room).isEmpty, "seed \(seed)")
          } else {
            state.reopen(slot: slot, room: room, claim: state.logs[slot].shelf(room).claim)
          }
        }
        operations += 1
        if let violation = state.invariantViolation() {
          Issue.record("seed \(seed), step \(step): \(violation)")
          return
        }
      }
    }
    print("checked \(operations) operations on states")
  }

  @Test("States that heard the same in other orders have one hash and the same sessions")
  func orderDoesNotMatter() {
    for seed in seeds(60) {
      var generator = SplitMix64(seed: seed)
      var deltas: [(OriginID, Delta)] = []
      for number in UInt64(0)..<5 {
        var writer = Writer(seed: seed &* 10 + number, restartPercent: 5)
        for _ in 0..<6 { deltas.append((Sample.origin(number), writer.write())) }
      }
      let states = (0..<2).map { _ in
        var state = MeshState(hashKey: Sample.hashKey)
        for (origin, delta) in (deltas + deltas).shuffled(using: &generator) {
          Self.join(&state, origin, delta)
        }
        return state
      }
      #expect(states[0].stateHash == states[1].stateHash, "seed \(seed)")
      #expect(states[0].digest == states[1].digest, "seed \(seed)")
      #expect(states[0].sessionCount == states[1].sessionCount, "seed \(seed)")
      for session in (UInt64(1)...3).map({ Sample.session($0) }) {
        let homes = states.map { state in
          Set(state.homes(of: session).compactMap { state.origins[$0] })
        }
        #expect(homes[0] == homes[1], "seed \(seed)")
      }
    }
  }

  @Test("A session has the origins as homes that hold a live record of it")
  func homesFollowLiveRecords() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let key = Sample.key(1)
    let slots = try (0..<3).map { try #require(Self.open(&state, Sample.origin($0)).slot) }
    func join(_ slot: Int, _ version: UInt64, _ value: [UInt8]?) {
      _ = state.join(slot: slot, key, Sample.cell(key, version: version, value))
      state.sum(slot: slot, room: .lobby)
    }
    join(slots[2], 1, [1])
    #expect(state.homes(of: key.session) == [slots[2]])
    join(slots[0], 1, [1])
    join(slots[1], 1, [1])
    join(slots[1], 2, [2])
    #expect(state.homes(of: key.session) == [slots[0], slots[1], slots[2]])
    #expect(state.sessionCount == 1)
    join(slots[0], 2, nil)
    join(slots[0], 3, nil)
    #expect(state.homes(of: key.session) == [slots[1], slots[2]])
    _ = state.forget(slot: slots[1])
    #expect(state.homes(of: key.session) == [slots[2]])
    join(slots[2], 2, nil)
    #expect(state.homes(of: key.session) == [] && state.sessionCount == 0)
    join(slots[2], 3, [3])
    #expect(state.homes(of: key.session) == [slots[2]])
    // Presence without a session record is no home.
    let presence = Sample.key(2, .presence, room: 1)
    _ = state.join(slot: slots[2], presence, Sample.cell(presence, version: 4, [1]))
    state.sum(slot: slots[2], room: Sample.room(1))
    #expect(state.homes(of: presence.session) == [])
    #expect(state.invariantViolation() == nil)
  }

  @Test("A higher generation empties the log of an origin, a lower one is not heard")
  func generationsReplaceEachOther() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let origin = Sample.origin(1)
    let slot = try #require(Self.open(&state, origin, generation: 2).slot)
    let empty = state.stateHash
    for key in [Sample.key(1), Sample.key(2, .cursor, room: 1)] {
      _ = state.join(slot: slot, key, Sample.cell(key, version: 1, [1]))
    }
    let move = MovingCursors.Move(counter: 5, cursor: Cursor(x: 0, y: 0))
    #expect(state.join(slot: slot, Sample.key(2, .cursor, room: 1), move) == true)
    #expect(Self.open(&state, origin, generation: 1) == (nil, []))
    #expect(Self.open(&state, origin, generation: 2) == (slot, []))
    #expect(state.sessionCount == 1)
    let newer = Self.open(&state, origin, generation: 3)
    #expect(newer == (slot, [Sample.session(1), Sample.session(2)]))
    #expect(state.sessionCount == 0 && state.logs[slot].entries.isEmpty)
    #expect(state.moving[slot].count == 0)
    #expect(state.stateHash != empty)
    #expect(state.invariantViolation() == nil)
  }

  @Test("A forgotten origin leaves nothing, and its slot is used again")
  func forgottenOriginLeavesNothing() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let before = state.stateHash
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let key = Sample.key(1)
    _ = state.join(slot: slot, key, Sample.cell(key, version: 1, [1]))
    state.settle(
      slot: slot, room: .lobby, claim: Sample.claim(1, live: [Sample.written(key, version: 1, [1])])
    )
    #expect(state.logs[slot].isSettled)
    #expect(state.forget(slot: slot) == [key.session])
    #expect(state.forget(slot: slot) == [])
    #expect(state.stateHash == before && state.originCount == 0 && state.sessionCount == 0)
    #expect(
      state.slot(of: Sample.origin(1)) == nil && state.digestEntry(slot: slot, room: .lobby) == nil)
    #expect(Self.open(&state, Sample.origin(2)).slot == slot)
    #expect(state.logs[slot] == OriginLog(generation: 1))
  }

  @Test("Settling changes the digest, and a manifest takes sessions away")
  func manifestTakesSessionsAway() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let gone = Sample.written(Sample.key(1), version: 1, [1])
    let kept = Sample.written(Sample.key(2), version: 3, [2])
    for record in [gone, kept] { _ = state.join(slot: slot, record.key, record.cell) }
    state.sum(slot: slot, room: .lobby)
    let open = state.stateHash
    #expect(state.settle(slot: slot, room: .lobby, claim: Sample.claim(3, live: [kept])) == false)
    #expect(state.stateHash == open)
    #expect(!state.settle(slot: slot, room: .lobby, removing: [(kept.key, 3)]).isSettled)
    let result = state.settle(slot: slot, room: .lobby, removing: [(gone.key, 1)])
    #expect(result.isSettled && result.removed.map(\.key) == [gone.key])
    #expect(state.stateHash != open)
    #expect(state.homes(of: gone.key.session) == [] && state.sessionCount == 1)
    #expect(state.invariantViolation() == nil)
  }

  @Test("A reopened log gives its sessions up until they are heard again")
  func reopenedLogIsEmpty() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let empty = state.stateHash
    let record = Sample.written(Sample.key(1), version: 1, [1])
    _ = state.join(slot: slot, record.key, record.cell)
    #expect(state.settle(slot: slot, room: .lobby, claim: Sample.claim(1, live: [record])) == true)
    let settled = state.stateHash
    #expect(
      state.reopen(slot: slot, room: .lobby, claim: state.logs[slot].claim).map(\.key) == [
        record.key
      ])
    #expect(state.sessionCount == 0 && state.stateHash == empty)
    _ = state.join(slot: slot, record.key, record.cell)
    #expect(state.settle(slot: slot, room: .lobby) && state.stateHash == settled)
    #expect(state.homes(of: record.key.session) == [slot])
    #expect(state.invariantViolation() == nil)
  }

  @Test("Moves of sessions that left a room go once the origin's log is complete")
  func movesOfTheDepartedGo() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let present = Sample.written(Sample.key(1, .presence, room: 1), version: 1, [1])
    _ = state.join(slot: slot, present.key, present.cell)
    let first = Sample.key(1, .cursor, room: 1)
    let second = Sample.key(2, .cursor, room: 1)
    let move = MovingCursors.Move(counter: 5, cursor: Cursor(x: 0, y: 0))
    for key in [first, second] { #expect(state.join(slot: slot, key, move) == true) }
    #expect(state.dropMoves(slot: slot, through: 5) == [], "the log is not complete yet")
    state.settle(slot: slot, room: Sample.room(1), claim: Sample.claim(1, live: [present]))
    #expect(state.dropMoves(slot: slot, through: 4) == [], "the moves are later")
    #expect(state.dropMoves(slot: slot, through: 5) == [first, second])
    #expect(state.moving[slot].count == 0)
  }

  @Test("Two nodes that follow other rooms compare what both hold")
  func sharedDigests() throws {
    var writers = (1...4).map { Writer(seed: $0) }
    let deltas = (0..<80).map { step in
      (Sample.origin(UInt64(step % 4)), writers[step % 4].write())
    }
    func state(_ rooms: Set<RoomID>?, own: OriginID) -> MeshState {
      var state = MeshState(hashKey: Sample.hashKey)
      for (origin, delta) in deltas
      where delta.room.isLobby || origin == own || rooms?.contains(delta.room) ?? true {
        Self.join(&state, origin, delta)
      }
      return state
    }
    let choices: [Set<RoomID>?] = [
      nil, [], [Sample.room(1)], [Sample.room(2)], [Sample.room(1), Sample.room(2)],
    ]
    let origins = [Sample.origin(0), Sample.origin(1)]
    for first in choices {
      for second in choices {
        let states = [state(first, own: origins[0]), state(second, own: origins[1])]
        let digests = states.map { state in
          let sharing = Sharing(
            Sharing.Side(slot: state.slot(of: origins[0]), rooms: first),
            Sharing.Side(slot: state.slot(of: origins[1]), rooms: second))
          var sum = Digest()
          for entry in state.digestEntries(mask: .max, sharing: sharing) {
            sum.replace(old: nil, new: entry, key: Sample.hashKey)
          }
          #expect(sum == state.digest(of: sharing), "the list is what the digest sums")
          return sum
        }
        #expect(digests[0] == digests[1])
      }
    }
    let whole = state(nil, own: origins[0])
    let part = state([Sample.room(1)], own: Sample.origin(9))
    #expect(whole.roomHash(Sample.room(1)) == part.roomHash(Sample.room(1)))
    #expect(whole.roomHash(Sample.room(2)) != part.roomHash(Sample.room(2)))
    #expect(whole.roomHash(.lobby) == part.roomHash(.lobby))
  }

  @Test("A room that was dropped leaves nothing, and can be heard again")
  func droppedRoomLeavesNothing() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let room = Sample.room(1)
    let empty = state.stateHash
    let record = Sample.written(Sample.key(1, .presence, room: 1), version: 1, [1])
    let claim = Sample.claim(1, live: [record])
    func hear() {
      _ = state.join(slot: slot, record.key, record.cell)
      state.settle(slot: slot, room: room, claim: claim)
    }
    hear()
    let cursor = Sample.key(1, .cursor, room: 1)
    _ = state.join(
      slot: slot, cursor, MovingCursors.Move(counter: 5, cursor: Cursor(x: 0, y: 0)))
    let held = state.stateHash
    #expect(state.residents(of: room) == [slot] && held != empty)
    #expect(state.drop(slot: slot, room: room) == [record.key, cursor])
    #expect(state.stateHash == empty && state.residents(of: room).isEmpty)
    #expect(state.logs[slot] == OriginLog(generation: 1) && state.moving[slot].count == 0)
    hear()
    #expect(state.stateHash == held && state.logs[slot].shelf(room).isSettled)
    #expect(state.invariantViolation() == nil)
  }

  @Test("A room in which nothing lives any more counts as one that was never heard of")
  func emptyRoomsAreNotCounted() throws {
    var state = MeshState(hashKey: Sample.hashKey)
    let slot = try #require(Self.open(&state, Sample.origin(1)).slot)
    let empty = state.stateHash
    let key = Sample.key(1, .presence, room: 1)
    _ = state.join(slot: slot, key, Sample.cell(key, version: 1, [1]))
    _ = state.join(slot: slot, key, Sample.cell(key, version: 2, nil))
    state.settle(slot: slot, room: Sample.room(1), claim: Sample.claim(2, live: []))
    #expect(state.stateHash == empty)
    // Its versions are not forgotten: what was removed does not come back.
    _ = state.join(slot: slot, key, Sample.cell(key, version: 1, [1]))
    #expect(state.logs[slot].live(key) == nil && state.stateHash == empty)
  }

  @Test("The table of origins is bounded, and its slots are sorted by origin")
  func originsAreBounded() {
    var state = MeshState(hashKey: Sample.hashKey)
    for number in UInt64(1)...UInt64(Limits.origins) {
      #expect(Self.open(&state, Sample.origin(number)).slot != nil)
    }
    #expect(Self.open(&state, Sample.origin(0)).slot == nil)
    #expect(Self.open(&state, Sample.origin(1)).slot == 0)
    let origins = state.sortedSlots.compactMap { state.origins[$0] }
    #expect(origins == origins.sorted() && origins.count == Limits.origins)
  }
}
