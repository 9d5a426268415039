/// A map from keys to values, both bytes, with a hash of all of it: equal hashes mean equal maps.
///
/// A node is a *bucket* of entries while these have at most ``bucketBytes`` bytes together, else a
/// *branch* of sixteen children: an entry lies below the child that the next four bits of its
/// *placement*, a keyed hash of its key, name. So the shape follows from the entries alone, not from
/// the order in which they came. The hash of a bucket is that of its bytes; the hash of a branch is
/// that of the hashes of its children. Hashes are made when somebody asks, along the paths that were
/// written since.
///
/// A tree is a value: a copy shares all nodes, and a write copies those on its path. A *sparse* tree
/// lacks nodes of which it has the hash: it is what is being fetched, or the part of a map that a node
/// wants (``TreeNode/missing``). What is there hashes to the same root.
///
/// Source: Merkle, *A Digital Signature Based on a Conventional Encryption Function*, 1987; tries with
/// hashed keys: Bagwell, *Ideal Hash Trees*, 2001.
package struct HashTree: Sendable {
  /// The most bytes of the entries of a bucket that is not at the greatest depth.
  package static let bucketBytes = 900
  /// The most bytes of a key.
  package static let keyBytes = 255

  let hashKey: HashKey
  var top = TreeSlot()
  /// The number of entries. Of a tree that was fetched: what the fetch was told.
  package internal(set) var count = 0
  /// False: no node is missing.
  var isSparse = false

  package init(hashKey: HashKey) { self.hashKey = hashKey }

  package var isEmpty: Bool { if case .empty = top.node { true } else { false } }

  /// Where a key lies.
  package func placement(of key: some Collection<UInt8>) -> UInt64 {
    Self.placement(of: key, hashKey)
  }

  static func placement(of key: some Collection<UInt8>, _ hashKey: HashKey) -> UInt64 {
    let hash = key.withContiguousStorageIfAvailable { placement(of: $0, hashKey) }
    return hash ?? Array(key).withUnsafeBufferPointer { placement(of: $0, hashKey) }
  }

  private static func placement(of key: UnsafeBufferPointer<UInt8>, _ hashKey: HashKey) -> UInt64 {
    var hasher = SipHash(key: hashKey)
    hasher.combine(bytes: UnsafeRawBufferPointer(key))
    return hasher.finalize()
  }

  // MARK: Reading

  /// The value of a key; `nil` when there is none, or its node is missing. Cost: a hash of the key,
  /// and a node for each level.
  package subscript(key: [UInt8]) -> ArraySlice<UInt8>? {
    key.withUnsafeBufferPointer { value(of: $0) }
  }

  /// The same of a key that is no array.
  func value(of key: UnsafeBufferPointer<UInt8>) -> ArraySlice<UInt8>? {
    isEmpty ? nil : top.value(of: key, placement: Self.placement(of: key, hashKey), level: 0)
  }

  /// True when the node in which a key would lie is here.
  package func reaches(_ key: [UInt8]) -> Bool { reaches(placement: placement(of: key)) }

  private func reaches(placement: UInt64) -> Bool {
    var node = top.node
    var level = 0
    while case .branch(let children) = node {
      node = children[TreePath.digit(placement, at: level)].node
      level += 1
    }
    if case .missing = node { return false }
    return true
  }

  /// Calls `body` with all entries that are here, in the order of the placements' nodes. Cost: all.
  package func visit(
    _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) {
    Self.visit(top.node, body)
  }

  static func visit(
    _ node: TreeNode, _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) {
    switch node {
    case .empty, .missing: break
    case .bucket(let bytes): Bucket.visit(bytes, body)
    case .branch(let children): for child in children { visit(child.node, body) }
    }
  }

  // MARK: Writing

  /// What a write did.
  enum Write {
    /// The key has its new value. It had this one before; `nil`: none.
    case done(old: ArraySlice<UInt8>?)
    /// Nothing changed: its node is missing, or the entry has more than ``bucketBytes`` bytes, or so have
    /// those that agree with it in all bits of their placements: nobody could fetch them.
    case refused
  }

  /// Sets the value of a key; `nil`: removes it. Cost: a hash of the key, copies one bucket, and the
  /// branches above it that other copies share.
  mutating func write(
    _ key: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>?
  ) -> Write {
    let placement = Self.placement(of: key, hashKey)
    guard let value else {
      let result = top.remove(key, placement: placement, level: 0)
      if case .done(.some) = result { count = max(0, count - 1) }
      return result
    }
    guard !key.isEmpty, key.count <= Self.keyBytes,
      Bucket.entryBytes(key: key.count, value: value.count) <= Self.bucketBytes
    else { return .refused }
    let result = top.put(key, value, placement: placement, level: 0, hashKey)
    if case .done(nil) = result { count += 1 }
    return result
  }

  /// Sets the value of a key. False, and nothing changed, when that is refused: see ``Write``.
  @discardableResult
  package mutating func set(_ key: [UInt8], to value: [UInt8]) -> Bool {
    let result = key.withUnsafeBufferPointer { key in
      value.withUnsafeBufferPointer { write(key, $0) }
    }
    return if case .done = result { true } else { false }
  }

  /// Removes a key. True when it was there.
  @discardableResult
  package mutating func remove(_ key: [UInt8]) -> Bool {
    let result = key.withUnsafeBufferPointer { write($0, nil) }
    return if case .done(.some) = result { true } else { false }
  }

  // MARK: Hashes

  /// The hash of the whole tree; ``Hash128/empty`` when it has no entries. Cost: the nodes that were
  /// written since it was asked for last.
  package mutating func hash(_ hash: some TreeHash) -> Hash128 { top.settle(hash) }

  /// The hash of 256 bits of the top node's bytes: what an origin signs.
  package mutating func root(_ hash: some TreeHash) -> Hash256 {
    _ = top.settle(hash)
    guard let content = top.content else { return .empty }
    return hash.hash256(content)
  }
}

