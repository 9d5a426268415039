import MeshCRDT
import MeshWire

/// Datagrams before they are opened and after, messages, signed bodies, values of records, and nodes
/// of trees.
///
/// What is read is written as the same bytes; what is refused leaves nothing to read.
enum WireTarget {
  static func test(_ input: [UInt8]) {
    guard let form = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch form {
    case 0: testDatagram(bytes)
    case 1: testOpened(bytes)
    case 2: testMessages(MessageReader(bytes), bytes)
    case 3: testNode(bytes)
    case 16..<(16 + 64): testValue(bytes, kind: form - 16)
    // One message, of which the kind and the length are right.
    case 0x80...0xFF:
      let kind = 1 + form & 0x7F % (MeshMessage.highestKind + 1)
      let count = bytes.count
      let message =
        [kind, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + bytes
      testMessages(MessageReader(message), message)
    default: break
    }
  }

  private static func testDatagram(_ bytes: [UInt8]) {
    _ = DatagramHeader.isProtocol1(bytes, tag: 0x0102_0304_0506_0708)
    guard let clear = try? DatagramHeader.Clear.read(bytes) else { return }
    check(bytes.count >= DatagramHeader.overheadBytes, "a short datagram was taken")
    check(bytes.count <= Limits.datagramBytes, "a long datagram was taken")
    var writer = ByteWriter()
    writer.byte(DatagramHeader.version)
    writer.uint64(clear.tag)
    writer.uint32(clear.epoch)
    check(bytes.starts(with: writer.take()), "a header of another form")
    testOpened(Array(bytes.dropFirst(DatagramHeader.clearBytes)))
  }

  private static func testOpened(_ bytes: [UInt8]) {
    guard let (header, messages) = try? DatagramHeader.Inner.read(opened: bytes) else { return }
    let written = DatagramHeader.assembled(
      DatagramHeader.Clear(tag: 0, epoch: 0), processNonce: (0, 0), header, messages: [])
    check(
      written.dropFirst(DatagramHeader.clearBytes) == bytes.prefix(DatagramHeader.innerBytes),
      "a sealed header of another form")
    let rest = Array(bytes.dropFirst(DatagramHeader.innerBytes))
    testMessages(messages, rest)
  }

  /// Reads messages to the end.
  private static func testMessages(_ messages: MessageReader, _ bytes: [UInt8]) {
    var reader = messages
    check(reader.remaining == bytes.count, "the reader has other bytes")
    while !reader.isAtEnd {
      let before = reader.remaining
      do {
        guard let message = try reader.next() else {
          check(reader.isAtEnd, "no message, and not the end")
          return
        }
        check(reader.remaining < before, "a message of no bytes")
        testMessage(message, behind: bytes.prefix(bytes.count - reader.remaining))
      } catch {
        check(reader.isAtEnd, "bytes are left behind a malformed message")
        return
      }
    }
  }

  private static func testMessage(_ message: MeshMessage, behind read: ArraySlice<UInt8>) {
    let encoded = message.encoded()
    check(read.suffix(encoded.count) == encoded[...], "message of another form: \(message)")
    if let bound = MeshMessage.byteBound(kind: message.kind) {
      // A signed body is measured where it is read.
      check(message.signed != nil || encoded.count <= bound, "message above its bound")
    }
    if let signed = message.signed { testSigned(signed) }
    if case .contradiction(let contradiction) = message {
      check(contradiction.signedBytes(mesh: [0]).count == 2, "a contradiction is two statements")
    }
  }

  private static func testSigned(_ signed: SignedMessage) {
    let body: [UInt8]?
    switch signed.kind {
    case .pathProof: body = (try? signed.read(PathProof.self))?.encoded()
    case .batch:
      let batch = try? signed.read(Batch.self)
      body = batch?.encoded()
      if let batch {
        check((try? Batch.Heading(of: signed)) == batch.heading, "another heading")
        check(
          Batch.prefix(
            of: batch.changes, room: batch.room, previous: batch.previous, first: batch.first)
            == batch.changes.count, "a batch that is read is one that fits")
      }
    case .checkpoint:
      let checkpoint = try? signed.read(Checkpoint.self)
      body = checkpoint?.encoded()
      if let checkpoint {
        check((try? Checkpoint.Position(of: signed)) == checkpoint.position, "another position")
        check(checkpoint.byteCount == body?.count, "a checkpoint of another size")
      }
    case .cursorFrame:
      let frame = try? signed.read(CursorFrame.self)
      body = frame?.encoded()
      if let frame {
        check(
          CursorFrame.prefix(of: frame.updates[...], room: frame.room) == frame.updates.count,
          "a frame that is read is one that fits")
      }
    }
    guard let body else { return }
    check(body == Array(signed.body), "body of another form: \(signed.kind)")
    check(
      (try? signed.signedBytes(mesh: [], hash: PlainHash())) != nil, "a body without a statement")
  }

  private static func testValue(_ bytes: [UInt8], kind: UInt8) {
    guard let kind = RecordKind(rawValue: kind) else { return }
    let isWellFormed = RecordValues.areWellFormed(bytes[...], kind: kind)
    let written: [UInt8]?
    switch kind {
    case .session: written = RecordValues.session(from: bytes[...]).map { RecordValues.bytes($0) }
    case .presence:
      let value = RecordValues.presence(from: bytes[...])
      written = value.map { RecordValues.bytes($0) }
      let entered = RecordValues.enteredCounter(ofPresence: bytes[...])
      let status = RecordValues.statusCounter(ofPresence: bytes[...])
      if let value {
        check(entered == value.enteredCounter, "another counter of entering")
        check(status == value.status?.counter, "another counter of the status")
      }
    case .cursor: written = RecordValues.cursor(from: bytes[...]).map { RecordValues.bytes($0) }
    case .removal: written = RecordValues.removal(from: bytes[...]).map { RecordValues.bytes($0) }
    case .subscription:
      written = RecordValues.subscription(from: bytes[...]).map {
        RecordValues.bytes(subscription: $0)
      }
    default: written = isWellFormed ? bytes : nil
    }
    let isReadable = written != nil
    if bytes.count <= RecordValues.byteBound {
      check(isReadable == isWellFormed, "what is well-formed can be read, and nothing else")
    } else {
      check(!isWellFormed, "a value above its bound")
    }
    if let written { check(written == bytes, "value of another form: \(kind)") }
    if kind == .session, let id = RecordValues.userID(ofSession: bytes[...]), isWellFormed {
      check(RecordValues.session(from: bytes[...])?.profile.userID == id, "another user")
    }
    if let key = EntryKey(bytes: bytes[...]) { check(key.bytes == bytes, "key of another form") }
  }

  /// A node of a tree, below a path that the first bytes give.
  private static func testNode(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let depth = input.below(TreePath.depthBound + 2)
    let bits = (0..<8).reduce(UInt64(0)) { word, _ in word << 8 | UInt64(input.byte()) }
    let shift = UInt64(max(0, 64 - 4 * depth))
    guard let path = TreePath(bits: shift < 64 ? (bits >> shift) << shift : 0, depth: depth) else {
      return
    }
    let content = input.rest()
    for child in HashTree.children(ofNode: content, at: path) {
      check(
        child.depth == min(depth + 1, TreePath.depthBound), "a child that is not below its node")
    }
    // What a tree takes for the whole of it is what it gives back.
    let hash = PlainHash()
    let nothing = HashTree(hashKey: HashKey(1, 2))
    var tree = HashTree(hashKey: HashKey(1, 2), missing: hash.hash128(content))
    guard case .filled = tree.fill(.top, with: content, base: nothing, hash) else { return }
    check(tree.content(at: .top) == content, "a node of another form")
    tree.visit { key, value in check(key.count + value.count <= content.count, "an entry outside") }
  }
}

/// A hash without cost, in which nobody looks for collisions.
struct PlainHash: TreeHash {
  func hash128(_ bytes: [UInt8]) -> Hash128 {
    Hash128(
      SipHash.hash(bytes, key: HashKey(1, 2)), SipHash.hash(bytes, key: HashKey(3, 4)))
  }

  func hash256(_ bytes: [UInt8]) -> Hash256 {
    Hash256(
      hash128(bytes),
      Hash128(SipHash.hash(bytes, key: HashKey(5, 6)), SipHash.hash(bytes, key: HashKey(7, 8))))
  }
}
