/// Something that goes wrong in a simulated world.
package enum Fault: String, CaseIterable, Hashable, Sendable {
  case loss, duplication, reordering, delay, corruption, truncation
  /// Links that carry short datagrams only.
  case sizeLimit
  case partition
  /// One direction of some links is cut.
  case oneWay
  /// Some links are cut, others between the same nodes are not.
  case partialPartition
  /// One node is cut off from everybody.
  case isolation
  case addressChange
  /// The process dies, and comes back with its disk, with an old copy of it, or with none.
  case crashKeptDisk, crashOldDisk, crashLostDisk
  /// The process sleeps for a while.
  case pause
  case clockDrift
  /// The monotonic clock leaps, as after a suspended machine.
  case clockJump
  /// Everybody starts, and opens sessions, at once.
  case joinStorm
  /// Nodes leave politely and come back.
  case churn
  /// A second process with the key of a node.
  case clone
  /// Somebody without the mesh key: replays, floods, spoofs.
  case outsider
  /// A member that forges, lies, poisons and omits.
  case traitor
}

/// How bad the network is at some time.
struct Weather {
  var loss = 0.0
  var duplication = 0.0
  var corruption = 0.0
  var truncation = 0.0
  var sizeLimit = 65_535
  /// Bounds of the one-way delay, in nanoseconds.
  var delay: ClosedRange<UInt64> = 200_000...2_000_000
  /// The chance of a datagram to be much later.
  var straggling = 0.0
  /// How much later, at the most, in nanoseconds.
  var straggle: UInt64 = 1

  var longestDelay: UInt64 { delay.upperBound + (straggling > 0 ? straggle : 0) }

  static func calm(_ delay: ClosedRange<UInt64>) -> Weather {
    var weather = Weather()
    weather.delay = delay
    return weather
  }
}
