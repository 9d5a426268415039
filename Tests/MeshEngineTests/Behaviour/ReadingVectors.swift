import MeshCRDT
import MeshWire

@testable import MeshEngine

/// The records of several origins and moving cursors, and the sessions that are shown.
enum ReadingVectors {
  private static func value(_ kind: RecordKind, _ random: inout ViewRandom) -> [UInt8] {
    switch kind {
    case .session: ViewValue.session(user: ["ann", "bob"][random.below(2)])
    case .presence:
      ViewValue.presence(
        entered: UInt64(random.below(8)), message: ["", "hi"][random.below(2)],
        status: random.below(2) == 0 ? nil : UInt64(random.below(8)))
    case .cursor: ViewValue.cursor(random.below(100))
    case .removal: ViewValue.removal
    default: []
    }
  }

  private static func write(
    _ world: inout ViewWorld, slot: Int, _ random: inout ViewRandom
  ) {
    let kinds: [RecordKind] = [
      .session, .session, .session, .presence, .presence, .presence, .cursor, .cursor, .removal,
      .occupancy,
    ]
    let kind = kinds[random.below(kinds.count)]
    var room = viewRooms[random.below(viewRooms.count)]
    if kind == .occupancy && room.isLobby { room = viewRooms[1] }
    let isOfRoom = kind == .presence || kind == .cursor
    world.write(
      slot: slot, EntryKey(kind, viewSession(random.below(3)), room: room),
      in: isOfRoom ? room : .lobby, counter: UInt64(random.below(8)), value(kind, &random))
  }

  static func cases() throws -> [Any] {
    var result: [Any] = []
    var seed: UInt64 = 0
    while result.count < 16 {
      seed += 1
      var random = ViewRandom(seed: seed)
      var world = ViewWorld(origins: 3, visible: 1 + random.below(3))
      for _ in 0..<(12 + random.below(24)) { write(&world, slot: random.below(3), &random) }
      var moves: [[String: Any]] = []
      for _ in 0..<12 {
        let slot = random.below(3)
        let session = viewSession(random.below(3))
        let room = viewRooms[random.below(viewRooms.count)]
        let (counter, number) = (UInt64(random.below(10)), random.below(100))
        world.move(slot: slot, session, in: room, counter: counter, number)
        moves.append([
          "origin": slot, "session": hex(session), "room": room.text, "counter": counter,
          "cursor": hex(RecordValues.bytes(viewCursor(number))),
        ])
      }
      world.workAll()
      let sessions = world.reader.snapshot
      // Worlds in which nothing is to be seen tell little.
      if sessions.count < 2 { continue }
      result.append(describe(world, moves, sessions, name: "world \(seed)"))
    }
    return result
  }

  private static func describe(
    _ world: ViewWorld, _ moves: [[String: Any]], _ sessions: [SessionSnapshot], name: String
  ) -> [String: Any] {
    let origins = world.records.origins.indices.map { slot in
      [
        "origin": world.records.origins[slot].map { hex($0) } ?? "",
        "is_visible": world.view.isVisible(slot: slot),
        "records": world.records.logs[slot]
          .sorted { ($0.key.room, $0.key.entry) < ($1.key.room, $1.key.entry) }
          .map { key, record in
            [
              "log": key.room.text, "key": hex(key.entry.bytes), "counter": record.counter,
              "value": hex(record.value),
            ] as [String: Any]
          },
      ] as [String: Any]
    }
    return [
      "name": name, "origins": origins, "moves": moves,
      "sessions": sessions.map { session in
        [
          "session": hex(session.id), "host": hex(session.host),
          "value": hex(RecordValues.bytes(session.value)),
          "rooms": session.places.map { place in
            var room: [String: Any] = [
              "room": place.room.text, "presence": hex(RecordValues.bytes(place.presence)),
            ]
            room["cursor"] = place.cursor.map { hex(RecordValues.bytes($0)) }
            return room
          },
          "by_occupancy": session.visits.map(\.text),
        ] as [String: Any]
      },
    ]
  }
}