/// A node with its hash.
struct TreeSlot: Sendable {
  var node = TreeNode.empty
  /// ``Hash128/empty``: of an empty node, or not known since a write.
  var hash = Hash128.empty

  /// The bytes of which ``hash`` is the hash, once it is known; `nil` for an empty or missing node.
  var content: [UInt8]? {
    switch node {
    case .empty, .missing: nil
    case .bucket(let bytes): bytes
    case .branch(let children): TreeNode.content(of: children.map(\.hash))
    }
  }

  /// The value of a key; `nil` when there is none, or its node is missing.
  func value(
    of key: UnsafeBufferPointer<UInt8>, placement: UInt64, level: Int
  ) -> ArraySlice<UInt8>? {
    switch node {
    case .empty, .missing: nil
    case .bucket(let bytes): Bucket.find(key, in: bytes).entry.map { bytes[$0.value] }
    case .branch(let children):
      // An element that an array gives is a copy, which counts its parts once more.
      children.withUnsafeBufferPointer {
        $0[TreePath.digit(placement, at: level)].value(
          of: key, placement: placement, level: level + 1)
      }
    }
  }

  mutating func settle(_ hash: some TreeHash) -> Hash128 {
    guard self.hash == .empty else { return self.hash }
    switch node {
    case .empty, .missing: break
    case .bucket(let bytes): self.hash = hash.hash128(bytes)
    case .branch(var children):
      node = .empty
      for index in children.indices { _ = children[index].settle(hash) }
      self.hash = hash.hash128(TreeNode.content(of: children.map(\.hash)))
      node = .branch(children)
    }
    return self.hash
  }

  /// Puts an entry in.
  mutating func put(
    _ key: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, placement: UInt64,
    level: Int, _ hashKey: HashKey
  ) -> HashTree.Write {
    var result = HashTree.Write.done(old: nil)
    switch node {
    case .missing: return .refused
    case .empty: node = .bucket(Bucket.replacing(1..<1, of: [Bucket.form], by: key, value))
    case .bucket(let bytes):
      let (old, offset) = Bucket.find(key, in: bytes)
      let new = Bucket.replacing(
        old.map { $0.start..<$0.end } ?? offset..<offset, of: bytes, by: key, value)
      if new.count - 1 <= HashTree.bucketBytes {
        node = .bucket(new)
      } else if Self.canSplit(new, placement: placement, hashKey) {
        node = .branch(TreeNode.split(new, level: level, hashKey))
      } else {
        return .refused
      }
      result = .done(old: old.map { bytes[$0.value] })
    case .branch(var children):
      node = .empty
      result = children[TreePath.digit(placement, at: level)].put(
        key, value, placement: placement, level: level + 1, hashKey)
      if case .done(let old?) = result, old.count > value.count {
        node = TreeNode.merged(children)
      } else {
        node = .branch(children)
      }
    }
    if case .done = result { hash = .empty }
    return result
  }

  /// False when entries that no depth tells apart would be too large for a bucket.
  private static func canSplit(
    _ bytes: [UInt8], placement: UInt64, _ hashKey: HashKey
  ) -> Bool {
    var together = 0
    Bucket.visit(bytes) { key, value in
      if HashTree.placement(of: key, hashKey) == placement {
        together += Bucket.entryBytes(key: key.count, value: value.count)
      }
    }
    return together <= HashTree.bucketBytes
  }

