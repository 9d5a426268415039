import MeshSimulator

/// The time in which gateways with many rooms each come to hold the same, in a simulated mesh: when they
/// meet first, and after a cut.
enum Rooms {
  private static let gateways = 4

  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    let measured = measureRooms(MeasuredMesh(nodes: gateways, loss: 0), rooms: scale.rooms)
    func value(_ name: String) throws(BenchError) -> Double {
      guard let value = measured.figures.first(where: { $0.name == name })?.value else {
        throw .workMissing("the gateways did not come to hold the same: \(name)")
      }
      return value
    }
    let (join, heal) = (try value("join-equal"), try value("heal-equal"))
    let world = "simulated: \(gateways) nodes with a session in each of \(scale.rooms) rooms"
    return [
      Figure(
        "rooms-converge", max(join, heal), "s", aim: 2, better: .lower,
        detail:
          "\(world); \(brief(join)) s from meeting first to equal hashes, \(brief(heal)) s after a cut"
      ),
      Figure(
        "rooms-bytes-ratio", try value("join-bytes"), "ratio", aim: 1.3, better: .lower,
        detail:
          "all bytes sent until equal / bytes of records that were missing, of the first meeting"),
    ]
  }
}
