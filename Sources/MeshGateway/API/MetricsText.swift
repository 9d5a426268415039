import PresenceMesh

/// The counters of the node and of the gateway in the text format of Prometheus.
enum MetricsText {
  static func make(_ core: GatewayCore, completion: @escaping (String) -> Void) {
    let read = { @Sendable [mesh = core.mesh] in (await mesh.counters(), await mesh.nodes()) }
    core.run(read) { counters, nodes in
      var text = ""
      func metric(_ name: String, _ kind: String, _ value: some BinaryInteger) {
        text += "# TYPE \(name) \(kind)\n\(name) \(value)\n"
      }
      for counter in counters {
        metric("presence_mesh_\(snakeCase(counter.name))_total", "counter", counter.value)
      }
      for counter in core.counters.all {
        metric("presence_gateway_\(snakeCase(counter.name))_total", "counter", counter.value)
      }
      metric("presence_gateway_connections", "gauge", core.connections.count)
      metric("presence_gateway_sessions", "gauge", core.sessions.count)
      metric("presence_gateway_rooms", "gauge", core.feedCount)
      metric("presence_gateway_watches", "gauge", core.watchCount)
      metric("presence_mesh_users", "gauge", core.mesh.lobby.count.users)
      metric("presence_mesh_sessions", "gauge", core.mesh.lobby.count.sessions)
      metric("presence_mesh_stale", "gauge", core.mesh.isStale ? 1 : 0)
      for health in ["online", "suspect", "offline", "left"] {
        let count = nodes.count { $0.health.rawValue == health }
        text += "presence_mesh_nodes{health=\"\(health)\"} \(count)\n"
      }
      completion(text)
    }
  }

  private static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { text, character in
      if character.isUppercase { text += "_" }
      text += character.lowercased()
    }
  }
}
