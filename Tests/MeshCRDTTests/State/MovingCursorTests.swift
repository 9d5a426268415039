import MeshCRDT
import Testing

/// The moves of cursors: a map with a winner per cursor.
@Suite("Moving cursors")
struct MovingCursorTests {
  typealias Move = MovingCursors.Move

  static let key = Sample.key(1, .cursor, room: 1)
  static let other = Sample.key(2, .cursor, room: 1)

  static let moves: [Move] = (UInt64(1)...2).flatMap { counter in
    (UInt16(1)...2).flatMap { column in
      [
        Cursor(column: column, row: 1, isVisible: true, anchor: nil),
        Cursor(column: column, row: 1, isVisible: true, anchor: ""),
        Cursor(column: column, row: 1, isVisible: true, anchor: "a"),
        Cursor(column: column, row: 1, isVisible: false, anchor: "a"),
        Cursor(column: column, row: 2, isVisible: false, anchor: nil),
      ].map { Move(counter: counter, cursor: $0) }
    }
  }

  static func joined(_ moves: [(RecordKey, Move)]) -> MovingCursors {
    var table = MovingCursors()
    for (key, move) in moves { _ = table.join(key, move) }
    return table
  }

  @Test("Moves of one cursor have a total order, whatever the origin signed for one counter")
  func movesAreOrdered() {
    for left in Self.moves {
      for right in Self.moves {
        let relations = [left.wins(over: right), left == right, right.wins(over: left)]
        #expect(relations.count { $0 } == 1, "\(left) and \(right)")
        for third in Self.moves where left.wins(over: right) && right.wins(over: third) {
          #expect(left.wins(over: third))
        }
      }
    }
  }

  @Test("Every order of moves, with repetitions, gives the same table")
  func orderDoesNotMatter() {
    for seed in seeds(100) {
      var generator = SplitMix64(seed: seed)
      let drawn = (0..<8).compactMap { _ in
        Self.moves.randomElement(using: &generator).map {
          (generator.chance(50) ? Self.key : Self.other, $0)
        }
      }
      let table = Self.joined(drawn)
      let again = Self.joined((drawn + drawn).shuffled(using: &generator))
      #expect(table == again, "seed \(seed)")
    }
  }

  @Test("A move that is known is no news")
  func knownMoveIsNoNews() {
    var table = MovingCursors()
    for move in Self.moves.sorted(by: { $1.wins(over: $0) }) {
      #expect(table.join(Self.key, move) == true)
      #expect(table.join(Self.key, move) == false)
    }
    for move in Self.moves { #expect(table.join(Self.key, move) == false) }
    #expect(table.count == 1)
  }

  @Test("A cursor that rests at a later counter leaves the table, an earlier rest does not count")
  func restingCursorLeaves() {
    let move = Move(counter: 5, cursor: Cursor(x: 0, y: 0))
    for (counter, isKept) in [(UInt64(4), true), (5, false), (6, false)] {
      var table = Self.joined([(Self.key, move), (Self.other, move)])
      table.rest(Self.key, at: counter)
      #expect((table[Self.key] != nil) == isKept)
      #expect(table[Self.other] == move)
    }
  }

  @Test("Moves up to a counter are dropped, later ones stay")
  func movesUpToACounterAreDropped() {
    let early = Move(counter: 1, cursor: Cursor(x: 0, y: 0))
    let late = Move(counter: 9, cursor: Cursor(x: 0, y: 0))
    let third = Sample.key(3, .cursor, room: 1)
    var table = Self.joined([(Self.key, early), (Self.other, late), (third, early)])
    let gone = table.drop(through: 5, in: { _ in true })
    #expect(gone == [Self.key, third].sorted())
    #expect(table.moves.rows.map(\.key) == [Self.other])
    #expect(table.oldestCounter == 9)
  }

  @Test("The table is bounded: new cursors are refused, known ones go on")
  func tableIsBounded() {
    var table = MovingCursors()
    let move = Move(counter: 1, cursor: Cursor(x: 0, y: 0))
    let later = Move(counter: 2, cursor: Cursor(x: 0, y: 0))
    let bound = UInt64(Limits.movingCursorsPerOrigin)
    for number in 1...bound { #expect(table.join(Sample.key(number, .cursor), move) == true) }
    #expect(table.join(Sample.key(bound + 1, .cursor), move) == false)
    #expect(table.join(Sample.key(bound, .cursor), later) == true)
    #expect(table.count == Limits.movingCursorsPerOrigin)
  }

  @Test("A move and the record that it comes to rest in, or is removed by, commute")
  func movesAndRecordsCommute() throws {
    for value: [UInt8]? in [[1], nil] {
      for counter in UInt64(4)...6 {
        let move = Move(counter: 5, cursor: Cursor(x: 0, y: 0))
        let record = Sample.written(Self.key, version: 1, counter: counter, value)
        var states = [
          MeshState(hashKey: Sample.hashKey), MeshState(hashKey: Sample.hashKey),
        ]
        for index in states.indices {
          var dropped: [SessionID] = []
          let slot = try #require(
            states[index].open(Sample.origin(1), generation: 1, dropped: &dropped))
          if index == 0 { _ = states[index].join(slot: slot, Self.key, move) }
          _ = states[index].join(slot: slot, record.key, record.cell)
          if index == 1 { _ = states[index].join(slot: slot, Self.key, move) }
        }
        #expect(states[0].moving == states[1].moving, "\(record)")
        #expect(states[0].moving[0].count == (counter < 5 ? 1 : 0))
      }
    }
  }
}
