/// A scenario with a name.
package enum Preset: String, CaseIterable, Sendable {
  case lan8 = "lan-8"
  case office64 = "office-64"
  case edge1000 = "edge-1000"
  case splitBrain = "split-brain"
  case lossyWiFi = "lossy-wifi"
  case rollingRestart = "rolling-restart"
  case joinStorm = "join-storm"
  case adversary

  /// What it is, in one line.
  package var summary: String {
    switch self {
    case .lan8: "8 nodes on a quiet LAN, links of 0.2 to 1 ms: the spread of 50 changes"
    case .office64: "64 nodes, links of 0.5 to 5 ms, 0.1 % loss: the spread of 30 changes"
    case .edge1000:
      "1,000 nodes with 10 sessions each, links of 1 to 10 ms, 1 % loss: the spread of 10 changes"
    case .splitBrain: "10 nodes in two halves that do not hear each other for 15 s, then heal"
    case .lossyWiFi:
      "16 nodes, links of 2 to 40 ms, 20 % loss, doubles and stragglers: the spread of 30 changes"
    case .rollingRestart: "12 nodes that leave and start again, one every 4 s"
    case .joinStorm: "64 nodes that start and open 5 sessions each within the same second"
    case .adversary: "12 nodes among replays, floods, forgeries, members that lie and a stolen key"
    }
  }

  /// How many seeds are simulated unless something else is asked for.
  package var seeds: UInt64 {
    switch self {
    case .lan8, .lossyWiFi, .joinStorm: 5
    case .office64, .edge1000: 1
    case .splitBrain, .rollingRestart, .adversary: 10
    }
  }

  /// - Parameter nodes: the number of nodes, in the place of the scenario's own.
  package func scenario(seed: UInt64, nodes: Int? = nil) -> Scenario {
    var scenario = Scenario(seed: seed)
    scenario.faults = []
    scenario.isExact = true
    scenario.hasMulticast = false
    scenario.links.delayMicroseconds = 1000...10_000
    scenario.sessionsPerNode = 2
    switch self {
    case .lan8:
      scenario.nodes = 8
      scenario.links.delayMicroseconds = 200...1000
      scenario.hasMulticast = true
      scenario.changes = 50
    case .office64:
      scenario.nodes = 64
      scenario.links.delayMicroseconds = 500...5000
      scenario.links.loss = 0.001
      scenario.hasMulticast = true
      scenario.changes = 30
    case .edge1000:
      scenario.nodes = 1000
      scenario.links.loss = 0.01
      scenario.sessionsPerNode = 10
      scenario.changes = 10
    case .splitBrain:
      scenario.nodes = 10
      scenario.faults = [.partition]
      scenario.script = .splitBrain
      scenario.faultMilliseconds = 20_000
    case .lossyWiFi:
      scenario.nodes = 16
      scenario.links.delayMicroseconds = 2000...40_000
      scenario.links.loss = 0.2
      scenario.links.duplication = 0.02
      scenario.links.reordering = 0.1
      scenario.hasMulticast = true
      scenario.changes = 30
    case .rollingRestart:
      scenario.nodes = 12
      scenario.faults = [.churn]
      scenario.script = .rollingRestart
      scenario.faultMilliseconds = UInt64(nodes ?? 12) * 4000 + 3000
    case .joinStorm:
      scenario.nodes = 64
      scenario.faults = [.joinStorm]
      scenario.sessionsPerNode = 5
      scenario.script = .storm
      scenario.faultMilliseconds = 1000
    case .adversary:
      scenario.nodes = 12
      scenario.faults = [.outsider, .liars, .clone]
      scenario.faultMilliseconds = 20_000
    }
    if let nodes { scenario.nodes = nodes }
    return scenario
  }
}
