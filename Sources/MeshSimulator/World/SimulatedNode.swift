import MeshCRDT
import MeshEngine

/// What a node keeps over its lives.
struct Disk {
  var secret: UInt64
  var generation: UInt64 = 0
  var lamportCeiling: UInt64 = 0
  var addresses: [PeerAddress] = []
  /// The rooms that the node was last told to follow; `nil`: all.
  var followed: Set<RoomName>?
}

/// Holds an engine where it is, so that nothing is copied when it is used.
final class EngineBox {
  var engine: Engine

  init(_ engine: Engine) { self.engine = engine }
}

/// A node of the world: an engine, a disk, a clock and an address.
struct SimulatedNode {
  let index: Int
  /// The process; `nil` when it is down.
  var box: EngineBox?
  var disk: Disk
  /// Copies of the disk of earlier times.
  var backups: [Disk] = []
  var address: PeerAddress
  /// Rises with each life.
  var life: UInt64 = 0
  /// A process that shares its key with another node.
  var isClone = false

  // The clock: local nanoseconds = base + (time - since) × rate / 1,000,000.
  var clockBase: UInt64
  var clockSince: UInt64 = 0
  var clockRate: UInt64 = 1_000_000

  /// Until when the process sleeps.
  var pausedUntil: UInt64?
  /// What came in the meantime: a socket's buffer.
  var buffer: [(bytes: [UInt8], from: PeerAddress)] = []
  /// When its judgement of others was last renewed from outside: a pause, a jump, a start.
  var graceAt: UInt64 = 0
  /// When it last woke, or its clock leapt.
  var wokeAt: UInt64 = 0
  /// When it last learned that its view was stale: what it saw before gets time again.
  var freshAt: UInt64 = 0
  /// The origins that were seen when it last fell asleep, or its clock leapt.
  var wasOnline: Set<OriginID> = []
  /// When it fell asleep.
  var asleepSince: UInt64 = 0
  /// When the scheduled tick is; ticks at other times are void.
  var tickAt: UInt64?

  /// What the events say; to be compared with snapshots.
  var replayed = ReplayedView()
  /// Hashes of the datagrams that this life has heard.
  var heard: Set<UInt64> = []

  var isUp: Bool { box != nil }
  /// A copy of the engine, to look at.
  var engine: Engine? { box?.engine }

  func local(_ time: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: clockBase + (time - clockSince) / 1000 * clockRate / 1000)
  }

  /// The world's time at which the local clock shows at least this.
  func world(_ local: MonotonicTime) -> UInt64 {
    guard local.nanoseconds > clockBase else { return clockSince }
    return clockSince + ((local.nanoseconds - clockBase) / clockRate + 1) * 1_000_000
  }

  /// Sets the clock's rate from a time on.
  mutating func setRate(_ rate: UInt64, at time: UInt64) {
    clockBase = local(time).nanoseconds
    clockSince = time
    clockRate = rate
  }

  mutating func leap(_ nanoseconds: UInt64, at time: UInt64) {
    setRate(clockRate, at: time)
    clockBase += nanoseconds
  }
}

/// A view that is built from events alone.
struct ReplayedView {
  var sessions: [SessionID: SessionSnapshot] = [:]
  var nodes: [OriginID: NodeHealth] = [:]
  var isStale = false

  init() {}

  init(_ snapshot: MeshSnapshot) {
    sessions = Dictionary(uniqueKeysWithValues: snapshot.sessions.map { ($0.id, $0) })
    nodes = snapshot.nodes
    isStale = snapshot.isStale
  }

  /// Applies an event. Returns what is wrong with it.
  mutating func apply(_ event: MeshEvent) -> String? {
    switch event {
    case .appeared(let session):
      let old = sessions.updateValue(session, forKey: session.id)
      return old == nil ? nil : "session \(session.id) appeared twice"
    case .changed(let session):
      let old = sessions.updateValue(session, forKey: session.id)
      return old == nil ? "session \(session.id) changed before it appeared" : nil
    case .disappeared(let id):
      return sessions.removeValue(forKey: id) == nil ? "session \(id) disappeared twice" : nil
    case .cursor(let id, let room, let cursor):
      guard let session = sessions[id], session.place(in: room) != nil else {
        return "a cursor of a session \(id) that is not in \(room)"
      }
      sessions[id] = session.moving(in: room, to: cursor)
      return nil
    case .node(let origin, let health):
      nodes[origin] = health
      return nil
    case .forgotten(let origin):
      nodes[origin] = nil
      return nil
    case .stale(let isStale):
      self.isStale = isStale
      return nil
    case .restored, .moved, .leaseEnded, .removed, .cloned: return nil
    }
  }

  static func difference(_ mine: SessionSnapshot?, _ theirs: SessionSnapshot?) -> String {
    guard let mine else { return "is seen, and no event told it" }
    guard let theirs else { return "is not seen, and no event told it" }
    if mine.host != theirs.host { return "has another host" }
    if mine.value != theirs.value { return "has another value" }
    for place in mine.places where theirs.place(in: place.room) != place {
      return
        "in \(place.room): told \(place), seen \(String(describing: theirs.place(in: place.room)))"
    }
    return "is in other rooms: told \(mine.rooms.map(\.text)), seen \(theirs.rooms.map(\.text))"
  }

  func difference(from snapshot: MeshSnapshot) -> String? {
    let other = ReplayedView(snapshot)
    if sessions != other.sessions {
      let keys = Set(sessions.keys).union(other.sessions.keys).sorted()
      let first = keys.first { sessions[$0] != other.sessions[$0] }
      guard let first else { return "sessions differ" }
      let (mine, theirs) = (sessions[first], other.sessions[first])
      return "session \(first): \(Self.difference(mine, theirs))"
    }
    if nodes != other.nodes { return "nodes differ" }
    return isStale == other.isStale ? nil : "staleness differs"
  }
}
