import Foundation
import Testing

@Suite("What the program is made of", .serialized, .timeLimit(.minutes(10)))
struct SupplyChainTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  private let base = TestNode.freshState()

  init() throws {
    try FileManager.default.createDirectory(
      atPath: base + "/bin", withIntermediateDirectories: true)
  }

  private func remove() { try? FileManager.default.removeItem(atPath: base) }

  /// Runs a script of the repository, with the programs of `base/bin` before those of the system.
  private func run(
    _ script: String, _ arguments: [String] = [], _ environment: [String: String] = [:]
  ) async throws -> Program.Outcome {
    var all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    all["PATH"] = base + "/bin:" + (all["PATH"] ?? "/usr/bin:/bin")
    return try await Tool.run([Self.root + "/.ci/" + script] + arguments, environment: all)
  }

  /// Makes a program that prints something.
  private func makeProgram(_ name: String, _ script: String) throws {
    let path = base + "/bin/" + name
    try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  /// Name and version of each package of the list.
  private func listed() throws -> [(name: String, version: String)] {
    try String(contentsOfFile: Self.root + "/.ci/versions", encoding: .utf8)
      .split(separator: "\n").filter { !$0.hasPrefix("#") }
      .map { line in
        let words = line.split(separator: " ").map(String.init)
        return (try #require(words.first), try #require(words.dropFirst().first))
      }
  }

  @Test("The list of versions is compared with what was resolved")
  func versions() async throws {
    defer { remove() }
    func check(
      _ pins: [(name: String, state: String)], _ arguments: String...
    ) async throws -> Program.Outcome {
      let text = pins.map { pin in
        """
            {
              "identity" : "\(pin.name)",
              "location" : "https://example.org/\(pin.name)",
              "state" : {
                "revision" : "0123",
                \(pin.state)
              }
            }
        """
      }.joined(separator: ",\n")
      let file = base + "/resolved"
      try "{\n  \"pins\" : [\n\(text)\n  ],\n  \"version\" : 3\n}\n"
        .write(toFile: file, atomically: false, encoding: .utf8)
      return try await run("check-versions", arguments, ["RESOLVED": file, "SWIFT": "swift"])
    }
    let right = try listed().map { (name: $0.name, state: "\"version\" : \"\($0.version)\"") }
    #expect(right.count > 10)
    #expect(try await check(right).exitCode == 0)
    #expect(try await check(right.reversed()).exitCode == 0)
    var other = right
    other[3].state = "\"version\" : \"99.0.0\""
    var branch = right
    branch[4].state = "\"branch\" : \"main\""
    let more = right + [(name: "surprise", state: "\"version\" : \"1.0.0\"")]
    for (pins, words) in [
      (other, "> \(right[3].name) 99.0.0"), (branch, "> \(right[4].name) not-a-version"),
      (more, "> surprise 1.0.0"), (Array(right.dropLast()), "< \(right[right.count - 1].name)"),
    ] {
      let told = try await check(pins)
      #expect(told.exitCode == 1 && told.words.contains(words))
    }
    // What is another one is asked for, and looked at again.
    try makeProgram("swift", "echo called: \"$@\"")
    let pinned = try await check(other, "--pin")
    let version = try listed()[3].version
    #expect(pinned.exitCode == 1)
    #expect(
      pinned.output.contains("called: package resolve \(right[3].name) --version \(version)\n"))
    #expect(pinned.output.components(separatedBy: "called:").count == 2)
    #expect(try await !check(right, "--pin").output.contains("called:"))
  }

  @Test("Exact versions of the manifest are those of the list")
  func manifest() throws {
    defer { remove() }
    let text = try String(contentsOfFile: Self.root + "/Package.swift", encoding: .utf8)
    let versions = Dictionary(uniqueKeysWithValues: try listed().map { ($0.name, $0.version) })
    let pattern = /url: "[^"]*\/([^"\/]+)", (exact|from): "([^"]+)"/
    var exact = 0
    for match in text.matches(of: pattern) {
      let version = try #require(versions[String(match.1)])
      if match.2 == "exact" {
        exact += 1
        #expect(version == match.3)
      } else {
        #expect(version.compare(String(match.3), options: .numeric) != .orderedAscending)
      }
    }
    #expect(exact == 2)
  }

  @Test("A libsodium that is too old ends the set-up with what to do", arguments: [true, false])
  func setup(isOld: Bool) async throws {
    defer { remove() }
    try makeProgram("swift", "exit 0")
    try makeProgram(
      "pkg-config",
      """
      case "$1" in
        --exists) exit 0 ;;
        --modversion) echo \(isOld ? "1.0.17" : "1.0.18") ;;
        --atleast-version=1.0.18) exit \(isOld ? 1 : 0) ;;
        *) exit 2 ;;
      esac
      """)
    let told = try await run("setup")
    #expect(told.exitCode == (isOld ? 1 : 0))
    #expect(
      told.words.contains(isOld ? "1.0.17 is too old: install 1.0.18" : "nothing to install"))
  }

  @Test("The list of what the program is made of names every package once, and is the same again")
  func billOfMaterials() async throws {
    defer { remove() }
    func node(_ name: String, _ version: String, _ children: String = "") -> String {
      """
      {"identity": "\(name)", "name": "\(name)", "url": "https://example.org/a/\(name).git", \
      "version": "\(version)", "path": "\(base)", "dependencies": [\(children)]}
      """
    }
    let shared = node("shared", "3.0.0")
    let tree = node("clone", "unspecified", "\(node("one", "1.0.0", shared)), \(shared)")
    try makeProgram("swift", "cat <<'E'\n\(tree)\nE")
    try makeProgram("pkg-config", "echo 1.0.18")
    try "MIT: Permission is hereby granted, free of charge".write(
      toFile: base + "/LICENSE.txt", atomically: false, encoding: .utf8)
    let environment = ["SOURCE_DATE_EPOCH": "1700000000", "SWIFT": "swift"]
    let file = base + "/sbom.json"
    #expect(try await run("sbom", [file], environment).exitCode == 0)
    let data = try Data(contentsOf: URL(filePath: file))
    #expect(try await run("sbom", [], environment).output == String(decoding: data, as: UTF8.self))
    let document = try #require(
      try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(document["spdxVersion"] as? String == "SPDX-2.3")
    let packages = try #require(document["packages"] as? [[String: Any]])
    let names = packages.map { "\($0["name"] ?? "") \($0["versionInfo"] ?? "")" }
    #expect(
      names.dropLast(0).sorted() == [
        "libsodium 1.0.18", "one 1.0.0", "presencemesh 0.1.0", "shared 3.0.0",
      ])
    #expect(
      packages.first { $0["name"] as? String == "one" }?["licenseDeclared"] as? String == "MIT")
    let relations = try #require(document["relationships"] as? [[String: String]])
    #expect(
      Set(relations.map { "\($0["spdxElementId"] ?? "") \($0["relatedSpdxElement"] ?? "")" }) == [
        "SPDXRef-DOCUMENT SPDXRef-Package-presencemesh",
        "SPDXRef-Package-presencemesh SPDXRef-Package-one",
        "SPDXRef-Package-presencemesh SPDXRef-Package-shared",
        "SPDXRef-Package-presencemesh SPDXRef-Package-libsodium",
        "SPDXRef-Package-one SPDXRef-Package-shared",
      ])
  }

  @Test("Actions of the continuous integration are pinned to commits")
  func actions() throws {
    defer { remove() }
    let folder = Self.root + "/.github/workflows"
    var count = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
      for line in text.split(separator: "\n") where line.contains("uses:") {
        count += 1
        #expect(line.contains(/@[0-9a-f]{40} # v[0-9.]+$/), "\(line)")
      }
    }
    #expect(count > 0)
  }

  #if os(Linux)
    @Test(
      "A program that finds an older libsodium than it was built for ends with what to do",
      .enabled(if: Preload.oldSodium != nil))
    func oldLibrary() async throws {
      defer { remove() }
      for command in [["who"], ["up", "--listen", "127.0.0.1:0"], ["mesh", "create"], ["doctor"]] {
        let told = try await Program.run(
          command + ["--state", base + "/state"],
          environment: ["LD_PRELOAD": Preload.oldSodium ?? ""])
        #expect(told.exitCode == 1 && told.output.isEmpty)
        #expect(told.errors.contains("1.0.17") && told.errors.contains("1.0.18 or later"))
      }
      #expect(!FileManager.default.fileExists(atPath: base + "/state"))
    }
  #endif
}
