import Foundation
import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// A file of test vectors, by its name. A peer in another language can be tested against them.
enum VectorFile: String, CaseIterable {
  case keys
  case records
  case hashes
  case messages
  case datagrams
  case rejects

  /// The file as the tests carry it.
  func stored() throws -> JSON {
    guard
      let url = Bundle.module.url(
        forResource: rawValue, withExtension: "json", subdirectory: "Vectors")
    else { throw JSON.Problem.missing("\(rawValue).json") }
    return try JSONDecoder().decode(JSON.self, from: Data(contentsOf: url))
  }

  /// Writes what the code builds into the sources.
  func write() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Vectors")
    let data = try encoder.encode(built()) + Data("\n".utf8)
    try data.write(to: folder.appending(path: "\(rawValue).json"))
  }

  /// What the code builds.
  func built() throws -> JSON {
    let fixture = try Fixture()
    switch self {
    case .keys: return Self.keys(fixture)
    case .records: return try Self.records(fixture)
    case .hashes: return try Self.hashes(fixture)
    case .messages: return try Self.messages(fixture)
    case .datagrams: return try Self.datagrams(fixture)
    case .rejects: return try Self.rejects(fixture)
    }
  }
}

extension VectorFile {
  private static func keys(_ fixture: Fixture) -> JSON {
    let nodes = zip(Fixture.seeds, [fixture.alice, fixture.bob]).map { node, crypto in
      JSON.object([
        "name": .text(node.name), "seed": .hex(node.seed), "origin": .hex(crypto.origin.bytes),
      ])
    }
    let rooms = Fixture.roomNames.compactMap { RoomName($0) }.map { room in
      JSON.object([
        "name": .text(room.text), "name_bytes": .hex(room.text.utf8),
        "id": .hex(RoomID(room, key: fixture.mesh.hashKey).bits),
      ])
    }
    let colours = ["", "u-1", "alice", "語"].map { user in
      JSON.object(["user_id": .text(user), "colour": .text(Colour(forUser: user).description)])
    }
    return .object([
      "mesh_id": .hex(fixture.mesh.bytes),
      "mesh_tag": .hex(fixture.mesh.tag),
      "mesh_keys": .list(
        Fixture.keys.map { .object(["epoch": .number(UInt64($0.epoch)), "key": .hex($0.key)]) }),
      "nodes": .list(nodes),
      "rooms": .list(rooms),
      "colours": .list(colours),
    ])
  }

  private static func records(_ fixture: Fixture) throws -> JSON {
    .list(
      try fixture.versions.map { item in
        let encoded = item.record.encoded
        let (_, cell) = try fixture.cell(
          encoded, in: item.record.shelf, version: item.version)
        return .object([
          "name": .text(item.name), "record": item.record.described,
          "encoded": .hex(encoded), "value_bytes": .hex(cell.value),
          "shelf": .text(item.record.shelf.text), "version": .number(item.version),
          "hash": .hex(cell.hash),
        ])
      })
  }

  private static func hashes(_ fixture: Fixture) throws -> JSON {
    let key = fixture.mesh.hashKey
    let texts = ["", "a", "PresenceMesh", "PresenceMesh tag"].map { text in
      JSON.object([
        "input": .hex(text.utf8), "hash": .hex(SipHash.hash(Array(text.utf8), key: key)),
      ])
    }
    let entries = try fixture.digestEntries().map { entry in
      JSON.object([
        "entry": entry.described, "hash": .hex(entry.hash(key: key)),
        "bucket": .number(UInt64(Digest.bucket(of: entry.shelf))),
      ])
    }
    let digest = try fixture.digest()
    return .object([
      "siphash": .list(texts),
      // After the records of a shelf in records.json up to its version.
      "claims": .list(
        try fixture.shelves.map { room in
          .object(["shelf": .text(room.text), "claim": try fixture.claim(room).described])
        }),
      "entries": .list(entries),
      "digest": .list(digest.buckets.map { .hex($0) }),
      "state_hash": .hex(digest.stateHash(key: key)),
      "empty_state_hash": .hex(Digest().stateHash(key: key)),
    ])
  }

  private static func messages(_ fixture: Fixture) throws -> JSON {
    .list(
      try fixture.messages().map { name, message in
        var fields: [String: JSON] = [
          "name": .text(name), "kind": .number(UInt64(message.kind)),
          "message": try message.described(), "encoded": .hex(message.encoded()),
        ]
        if let envelope = message.envelope {
          fields["signed"] = .object([
            "origin": .hex(envelope.origin.bytes),
            "signed_bytes": .hex(envelope.signedBytes(mesh: fixture.mesh.bytes)),
            "signature": .hex(envelope.signature),
          ])
        }
        return .object(fields)
      })
  }

  /// The messages of each datagram, by their names in messages.json.
  private static let contents: [(name: String, isFromAlice: Bool, messages: [String])] = [
    ("a challenge", false, ["challenge"]),
    ("a batch and a head", true, ["head", "batch"]),
    (
      "small messages", true,
      ["digest", "entries", "pull", "end of an answer to a pull", "query of heads"]
    ),
    ("no message", false, []),
  ]

  private static func datagrams(_ fixture: Fixture) throws -> JSON {
    let messages = try fixture.messages()
    return .list(
      contents.enumerated().map { index, content in
        let crypto = content.isFromAlice ? fixture.alice : fixture.bob
        let nonce = (0..<DatagramLayout.nonceBytes).map { UInt8($0 + 16 * index) }
        let header = InnerHeader(
          sender: crypto.origin, generation: content.isFromAlice ? Fixture.generation : 1,
          counter: UInt64(index) + 1, echo: index == 0 ? 0 : 0x1122_3344_5566_7788)
        var writer = ByteWriter()
        header.write(to: &writer)
        for name in content.messages {
          for item in messages where item.name == name { writer.raw(item.message.encoded()) }
        }
        return .object([
          "name": .text(content.name),
          "epoch": .number(UInt64(crypto.sealingEpoch)),
          "nonce": .hex(nonce),
          "sender": .hex(header.sender.bytes),
          "generation": .number(header.generation),
          "counter": .number(header.counter),
          "echo": .hex(header.echo),
          "messages": .list(content.messages.map { .text($0) }),
          "opened": .hex(writer.bytes),
          "sealed": .hex(sealed(writer.bytes, nonce: nonce, by: crypto, mesh: fixture.mesh)),
        ])
      })
  }

  /// The datagram of some inner bytes.
  static func sealed(
    _ inner: [UInt8], nonce: [UInt8], by crypto: SodiumCrypto, mesh: MeshID
  ) -> [UInt8] {
    var writer = ByteWriter()
    OuterHeader(tag: mesh.tag, epoch: crypto.sealingEpoch).write(to: &writer)
    writer.raw(nonce)
    writer.raw(inner)
    var datagram = writer.bytes
    crypto.seal(&datagram)
    return datagram
  }
}
