import Foundation
import Testing

/// Reads every source of the package and holds it to ``SourceRules``.
@Suite("The sources of this package")
struct ModuleArrowTests {
  /// The folder that holds Package.swift.
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// What counts as source: code, pages and scripts. Data files have no bound on their lines.
  static let extensions: Set<String> = ["", "swift", "h", "c", "sh", "js", "mjs", "css", "html"]

  /// A file with its path from the package's root.
  struct Source {
    var path: String
    var text: String
  }

  /// All sources under some folders, in the order of their paths.
  static func sources(_ folders: [String] = ["Sources", "Peers"]) throws -> [Source] {
    try folders.flatMap { folder in
      let folderURL = root.appending(path: folder)
      return try FileManager.default.subpathsOfDirectory(atPath: folderURL.path).sorted()
        .compactMap { subpath -> Source? in
          let url = folderURL.appending(path: subpath)
          var isFolder: ObjCBool = false
          guard extensions.contains(url.pathExtension), !url.lastPathComponent.hasPrefix("."),
            FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder),
            !isFolder.boolValue
          else { return nil }
          let bytes = try Data(contentsOf: url)
          return Source(path: "\(folder)/\(subpath)", text: String(decoding: bytes, as: UTF8.self))
        }
    }
  }

  @Test("Every file keeps the arrows between modules and the rules of the house")
  func everyFileKeepsTheRules() throws {
    let sources = try Self.sources()
    for source in sources {
      let count = SourceRules.lineCount(source.text)
      if count > SourceRules.askingLineCount {
        print("\(source.path): \(count) lines ask to be divided by subject")
      }
    }
    let found = sources.flatMap { SourceRules.findings(path: $0.path, text: $0.text) }
    let report = found.map(\.description).joined(separator: "\n")
    #expect(found.isEmpty, "\(report)")
  }

  @Test("No process inherits what another thread opened")
  func processes() throws {
    let found = try Self.sources(["Sources", "Peers", "Tests"])
      .flatMap { SourceRules.processFindings(path: $0.path, text: $0.text) }
    #expect(found.isEmpty)
    #expect(SourceRules.processFindings(path: "a", text: "let a = Process()").count == 1)
  }

  @Test("Every trap that is listed stands in the core")
  func listedTrapsExist() throws {
    let sources = Dictionary(try Self.sources().map { ($0.path, $0.text) }) { first, _ in first }
    for trap in SourceRules.traps.keys {
      #expect(sources[trap.path]?.contains(trap.line) == true, "\(trap.path): \(trap.line)")
    }
  }

  @Test("The scan sees every module of the table of arrows")
  func scanSeesEveryModule() throws {
    let paths = try Self.sources().map(\.path).filter { $0.hasSuffix(".swift") }
    for module in SourceRules.imports.keys.sorted() {
      #expect(paths.contains { $0.hasPrefix(module + "/") }, "no Swift file under \(module)")
    }
  }
}

/// Shows that each rule fails on a sample that breaks it, and lets sound samples pass.
@Suite("The rules for sources")
struct SourceRulesTests {
  /// The messages of the findings for a text at a path.
  static func messages(_ path: String, _ text: String) -> [String] {
    SourceRules.findings(path: path, text: text).map(\.message)
  }

