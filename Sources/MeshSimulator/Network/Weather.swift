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

  init() {}

  /// The weather of links without faults.
  ///
  /// - Parameter drawnDelay: the bounds of the delay in nanoseconds, if the links give none.
  init(_ links: Links, drawnDelay: ClosedRange<UInt64>) {
    delay =
      links.delayMicroseconds.map { $0.lowerBound * 1000...$0.upperBound * 1000 } ?? drawnDelay
    loss = links.loss
    duplication = links.duplication
    straggling = links.reordering
    straggle = max(1, links.reorderingMilliseconds * World.millisecond)
  }
}
