import MeshCRDT
import MeshEngine

/// The memory that one live session of others takes in a node.
///
/// A fresh process holds nothing but an engine; this one plays the origins and tells it their
/// sessions, datagram by datagram. Counted is what the process has more afterwards: the joined
/// state, the signed batches that it keeps and forwards, the indices and what is seen, with the
/// allocator's own use. Each session has a user with a profile, a device, one room, a status and a
/// cursor at rest.
enum Memory {
  static func measure(
    _ scale: BenchScale, launcher: ChildLauncher
  ) throws(BenchError) -> [Figure] {
    let each = scale.sessions / scale.origins
    let many = try hold(origins: scale.origins, sessionsEach: each, launcher)
    let one = try hold(origins: 1, sessionsEach: scale.sessions, launcher)
    func figure(_ name: String, _ held: Held, _ words: String, aim: Double?) -> Figure {
      Figure(
        name, held.allocated, "bytes", aim: aim, better: .lower,
        detail: "\(words); \(brief(held.resident)) by resident pages")
    }
    let worse = many.allocated > one.allocated ? many : one
    return [
      figure(
        "bytes-per-session", worse, "allocated, the higher one of the two below", aim: 250),
      figure(
        "bytes-per-session-many-origins", many, "\(scale.origins) origins with \(each) sessions",
        aim: 250),
      figure(
        "bytes-per-session-one-origin", one, "1 origin with \(scale.sessions) sessions", aim: 250),
    ]
  }

  /// Bytes for each session.
  private struct Held {
    var allocated: Double
    var resident: Double
  }

  private static func hold(
    origins: Int, sessionsEach: Int, _ launcher: ChildLauncher
  ) throws(BenchError) -> Held {
    let child = try ChildProcess(.holder, launcher: launcher)
    defer { child.end() }
    var now = Station.start
    for origin in 1...origins {
      var feeder = Feeder(origin: origin, link: child.link, now: now)
      try feeder.connect()
      var first = 0
      while first < sessionsEach {
        let next = min(first + 150, sessionsEach)
        try feeder.tell(first..<next)
        first = next
      }
      now = feeder.now
    }
    try child.link.send([], expecting: "its memory")
    let holding = try child.link.receive(json: Holding.self, "its memory")
    let count = origins * sessionsEach
    guard holding.sessions == count, holding.shown == count, holding.origins == origins + 1 else {
      throw .workMissing("\(holding.sessions) of \(count) sessions arrived")
    }
    func each(_ path: KeyPath<Footprint, UInt64>) -> Double {
      let (before, after) = (holding.before[keyPath: path], holding.after[keyPath: path])
      return after > before ? Double(after - before) / Double(count) : 0
    }
    let held = Held(allocated: each(\.allocated), resident: each(\.resident))
    guard held.allocated > 0 else { throw .workMissing("no memory was taken") }
    return held
  }
}

/// One origin that tells its sessions to the holder.
private struct Feeder {
  private var station: Station
  private let number: Int
  private let link: PacketLink
  private(set) var now: MonotonicTime

  init(origin: Int, link: PacketLink, now: MonotonicTime) {
    number = origin
    self.link = link
    self.now = now
    station = Station(
      crypto: NoCrypto(node: 1000 + UInt64(origin)), port: UInt16(1000 + origin), now: now
    ) {
      $0.batchInterval = .seconds(1)
      $0.cursorRest = .milliseconds(500)
    }
  }

  mutating func connect() throws(BenchError) {
    station.engine.addPeers([PeerAddress(ipv4: 0x7F00_0001, port: Holder.port)], now: now)
    try advance(milliseconds: 1)
    guard !station.engine.knownAddresses.isEmpty else { throw .notConnected }
  }

  /// Opens sessions, lets them speak, and tells the holder when all is at rest.
  mutating func tell(_ sessions: Range<Int>) throws(BenchError) {
    for index in sessions {
      let session = Crowd.session(index, of: number)
      let room = try Crowd.room(index)
      try station.perform(Crowd.open(index, of: number), now: now)
      try station.perform(.enter(session, room), now: now)
      try station.perform(
        .setStatus(
          session, room, .away, message: nil, at: WallTime(milliseconds: 1_700_000_000_000)),
        now: now)
      try station.perform(
        .moveCursor(session, room, Crowd.cursor(index, turn: 1)), now: now)
    }
    // The frames, the batches of what was written, the batches of the cursors at rest.
    for milliseconds: UInt64 in [100, 500, 1000, 100] { try advance(milliseconds: milliseconds) }
  }

  private mutating func advance(milliseconds: UInt64) throws(BenchError) {
    now = now + .milliseconds(milliseconds)
    station.engine.tick(now: now)
    while true {
      var carried = Carried(time: now)
      carried.datagrams = station.takeDatagrams().map { (station.address.port, $0.bytes) }
      guard !carried.datagrams.isEmpty else { return }
      try link.send(carried.packet, expecting: "an answer")
      guard let answer = Carried(try link.receive("an answer")) else {
        throw .childSilent(expected: "an answer")
      }
      for datagram in answer.datagrams where datagram.port == station.address.port {
        station.engine.receive(
          datagram.bytes, from: PeerAddress(ipv4: 0x7F00_0001, port: Holder.port), now: now)
      }
    }
  }
}