  @Test(
    "A broken arrow is found",
    arguments: [
      ("Sources/MeshCRDT/A.swift", "import MeshWire", "MeshWire"),
      ("Sources/MeshCRDT/A.swift", "import Foundation", "Foundation"),
      ("Sources/MeshCRDT/Deep/er/A.swift", "import Dispatch", "Dispatch"),
      ("Sources/MeshWire/A.swift", "import MeshTrust", "MeshTrust"),
      ("Sources/MeshWire/A.swift", "public import NIOCore", "NIOCore"),
      ("Sources/MeshTrust/A.swift", "@preconcurrency import CSodium", "CSodium"),
      ("Sources/MeshTrust/A.swift", "import MeshEngine", "MeshEngine"),
      ("Sources/MeshEngine/A.swift", "import struct Foundation.Date", "Foundation"),
      ("Sources/MeshEngine/A.swift", "let a = 1; import Logging", "Logging"),
      ("Sources/MeshEngine/A.swift", "#if os(Linux)\n  import Glibc\n#endif", "Glibc"),
      ("Sources/MeshEngine/A.swift", "@_exported\nimport Metrics", "Metrics"),
      ("Sources/MeshCrypto/A.swift", "import MeshEngine", "MeshEngine"),
      ("Sources/MeshCrypto/A.swift", "import Foundation", "Foundation"),
      ("Sources/MeshTransport/A.swift", "package import PresenceMesh", "PresenceMesh"),
      ("Sources/MeshTransport/A.swift", "import MeshSimulator", "MeshSimulator"),
      ("Sources/PresenceMesh/A.swift", "import MeshSimulator", "MeshSimulator"),
      ("Sources/MeshSimulator/A.swift", "internal import MeshTransport", "MeshTransport"),
      ("Sources/MeshSimulator/A.swift", "import MeshCrypto", "MeshCrypto"),
      ("Sources/MeshSimulator/A.swift", "import Foundation", "Foundation"),
      ("Sources/MeshSimulator/A.swift", "/* why */ import Dispatch", "Dispatch"),
      ("Peers/presence/A.swift", "import MeshTransport", "MeshTransport"),
      ("Peers/presence/A.swift", "@testable import PresenceMesh\nimport CSodium", "CSodium"),
    ])
  func brokenArrowIsFound(path: String, text: String, imported: String) {
    let module = path.split(separator: "/").prefix(2).joined(separator: "/")
    #expect(Self.messages(path, text) == ["\(module) may not import \(imported)"])
  }

  @Test(
    "A sound import passes",
    arguments: [
      ("Sources/MeshWire/A.swift", "import MeshCRDT"),
      ("Sources/MeshEngine/A.swift", "package import MeshTrust\ninternal import MeshWire"),
      ("Sources/MeshCrypto/A.swift", "import CSodium\nimport MeshTrust"),
      ("Sources/MeshTransport/A.swift", "import NIOPosix\nimport Dispatch\nimport MeshEngine"),
      ("Sources/PresenceMesh/A.swift", "public import ServiceLifecycle\nimport Metrics"),
      ("Sources/MeshSimulator/A.swift", "import MeshEngine"),
      ("Peers/presence/A.swift", "import ArgumentParser\nimport Foundation"),
      ("Sources/MeshCRDT/A.swift", "// import Foundation\n/* import /* */ Dispatch */"),
      ("Sources/MeshCRDT/A.swift", "let a = \"import Foundation\""),
      ("Sources/MeshCRDT/A.swift", "#if canImport(Foundation)\n#endif"),
      ("Sources/MeshCRDT/A.swift", "let a = \"\"\"\n  import Foundation\n  \"\"\""),
      ("Sources/MeshCRDT/A.swift", "let a = Kind.import\nlet b = a"),
      ("Sources/CSodium/shim.h", "#include <sodium.h>"),
    ])
  func soundImportPasses(path: String, text: String) {
    #expect(Self.messages(path, text) == [])
  }

