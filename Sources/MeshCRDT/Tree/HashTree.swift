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
    var hasher = SipHash(key: hashKey)
    let hashed: Void? = key.withContiguousStorageIfAvailable {
      hasher.combine(bytes: UnsafeRawBufferPointer($0))
    }
    if hashed == nil { for byte in key { hasher.combine(byte) } }
    return hasher.finalize()
  }

  // MARK: Reading

  /// The value of a key; `nil` when there is none, or its node is missing. Cost: a hash of the key,
  /// and a node for each level.
  package subscript(key: [UInt8]) -> ArraySlice<UInt8>? {
    isEmpty ? nil : top.value(of: key, placement: placement(of: key), level: 0)
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

  /// Sets the value of a key. False, and nothing changed, when its node is missing, the entry has more than
  /// ``bucketBytes`` bytes, or so have those that agree with it in all bits of their placements. Cost: copies one bucket, and the branches above it that other
  /// copies share.
  @discardableResult
  package mutating func set(_ key: [UInt8], to value: some Collection<UInt8>) -> Bool {
    let placement = placement(of: key)
    let bytes = Bucket.entryBytes(key: key.count, value: value.count)
    guard !key.isEmpty, key.count <= Self.keyBytes, bytes <= Self.bucketBytes,
      reaches(placement: placement),
      top.hasRoom(for: key, bytes: bytes, placement: placement, hashKey)
    else { return false }
    let entry = Bucket.encoded(key: key, value: value)
    count += top.put(entry, key, placement: placement, level: 0, hashKey) ? 1 : 0
    return true
  }

  /// Removes a key. True when it was there. Cost: as of ``set(_:to:)``.
  @discardableResult
  package mutating func remove(_ key: [UInt8]) -> Bool {
    guard top.remove(key, placement: placement(of: key), level: 0) else { return false }
    count = max(0, count - 1)
    return true
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
  func value(of key: [UInt8], placement: UInt64, level: Int) -> ArraySlice<UInt8>? {
    switch node {
    case .empty, .missing: nil
    case .bucket(let bytes): Bucket.find(key, in: bytes).entry.map { bytes[$0.value] }
    case .branch(let children):
      children[TreePath.digit(placement, at: level)].value(
        of: key, placement: placement, level: level + 1)
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

  /// False when an entry would make a bucket at the greatest depth too large: nobody could fetch it.
  func hasRoom(
    for key: [UInt8], bytes: Int, placement: UInt64, _ hashKey: HashKey
  ) -> Bool {
    var node = node
    var level = 0
    while case .branch(let children) = node {
      node = children[TreePath.digit(placement, at: level)].node
      level += 1
    }
    guard case .bucket(let held) = node, held.count - 1 + bytes > HashTree.bucketBytes else {
      return true
    }
    var beside = 0
    Bucket.visit(held) { other, value in
      if HashTree.placement(of: other, hashKey) == placement, !other.elementsEqual(key) {
        beside += Bucket.entryBytes(key: other.count, value: value.count)
      }
    }
    return beside + bytes <= HashTree.bucketBytes
  }

  /// Puts an entry in. True when its key is new. No node on its way is missing.
  mutating func put(
    _ entry: [UInt8], _ key: [UInt8], placement: UInt64, level: Int, _ hashKey: HashKey
  ) -> Bool {
    hash = .empty
    switch node {
    case .missing: return false
    case .empty:
      node = .bucket([Bucket.form] + entry)
      return true
    case .bucket(var bytes):
      node = .empty
      let (old, offset) = Bucket.find(key, in: bytes)
      bytes.replaceSubrange(old.map { $0.start..<$0.end } ?? offset..<offset, with: entry)
      if bytes.count - 1 > HashTree.bucketBytes && level < TreePath.depthBound {
        node = .branch(TreeNode.split(bytes, level: level, hashKey))
      } else {
        node = .bucket(bytes)
      }
      return old == nil
    case .branch(var children):
      node = .empty
      let isNew = children[TreePath.digit(placement, at: level)].put(
        entry, key, placement: placement, level: level + 1, hashKey)
      // A value may have become shorter.
      node = isNew ? .branch(children) : TreeNode.merged(children)
      return isNew
    }
  }

  /// Takes an entry out. True when it was there.
  mutating func remove(_ key: [UInt8], placement: UInt64, level: Int) -> Bool {
    switch node {
    case .empty, .missing: return false
    case .bucket(var bytes):
      guard let entry = Bucket.find(key, in: bytes).entry else { return false }
      node = .empty
      bytes.removeSubrange(entry.start..<entry.end)
      if bytes.count > 1 { node = .bucket(bytes) }
      hash = .empty
      return true
    case .branch(var children):
      node = .empty
      let isGone = children[TreePath.digit(placement, at: level)].remove(
        key, placement: placement, level: level + 1)
      node = isGone ? TreeNode.merged(children) : .branch(children)
      if isGone { hash = .empty }
      return isGone
    }
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
      buckets[digit] += Bucket.encoded(key: key, value: value)
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
    for child in children {
      switch child.node {
      case .empty: break
      case .bucket(let bytes): total += bytes.count - 1
      case .branch, .missing: return .branch(children)
      }
      if total > HashTree.bucketBytes { return .branch(children) }
    }
    guard total > 0 else { return .empty }
    var entries: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
    for child in children { HashTree.visit(child.node) { entries.append(($0, $1)) } }
    entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
    var bytes: [UInt8] = [Bucket.form]
    bytes.reserveCapacity(1 + total)
    for entry in entries { bytes += Bucket.encoded(key: entry.key, value: entry.value) }
    return .bucket(bytes)
  }
}
