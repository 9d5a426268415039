import Foundation
import MeshCRDT
import MeshCrypto
import Testing

@testable import MeshEngine

/// A file of vectors of behaviour: what a peer makes of what it gets.
enum BehaviourFile: String, CaseIterable {
  /// Beats and checkpoints with their times → ages.
  case ages
  /// Batches and checkpoints → versions, what is missing, roots.
  case logs
  /// Requests to compare → the answers.
  case comparing
  /// The records of several origins → the sessions that are shown.
  case reading
  /// Every datagram between a node and a peer that joins, publishes and leaves.
  case conversation

  static let isWriting = ProcessInfo.processInfo.environment["PRESENCEMESH_WRITE_VECTORS"] == "1"

  /// Real BLAKE2b, so that others can compute the same.
  static let hash = SodiumTreeHash()

  static let hashKey = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)

  private var url: URL {
    URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../Vectors/\(rawValue).json").standardizedFileURL
  }

  func stored() throws -> String { try String(contentsOf: url, encoding: .utf8) }

  func built() throws -> String {
    let cases: [Any] =
      switch self {
      case .ages: AgeVectors.cases()
      case .logs: try LogVectors.cases()
      case .comparing: try ComparingVectors.cases()
      case .reading: try ReadingVectors.cases()
      case .conversation: try ConversationVectors.cases()
      }
    // A case a line.
    let lines = try cases.map { one in
      let data = try JSONSerialization.data(
        withJSONObject: one, options: [.sortedKeys, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self)
    }
    return "[\n" + lines.joined(separator: ",\n") + "\n]\n"
  }

  func write() throws { try built().write(to: url, atomically: true, encoding: .utf8) }
}

/// The code gives what the files hold.
///
/// `PRESENCEMESH_WRITE_VECTORS=1 swift test --filter BehaviourVectorTests` writes the files anew.
/// `Vectors/check.py` computes their values once more from the text of the protocol.
@Suite("Vectors of behaviour", .serialized)
struct BehaviourVectorTests {
  @Test("The code behaves as the files tell", arguments: BehaviourFile.allCases)
  func agrees(_ file: BehaviourFile) throws {
    if BehaviourFile.isWriting { try file.write() }
    let isEqual = try file.built() == file.stored()
    #expect(isEqual, "\(file).json: PRESENCEMESH_WRITE_VECTORS=1 writes it anew")
  }
}

func hex(_ bytes: some Sequence<UInt8>) -> String { hexadecimal(bytes) }

func hex(_ words: UInt64...) -> String { hex(words.flatMap(\.bigEndianBytes)) }

func hex(_ hash: Hash256) -> String {
  hex(hash.high.high, hash.high.low, hash.low.high, hash.low.low)
}

func hex(_ incarnation: Incarnation) -> String {
  hex(incarnation.counter.bigEndianBytes[4...] + incarnation.nonce.bigEndianBytes)
}

func hex(_ origin: OriginID) -> String {
  hex(origin.word0, origin.word1, origin.word2, origin.word3)
}

func hex(_ session: SessionID) -> String { hex(session.high, session.low) }
