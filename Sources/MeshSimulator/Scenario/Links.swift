/// How the links between nodes are all the time, faults or not.
package struct Links: Hashable, Sendable {
  /// Bounds of the one-way delay in microseconds; `nil`: drawn by the seed, between 0.1 and 19 ms.
  package var delayMicroseconds: ClosedRange<UInt64>?
  /// The chance of a datagram to be lost, 0…1.
  package var loss = 0.0
  /// The chance of a datagram to come twice or three times, 0…1.
  package var duplication = 0.0
  /// The chance of a datagram to come up to ``reorderingMilliseconds`` later, 0…1.
  package var reordering = 0.0
  package var reorderingMilliseconds: UInt64 = 100

  package init() {}

  /// The weather of these links.
  ///
  /// - Parameter drawnDelay: the bounds of the delay in nanoseconds, if the links give none.
  func weather(drawnDelay: ClosedRange<UInt64>) -> Weather {
    let given = delayMicroseconds.map { $0.lowerBound * 1000...$0.upperBound * 1000 }
    var weather = Weather.calm(given ?? drawnDelay)
    weather.loss = loss
    weather.duplication = duplication
    weather.straggling = reordering
    weather.straggle = max(1, reorderingMilliseconds * World.millisecond)
    return weather
  }
}
