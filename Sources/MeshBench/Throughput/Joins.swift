import MeshCRDT
import MeshEngine
import MeshTrust

/// Cursor records decoded and joined per second on one core, with cryptography that costs nothing.
enum Joins {
  /// As many cursors as a frame of one datagram holds.
  static let cursorsPerFrame = 46
  static let rooms = 10

  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    let heard = try rate(scale.rounds, emitsEvents: true)
    let silent = try rate(scale.rounds, emitsEvents: false)
    let work =
      "frames of \(cursorsPerFrame) cursors, \(rooms) rooms, through Engine.receive, verification "
      + "and sealing replaced by a stand-in"
    return [
      Figure(
        "joins-per-second", heard, "1/s", aim: 1_000_000, better: .higher,
        detail: work + "; an event for each cursor"),
      Figure(
        "joins-per-second-without-events", silent, "1/s", better: .higher,
        detail: work + "; nobody reads events"),
    ]
  }

  static func rate(_ rounds: Int, emitsEvents: Bool) throws(BenchError) -> Double {
    var pair = try StationPair(
      writer: Station(crypto: NoCrypto(node: 1), port: 1),
      reader: Station(crypto: NoCrypto(node: 2), port: 2) { $0.emitsEvents = emitsEvents })
    for index in 0..<(rooms * cursorsPerFrame) {
      try pair.perform(Crowd.open(index))
      try pair.perform(.enter(Crowd.session(index), Crowd.room(index)))
      try pair.perform(Crowd.status(index, turn: 0, in: Crowd.room(index)))
    }
    let interval = pair.writer.engine.configuration.cursorInterval.milliseconds
    pair.advance(milliseconds: 100)
    pair.exchange()

    var joined: UInt64 = 0
    var nanoseconds: UInt64 = 0
    for turn in 0..<rounds {
      // A first move would go at once, alone: so all of them come shortly after the last frames.
      try moveAll(&pair, turn: turn)
      pair.advance(milliseconds: interval + 1)
      let frames = pair.takeWritten()
      let before = pair.reader.engine.counters.joined
      let start = Clock.thread
      for frame in frames {
        pair.reader.hear(frame, from: pair.writer.address, now: pair.now)
      }
      // The first round warms up.
      guard turn > 0 || rounds == 1 else { continue }
      nanoseconds += Clock.thread - start
      joined += pair.reader.engine.counters.joined - before
    }
    let expected = UInt64(max(1, rounds - 1) * rooms * cursorsPerFrame)
    guard joined >= expected - UInt64(rooms * cursorsPerFrame), nanoseconds > 0 else {
      throw .workMissing("\(joined) of \(expected) cursors joined")
    }
    return Double(joined) / Double(nanoseconds) * 1e9
  }

  private static func moveAll(_ pair: inout StationPair, turn: Int) throws(BenchError) {
    for index in 0..<(rooms * cursorsPerFrame) {
      try pair.perform(
        .moveCursor(
          Crowd.session(index), Crowd.room(index), Crowd.cursor(index, turn: turn + 1)))
    }
  }
}
