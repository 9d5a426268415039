package import MeshCRDT

/// The cursors of one origin in one room that moved in one tick.
///
/// Layout of the body: generation (varint), Lamport counter of the tick (varint), the room's name,
/// number of cursors (varint, from 1), and for each the session id (16) and the cursor.
package struct FrameBody: Hashable, Sendable {
  package typealias Move = CursorMove

  package let generation: UInt64
  package let counter: UInt64
  package let room: RoomName
  package let moves: [Move]

  private static let leastMoveBytes = SessionID.byteCount + 5
  /// The most cursors of a frame: none is shorter than 21 bytes.
  package static let moveBound: UInt64 = 64

  package init(generation: UInt64, counter: UInt64, room: RoomName, moves: [Move]) {
    self.generation = generation
    self.counter = counter
    self.room = room
    self.moves = moves
  }

  package func write(to writer: inout ByteWriter) {
    writer.varint(generation)
    writer.varint(counter)
    writer.text(room.text)
    writer.varint(moves.count)
    for move in moves {
      writer.session(move.session)
      ValueCodec.write(move.cursor, to: &writer)
    }
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> FrameBody {
    let generation = try reader.varint(below: Limits.generationBound)
    let counter = try reader.varint(below: Limits.counterBound)
    let room = try reader.room()
    let count = try reader.varint(below: moveBound + 1)
    guard generation > 0, count > 0 else { throw .outOfBounds }
    var moves: [Move] = []
    moves.reserveCapacity(min(Int(count), reader.remaining / leastMoveBytes))
    for _ in 0..<count {
      let session = try reader.session()
      moves.append(Move(session: session, cursor: try ValueCodec.readCursor(from: &reader)))
    }
    try reader.finish()
    return FrameBody(generation: generation, counter: counter, room: room, moves: moves)
  }
}
