/// The rules that a source file of the package keeps, as a pure function over its path and text.
enum SourceRules {
  /// What a module may import: full names, and beginnings of names.
  struct Imports {
    var names: Set<String>
    var prefixes: [String] = []

    func allow(_ module: String) -> Bool {
      names.contains(module) || prefixes.contains { module.hasPrefix($0) }
    }
  }

  /// The system's own libraries: for the outer modules, never for the core.
  static let systemLibraries: Set<String> = [
    "CoreFoundation", "Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl",
    "Synchronization",
  ]

  /// The arrows between modules; a module that has no row here fails.
  static let imports: [String: Imports] = [
    "Sources/MeshCRDT": Imports(names: []),
    "Sources/MeshWire": Imports(names: ["MeshCRDT"]),
    "Sources/MeshTrust": Imports(names: ["MeshCRDT"]),
    "Sources/MeshEngine": Imports(names: ["MeshCRDT", "MeshWire", "MeshTrust"]),
    "Sources/MeshCrypto": Imports(names: ["CSodium", "MeshCRDT", "MeshTrust", "MeshWire"]),
    "Sources/MeshTransport": Imports(
      names: systemLibraries.union([
        "Logging", "MeshCRDT", "MeshCrypto", "MeshEngine", "MeshTrust", "MeshWire",
      ]),
      prefixes: ["NIO"]),
    "Sources/PresenceMesh": Imports(
      names: systemLibraries.union([
        "Logging", "MeshCRDT", "MeshCrypto", "MeshEngine", "MeshTransport",
        "MeshTrust", "MeshWire",
        "Metrics", "ServiceLifecycle",
      ]),
      prefixes: ["NIO"]),
    "Sources/MeshGateway": Imports(
      names: systemLibraries.union(["JWTKit", "Logging", "PresenceMesh", "WebAssets"]),
      prefixes: ["NIO"]),
    "Peers/web": Imports(names: []),
    "Sources/MeshSimulator": Imports(names: ["MeshCRDT", "MeshEngine", "MeshTrust", "MeshWire"]),
    "Sources/MeshBench": Imports(
      names: systemLibraries.union([
        "CSodium", "Logging", "MeshCRDT", "MeshCrypto", "MeshEngine", "MeshSimulator",
        "MeshTransport",
        "MeshTrust", "MeshWire", "PresenceMesh",
      ]),
      prefixes: ["NIO"]),
    "Peers/allocations": Imports(names: systemLibraries.union(["CAllocationCount", "MeshBench"])),
    "Peers/presence": Imports(
      names: systemLibraries.union([
        "ArgumentParser", "Logging", "MeshBench", "MeshCRDT", "MeshCrypto", "MeshGateway",
        "MeshSimulator",
        "Metrics", "PresenceMesh", "ServiceLifecycle",
      ]),
      prefixes: ["NIO"]),
  ]

  /// The modules in which time and randomness are arguments.
  static let core: Set<String> = [
    "Sources/MeshCRDT", "Sources/MeshWire", "Sources/MeshTrust", "Sources/MeshEngine",
  ]

  /// Clocks and sources of randomness. `Hasher` is seeded anew in each process, so it is one too.
  static let ambientSources = [
    "ContinuousClock", "SuspendingClock", "DispatchTime", "Task.sleep", "clock_gettime",
    "gettimeofday", "mach_absolute_time", "Date()", "Date.now",
    "SystemRandomNumberGenerator", ".random(", ".shuffled()", ".shuffle()", ".randomElement()",
    "arc4random", "arc4random_buf", "getrandom", "Hasher()", "hashValue",
  ]

  /// What a file may use all the same.
  static let exceptions: [String: Set<String>] = [
    // The seed of a hash table: it decides where a key is looked for, never an order.
    "Sources/MeshCRDT/Tables/DenseMap.swift": ["Hasher()"]
  ]

  /// A file above this many lines asks to be divided by subject.
  static let askingLineCount = 400
  /// A file above this many lines fails.
  static let failingLineCount = 600

  /// A rule broken at one place.
  struct Finding: Equatable, CustomStringConvertible {
    var path: String
    var line: Int
    var message: String

    var description: String { "\(path):\(line): \(message)" }
  }

  /// All rules broken by the file at `path`, which counts from the package's root.
  static func findings(path: String, text: String) -> [Finding] {
    let module = path.split(separator: "/").prefix(2).joined(separator: "/")
    var found = lengthFindings(path: path, text: text)
    guard path.hasSuffix(".swift") else { return found }
    let tokens = SwiftTokens.of(text)
    found += importFindings(path: path, module: module, tokens: tokens)
    found += crutchFindings(path: path, tokens: tokens)
    found += proofFindings(path: path, text: text, tokens: tokens)
    if core.contains(module) {
      found += ambientFindings(path: path, tokens: tokens)
      found += trapFindings(path: path, text: text, tokens: tokens)
    }
    return found
  }

