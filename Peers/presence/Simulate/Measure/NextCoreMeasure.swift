import MeshSimulator2

/// Measures meshes of the next core, for `presence measure --protocol 2`.
struct NextCoreMeasure {
  /// A figure as it is printed.
  struct Line: Encodable {
    let name: String
    /// `nil`: it did not come about.
    let value: Double?
    let unit: String
    let meaning: String
  }

  let lines: [Line]
  let virtualSeconds: Double

  /// - Parameters:
  ///   - apart: the seconds for which the mesh is cut; `nil`: it is not.
  ///   - rooms: the rooms of each node, which join and are cut; `nil`: something else is measured.
  init(
    nodes: Int, sessions: Int, loss: Double, delayMicroseconds: ClosedRange<UInt64>, seed: UInt64,
    rings: Int, changes: Int, apart: UInt64?, rooms: Int?
  ) {
    let mesh = MeasuredMesh(
      nodes: nodes, sessions: sessions, loss: loss, delayMicroseconds: delayMicroseconds,
      seed: seed, rings: rings)
    let measured =
      if let rooms {
        measureRooms(mesh, rooms: rooms)
      } else if let apart {
        measureHealing(mesh, seconds: apart, changes: changes)
      } else {
        measureScale(mesh, changes: changes)
      }
    lines = measured.figures.map {
      Line(name: $0.name, value: $0.value, unit: $0.unit, meaning: $0.meaning)
    }
    virtualSeconds = measured.virtualSeconds
  }
}