  /// Takes an entry out.
  mutating func remove(
    _ key: UnsafeBufferPointer<UInt8>, placement: UInt64, level: Int
  ) -> HashTree.Write {
    var result = HashTree.Write.done(old: nil)
    switch node {
    case .missing: return .refused
    case .empty: return result
    case .bucket(let bytes):
      guard let entry = Bucket.find(key, in: bytes).entry else { return result }
      let left = bytes[..<entry.start] + bytes[entry.end...]
      node = left.count > 1 ? .bucket(Array(left)) : .empty
      result = .done(old: bytes[entry.value])
    case .branch(var children):
      node = .empty
      result = children[TreePath.digit(placement, at: level)].remove(
        key, placement: placement, level: level + 1)
      if case .done(.some) = result {
        node = TreeNode.merged(children)
      } else {
        node = .branch(children)
      }
    }
    if case .done(.some) = result { hash = .empty }
    return result
  }
}

/// What stands at a place of a tree.
enum TreeNode: Sendable {
  case empty
  /// The form byte and the entries: see ``Bucket``.
  case bucket([UInt8])
  /// Sixteen children.
  case branch([TreeSlot])
  /// A node that is not here; its slot has the hash that it must have.
  case missing

  /// The bytes of the entries; `nil`: of a branch, or not known.
  private var entryBytes: Int? {
    switch self {
    case .empty: 0
    case .bucket(let bytes): bytes.count - 1
    case .branch, .missing: nil
    }
  }

  /// The byte in front of the hashes of a branch.
  static let branchForm: UInt8 = 1

  /// The bytes of a branch: the form byte, a bit for each child that is not empty (2 bytes, the first
  /// child in the lowest bit), and the hashes of these.
  static func content(of hashes: [Hash128]) -> [UInt8] {
    var mask: UInt16 = 0
    for (index, hash) in hashes.enumerated() where hash != .empty { mask |= 1 << UInt16(index) }
    var bytes: [UInt8] = [branchForm, UInt8(mask >> 8), UInt8(mask & 0xFF)]
    bytes.reserveCapacity(3 + 16 * hashes.count)
    for hash in hashes where hash != .empty {
      withUnsafeBytes(of: hash.high.bigEndian) { bytes.append(contentsOf: $0) }
      withUnsafeBytes(of: hash.low.bigEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes
  }

  /// The hashes of the children in the bytes of a branch; `nil` when they are not such bytes.
  static func hashes(in content: [UInt8]) -> [Hash128]? {
    guard content.count >= 3, content[0] == branchForm else { return nil }
    let mask = UInt16(content[1]) << 8 | UInt16(content[2])
    guard mask != 0, content.count == 3 + 16 * mask.nonzeroBitCount else { return nil }
    var hashes = [Hash128](repeating: .empty, count: 16)
    var offset = 3
    func word() -> UInt64 {
      defer { offset += 8 }
      return content[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    for index in 0..<16 where mask & 1 << UInt16(index) != 0 {
      hashes[index] = Hash128(word(), word())
      guard hashes[index] != .empty else { return nil }
    }
    return hashes
  }

  /// The children that the entries of a bucket fall into.
  static func split(_ bytes: [UInt8], level: Int, _ hashKey: HashKey) -> [TreeSlot] {
    var children = [TreeSlot](repeating: TreeSlot(), count: 16)
    var buckets = [[UInt8]](repeating: [], count: 16)
    Bucket.visit(bytes) { key, value in
      let digit = TreePath.digit(HashTree.placement(of: key, hashKey), at: level)
      if buckets[digit].isEmpty { buckets[digit] = [Bucket.form] }
      Bucket.append(key: key, value: value, to: &buckets[digit])
    }
    for index in 0..<16 where !buckets[index].isEmpty {
      let isTooMuch =
        buckets[index].count - 1 > HashTree.bucketBytes && level + 1 < TreePath.depthBound
      children[index].node =
        isTooMuch
        ? .branch(split(buckets[index], level: level + 1, hashKey)) : .bucket(buckets[index])
    }
    return children
  }

  /// A branch of these children, or the bucket that they fit into.
  static func merged(_ children: [TreeSlot]) -> TreeNode {
    var total = 0
    for index in children.indices {
      guard let bytes = children[index].node.entryBytes else { return .branch(children) }
      total += bytes
      if total > HashTree.bucketBytes { return .branch(children) }
    }
    guard total > 0 else { return .empty }
    var entries: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
    for child in children { HashTree.visit(child.node) { entries.append(($0, $1)) } }
    entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
    var bytes: [UInt8] = [Bucket.form]
    bytes.reserveCapacity(1 + total)
    for entry in entries { Bucket.append(key: entry.key, value: entry.value, to: &bytes) }
    return .bucket(bytes)
  }
}
