import MeshEngine

/// Faults at fixed times.
package enum Script: String, Hashable, Sendable {
  /// Two halves do not hear each other for the last three quarters of the faults.
  case splitBrain
  /// One node after the other leaves and starts again, each of them once.
  case rollingRestart
  /// Everybody starts at once, and nothing else happens.
  case storm

  /// What happens, in a few words.
  package var summary: String {
    switch self {
    case .splitBrain: "two halves are apart for the last three quarters of the time"
    case .rollingRestart: "one node after the other leaves and starts again"
    case .storm: "all nodes start at once"
    }
  }
}

/// Something that a script has happen.
enum ScriptStep {
  case split
  case restart(node: Int)
  /// A client opens a session at a node.
  case open(node: Int)
}

extension World {
  /// Puts what the options want to happen at fixed times into the queue.
  func prepareScript() {
    let isStorm = faults.contains(.joinStorm)
    // Nodes start within 4 s; in a storm everything falls into the first second.
    let earliest = isStorm ? 0 : min(4 * Self.second, faultsEnd / 4)
    let width = isStorm ? min(Self.second, faultsEnd) : min(2 * Self.second, faultsEnd / 4)
    for node in nodes.indices {
      for _ in 0..<scenario.sessionsPerNode {
        let delay = UInt64(random.below(Int(width / Self.millisecond))) * Self.millisecond
        queue.add(.scripted(.open(node: node)), at: earliest + delay)
      }
    }
    switch scenario.script {
    case .splitBrain: queue.add(.scripted(.split), at: faultsEnd / 4)
    case .rollingRestart:
      let plan = restarts
      for node in nodes.indices {
        queue.add(.scripted(.restart(node: node)), at: plan.first + UInt64(node) * plan.interval)
      }
    case .storm, nil: break
    }
  }

  /// When nodes restart: the first of them, the time from one to the next, and how long each is away. The
  /// last comes back when the faults end.
  private var restarts: (first: UInt64, interval: UInt64, away: UInt64) {
    let first = min(5 * Self.second, faultsEnd / 4)
    let count = UInt64(max(2, nodes.count))
    let away = min(2 * Self.second, (faultsEnd - first) / (2 * count))
    return (first, (faultsEnd - first - away) / (count - 1), away)
  }

  /// Takes a step of the script, unless the faults are over.
  func act(_ step: ScriptStep) {
    guard !isHealing else { return }
    switch step {
    case .split:
      for index in nodes.indices { side[index] = index % 2 }
      linksChangedAt = time
      note("the mesh is split in two halves")
    case .restart(let node):
      guard nodes[node].isAwake else { return }
      note("node \(node) leaves to start again")
      _ = perform(node, .leaveMesh)
      crash(node)
      queue.add(.start(node: node), at: time + restarts.away)
    case .open(let node):
      // Nobody knows what becomes of a session at a node that lies.
      guard nodes[node].isHonest else { return }
      guard nodes[node].isAwake else {
        return queue.add(.scripted(step), at: time + 200 * Self.millisecond)
      }
      open(at: node)
    }
  }
}
