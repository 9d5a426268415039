import Foundation
import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// The files of test vectors, from the code to the bytes and from the bytes to the code.
///
/// `PRESENCEMESH_WRITE_VECTORS=1 swift test --filter MeshWireTests.VectorTests` writes the files
/// anew; the next build carries them. `Vectors/check.py` computes their values once more without
/// this code.
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

  @Test("Records read as told and write the same bytes", .disabled(if: isWriting))
  func recordsRead() throws {
    // As the one record of a batch.
    for item in try Self.items(.records) {
      let bytes = try item.bytes("encoded")
      let room = try #require(RoomName(item.text("log")))
      let heading = Batch(
        incarnation: Fixture.incarnation, room: room, previous: 0,
        first: try item.number("version"), changes: [])
      // The number of records is the last byte of a heading.
      let body = heading.encoded().dropLast() + [1] + bytes
      let front = [UInt8](repeating: 0, count: SignedMessage.overheadBytes)
      let batch = try SignedMessage(kind: .batch, bytes: front + body).read(Batch.self)
      let change = try #require(batch.changes.first)
      #expect(change.described == (try item["record"]))
      #expect(change.encoded == bytes && change.byteCount == bytes.count)
      #expect(try change.key.bytes == item.bytes("tree_key"))
      guard let value = change.value else { continue }
      #expect(try Array(value) == item.bytes("value_bytes"))
      let stored = try #require(StoredRecord(bytes: item.bytes("tree_value")[...]))
      #expect(
        stored
          == StoredRecord(version: batch.first, counter: change.counter, value: value[...]))
    }
  }

  @Test("Messages read as told, write the same bytes, and are signed", .disabled(if: isWriting))
  func messagesRead() throws {
    let fixture = try Fixture()
    var kinds: Set<UInt8> = []
    for item in try Self.items(.messages) {
      let bytes = try item.bytes("encoded")
      let message = try #require(try Reading.message(bytes))
      kinds.insert(message.kind)
      #expect(try UInt64(message.kind) == item.number("kind"))
      #expect(try message.described() == item["message"])
      #expect(message.encoded() == bytes)
      if message.kind == 11 { #expect(try fixture.isSigned(message)) }
      guard let signed = message.signed else { continue }
      let told = try item["signed"]
      #expect(try Reading.rewritten(signed) == Array(signed.body))
      #expect(try signed.origin.bytes == told.bytes("origin"))
      #expect(try signed.statement(hash: Fixture.hash) == told.bytes("statement"))
      #expect(
        try signed.signedBytes(mesh: fixture.mesh.bytes, hash: Fixture.hash)
          == told.bytes("signed_bytes"))
      #expect(try Array(signed.signature) == told.bytes("signature"))
      #expect(try fixture.isSigned(message))
    }
    #expect(kinds == Set(Reading.kinds))
  }

  @Test("The entries of a tree give its root, whatever their order", .disabled(if: isWriting))
  func treesFollow() throws {
    let fixture = try Fixture()
    for item in try Self.items(.trees) {
      for isReversed in [false, true] {
        var tree = HashTree(hashKey: fixture.mesh.hashKey)
        let entries = try item.list("entries")
        for entry in isReversed ? entries.reversed() : entries {
          tree.set(try entry.bytes("key"), to: try entry.bytes("value"))
        }
        #expect(try tree.hash(Fixture.hash).bytes == item.bytes("hash"))
        #expect(try tree.root(Fixture.hash).bytes == item.bytes("root"))
      }
    }
  }

  @Test(
    "The checkpoints sign the root of the tree of rooms, and beats of the chain",
    .disabled(if: isWriting))
  func filesAgree() throws {
    let rooms = try #require(
      try Self.items(.trees).first { try $0.text("name") == "rooms of an origin" })
    let chain = try VectorFile.heartbeats.stored()
    let beats = try chain.list("beats")
    var checked = 0
    for item in try Self.items(.messages) where try item.number("kind") == 4 {
      let body = try item["message"]["body"]
      #expect(try body["root"] == rooms["root"])
      let told = try #require(try beats.first { try $0["index"] == body["beat"] })
      #expect(try body["value"] == told["value"])
      checked += 1
    }
    for item in try Self.items(.messages) where try item.text("name") == "beats" {
      guard case .list(let sent) = try item["message"] else {
        throw JSON.Problem.wrongType("beats")
      }
      for beat in sent {
        let told = try #require(try beats.first { try $0["index"] == beat["index"] })
        #expect(try told["value"] == beat["value"])
        checked += 1
      }
    }
    #expect(checked == 6)
  }

  @Test(
    "Datagrams open with the keys of their epochs, and hold the messages that they name",
    .disabled(if: isWriting))
  func datagramsOpen() throws {
    let fixture = try Fixture()
    let messages = try Self.items(.messages)
    for item in try Self.items(.datagrams) {
      let sealed = try item.bytes("sealed")
      let clear = try DatagramHeader.Clear.read(sealed)
      #expect(clear.tag == fixture.mesh.tag)
      #expect(try UInt64(clear.epoch) == item.number("epoch"))
      let opened = try #require(fixture.alice.open(sealed, epoch: clear.epoch))
      #expect(try opened == item.bytes("opened"))
      var (header, reader) = try DatagramHeader.Inner.read(opened: opened)
      #expect(try header.sender.bytes == item.bytes("sender"))
      #expect(try header.incarnation.bytes == item.bytes("incarnation"))
      #expect(try header.counter == item.number("counter"))
      #expect(try item["echo"] == .hex(header.echo))
      let expected = try item.list("messages").map { name in
        try #require(try messages.first { try $0["name"] == name }).bytes("encoded")
      }
      #expect(try Reading.messages(&reader).map { $0.encoded() } == expected)
    }
  }

  @Test("What must be refused is refused, for its reason", .disabled(if: isWriting))
  func rejectsAreRefused() throws {
    let fixture = try Fixture()
    var forms: Set<String> = []
    var reasons: Set<String> = []
    for item in try Self.items(.rejects) {
      let form = try #require(Reject.Form(rawValue: item.text("form")))
      forms.insert(form.rawValue)
      let reason = Reject.reason(form: form, bytes: try item.bytes("bytes"), fixture: fixture)
      let name = try item.text("name")
      #expect(try reason == item.text("reason"), "\(name)")
      reasons.insert(String((reason ?? "").prefix { $0 != "(" }))
    }
    #expect(forms.count == Reject.Form.allCases.count)
    #expect(
      reasons == [
        "truncated", "trailingBytes", "notCanonical", "outOfBounds", "malformedText",
        "unknownKind", "doesNotFit", "otherMesh", "notAuthentic", "wrongSignature",
      ])
  }
}