  /// The places where a file starts a process so that what others open leaks into it.
  static func processFindings(path: String, text: String) -> [Finding] {
    lines(of: "Process()", in: SwiftTokens.of(text)).map {
      Finding(path: path, line: $0, message: "Process() leaks descriptors: use SpawnedProcess")
    }
  }

  /// The number of lines of a text; a last line counts with or without its line feed.
  static func lineCount(_ text: String) -> Int {
    let feeds = text.utf8.count { $0 == UInt8(ascii: "\n") }
    return text.isEmpty || text.utf8.last == UInt8(ascii: "\n") ? feeds : feeds + 1
  }
}

extension SourceRules {
  /// The places where `pattern`, itself Swift text, stands in the tokens; white space is ignored.
  private static func lines(of pattern: String, in tokens: [SwiftToken]) -> [Int] {
    let wanted = SwiftTokens.of(pattern).map(\.kind)
    guard !wanted.isEmpty, tokens.count >= wanted.count else { return [] }
    return (0...(tokens.count - wanted.count)).compactMap { start in
      let window = tokens[start..<(start + wanted.count)]
      return window.map(\.kind) == wanted ? tokens[start].line : nil
    }
  }

  private static func lengthFindings(path: String, text: String) -> [Finding] {
    let count = lineCount(text)
    // Scripts are one file each, so that they can be copied and run without a build.
    guard count > failingLineCount, path.hasSuffix(".swift") else { return [] }
    let message = "\(count) lines, more than \(failingLineCount): divide it by subject"
    return [Finding(path: path, line: count, message: message)]
  }

  private static func importFindings(
    path: String, module: String, tokens: [SwiftToken]
  ) -> [Finding] {
    guard let allowed = imports[module] else {
      let message = "\(module) has no row in the table of arrows"
      return [Finding(path: path, line: 1, message: message)]
    }
    return importedModules(tokens).compactMap { name, line in
      if allowed.allow(name) { return nil }
      return Finding(path: path, line: line, message: "\(module) may not import \(name)")
    }
  }

  /// The top-level names of all imported modules, with their lines.
  private static func importedModules(_ tokens: [SwiftToken]) -> [(name: String, line: Int)] {
    let kinds: Set<String> = [
      "class", "enum", "func", "let", "protocol", "struct", "typealias", "var",
    ]
    return tokens.indices.compactMap { index in
      guard tokens[index].word == "import" else { return nil }
      // `.import` and `` `import` `` are names, not declarations.
      if index > 0, tokens[index - 1].isSymbol(".") || tokens[index - 1].isSymbol("`") {
        return nil
      }
      let following = tokens[(index + 1)...].prefix(2).map(\.word)
      guard let first = following.first, let name = first else { return nil }
      if kinds.contains(name), following.count == 2, let inner = following[1] {
        return (inner, tokens[index].line)
      }
      return (name, tokens[index].line)
    }
  }

  /// Finds `x!`, `try!`, `as!` and `T!`: an exclamation mark right behind something.
  private static func crutchFindings(path: String, tokens: [SwiftToken]) -> [Finding] {
    let closing: Set<Unicode.Scalar> = [")", "]", "}", "?", ">", "`", "!"]
    return tokens.indices.dropFirst().compactMap { index in
      let mark = tokens[index]
      guard mark.isSymbol("!"), !mark.followsSpace else { return nil }
      if index + 1 < tokens.count {
        let next = tokens[index + 1]
        // `a!=b` compares.
        if next.isSymbol("="), !next.followsSpace { return nil }
      }
      let message: String
      switch tokens[index - 1].kind {
      case .word("try"): message = "try! traps on an error"
      case .word("as"): message = "as! traps on another type"
      case .word, .string: message = "a forced unwrap traps on nil"
      case .symbol(let symbol) where closing.contains(symbol):
        message = "a forced unwrap traps on nil"
      case .symbol: return nil
      }
      return Finding(path: path, line: mark.line, message: message)
    }
  }

  /// Finds what the compiler is told not to check and that has no comment above it.
  private static func proofFindings(
    path: String, text: String, tokens: [SwiftToken]
  ) -> [Finding] {
    let rows = text.split(separator: "\n", omittingEmptySubsequences: false)
    return ["@unchecked", "nonisolated(unsafe)"].flatMap { pattern in
      lines(of: pattern, in: tokens).compactMap { line in
        // Attributes may stand between the comment and the declaration.
        let above = rows[..<(line - 1)].reversed().lazy
          .map { $0.drop(while: \.isWhitespace) }
          .first { !$0.hasPrefix("@") }
        if let above, above.hasPrefix("//") { return nil }
        return Finding(path: path, line: line, message: "\(pattern) has no proof above it")
      }
    }
  }

  private static func ambientFindings(path: String, tokens: [SwiftToken]) -> [Finding] {
    ambientSources.filter { exceptions[path]?.contains($0) != true }.flatMap { pattern in
      lines(of: pattern, in: tokens).map { line in
        let message = "the core has time and randomness as arguments, not from \(pattern)"
        return Finding(path: path, line: line, message: message)
      }
    }
  }
}
