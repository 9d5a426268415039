import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTrust

/// Records decoded, verified and joined per second on one core with libsodium, and the share of
/// the processor that is not libsodium's.
///
/// The share is 1 − (open and verify alone) / (everything), both for the same datagrams in the same
/// run, taken in turns, by the processor time of the thread.
enum Records {
  /// Datagrams that are measured one way and then the other.
  private static let chunk = 64
  private static let sessionsAtOnce = 2000

  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    let batches = try Run(datagrams: scale.datagrams, writing: writeBatches)
    let frames = try Run(datagrams: scale.datagrams, writing: writeFrames)
    func parts(_ run: Run) -> String {
      "\(brief(run.engineMicroseconds)) us a datagram, of it open and verify "
        + "\(brief(run.sodiumMicroseconds)) us"
    }
    let each = Double(batches.records) / Double(batches.datagrams)
    return [
      Figure(
        "records-per-second", batches.recordsPerSecond, "1/s", better: .higher,
        detail: "batches of \(brief(each)) records: statuses, resting cursors, new and ending "
          + "sessions; " + parts(batches)),
      Figure(
        "frames-per-second", frames.recordsPerSecond, "1/s", better: .higher,
        detail: "frames of one cursor, each in a datagram of its own; " + parts(frames)),
      Figure(
        "frame-cpu-share", frames.shareOutside, "%", aim: 15, better: .lower,
        detail: "1 - (open + verify alone) / Engine.receive with its outputs; " + parts(frames)),
      Figure(
        "batch-cpu-share", batches.shareOutside, "%", aim: 30, better: .lower,
        detail: "the same for batches; " + parts(batches)),
    ]
  }

  /// What was measured with one kind of datagrams.
  struct Run {
    private(set) var datagrams = 0
    private(set) var records: UInt64 = 0
    private var engineTime: UInt64 = 0
    private var sodiumTime: UInt64 = 0

    var recordsPerSecond: Double { Double(records) / Double(engineTime) * 1e9 }
    var shareOutside: Double { 100 * (1 - Double(sodiumTime) / Double(engineTime)) }
    var engineMicroseconds: Double { Double(engineTime) / Double(datagrams) / 1000 }
    var sodiumMicroseconds: Double { Double(sodiumTime) / Double(datagrams) / 1000 }

    /// - Parameter writing: Lets the writer send some more.
    init(
      datagrams wanted: Int,
      writing: (inout StationPair, _ turn: Int) throws(BenchError) -> [[UInt8]]
    ) throws(BenchError) {
      let keyring = MeshKeyring(key: .random(count: MeshKeyring.keyBytes))
      let crypto = SodiumCrypto(node: .random(), keyring: keyring)
      var pair = try StationPair(
        writer: Station(crypto: SodiumCrypto(node: .random(), keyring: keyring), port: 1) {
          $0.cursorInterval = .milliseconds(0)
          $0.batchInterval = .seconds(1)
          $0.cursorRest = .milliseconds(10)
        }, reader: Station(crypto: crypto, port: 2))
      var turn = 0
      var waiting: [[UInt8]] = []
      while datagrams < wanted {
        while waiting.count < Records.chunk {
          // Checkpoints are no records, and what is not signed costs nothing to verify.
          waiting += try writing(&pair, turn).filter { CryptoWork($0, crypto: crypto) != nil }
          turn += 1
        }
        let datagrams = Array(waiting.prefix(Records.chunk))
        waiting.removeFirst(Records.chunk)
        let work = datagrams.compactMap { CryptoWork($0, crypto: crypto) }
        let before = pair.reader.engine.counters
        let isEngineFirst = turn.isMultiple(of: 2)
        let early = isEngineFirst ? 0 : try Self.repeatWork(work, crypto)
        let start = Clock.thread
        for datagram in datagrams {
          pair.reader.hear(datagram, from: pair.writer.address, now: pair.now)
        }
        let engine = Clock.thread - start
        let late = isEngineFirst ? try Self.repeatWork(work, crypto) : 0
        let after = pair.reader.engine.counters
        let verified = after[.signaturesVerified] - before[.signaturesVerified]
        let signed = work.reduce(0) { $0 + $1.signatures.count }
        guard work.count == datagrams.count, verified == signed else {
          throw .workMissing("\(verified) of \(signed) signatures verified")
        }
        // The first chunk warms up.
        if turn == 1, wanted > Records.chunk { continue }
        engineTime += engine
        sodiumTime += early + late
        self.datagrams += datagrams.count
        records += after.joined - before.joined
      }
      guard records > 0, engineTime > 0 else { throw .workMissing("no record was joined") }
    }

    private static func repeatWork(
      _ work: [CryptoWork], _ crypto: SodiumCrypto
    ) throws(BenchError) -> UInt64 {
      let start = Clock.thread
      var isGood = true
      for item in work where !item.isDone(by: crypto) { isGood = false }
      guard isGood else { throw .workMissing("a datagram does not open") }
      return Clock.thread - start
    }
  }

  // MARK: What is written

  /// Statuses, cursors that come to rest, sessions that come and go.
  private static func writeBatches(
    _ pair: inout StationPair, turn: Int
  ) throws(BenchError) -> [[UInt8]] {
    if turn == 0 {
      // The first batch goes at once, alone. Without it those of the lobby would wait for ever.
      try pair.perform(Crowd.open(0, of: 1))
      pair.exchange()
    }
    // Within a second after the last batch: what is written now waits for the next.
    pair.advance(milliseconds: 300)
    let joining = 16
    let newest = (turn + 1) * joining
    for index in newest - joining..<newest {
      try pair.perform(Crowd.open(index))
      try pair.perform(.enter(Crowd.session(index), Crowd.room(index)))
      let gone = index - sessionsAtOnce
      if gone >= 0 { try pair.perform(.leave(Crowd.session(gone))) }
    }
    let oldest = max(0, newest - sessionsAtOnce)
    for step in 0..<80 {
      let index = oldest + (turn &* 7919 &+ step &* 104_729) % (newest - oldest)
      try pair.perform(Crowd.status(index, turn: turn, in: Crowd.room(index)))
      guard step < 40 else { continue }
      try pair.perform(
        .moveCursor(Crowd.session(index), Crowd.room(index), Crowd.cursor(index, turn: turn)))
    }
    // Lost frames: only what the batches bring is measured.
    pair.advance(milliseconds: 100)
    _ = pair.takeWritten()
    pair.advance(milliseconds: 1000)
    return pair.takeWritten()
  }

  /// One cursor after the other, each in a frame of its own.
  private static func writeFrames(
    _ pair: inout StationPair, turn: Int
  ) throws(BenchError) -> [[UInt8]] {
    let sessions = 200
    if turn == 0 {
      for index in 0..<sessions {
        try pair.perform(Crowd.open(index))
        try pair.perform(.enter(Crowd.session(index), Crowd.room(index)))
        try pair.perform(Crowd.status(index, turn: 0, in: Crowd.room(index)))
      }
      pair.advance(milliseconds: 2000)
      pair.exchange()
    }
    if turn > 0 {
      // A path may ask for so much work in a second.
      pair.advance(milliseconds: 1000)
      pair.exchange()
    }
    var datagrams: [[UInt8]] = []
    for step in 0..<Records.chunk {
      let index = (turn * Records.chunk + step) % sessions
      try pair.perform(
        .moveCursor(
          Crowd.session(index), Crowd.room(index),
          Crowd.cursor(index, turn: turn * Records.chunk + step + 1)))
      datagrams += pair.takeWritten()
    }
    return datagrams
  }
}
