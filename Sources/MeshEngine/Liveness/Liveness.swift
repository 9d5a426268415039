import MeshCRDT
import MeshWire

/// How an origin is, judged by this node's clock. Never part of the state.
struct Liveness: Sendable {
  /// When its newest heartbeat left it, by this node's clock: arrival less the age it came with. It
  /// is what others are told.
  var leftAt: MonotonicTime
  /// The time from which it is judged here: the same, or later when this node could not hear.
  var heardAt: MonotonicTime
  /// True when time in which this node could not hear was taken off since its last sign of life: that
  /// is done once, or a node that stops again and again would never see that another one died.
  var isForgiven = false
  /// The same of the time in which nobody could be heard: a pause in such a time does not use that up.
  var isExcused = false
  var health: NodeHealth
  /// True when it was taken for offline while this node heard nobody: no other node can confirm it.
  var isUnverified = false
  /// Its newest head as it came; `nil` when none was heard yet.
  var head: Envelope?
  var heartbeat: UInt64 = 0
  /// True when a head of any of its lives was heard.
  var wasHeard = false
  var period: Span = .seconds(2)
  var isLeaving = false
  /// When it is shown at the latest; `nil`: it does not wait for its log.
  var shownBy: MonotonicTime?
  /// Over which path its newest head came first.
  var parent: PeerAddress?
  /// When its heads were missed last, in a big mesh.
  var doubtedAt: MonotonicTime?
  /// The neighbours that get its heads by another way.
  var pruned: [PeerAddress] = []
  /// The neighbours that were asked not to tell its heads.
  var cut: [PeerAddress] = []
  /// True while its newest head waits to be sent on.
  var isWaiting = false
  /// The counter up to which it said that its cursors are at rest, a while ago, and when.
  var rest: (counter: UInt64, at: MonotonicTime)?
  /// The shelves of which it was found, while it was hidden, that nobody has all: parts are not kept.
  /// Each with the word of the origin that could not be had.
  var givenUp: [RoomID: Cut] = [:]

  init(heardAt: MonotonicTime, health: NodeHealth) {
    leftAt = heardAt
    self.heardAt = heardAt
    self.health = health
  }
}

/// The last words of origins that were forgotten, so that older ones do not revive them.
struct Graves: Sendable {
  struct Grave: Sendable {
    let generation: UInt64
    let heartbeat: UInt64
  }

  private var graves: [OriginID: Grave] = [:]
  private var order: [OriginID] = []

  subscript(origin: OriginID) -> Grave? { graves[origin] }

  /// Digs a grave. Beyond the bound the oldest is filled in; true when that happened.
  mutating func dig(_ origin: OriginID, generation: UInt64, heartbeat: UInt64) -> Bool {
    if graves[origin] == nil { order.append(origin) }
    graves[origin] = Grave(generation: generation, heartbeat: heartbeat)
    guard order.count > Limits.graves else { return false }
    graves[order.removeFirst()] = nil
    return true
  }

  mutating func remove(_ origin: OriginID) {
    guard graves.removeValue(forKey: origin) != nil else { return }
    order.removeAll { $0 == origin }
  }
}
