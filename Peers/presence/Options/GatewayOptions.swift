import ArgumentParser
import Foundation
import Logging
import MeshCrypto
import MeshGateway
import PresenceMesh

/// Whether and how a node serves browsers and programs.
struct GatewayOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Serve the page and the API here, such as 127.0.0.1:7980.",
      discussion: "Port 0 takes any free one. See Docs/Gateway.md.", valueName: "host:port"))
  var http: String?

  @Flag(help: "Allow an address of --http that can be reached from elsewhere; needs --http-keys.")
  var httpAllow = false

  @Option(
    help: ArgumentHelp(
      "Ask clients for tokens signed by a key of this file.",
      discussion: "Without it whoever reaches the port may speak for any user.",
      valueName: "file"), completion: .file())
  var httpKeys: String?

  @Option(
    help: ArgumentHelp(
      "Let pages of this origin use the API too, such as https://app.example; may be repeated.",
      valueName: "origin"))
  var httpOrigin: [String] = []

  @Option(
    help: ArgumentHelp(
      "After SIGTERM or SIGHUP answer 503 at /readyz for so long before the connections are closed.",
      discussion: "From 0 to 60 seconds; 1 if it is not said.", valueName: "seconds"))
  var httpDrain: Int?

  @Flag(help: "Let pages cut this node's links, to show what happens then.")
  var demo = false

  mutating func validate() throws {
    if let httpDrain, !(0...60 ~= httpDrain) {
      throw ValidationError("--http-drain takes 0 to 60 seconds.")
    }
    if let http { return try NodeOptions.checkAddress(http, option: "--http") }
    if httpAllow || httpKeys != nil || !httpOrigin.isEmpty || httpDrain != nil || demo {
      throw ValidationError(
        "--http-… and --demo are about a gateway: give it an address by --http.")
    }
  }

  /// Starts the gateway, if there is to be one.
  /// - Throws: ``CommandFailure`` when it cannot.
  func start(_ mesh: PresenceMesh, logger: Logger) async throws -> Gateway? {
    guard let http else { return nil }
    var configuration = GatewayConfiguration(address: http)
    configuration.allowsRemote = httpAllow
    configuration.origins = Set(httpOrigin)
    configuration.isDemo = demo
    if let httpDrain { configuration.drainTime = .seconds(httpDrain) }
    if let httpKeys { configuration.keys = try await Self.keys(httpKeys) }
    do {
      return try await Gateway.start(mesh, configuration, logger: logger)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// The most bytes of a file of keys.
  private static let keyFileBound = 1 << 20

  static func keys(_ path: String) async throws -> TokenKeys {
    let text: SecretBytes
    do {
      text = try SecretFile.read(path, bound: keyFileBound)
    } catch {
      let advice =
        access(path, F_OK) == 0 ? "" : "; make it with 'presence token --new-key \(path)'"
      throw CommandFailure("\(error)\(advice)")
    }
    do {
      var json = text.withBytes { Data(bytes: $0, count: text.count) }
      defer { json.resetBytes(in: json.indices) }
      return try await TokenKeys(json: json)
    } catch {
      throw CommandFailure("\(path) cannot be used: \(error)")
    }
  }
}
