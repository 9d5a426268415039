import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// Byte strings that must be refused, and why.
struct Reject {
  /// What the bytes come as.
  enum Form: String, CaseIterable {
    /// A message with its header; the body of a signed one is read, its signature is not verified.
    case message
    /// A datagram, of which the clear header is read.
    case datagram
    /// The opened part of a datagram, of which the header and the messages are read.
    case opened
    /// A datagram that is opened with the keys of keys.json.
    case sealed
    /// A message whose signatures are verified for the mesh of keys.json.
    case signed
  }

  let name: String
  let form: Form
  let bytes: [UInt8]
  let reason: String

  init(_ name: String, _ form: Form, _ bytes: [UInt8], _ reason: String) {
    self.name = name
    self.form = form
    self.bytes = bytes
    self.reason = reason
  }

  init(_ name: String, _ bytes: [UInt8], _ error: WireError, as form: Form = .message) {
    self.init(name, form, bytes, "\(error)")
  }

  /// Why some bytes are refused; `nil` when they are not.
  static func reason(form: Form, bytes: [UInt8], fixture: Fixture) -> String? {
    do throws(WireError) {
      switch form {
      case .message: _ = try Reading.message(bytes)
      case .datagram: _ = try DatagramHeader.Clear.read(bytes)
      case .opened:
        var messages = try DatagramHeader.Inner.read(opened: bytes).messages
        _ = try Reading.messages(&messages)
      case .sealed:
        let header = try DatagramHeader.Clear.read(bytes)
        if header.tag != fixture.mesh.tag { return "otherMesh" }
        return fixture.alice.open(bytes, epoch: header.epoch) == nil ? "notAuthentic" : nil
      case .signed:
        guard let message = try Reading.message(bytes) else { return "notSigned" }
        return try fixture.isSigned(message) ? nil : "wrongSignature"
      }
      return nil
    } catch {
      return "\(error)"
    }
  }
}

extension Fixture {
  /// True when all signatures of a message are its origin's.
  func isSigned(_ message: MeshMessage) throws(WireError) -> Bool {
    if case .contradiction(let contradiction) = message {
      return contradiction.signedBytes(mesh: mesh.bytes).allSatisfy {
        bob.verify($0.bytes, signature: $0.signature, by: contradiction.origin)
      }
    }
    guard let signed = message.signed else { return false }
    let bytes = try signed.signedBytes(mesh: mesh.bytes, hash: Fixture.hash)
    return bob.verify(bytes, signature: signed.signature, by: signed.origin)
  }
}

extension VectorFile {
  static func rejects(_ fixture: Fixture) throws -> JSON {
    let all =
      recordRejects() + signedRejects() + messageRejects(fixture)
      + (try datagramRejects(fixture)) + (try forgeries(fixture))
    return .list(
      all.map {
        .object([
          "name": .text($0.name), "form": .text($0.form.rawValue), "bytes": .hex($0.bytes),
          "reason": .text($0.reason),
        ])
      })
  }

