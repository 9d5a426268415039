/// What one origin says in one room: the records that live, at a version.
package struct RoomLog: Sendable {
  /// The version of the last record that was written here; 0: nothing was, as far as is known.
  package internal(set) var version: UInt64 = 0
  /// All records up to ``version``.
  package internal(set) var tree: HashTree
  /// The records at the last complete checkpoint.
  package internal(set) var complete: HashTree
  /// The version of the log there; 0: it was empty.
  var completeVersion: UInt64 = 0

  init(hashKey: HashKey) {
    tree = HashTree(hashKey: hashKey)
    complete = tree
  }

  /// A log as a complete checkpoint has it.
  init(version: UInt64, _ tree: HashTree) {
    (self.version, completeVersion) = (version, version)
    (self.tree, complete) = (tree, tree)
  }

  /// Notes that the log stands in a complete checkpoint as it is.
  mutating func keepComplete() { (complete, completeVersion) = (tree, version) }

  /// Notes how the log stands in a complete checkpoint, which has less of it; `nil`: it is empty there.
  mutating func keepComplete(_ log: RoomLog?) {
    complete = log?.tree ?? HashTree(hashKey: tree.hashKey)
    completeVersion = log?.version ?? 0
  }

  /// Goes back to the complete checkpoint.
  mutating func revert() { (tree, version) = (complete, completeVersion) }

  /// What a tree of rooms says of the log; `nil`: nothing lives in it. Cost: as of ``HashTree/hash(_:)``.
  mutating func entry(_ hash: some TreeHash) -> RoomEntry? {
    guard !tree.isEmpty else { return nil }
    return RoomEntry(version: version, count: UInt64(tree.count), hash: tree.hash(hash))
  }

  /// The record of a key. Cost: one look-up in the tree.
  package subscript(key: EntryKey) -> StoredRecord? { tree[key] }
}

extension HashTree {
  /// The record of a key, in a tree of records.
  subscript(key: EntryKey) -> StoredRecord? {
    key.withBytes { value(of: $0) }.flatMap(StoredRecord.init(bytes:))
  }
}

/// What the tree of an origin's rooms says of a room.
///
/// Layout of ``bytes``: version and number of records as varints, then the hash of the tree of records.
package struct RoomEntry: Hashable, Sendable {
  package let version: UInt64
  package let count: UInt64
  package let hash: Hash128

  package init(version: UInt64, count: UInt64, hash: Hash128) {
    self.version = version
    self.count = count
    self.hash = hash
  }

  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(30)
    Varint.append(version, to: &bytes)
    Varint.append(count, to: &bytes)
    withUnsafeBytes(of: hash.high.bigEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: hash.low.bigEndian) { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Reads ``bytes``; `nil` when they are not those of an entry, or the room would be empty.
  package init?(bytes: ArraySlice<UInt8>) {
    var rest = bytes
    guard let version = Varint.take(from: &rest), let count = Varint.take(from: &rest),
      version > 0, count > 0, rest.count == Hash128.byteCount
    else { return nil }
    func word(_ slice: ArraySlice<UInt8>) -> UInt64 { slice.reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(
      version: version, count: count, hash: Hash128(word(rest.prefix(8)), word(rest.suffix(8))))
    guard hash != .empty else { return nil }
  }

  /// The key of a room in the tree of rooms: a byte, so that the lobby has a key, and the name.
  package static func key(_ room: RoomName) -> [UInt8] { [0x2F] + room.text.utf8 }

  /// The room of a key; `nil` when it is not one.
  package static func room(_ key: ArraySlice<UInt8>) -> RoomName? {
    guard key.first == 0x2F, let text = String(validating: key.dropFirst(), as: UTF8.self) else {
      return nil
    }
    return RoomName(text)
  }
}

extension RoomEntry {
  /// The rooms in a node of a tree of rooms that was made here; none for a branch.
  package static func rooms(inNode content: [UInt8]) -> [RoomName] {
    guard content.first == Bucket.form else { return [] }
    var rooms: [RoomName] = []
    Bucket.visit(content) { key, _ in
      if let room = room(key) { rooms.append(room) }
    }
    return rooms
  }
}
