import Foundation
import Logging
import MeshGateway
import PresenceMesh
import Testing

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Some nodes of one mesh on loopback, each with a gateway.
struct TestMesh {
  let nodes: [PresenceMesh]
  let gateways: [Gateway]

  var urls: [String] { gateways.map { String($0.url.dropLast()) } }

  /// - Parameter terms: What the others join the first by; `nil`: the mesh is open.
  static func start(
    _ count: Int, keys: TokenKeys? = nil, terms: InviteTerms? = nil,
    _ change: (inout GatewayConfiguration) -> Void = { _ in }
  ) async throws -> TestMesh {
    var nodes: [PresenceMesh] = []
    var gateways: [Gateway] = []
    for _ in 0..<count {
      var configuration = PresenceMesh.Configuration(
        identity: .inMemory, membership: .new(open: terms == nil))
      configuration.listen = .loopback(port: 0)
      configuration.multicast = false
      configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      if let first = nodes.first {
        configuration.membership = .invite(try first.invite(terms: terms))
      }
      let node = try await PresenceMesh.join(configuration)
      var gateway = GatewayConfiguration(address: "127.0.0.1:0")
      gateway.keys = keys
      gateway.isDemo = true
      change(&gateway)
      gateways.append(
        try await Gateway.start(
          node, gateway, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
      nodes.append(node)
    }
    let mesh = TestMesh(nodes: nodes, gateways: gateways)
    try await mesh.meet()
    return mesh
  }

  /// Waits until every node has a path to every other.
  private func meet() async throws {
    let end = ContinuousClock.now.advanced(by: .seconds(60))
    for node in nodes {
      while await node.nodes().count(where: { $0.health == .online }) < nodes.count - 1 {
        try #require(ContinuousClock.now < end, "the nodes did not meet")
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  func stop() async {
    for gateway in gateways { await gateway.stop() }
    for node in nodes { await node.leave() }
  }

  /// Asks a node over HTTP.
  func ask(
    _ node: Int, _ method: String, _ path: String, body: String? = nil,
    headers: [String: String] = [:]
  ) async throws -> (status: Int, body: [String: Any], headers: [AnyHashable: Any]) {
    let url = try #require(URL(string: urls[node] + path))
    var request = URLRequest(url: url)
    request.httpMethod = method
    if let body {
      request.httpBody = Data(body.utf8)
      request.setValue("application/json", forHTTPHeaderField: "content-type")
    }
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    let (data, response) = try await URLSession.shared.data(for: request)
    let http = try #require(response as? HTTPURLResponse)
    let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
    return (http.statusCode, object ?? [:], http.allHeaderFields)
  }
}