  @Test("A module without a row in the table is found")
  func unknownModuleIsFound() {
    let found = SourceRules.findings(path: "Sources/MeshElse/A.swift", text: "let a = 1\n")
    #expect(
      found.map(\.description) == [
        "Sources/MeshElse/A.swift:1: Sources/MeshElse has no row in the table of arrows"
      ])
  }

  @Test("A finding names the file and the line")
  func findingNamesItsPlace() {
    let text = "/* one\n   two */\nlet a = \"\"\"\n  three\n  \"\"\"\nimport Foundation\n"
    let found = SourceRules.findings(path: "Sources/MeshCRDT/A.swift", text: text)
    #expect(found.map(\.line) == [6])
  }

  @Test(
    "A clock or a source of randomness in the core is found",
    arguments: [
      "let now = ContinuousClock.now", "let clock: SuspendingClock", "try await Task.sleep(for: d)",
      "var g = SystemRandomNumberGenerator()", "let a = UInt64.random(in: 0...9)",
      "let a = Bool\n  .random()", "peers.shuffled()", "peers.shuffle()", "peers.randomElement()",
      "clock_gettime(CLOCK_MONOTONIC, &t)", "let d = Date()", "let h = Hasher()", "a.hashValue",
      "let a = \"drawn \\(Int.random(in: 0...9))\"",
    ])
  func ambientSourceIsFound(text: String) {
    for module in SourceRules.core.sorted() {
      let found = Self.messages("\(module)/A.swift", text)
      #expect(found.count == 1)
      #expect(found.allSatisfy { $0.hasPrefix("the core has time and randomness as arguments") })
    }
    #expect(Self.messages("Sources/MeshTransport/A.swift", text) == [])
  }

  @Test(
    "Words about clocks and randomness that use none pass in the core",
    arguments: [
      "// Never ContinuousClock here.", "let a = \"ContinuousClock\"", "peers.shuffled(using: &g)",
      "func hash(into hasher: inout Hasher) {}", "let a = random(seed)", "let a = Update(b)",
    ])
  func harmlessWordPasses(text: String) {
    #expect(Self.messages("Sources/MeshEngine/A.swift", text) == [])
  }

  @Test(
    "A forced unwrap, try or cast is found",
    arguments: [
      ("let a = b!", "a forced unwrap traps on nil"),
      ("let a = b[0]!.c", "a forced unwrap traps on nil"),
      ("let a = b()!\nlet c = 1", "a forced unwrap traps on nil"),
      ("b! = 3", "a forced unwrap traps on nil"),
      ("let a = \"b\"!", "a forced unwrap traps on nil"),
      ("let a = \"\\(b!)\"", "a forced unwrap traps on nil"),
      ("let a = #\"\"b\\#(c!)\"\"#", "a forced unwrap traps on nil"),
      ("var a: Array<Int>!", "a forced unwrap traps on nil"),
      ("let a = try! b()", "try! traps on an error"),
      ("let a = b as! C", "as! traps on another type"),
    ])
  func crutchIsFound(text: String, message: String) {
    #expect(Self.messages("Sources/MeshEngine/A.swift", text) == [message])
    #expect(Self.messages("Peers/presence/A.swift", text) == [message])
  }

  @Test(
    "An exclamation mark that forces nothing passes",
    arguments: [
      "if !a {}", "if a != b {}", "if a!=b {}", "f(!a, [!b])", "let a = \"hello!\"", "// done!",
      "#if !os(Linux)\n#endif", "let a = \"\"\"\n  b! \"c\"! \\\"\"\" d!\n  \"\"\"",
      "let a = #\"b\\(c!)\"#", "let a = #/b!/#", "prefix func ! (a: A) {}",
    ])
  func negationPasses(text: String) {
    #expect(Self.messages("Sources/MeshEngine/A.swift", text) == [])
  }

  @Test("What the compiler does not check needs a comment above it")
  func uncheckedNeedsProof() {
    let path = "Sources/MeshTransport/A.swift"
    let bare = "struct A {}\nextension A: @unchecked Sendable {}"
    let proven = "struct A {}\n// The loop alone touches it.\nextension A: @unchecked Sendable {}"
    let attributed = "// Set once at the start.\n@usableFromInline\nnonisolated(unsafe) var a = 1"
    #expect(Self.messages(path, bare) == ["@unchecked has no proof above it"])
    #expect(
      Self.messages(path, "nonisolated(unsafe) var a = 1") == [
        "nonisolated(unsafe) has no proof above it"
      ])
    #expect(Self.messages(path, proven) == [])
    #expect(Self.messages(path, attributed) == [])
  }

  @Test("A trap in the core that nobody has listed is found")
  func unlistedTrapIsFound() {
    let path = "Sources/MeshEngine/A.swift"
    for word in ["precondition", "fatalError", "assert"] {
      #expect(
        Self.messages(path, "func f() {\n  \(word)(a)\n}") == [
          "\(word) is not listed with why no peer can reach it"
        ])
    }
    #expect(Self.messages("Sources/MeshSimulator/A.swift", "precondition(a)") == [])
    #expect(
      Self.messages(
        "Sources/MeshEngine/Hosting/BatchWriter.swift",
        "  precondition(count > 0, \"a record of this node is longer than a batch\")") == [])
  }

  @Test("A file of more than 600 lines is found, with or without a last line feed")
  func longFileIsFound() {
    let full = String(repeating: "let a = 1\n", count: 600)
    #expect(Self.messages("Sources/MeshWire/A.swift", full) == [])
    for text in [full + "let b = 2", full + "\n"] {
      #expect(
        Self.messages("Sources/MeshWire/A.swift", text) == [
          "601 lines, more than 600: divide it by subject"
        ])
    }
    #expect(Self.messages("Peers/demo", full + "exit 0\n") == [])
  }
}
