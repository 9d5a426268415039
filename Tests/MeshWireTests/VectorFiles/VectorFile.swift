import Foundation
import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// A file of test vectors, by its name. A peer in another language can be tested against them.
enum VectorFile: String, CaseIterable {
  case keys
  case records
  case messages
  case trees
  case heartbeats
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
    return switch self {
    case .keys: Self.keys(fixture)
    case .records: Self.records()
    case .messages: try Self.messages(fixture)
    case .trees: Self.trees(fixture)
    case .heartbeats: Self.heartbeats(fixture)
    case .datagrams: try Self.datagrams(fixture)
    case .rejects: try Self.rejects(fixture)
    }
  }
}

extension VectorFile {
  private static func keys(_ fixture: Fixture) -> JSON {
    .object([
      "mesh_id": .hex(fixture.mesh.bytes),
      "mesh_tag": .hex(fixture.mesh.tag),
      "mesh_keys": .list(
        Fixture.keys.map { .object(["epoch": .number(UInt64($0.epoch)), "key": .hex($0.key)]) }),
      "nodes": .list(
        zip(Fixture.seeds, [fixture.alice, fixture.bob]).map { node, crypto in
          .object([
            "name": .text(node.name), "seed": .hex(node.seed),
            "origin": .hex(crypto.origin.bytes),
          ])
        }),
    ])
  }

  private static func records() -> JSON {
    .list(
      Fixture.written.map { item in
        let value = item.change.value
        let stored = value.map {
          StoredRecord(version: item.version, counter: item.change.counter, value: $0[...]).bytes
        }
        return .object([
          "name": .text(item.name), "log": .text(item.log.text), "version": .number(item.version),
          "record": item.change.described, "encoded": .hex(item.change.encoded),
          "value_bytes": value.map { .hex($0) } ?? .null,
          "tree_key": .hex(item.change.key.bytes),
          "tree_value": stored.map { .hex($0) } ?? .null,
        ])
      })
  }

  private static func messages(_ fixture: Fixture) throws -> JSON {
    .list(
      try fixture.messages().map { name, message in
        var fields: [String: JSON] = [
          "name": .text(name), "kind": .number(UInt64(message.kind)),
          "message": try message.described(), "encoded": .hex(message.encoded()),
        ]
        if let signed = message.signed {
          fields["signed"] = .object([
            "origin": .hex(signed.origin.bytes),
            "statement": .hex(try signed.statement(hash: Fixture.hash)),
            "signed_bytes": .hex(
              try signed.signedBytes(mesh: fixture.mesh.bytes, hash: Fixture.hash)),
            "signature": .hex(signed.signature),
          ])
        }
        return .object(fields)
      })
  }

  private static func heartbeats(_ fixture: Fixture) -> JSON {
    let chain = fixture.chain
    return .object([
      "origin": .hex(fixture.alice.origin.bytes), "incarnation": .hex(Fixture.incarnation.bytes),
      "seed": .hex(Fixture.chainSeed), "anchor": .hex(chain[0]),
      "beats": .list(
        [0, 1, 2, 17, 1000, 4094, 4095].map {
          .object(["index": .number(UInt64($0)), "value": .hex(chain[$0])])
        }),
    ])
  }

  /// The messages of each datagram, by their names in messages.json.
  private static let contents: [(name: String, isFromAlice: Bool, messages: [String])] = [
    ("a challenge", false, ["challenge"]),
    ("a path proof and a probe", false, ["path proof", "probe"]),
    ("a checkpoint and beats", true, ["checkpoint", "beats"]),
    ("no message", true, []),
  ]

  private static func datagrams(_ fixture: Fixture) throws -> JSON {
    let messages = try fixture.messages()
    return .list(
      contents.enumerated().map { index, content in
        let crypto = content.isFromAlice ? fixture.alice : fixture.bob
        let header = DatagramHeader.Inner(
          sender: crypto.origin,
          incarnation: content.isFromAlice ? Fixture.incarnation : Fields.incarnation(1, 0x22),
          counter: UInt64(index) + 1, echo: index == 0 ? 0 : 0x1122_3344_5566_7788)
        let named = content.messages.flatMap { name in messages.filter { $0.name == name } }
        let datagram = assembled(
          header, named.flatMap { $0.message.encoded() }, by: crypto, mesh: fixture.mesh)
        var sealed = datagram
        crypto.seal(&sealed)
        return .object([
          "name": .text(content.name),
          "epoch": .number(UInt64(crypto.newestEpoch)),
          "nonce": .hex(datagram[13..<DatagramHeader.clearBytes]),
          "sender": .hex(header.sender.bytes),
          "incarnation": .hex(header.incarnation.bytes),
          "counter": .number(header.counter),
          "echo": .hex(header.echo),
          "messages": .list(content.messages.map { .text($0) }),
          "opened": .hex(datagram[DatagramHeader.clearBytes...]),
          "sealed": .hex(sealed),
        ])
      })
  }

  /// A datagram of some messages before it is sealed.
  static func assembled(
    _ header: DatagramHeader.Inner, _ messages: [UInt8], by crypto: SodiumCrypto, mesh: MeshID
  ) -> [UInt8] {
    DatagramHeader.assembled(
      DatagramHeader.Clear(tag: mesh.tag, epoch: crypto.newestEpoch),
      processNonce: (0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F), header, messages: messages)
  }
}
