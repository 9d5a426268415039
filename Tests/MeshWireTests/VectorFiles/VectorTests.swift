import Foundation
import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// The files of test vectors, from the code to the bytes and from the bytes to the code.
///
/// `PRESENCEMESH_WRITE_VECTORS=1 swift test --filter VectorTests` writes the files anew; the next
/// build carries them.
@Suite("Test vectors", .serialized)
struct VectorTests {
  static let isWriting = ProcessInfo.processInfo.environment["PRESENCEMESH_WRITE_VECTORS"] == "1"

  /// The list that a file is.
  static func items(_ file: VectorFile) throws -> [JSON] {
    guard case .list(let items) = try file.stored() else { throw JSON.Problem.wrongType("list") }
    return items
  }

  @Test("The code builds what the files hold", arguments: VectorFile.allCases)
  func codeBuildsTheFiles(_ file: VectorFile) throws {
    if Self.isWriting {
      try file.write()
    } else {
      #expect(try file.built() == file.stored(), "\(file).json")
    }
  }

  @Test("Keys, ids and tags follow from the seeds", .disabled(if: isWriting))
  func keysFollow() throws {
    let file = try VectorFile.keys.stored()
    let mesh = try #require(MeshID(bytes: file.bytes("mesh_id")))
    #expect(try file["mesh_tag"] == .hex(mesh.tag))
    for node in try file.list("nodes") {
      let key = NodeKey(seed: SecretBytes(try node.bytes("seed")))
      #expect(try key.origin.bytes == node.bytes("origin"))
    }
    for room in try file.list("rooms") {
      let name = try #require(RoomName(room.text("name")))
      #expect(try Array(name.text.utf8) == room.bytes("name_bytes"))
      #expect(try room["id"] == .hex(RoomID(name, key: mesh.hashKey).bits))
    }
  }

  @Test(
    "Records read as told, write the same bytes, and have their hashes", .disabled(if: isWriting))
  func recordsRead() throws {
    let fixture = try Fixture()
    let claims = try VectorFile.hashes.stored().list("claims")
    var live: [String: (count: UInt64, hash: UInt64)] = [:]
    for item in try Self.items(.records) {
      let bytes = try item.bytes("encoded")
      var reader = ByteReader(bytes)
      let shelf = try item.text("shelf")
      let room = try #require(RoomName(shelf))
      let (record, range) = try Record.read(from: &reader, in: room)
      try reader.finish()
      #expect(try record.described == item["record"])
      #expect(record.encoded == bytes)
      #expect(try Array(bytes[range]) == item.bytes("value_bytes"))
      let cell = try fixture.cell(bytes, in: room, version: item.number("version")).cell
      let claim = try #require(try claims.first { try $0.text("shelf") == shelf })["claim"]
      #expect(try item["hash"] == .hex(cell.hash))
      if try !cell.isTombstone && cell.version <= claim.number("version") {
        let sums = live[shelf] ?? (0, 0)
        live[shelf] = (sums.count + 1, sums.hash &+ cell.hash)
      }
    }
    // Up to there, no record of the file replaces another.
    #expect(claims.count == live.count)
    for item in claims {
      let sums = try #require(live[try item.text("shelf")])
      #expect(try item["claim"].number("live_count") == sums.count)
      #expect(try item["claim"]["live_hash"] == .hex(sums.hash))
    }
  }

  @Test("Messages read as told, write the same bytes, and are signed", .disabled(if: isWriting))
  func messagesRead() throws {
    let fixture = try Fixture()
    let verifier = Verifier(mesh: fixture.mesh, crypto: fixture.bob)
    var kinds: Set<UInt8> = []
    for item in try Self.items(.messages) {
      let bytes = try item.bytes("encoded")
      let message = try #require(try Reading.message(bytes))
      kinds.insert(message.kind)
      #expect(try UInt64(message.kind) == item.number("kind"))
      #expect(try message.described() == item["message"])
      #expect(message.encoded() == bytes)
      guard let envelope = message.envelope else { continue }
      let signed = try item["signed"]
      #expect(try Reading.rewritten(envelope) == envelope.bodyBytes)
      #expect(try envelope.origin.bytes == signed.bytes("origin"))
      #expect(try envelope.signedBytes(mesh: fixture.mesh.bytes) == signed.bytes("signed_bytes"))
      #expect(try Array(envelope.signature) == signed.bytes("signature"))
      #expect(VerifiedTests.isBelieved(envelope, by: verifier))
      let signer = [fixture.alice, fixture.bob].first { $0.origin == envelope.origin }
      #expect(try signer?.sign(signed.bytes("signed_bytes")) == Array(envelope.signature))
    }
    #expect(kinds == Set(Reading.kinds))
  }

  @Test(
    "Datagrams open with the keys of their epochs, and seal to the same bytes",
    .disabled(if: isWriting))
  func datagramsOpen() throws {
    let fixture = try Fixture()
    let messages = try Self.items(.messages)
    let keys = try VectorFile.keys.stored().list("mesh_keys")
    for item in try Self.items(.datagrams) {
      let sealed = try item.bytes("sealed")
      let outer = try OuterHeader.read(sealed)
      #expect(outer.tag == fixture.mesh.tag)
      #expect(try UInt64(outer.epoch) == item.number("epoch"))
      let inner = try #require(fixture.alice.open(sealed, epoch: outer.epoch))
      #expect(try inner == item.bytes("opened"))
      var reader = ByteReader(inner)
      let header = try InnerHeader.read(&reader)
      #expect(try header.sender.bytes == item.bytes("sender"))
      #expect(try header.generation == item.number("generation"))
      #expect(try header.counter == item.number("counter"))
      #expect(try item["echo"] == .hex(header.echo))
      let expected = try item.list("messages").map { name in
        try #require(try messages.first { try $0["name"] == name }).bytes("encoded")
      }
      #expect(try Reading.messages(&reader).map { $0.encoded() } == expected)
      // A node that has this key alone makes the same datagram.
      let key = try #require(try keys.first { try $0["epoch"] == item["epoch"] })
      let crypto = SodiumCrypto(
        node: .random(),
        keyring: MeshKeyring(epoch: outer.epoch, key: SecretBytes(try key.bytes("key"))))
      #expect(
        VectorFile.sealed(
          inner, nonce: try item.bytes("nonce"), by: crypto, mesh: fixture.mesh) == sealed)
    }
  }

  @Test("What must be refused is refused, for its reason", .disabled(if: isWriting))
  func rejectsAreRefused() throws {
    let fixture = try Fixture()
    var forms: Set<String> = []
    for item in try Self.items(.rejects) {
      let form = try #require(Reject.Form(rawValue: item.text("form")))
      forms.insert(form.rawValue)
      let reason = Reject.reason(form: form, bytes: try item.bytes("bytes"), fixture: fixture)
      let name = try item.text("name")
      #expect(try reason == item.text("reason"), "\(name)")
    }
    #expect(forms.count == Reject.Form.allCases.count)
  }
}
