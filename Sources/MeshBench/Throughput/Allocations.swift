import Foundation
import MeshCRDT
import MeshCrypto
import MeshEngine

/// How often the paths that everything goes along ask for memory, for each operation.
///
/// The counts do not depend on the machine or its load, so that each has a bound that it may not
/// exceed: a count that rises fails the measurement. Whoever lowers one lowers its bound.
package enum Allocations {
  private static let names = [
    "allocations-cursor-out", "allocations-cursor-in", "allocations-record-in",
    "allocations-idle-tick",
  ]
  /// In the order of the names, of a release build.
  private static let bounds: [Double] = [13.5, 5.5, 7.5, 10.5]
  /// What they were with protocol 1.
  private static let aims: [Double] = [13, 4, 4, 12]
  private static let words = [
    "moveCursor to the sealed datagram for one peer, and the own event",
    "a datagram with a frame of one cursor to its event",
    "each record of batches of new sessions that enter a room, to their events",
    "a tick that sends one peer a beat",
  ]
  private static let operations = 512

  /// Runs the program that counts, which stands beside this one.
  static func measure(launcher: ChildLauncher) throws(BenchError) -> [Figure] {
    let folder = URL(filePath: launcher.program).deletingLastPathComponent()
    let program = folder.appending(path: "allocations").path
    guard access(program, X_OK) == 0 else {
      throw .notInstalled(
        "the program that counts", remedy: "swift build -c release --product allocations")
    }
    let process = try ChildProcess([program])
    defer { process.end() }
    guard
      let counts = try? JSONDecoder().decode([Double].self, from: Data(process.readAll().utf8)),
      counts.count == names.count
    else { throw .unavailable("how often memory is asked for") }
    for (index, count) in counts.enumerated() where count > bounds[index] {
      throw .risen(names[index], count: Figure.rounded(count), bound: bounds[index])
    }
    return names.indices.map { index in
      Figure(
        names[index], counts[index], "1/op", aim: aims[index], better: .lower,
        detail: words[index])
    }
  }

  /// The counts of the four paths.
  ///
  /// - Parameter current: How often this thread has asked for memory so far; negative where that is
  ///   not known.
  package static func counts(_ current: @escaping () -> Int) throws(BenchError) -> [Double] {
    guard current() >= 0 else { throw .unavailable("how often memory is asked for") }
    let counter = Counter(current: current)
    return [
      try cursorOut(counter), try cursorIn(counter), try recordIn(counter), try idleTick(counter),
    ]
  }

  private struct Counter {
    let current: () -> Int

    func count(_ body: () throws(BenchError) -> Void) throws(BenchError) -> Int {
      let before = current()
      try body()
      return current() - before
    }
  }

  private static func pair() throws(BenchError) -> StationPair {
    let keyring = MeshKeyring(key: .random(count: MeshKeyring.keyBytes))
    var pair = try StationPair(
      writer: Station(crypto: SodiumCrypto(node: .random(), keyring: keyring), port: 1) {
        $0.cursorInterval = .milliseconds(0)
        $0.batchInterval = .seconds(1)
      }, reader: Station(crypto: SodiumCrypto(node: .random(), keyring: keyring), port: 2))
    for index in 0..<64 {
      try pair.perform(Crowd.open(index))
      try pair.perform(.enter(Crowd.session(index), Crowd.room(index)))
    }
    pair.advance(milliseconds: 2000)
    pair.exchange()
    return pair
  }

  private static func move(_ pair: inout StationPair, _ turn: Int) throws(BenchError) {
    let index = turn % 64
    try pair.perform(
      .moveCursor(Crowd.session(index), Crowd.room(index), Crowd.cursor(index, turn: turn + 1)))
  }

  private static func cursorOut(_ counter: Counter) throws(BenchError) -> Double {
    var pair = try pair()
    func round(_ turns: Range<Int>) throws(BenchError) {
      for turn in turns {
        try move(&pair, turn)
        while pair.writer.engine.nextOutput() != nil {}
      }
    }
    try round(0..<128)
    let count = try counter.count { () throws(BenchError) in
      try round(128..<128 + operations)
    }
    return Double(count) / Double(operations)
  }

  private static func cursorIn(_ counter: Counter) throws(BenchError) -> Double {
    var pair = try pair()
    var datagrams: [[UInt8]] = []
    for turn in 0..<128 + operations {
      try move(&pair, turn)
      datagrams += pair.takeWritten()
    }
    return try hear(datagrams, by: &pair, warming: 128, per: operations, counter)
  }

  private static func recordIn(_ counter: Counter) throws(BenchError) -> Double {
    var pair = try pair()
    var datagrams: [[UInt8]] = []
    for turn in 0..<8 {
      for index in 64 + turn * 64..<128 + turn * 64 {
        try pair.perform(Crowd.open(index))
        try pair.perform(.enter(Crowd.session(index), Crowd.room(index)))
      }
      pair.advance(milliseconds: 1500)
      datagrams += pair.takeWritten()
    }
    let before = pair.reader.engine.counters.joined
    let warming = datagrams.count / 4
    let count = try hear(datagrams, by: &pair, warming: warming, per: 1, counter)
    let share = Double(datagrams.count - warming) / Double(datagrams.count)
    let records = Double(pair.reader.engine.counters.joined - before) * share
    guard records > 0 else { throw .workMissing("no record was joined") }
    return count / records
  }

  private static func hear(
    _ datagrams: [[UInt8]], by pair: inout StationPair, warming: Int, per operations: Int,
    _ counter: Counter
  ) throws(BenchError) -> Double {
    var reader = pair.reader
    let (address, now) = (pair.writer.address, pair.now)
    let joined = reader.engine.counters.joined
    for datagram in datagrams.prefix(warming) { reader.hear(datagram, from: address, now: now) }
    let count = try counter.count { () throws(BenchError) in
      for datagram in datagrams.dropFirst(warming) {
        reader.hear(datagram, from: address, now: now)
      }
    }
    guard reader.engine.counters.joined > joined else {
      throw .workMissing("no record was joined")
    }
    pair.reader = reader
    return Double(count) / Double(operations)
  }

  private static func joined(_ reader: Station) -> UInt64 {
    reader.engine.counters[.recordsJoined] + reader.engine.counters[.cursorUpdatesJoined]
  }

  private static func idleTick(_ counter: Counter) throws(BenchError) -> Double {
    var pair = try pair()
    let ticks = 64
    func round() {
      for _ in 0..<ticks {
        pair.now = pair.now + Station.beatPeriod
        pair.writer.engine.tick(now: pair.now)
        while pair.writer.engine.nextOutput() != nil {}
      }
    }
    round()
    let count = try counter.count { round() }
    return Double(count) / Double(ticks)
  }
}
