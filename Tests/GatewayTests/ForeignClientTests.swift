import Foundation
import MeshBench
import Testing

/// Unmodified clients against real nodes: `Clients/setup.sh` installs them, `make test` calls it.
@Suite("Existing clients", .serialized)
struct ForeignClientTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Clients")
  private static let root = folder.appending(path: "../../..").standardizedFileURL
  private static let python = root.appending(path: ".build/gateway-clients/bin/python").path

  static var areInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }
  static var hasBrowser: Bool {
    areInstalled && FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")
  }

  @Test(
    "They see each other on three nodes",
    .enabled(if: areInstalled, "Tests/GatewayTests/Clients/setup.sh installs the clients"),
    arguments: [
      "native.py", "convex.py", "phoenix_v1.py", "phoenix_v2.py", "supabase.py", "yjs.cjs",
      "yjs_pycrdt.py", "phoenix_js.py", "mixed.py", "partition.py", "endings.py",
      "regressions.py", "yjs_floods.py", "leaks.py",
    ])
  func clientsAgree(program: String) async throws {
    let mesh = try await TestMesh.start(3)
    try await Self.run(program, mesh.urls)
    await mesh.stop()
  }

  @Test(
    "The examples of Docs/Gateway.md give the answers that stand there",
    .enabled(if: areInstalled, "Tests/GatewayTests/Clients/setup.sh installs the clients"))
  func examplesHold() async throws {
    let program = try #require(Self.program, "the command-line peer is not built")
    let mesh = try await TestMesh.start(2)
    try await Self.run("docs.py", mesh.urls, environment: ["PRESENCE_BINARY": program.path])
    await mesh.stop()
  }

  @Test(
    "The server keeps to its OpenAPI document",
    .enabled(if: areInstalled, "Tests/GatewayTests/Clients/setup.sh installs schemathesis"))
  func documentHolds() async throws {
    let mesh = try await TestMesh.start(1)
    try await Self.run("schema.py", mesh.urls)
    await mesh.stop()
  }

  @Test(
    "Browsers see each other on two nodes",
    .enabled(if: hasBrowser, "chromium is not installed"))
  func browsersAgree() async throws {
    let mesh = try await TestMesh.start(2)
    try await Self.run("browser.py", mesh.urls)
    await mesh.stop()
  }

  /// The command-line peer, which stands beside the test bundle.
  private static var program: URL? {
    let places = Bundle.allBundles.map(\.bundleURL) + [URL(filePath: CommandLine.arguments[0])]
    return places.flatMap { place in
      [place.deletingLastPathComponent(), place.deletingLastPathComponent().appending(path: "..")]
        .map { $0.appending(path: "presence").standardizedFileURL }
    }.first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }

  /// Runs a program to its end; what it printed is the comment of a failure.
  private static func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
  ) async throws {
    let isNode = program.hasSuffix(".cjs")
    let output = FileManager.default.temporaryDirectory.appending(
      path: "presence-\(UUID().uuidString)")
    try Data().write(to: output)
    defer { try? FileManager.default.removeItem(at: output) }
    let nothing = try FileHandle(forReadingFrom: URL(filePath: "/dev/null"))
    let handle = try FileHandle(forWritingTo: output)
    let process = try SpawnedProcess(
      (isNode ? ["/usr/bin/env", "node"] : [python]) + [folder.appending(path: program).path]
        + arguments,
      environment: ProcessInfo.processInfo.environment.merging([
        "NODE_PATH": "/usr/share/nodejs", "PYTHONDONTWRITEBYTECODE": "1",
      ]) { $1 }.merging(environment) { $1 },
      input: nothing.fileDescriptor, output: handle.fileDescriptor, errors: handle.fileDescriptor)
    for file in [nothing, handle] { try file.close() }
    let end = ContinuousClock.now.advanced(by: .seconds(180))
    while process.exitCode() == nil {
      if ContinuousClock.now > end { process.end() }
      try await Task.sleep(for: .milliseconds(50))
    }
    let text = String(decoding: (try? Data(contentsOf: output)) ?? Data(), as: UTF8.self)
    let lines = text.split(separator: "\n")
    let failure = lines.drop { !$0.hasPrefix("FAILED") }.prefix(24)
    let told = (failure.isEmpty ? lines.suffix(6) : failure).joined(separator: "\n")
    #expect(process.exitCode() == 0, "\(program): \(told)")
  }
}
