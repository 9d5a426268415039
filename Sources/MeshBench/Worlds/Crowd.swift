import MeshCRDT
import MeshEngine

/// What users do in the measurements. The same on every run.
enum Crowd {
  static func session(_ index: Int, of station: Int = 0) -> SessionID {
    SessionID(
      0x5E55_1011_0000_0000 | UInt64(station), UInt64(index) &* 0x9E37_79B9_7F4A_7C15 | 1)
  }

  /// The id has 11 bytes, the name 16; no avatar, no data.
  static func profile(_ index: Int, of station: Int = 0) -> Profile {
    let number = String(1_000_000 + station * 100_000 + index)
    return Profile(userID: "user\(number)", name: "Ada Love \(number)")
  }

  /// One of ten rooms, with a name of 8 bytes.
  static func room(_ index: Int) throws(BenchError) -> RoomName {
    guard let room = RoomName("design-\(index % 10)") else { throw .refused("a room's name") }
    return room
  }

  static func open(_ index: Int, of station: Int = 0) -> LocalOperation {
    .open(
      session(index, of: station), profile(index, of: station), device: "laptop", .attached,
      at: WallTime(milliseconds: 1_700_000_000_000 + UInt64(index)))
  }

  /// A status that differs from turn to turn, with a short message every other time.
  static func status(_ index: Int, turn: Int, in room: RoomName) -> LocalOperation {
    let statuses = Status.allCases
    return .setStatus(
      session(index), room, statuses[(index + turn) % statuses.count],
      message: turn.isMultiple(of: 2) ? "" : "back at half past two",
      at: WallTime(milliseconds: 1_700_000_000_000 + UInt64(turn)))
  }

  /// A cursor that differs from turn to turn.
  static func cursor(_ index: Int, turn: Int) -> Cursor {
    Cursor(
      column: UInt16(truncatingIfNeeded: index &* 7919 &+ turn &* 13),
      row: UInt16(truncatingIfNeeded: turn), isVisible: true, anchor: nil)
  }
}
