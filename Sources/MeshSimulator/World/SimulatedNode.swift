import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// What a node keeps over its lives.
struct Disk {
  var secret: UInt64
  /// The counter of the highest incarnation.
  var counter: UInt64 = 0
  var addresses: [PeerAddress] = []
  /// What is known of the membership of a closed mesh.
  var decrees: [Decree] = []
  var epochs: [UInt32] = []
}

/// Holds an engine where it is: a big value to copy.
final class RunningEngine {
  var engine: Engine

  init(_ engine: Engine) { self.engine = engine }

  func change<Result>(_ body: (inout Engine) -> Result) -> Result { body(&engine) }
}

/// A node of the world: an engine, a disk, a clock and an address.
final class SimulatedNode {
  let index: Int
  /// The process; `nil` when it is down.
  var process: RunningEngine?
  var crypto: (any Crypto)?
  var disk: Disk
  /// Copies of the disk of earlier times.
  var backups: [Disk] = []
  var address: PeerAddress
  /// Rises with each life.
  var life: UInt64 = 0
  /// A process that shares its key with another node.
  var isClone = false
  /// Somebody has said that it is no member any more.
  var isRevoked = false
  /// Its key was once used by two processes: what it does then is not checked.
  var hasClone = false
  /// What a member that lies does with its datagrams.
  var liar: Liar?
  /// The highest epoch of the mesh key that it has.
  var newestEpoch: UInt32 = 1
  var translation: Translation?
  /// The most bytes that it sends in a second, and to one address.
  var sendRate: UInt64?
  var peerRate: UInt64?

  // The clock: local nanoseconds = base + (time - since) × rate / 1,000,000.
  var clockBase: UInt64
  var clockSince: UInt64 = 0
  var clockRate: UInt64 = 1_000_000

  /// Until when the process sleeps.
  var pausedUntil: UInt64?
  /// True when nothing reaches the machine meanwhile.
  var isDeaf = false
  /// What came in the meantime: a socket's buffer.
  var buffer: [(bytes: [UInt8], from: PeerAddress)] = []
  /// How its timers are late, until faults end.
  var stall: Stall?
  /// True when the process dies with its next word to the disk.
  var diesAtPersist = false
  /// When something last happened to the process itself: a start, a pause, a leap of its clock.
  var disturbedAt: UInt64 = 0 {
    didSet { disturbances = disturbances.suffix(7) + [disturbedAt] }
  }
  /// The last times of that.
  private(set) var disturbances: [UInt64] = []
  var startedAt: UInt64 = 0
  /// When its address last became another one: what others send by their paths to the old one is lost until these
  /// are lost.
  var movedAt: UInt64 = 0
  /// When it last learned that its view was stale, or no longer is.
  var staleAt: UInt64 = 0
  /// When the scheduled tick is; ticks at other times are void.
  var tickAt: UInt64?

  /// What the events say; to be compared with snapshots.
  var replayed = ReplayedView()
  /// Hashes of the datagrams that this life has accepted, and how many paths were proven by then.
  var accepted: [UInt64: UInt64] = [:]
  /// What beats of others it had.
  var beats = BeatWatch()
  /// Datagrams that it sent in the present second, and the bytes.
  var sent = (second: UInt64.max, datagrams: 0, bytes: 0)
  /// Incarnations that its events put into quarantine.
  var contradicted: [OriginID: Incarnation] = [:]

  init(index: Int, disk: Disk, address: PeerAddress, clockBase: UInt64) {
    self.index = index
    self.disk = disk
    self.address = address
    self.clockBase = clockBase
  }

  var isUp: Bool { process != nil }
  /// A copy of the engine, to look at.
  var engine: Engine? { process?.engine }
  /// True when it runs now and says the truth.
  var isHonest: Bool { liar == nil && !isClone && !isRevoked }
  var isAwake: Bool { process != nil && pausedUntil == nil }

  func local(_ time: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: clockBase + (time - clockSince) / 1000 * clockRate / 1000)
  }

  /// The world's time at which the local clock shows at least this.
  func world(_ local: MonotonicTime) -> UInt64 {
    guard local.nanoseconds > clockBase else { return clockSince }
    let span = min(local.nanoseconds - clockBase, 1 << 62)
    return clockSince + (span / clockRate + 1) * 1_000_000
  }

  /// Sets the clock's rate from a time on.
  func setRate(_ rate: UInt64, at time: UInt64) {
    clockBase = local(time).nanoseconds
    clockSince = time
    clockRate = rate
  }
}

/// How the timers of a process are late.
enum Stall {
  /// It does nothing for 0.7 s in each 2.4 s.
  case sleepy(phase: UInt64)
  /// Its timers come only every 550 ms.
  case lateTimers(phase: UInt64)

  /// The first time from some time on at which a timer may fire.
  func release(_ time: UInt64) -> UInt64 {
    switch self {
    case .sleepy(let phase):
      let (period, sleep) = (2400 * World.millisecond, 700 * World.millisecond)
      let place = (time + phase) % period
      return place < sleep ? time + sleep - place : time
    case .lateTimers(let phase):
      let period = 550 * World.millisecond
      let place = (time + phase) % period
      return place == 0 ? time : time + period - place
    }
  }

  /// True when datagrams wait with the timers.
  var holdsDatagrams: Bool { if case .sleepy = self { true } else { false } }
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
    default: return nil
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
      guard let first = keys.first(where: { sessions[$0] != other.sessions[$0] }) else {
        return "sessions differ"
      }
      return "session \(first): \(Self.difference(sessions[first], other.sessions[first]))"
    }
    for origin in Set(nodes.keys).union(other.nodes.keys).sorted()
    where nodes[origin] != other.nodes[origin] {
      func words(_ health: NodeHealth?) -> String { health?.rawValue ?? "unknown" }
      return
        "node \(origin.short): told \(words(nodes[origin])), seen \(words(other.nodes[origin]))"
    }
    return isStale == other.isStale ? nil : "staleness differs"
  }
}
