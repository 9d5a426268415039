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
      "Sources/MeshCRDT/Log/Cell.swift",
      "precondition(version < Limits.counterBound && counter < Limits.counterBound)"):
      "a batch is read with versions and counters below the bound; own ones are checked in writing",
    Trap(
      "Sources/MeshCRDT/Log/Cell.swift",
      "precondition(range.upperBound <= storage.count && storage.count < 1 << 15)"):
      "the range was read from these bytes, which came in one datagram",
    Trap(
      "Sources/MeshCRDT/Log/OriginLog+Join.swift",
      "precondition(!room.isLobby, \"all nodes hold the lobby's shelves\")"):
      "the engine drops rooms that are not followed; the lobby is passed over before",
    Trap(
      "Sources/MeshCRDT/State/MeshState.swift",
      "precondition(moves.count <= CursorMove.bound)"):
      "a frame of more moves is not read",
    Trap(
      "Sources/MeshWire/Codec/ByteReader.swift",
      "precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)"):
      "ranges come from another reader of these bytes, or are the body of an envelope, which is not empty",
    Trap(
      "Sources/MeshWire/Codec/Record.swift",
      "precondition(value == nil || value?.lane == lane)"):
      "a value is read by its lane",
    Trap(
      "Sources/MeshTrust/Verified.swift",
      "preconditionFailure(\"a signed body has at least one byte\")"):
      "bodies that are signed are own ones",
    Trap(
      "Sources/MeshEngine2/API/ProductWords.swift",
      "preconditionFailure(\"a life has a counter below 2^32\")"):
      "the counter is read from the disk below its bound; peers raise another one",
    Trap(
      "Sources/MeshEngine/Engine.swift",
      "else { preconditionFailure(\"an empty state has room for its own origin\") }"):
      "nothing was heard yet",
    Trap(
      "Sources/MeshEngine/Engine.swift",
      "precondition(datagram.count <= Limits.datagramBytes)"):
      "the outbox gives no more than fits; what is sent on came in a datagram with as many headers",
    Trap(
      "Sources/MeshEngine/Sending/Budget.swift",
      "precondition(perSecond > 0 && perSecond < 1 << 32 && burst > 0 && burst < 1 << 32)"):
      "rates are settings",
    Trap("Sources/MeshEngine/Sending/Budget.swift", "precondition(amount <= burst)"):
      "amounts are one, or the length of the longest datagram",
    Trap(
      "Sources/MeshEngine/Sending/Outbox.swift",
      "precondition(count > 0, \"a message is longer than a datagram\")"):
      "a message that is sent on is as long as it came, a head of the greatest age shorter than this",
    Trap(
      "Sources/MeshEngine/Engine+Writing.swift",
      "precondition(!chosen.isEmpty, \"a record is longer than a batch\")"):
      "the bounds of values add up to less, for those of a session that moved here too",
    Trap(
      "Sources/MeshEngine/Engine+Writing.swift",
      "preconditionFailure(\"a batch of this node is malformed\")"):
      "it was written from values that were checked or read",
    Trap(
      "Sources/MeshEngine/Engine+Writing.swift",
      "precondition(isSettled, \"an own shelf does not hash to its own claim\")"):
      "only own batches are joined there, and what a session brings from elsewhere is cut to the bounds",
    Trap(
      "Sources/MeshEngine/API/Configuration.swift",
      "precondition((1..<Limits.generationBound).contains(generation))"):
      "the generation is from the disk, or was read below the bound and raised by one below it",
    Trap(
      "Sources/MeshEngine2/Support/Budget.swift",
      "precondition(perSecond > 0 && perSecond < 1 << 32 && burst > 0 && burst < 1 << 32)"):
      "rates are settings",
    Trap(
      "Sources/MeshEngine2/Hosting/BatchWriter.swift",
      "precondition(count > 0, \"a record of this node is longer than a batch\")"):
      "the bounds of values add up to less, for those of a session that moved here too",
    Trap(
      "Sources/MeshEngine2/Hosting/CursorWriter.swift",
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