  private static func datagramRejects(_ fixture: Fixture) throws -> [Reject] {
    func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    let header = DatagramHeader.Inner(
      sender: fixture.alice.origin, incarnation: Fixture.incarnation, counter: 1, echo: 0)
    let datagram = assembled(header, [], by: fixture.alice, mesh: fixture.mesh)
    let inner = Array(datagram[DatagramHeader.clearBytes...])
    var sealed = datagram
    fixture.alice.seal(&sealed)
    func changed(_ index: Int) -> [UInt8] {
      var bytes = sealed
      bytes[index] ^= 1
      return bytes
    }
    let sender = fixture.alice.origin.bytes
    return [
      Reject(
        "a short datagram", [2] + zeros(DatagramHeader.overheadBytes - 2), .truncated,
        as: .datagram),
      Reject(
        "a long datagram", [2] + zeros(Limits.datagramBytes),
        .doesNotFit(needed: Limits.datagramBytes + 1, available: Limits.datagramBytes),
        as: .datagram),
      Reject(
        "a datagram of protocol 1", [1] + zeros(DatagramHeader.overheadBytes), .unknownKind(1),
        as: .datagram),
      Reject(
        "a sender without an incarnation", sender + zeros(28), .outOfBounds, as: .opened),
      Reject(
        "a datagram counter of 0", sender + Fixture.incarnation.bytes + zeros(16), .outOfBounds,
        as: .opened),
      Reject("half an inner header", sender, .truncated, as: .opened),
      Reject("half a message", inner + [1, 0], .truncated, as: .opened),
      Reject("another mesh", .sealed, changed(1), "otherMesh"),
      Reject("a changed epoch", .sealed, changed(12), "notAuthentic"),
      Reject("a changed nonce", .sealed, changed(13), "notAuthentic"),
      Reject("a changed word", .sealed, changed(DatagramHeader.clearBytes), "notAuthentic"),
      Reject("a changed authenticator", .sealed, changed(sealed.count - 1), "notAuthentic"),
      Reject("one byte more", .sealed, sealed + [0], "notAuthentic"),
    ]
  }

  private static func forgeries(_ fixture: Fixture) throws -> [Reject] {
    let messages = try fixture.messages()
    func encoded(_ name: String) throws -> [UInt8] {
      guard let found = messages.first(where: { $0.name == name }) else {
        throw JSON.Problem.missing(name)
      }
      return found.message.encoded()
    }
    func changed(_ name: String, at index: Int) throws -> [UInt8] {
      var bytes = try encoded(name)
      bytes[index < 0 ? bytes.count + index : index] ^= 1
      return bytes
    }
    let checkpoint = try fixture.checkpoint()
    // The same bytes of body, signed as a whole: the statement is another one.
    let whole = StatementKind.checkpoint.signedBytes(
      mesh: fixture.mesh.bytes, origin: fixture.alice.origin, statement: checkpoint.body)
    let otherMesh = StatementKind.checkpoint.signedBytes(
      mesh: [UInt8](repeating: 0, count: 16), origin: fixture.alice.origin,
      statement: try checkpoint.statement(hash: Fixture.hash)[...])
    func resigned(_ bytes: [UInt8], by crypto: SodiumCrypto) throws -> [UInt8] {
      guard
        let message = SignedMessage(
          kind: .checkpoint, origin: fixture.alice.origin, signature: crypto.sign(bytes),
          body: Array(checkpoint.body))
      else { throw JSON.Problem.missing("signature") }
      return MeshMessage.checkpoint(ageMilliseconds: 0, message).encoded()
    }
    let signed = try checkpoint.signedBytes(mesh: fixture.mesh.bytes, hash: Fixture.hash)
    return try [
      Reject("a changed signature", .signed, changed("batch", at: 40), "wrongSignature"),
      Reject("a changed origin", .signed, changed("batch", at: 3), "wrongSignature"),
      Reject("a changed heading of a batch", .signed, changed("batch", at: 110), "wrongSignature"),
      Reject("a changed record of a batch", .signed, changed("batch", at: -8), "wrongSignature"),
      Reject("a changed root", .signed, changed("checkpoint", at: 120), "wrongSignature"),
      Reject(
        "a changed room of a checkpoint", .signed, changed("checkpoint", at: -2), "wrongSignature"),
      Reject("a changed cursor", .signed, changed("cursor frame", at: -1), "wrongSignature"),
      Reject("a changed path proof", .signed, changed("path proof", at: -2), "wrongSignature"),
      Reject(
        "a changed signature of a contradiction", .signed,
        changed("contradiction of batches", at: -1), "wrongSignature"),
      Reject(
        "a checkpoint that signs its whole body", .signed, resigned(whole, by: fixture.alice),
        "wrongSignature"),
      Reject(
        "a checkpoint of another mesh", .signed, resigned(otherMesh, by: fixture.alice),
        "wrongSignature"),
      Reject(
        "a checkpoint by another node", .signed, resigned(signed, by: fixture.bob),
        "wrongSignature"),
    ]
  }
}
