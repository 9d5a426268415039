import Testing

/// The engine is divided by what owns what: a part names no other part.
@Suite("The parts of the engine")
struct EnginePartTests {
  /// The folders that hold a part; what lies beside them serves all.
  static let parts = ["Hosting", "Membership", "Paths", "Replica", "Sync", "Topology", "View"]

  /// What a part may name of another: how it is read, and bounds.
  static let shared: Set<String> = ["ComparisonSource", "RecordReading", "MembershipLimits"]

  /// The types that a text declares at its top level.
  static func declarations(_ text: String) -> Set<String> {
    let tokens = SwiftTokens.of(text)
    let keywords: Set<String> = ["struct", "enum", "class", "protocol", "actor"]
    var depth = 0
    var names: Set<String> = []
    for (index, token) in tokens.enumerated() {
      if token.isSymbol("{") { depth += 1 }
      if token.isSymbol("}") { depth -= 1 }
      guard depth == 0, let word = token.word, keywords.contains(word), index + 1 < tokens.count,
        let name = tokens[index + 1].word
      else { continue }
      names.insert(name)
    }
    return names
  }

  /// The names of other parts that a part's sources use, with where.
  static func crossings(_ sources: [(part: String, path: String, text: String)]) -> [String] {
    var owners: [String: String] = [:]
    for source in sources {
      for name in declarations(source.text) where !shared.contains(name) {
        owners[name] = source.part
      }
    }
    return sources.flatMap { source in
      SwiftTokens.of(source.text).compactMap { token in
        guard let word = token.word, let owner = owners[word], owner != source.part else {
          return nil
        }
        return "\(source.path):\(token.line): \(source.part) names \(word) of \(owner)"
      }
    }
  }

  @Test("A part names no other part")
  func partsAreApart() throws {
    let folder = "Sources/MeshEngine/"
    let sources = try ModuleArrowTests.sources().compactMap { source in
      Self.parts.first { source.path.hasPrefix(folder + $0 + "/") }.map {
        (part: $0, path: source.path, text: source.text)
      }
    }
    #expect(Set(sources.map(\.part)) == Set(Self.parts))
    let found = Self.crossings(sources)
    #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
  }

  @Test("A name of another part is found, and one of its own or of a reader is not")
  func crossingIsFound() {
    let paths = (part: "Paths", path: "a", text: "struct Contacts { struct Kind {} }")
    let sync = (part: "Sync", path: "b", text: "let known = Contacts()\nlet kind: Kind")
    #expect(Self.crossings([paths, sync]) == ["b:1: Sync names Contacts of Paths"])
    let reading = (part: "View", path: "c", text: "protocol RecordReading {}")
    let store = (part: "Replica", path: "d", text: "extension Store: RecordReading {}")
    #expect(Self.crossings([reading, store]).isEmpty)
  }
}
