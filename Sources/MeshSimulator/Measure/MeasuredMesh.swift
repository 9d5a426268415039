import MeshEngine

/// A mesh whose costs are measured: no faults but loss.
package struct MeasuredMesh: Sendable {
  /// 2…1,000.
  package var nodes: Int
  /// The sessions that each node hosts.
  package var sessions: Int
  /// The chance of a datagram to be lost once all have joined, 0…1.
  package var loss: Double
  /// The bounds of the one-way delay.
  package var delayMicroseconds: ClosedRange<UInt64>
  package var seed: UInt64
  /// Rings of the overlay.
  package var rings: Int

  package init(
    nodes: Int, sessions: Int = 1, loss: Double = 0.01,
    delayMicroseconds: ClosedRange<UInt64> = 1000...10_000, seed: UInt64 = 1, rings: Int = 2
  ) {
    self.nodes = nodes
    self.sessions = sessions
    self.loss = loss
    self.delayMicroseconds = delayMicroseconds
    self.seed = seed
    self.rings = rings
  }

  /// The world before its nodes start. It loses nothing yet.
  func world() -> World {
    var options = SimulationOptions(seed: seed)
    options.nodes = nodes
    options.faults = []
    options.faultMilliseconds = .max / 2_000_000
    options.configure = { [rings] in $0.rings = rings }
    var world = World(options)
    world.hasMulticast = false
    world.isMeasuring = true
    world.weather.delay =
      delayMicroseconds.lowerBound * 1000...delayMicroseconds.upperBound * 1000
    return world
  }
}

/// A figure of a measured mesh.
package struct MeasuredFigure: Encodable, Sendable {
  package let name: String
  /// `nil`: it did not come about.
  package let value: Double?
  package let unit: String
  package let meaning: String

  init(_ name: String, _ value: Double?, _ unit: String, _ meaning: String) {
    self.name = name
    self.value = value
    self.unit = unit
    self.meaning = meaning
  }
}
