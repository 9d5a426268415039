import MeshEngine
import MeshTransport
import Metrics
public import ServiceLifecycle
import Synchronization

/// Reports a node to swift-metrics, to whatever factory the process has chosen.
///
/// All names begin with `presence_mesh_`, all have the dimension `node` (the first ten digits of the
/// node's id):
///
/// - a counter for each of ``PresenceMesh/counters()``, in snake case: `datagramsReceived` is
///   `presence_mesh_datagrams_received`;
/// - the gauges `presence_mesh_users`, `presence_mesh_sessions` and `presence_mesh_rooms` (online or
///   live now, mesh-wide), `presence_mesh_nodes` (others that are heard of) and `presence_mesh_stale`
///   (0 or 1).
///
/// A node reports by itself when ``PresenceMesh/Configuration/metricsPeriod`` is set; do not run a
/// reporter besides then, or counters are reported twice.
public final class MetricsReporter: Service {
  private let driver: MeshDriver
  private let hub: Hub
  private let period: Duration
  private let dimensions: [(String, String)]
  /// What was reported of each counter.
  private let reported = Mutex<[String: UInt64]>([:])

  /// Makes a reporter for a node.
  /// - Parameters:
  ///   - mesh: The node.
  ///   - period: The time between two reports of ``run()``, 100 ms at least.
  public convenience init(mesh: PresenceMesh, period: Duration = .seconds(10)) {
    self.init(driver: mesh.driver, hub: mesh.hub, node: mesh.nodeID, period: period)
  }

  init(driver: MeshDriver, hub: Hub, node: NodeID, period: Duration) {
    self.driver = driver
    self.hub = hub
    self.period = max(period, PresenceMesh.Configuration.shortestMetricsPeriod)
    dimensions = [("node", node.short)]
  }

  /// Reports once: counters by what they rose since the last report, gauges as they are.
  public func report() async {
    let counters = await driver.allCounters()
    let nodes = await driver.read { engine, now in
      engine.peers(now: now).count { $0.health == .online || $0.health == .suspect }
    }
    reported.withLock { reported in
      for counter in counters {
        let rise = counter.value &- (reported[counter.name] ?? 0)
        reported[counter.name] = counter.value
        // Also by nothing: then the counter is there to be seen.
        Counter(label: Self.label(counter.name), dimensions: dimensions)
          .increment(by: Int64(clamping: rise))
      }
    }
    let view = hub.view
    let lobby = view.roster(.lobby)
    gauge("users", lobby.userCount)
    gauge("sessions", lobby.sessionCount)
    gauge("rooms", view.roomCount)
    gauge("nodes", nodes)
    gauge("stale", hub.isStale ? 1 : 0)
  }

  private func gauge(_ name: String, _ value: Int) {
    Gauge(label: Self.label(name), dimensions: dimensions).record(value)
  }

  /// Reports at the period, until the task is cancelled or the service is asked to shut down.
  public func run() async {
    await cancelWhenGracefulShutdown { await self.report(every: self.period) }
  }

  /// Reports at a period until the task is cancelled.
  func report(every period: Duration) async {
    repeat { await report() } while (try? await Task.sleep(for: period)) != nil
  }

  /// The name of a counter in the metrics.
  static func label(_ name: String) -> String {
    name.reduce(into: "presence_mesh_") { label, character in
      if character.isUppercase { label += "_" }
      label += character.lowercased()
    }
  }
}
