/// What may stop the process in the core. A trap that a peer can reach lets a member of the mesh stop
/// every node, so each one is listed here with why no peer can.
extension SourceRules {
  /// One line that traps, as it stands in the source.
  struct Trap: Hashable {
    var path: String
    var line: String

    init(_ path: String, _ line: String) {
      self.path = path
      self.line = line
    }
  }

  /// Every trap of the core, and why no word of a peer can spring it.
  static let traps: [Trap: String] = [
    Trap(
      "Sources/MeshEngine/Support/Budget.swift",
      "precondition(perSecond > 0 && perSecond < 1 << 32 && burst > 0 && burst < 1 << 32)"):
      "rates are settings",
    Trap(
      "Sources/MeshEngine/Hosting/BatchWriter.swift",
      "precondition(count > 0, \"a record of this node is longer than a batch\")"):
      "the bounds of values add up to less, for those of a session that moved here too",
    Trap(
      "Sources/MeshEngine/Hosting/CursorWriter.swift",
      "precondition(count > 0, \"a cursor of this node is longer than a frame\")"):
      "a cursor has at most 71 bytes",
  ]

  private static let trapWords: Set<String> = [
    "assert", "assertionFailure", "fatalError", "precondition", "preconditionFailure",
  ]

  static func trapFindings(path: String, text: String, tokens: [SwiftToken]) -> [Finding] {
    let rows = text.split(separator: "\n", omittingEmptySubsequences: false)
    return tokens.indices.compactMap { index in
      guard let word = tokens[index].word, trapWords.contains(word),
        index + 1 < tokens.count, tokens[index + 1].isSymbol("(")
      else { return nil }
      let line = tokens[index].line
      let source = rows[line - 1].trimming(while: \.isWhitespace)
      guard traps[Trap(path, source)] == nil else { return nil }
      let message = "\(word) is not listed with why no peer can reach it"
      return Finding(path: path, line: line, message: message)
    }
  }
}

extension Substring {
  fileprivate func trimming(while isTrimmed: (Character) -> Bool) -> String {
    let start = drop(while: isTrimmed)
    return String(String(start.reversed().drop(while: isTrimmed)).reversed())
  }
}
