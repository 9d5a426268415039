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
    case .adversary: "12 nodes among replays, floods, forgeries and a process with a stolen key"
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

  /// The options of the scenario.
  ///
  /// - Parameter nodes: the number of nodes, in the place of the scenario's own.
  package func options(seed: UInt64, nodes: Int? = nil) -> SimulationOptions {
    var options = SimulationOptions(seed: seed)
    options.faults = []
    options.isExact = true
    options.hasMulticast = false
    options.links.delayMicroseconds = 1000...10_000
    options.sessionsPerNode = 2
    switch self {
    case .lan8:
      options.nodes = 8
      options.links.delayMicroseconds = 200...1000
      options.hasMulticast = true
      options.changes = 50
    case .office64:
      options.nodes = 64
      options.links.delayMicroseconds = 500...5000
      options.links.loss = 0.001
      options.hasMulticast = true
      options.changes = 30
    case .edge1000:
      options.nodes = 1000
      options.links.loss = 0.01
      options.sessionsPerNode = 10
      options.changes = 10
    case .splitBrain:
      options.nodes = 10
      options.faults = [.partition]
      options.script = .splitBrain
      options.faultMilliseconds = 20_000
    case .lossyWiFi:
      options.nodes = 16
      options.links.delayMicroseconds = 2000...40_000
      options.links.loss = 0.2
      options.links.duplication = 0.02
      options.links.reordering = 0.1
      options.hasMulticast = true
      options.changes = 30
    case .rollingRestart:
      options.nodes = 12
      options.faults = [.churn]
      options.script = .rollingRestart
      options.faultMilliseconds = UInt64(nodes ?? 12) * 4000 + 3000
    case .joinStorm:
      options.nodes = 64
      options.faults = [.joinStorm]
      options.sessionsPerNode = 5
      options.script = .storm
      options.faultMilliseconds = 1000
    case .adversary:
      options.nodes = 12
      options.faults = [.outsider, .traitor, .clone]
      options.faultMilliseconds = 20_000
    }
    if let nodes { options.nodes = nodes }
    return options
  }
}
