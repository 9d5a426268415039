// Trees of which some nodes are not here: what is being fetched, node by node, from the top. Each node
// that comes must have the hash that the node above it says.

/// What putting a node into a sparse tree did.
package enum TreeFill: Hashable, Sendable {
  /// The node is in. These nodes below it are missing, in rising order.
  case filled(missing: [TreePath])
  /// No node is missing there.
  case notMissing
  /// The bytes do not have the hash that they must have, or are not those of a node.
  case wrong
}

extension HashTree {
  /// A tree of which nothing is here but the hash of its top.
  package init(hashKey: HashKey, missing hash: Hash128) {
    self.init(hashKey: hashKey)
    guard hash != .empty else { return }
    top = TreeSlot(node: .missing, hash: hash)
    isSparse = true
  }

  /// A tree of which nothing is here, by the root that an origin signed and the bytes of its top node;
  /// `nil` when these do not belong together. Nodes that `base` has at the same place are taken from there.
  package init?(
    hashKey: HashKey, root: Hash256, top content: [UInt8]?, base: HashTree, _ hash: some TreeHash
  ) {
    guard let content else {
      guard root == .empty else { return nil }
      self.init(hashKey: hashKey)
      return
    }
    guard hash.hash256(content) == root || PlantedBug.isActive(.fetchedTopNotChecked) else {
      return nil
    }
    self.init(hashKey: hashKey, missing: hash.hash128(content))
    if base.top.hash == top.hash, base.top.hash != .empty {
      top = base.top
      count = base.count
      isSparse = base.isSparse
    } else if fill(.top, with: content, base: base, hash) == .wrong {
      return nil
    }
  }

  /// The hash of the top, if it is known without computing.
  package var knownHash: Hash128? { isEmpty ? .empty : top.hash == .empty ? nil : top.hash }

  /// The bytes of a node, whose hash is known; `nil`: nothing is there, it is missing, or it lies below
  /// a bucket. Cost: the levels above it.
  package func content(at path: TreePath) -> [UInt8]? { slot(at: path)?.content }

  /// The hash of the node at a path, as it is known; ``Hash128/empty`` when nothing is there.
  package func hash(at path: TreePath) -> Hash128 { slot(at: path)?.hash ?? .empty }

  /// The same of a node that is here; ``Hash128/empty`` for a missing one.
  func heldHash(at path: TreePath) -> Hash128 { isMissing(path) ? .empty : hash(at: path) }

  /// The paths and hashes of the children of a branch that are not empty.
  package func children(at path: TreePath) -> [(path: TreePath, hash: Hash128)] {
    guard case .branch(let children) = slot(at: path)?.node else { return [] }
    return children.indices.filter { children[$0].hash != .empty }.map {
      (path.child($0), children[$0].hash)
    }
  }

  fileprivate func slot(at path: TreePath) -> TreeSlot? {
    var slot = top
    for level in 0..<path.depth {
      guard case .branch(let children) = slot.node else { return nil }
      slot = children[path[level]]
    }
    return slot
  }

  /// Puts the bytes of a missing node in, if they have its hash. Children that `base` has at the same
  /// place, with the same hash, are taken from there. Nothing changes unless the result is `filled`.
  ///
  /// Cost: a hash of the bytes, and of each key in a bucket.
  package mutating func fill(
    _ path: TreePath, with content: [UInt8], base: HashTree, _ hash: some TreeHash
  ) -> TreeFill {
    guard let slot = slot(at: path), case .missing = slot.node else { return .notMissing }
    guard hash.hash128(content) == slot.hash || PlantedBug.isActive(.fetchedNodeNotChecked) else {
      return .wrong
    }
    let node: TreeNode
    var missing: [TreePath] = []
    if let hashes = TreeNode.hashes(in: content) {
      guard path.depth < TreePath.depthBound else { return .wrong }
      let known: [TreeSlot] =
        if case .branch(let children) = base.slot(at: path)?.node { children } else { [] }
      node = .branch(
        hashes.enumerated().map { index, hash in
          guard hash != .empty else { return TreeSlot() }
          if !known.isEmpty, known[index].hash == hash {
            if base.isSparse { Self.collectMissing(known[index], path.child(index), &missing) }
            return known[index]
          }
          missing.append(path.child(index))
          return TreeSlot(node: .missing, hash: hash)
        })
    } else {
      guard let entries = Bucket.check(content, below: path, hashKey), entries > 0 else {
        return .wrong
      }
      node = .bucket(content)
    }
    top.replace(path, level: 0, by: node)
    return .filled(missing: missing)
  }

  /// The paths of missing nodes, in rising order. Cost: the branches, none when the tree is not sparse.
  package var missingPaths: [TreePath] {
    var paths: [TreePath] = []
    if isSparse { Self.collectMissing(top, .top, &paths) }
    return paths
  }

  private static func collectMissing(
    _ slot: TreeSlot, _ path: TreePath, _ paths: inout [TreePath]
  ) {
    switch slot.node {
    case .empty, .bucket: break
    case .missing: paths.append(path)
    case .branch(let children):
      for (index, child) in children.enumerated() {
        collectMissing(child, path.child(index), &paths)
      }
    }
  }

  /// Drops the nodes that are not wanted, of a tree whose hashes are known. Cost: the nodes.
  mutating func prune(_ isWanted: (TreePath) -> Bool) {
    top.prune(.top, isWanted)
    isSparse = true
  }

  /// Notes that no node is missing any more, and the number of entries that the origin said there are.
  mutating func finish(count: Int) {
    self.count = count
    isSparse = false
  }

  /// Calls `body` with each key that has another value in two trees, in no order that can be foreseen
  /// but the same for the same trees. Missing nodes count as empty. Cost: the nodes that differ; all, if
  /// hashes are not known.
  package static func forEachDifference(
    from old: HashTree, to new: HashTree,
    _ body: (_ key: ArraySlice<UInt8>, _ old: ArraySlice<UInt8>?, _ new: ArraySlice<UInt8>?) -> Void
  ) {
    difference(old.top, new.top, body)
  }

  private static func difference(
    _ old: TreeSlot, _ new: TreeSlot,
    _ body: (_ key: ArraySlice<UInt8>, _ old: ArraySlice<UInt8>?, _ new: ArraySlice<UInt8>?) -> Void
  ) {
    if old.hash != .empty, old.hash == new.hash { return }
    if case .branch(let left) = old.node, case .branch(let right) = new.node {
      for index in 0..<16 { difference(left[index], right[index], body) }
      return
    }
    if case .empty = old.node { return visit(new.node) { body($0, nil, $1) } }
    if case .empty = new.node { return visit(old.node) { body($0, $1, nil) } }
    var left: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
    var right = left
    visit(old.node) { left.append(($0, $1)) }
    visit(new.node) { right.append(($0, $1)) }
    left.sort { $0.key.lexicographicallyPrecedes($1.key) }
    right.sort { $0.key.lexicographicallyPrecedes($1.key) }
    var (first, second) = (left[...], right[...])
    while let one = first.first {
      guard let other = second.first, !one.key.lexicographicallyPrecedes(other.key) else {
        body(one.key, one.value, nil)
        first = first.dropFirst()
        continue
      }
      second = second.dropFirst()
      if other.key.lexicographicallyPrecedes(one.key) {
        body(other.key, nil, other.value)
      } else {
        first = first.dropFirst()
        if one.value != other.value { body(one.key, one.value, other.value) }
      }
    }
    for other in second { body(other.key, nil, other.value) }
  }
}

extension TreeSlot {
  fileprivate mutating func prune(_ path: TreePath, _ isWanted: (TreePath) -> Bool) {
    if case .empty = node { return }
    guard isWanted(path) || hash == .empty else {
      node = .missing
      return
    }
    guard case .branch(var children) = node else { return }
    node = .empty
    for index in children.indices { children[index].prune(path.child(index), isWanted) }
    node = .branch(children)
  }

  /// Puts a node in the place of a missing one; the hash stays.
  fileprivate mutating func replace(_ path: TreePath, level: Int, by new: TreeNode) {
    guard level < path.depth else {
      node = new
      return
    }
    guard case .branch(var children) = node else { return }
    node = .empty
    children[path[level]].replace(path, level: level + 1, by: new)
    node = .branch(children)
  }
}

extension HashTree {
  /// True when a node is known to be there and is not here.
  package func isMissing(_ path: TreePath) -> Bool {
    if case .missing = slot(at: path)?.node { true } else { false }
  }

  /// True when it is known what stands at a path, if anything: no node on the way is missing.
  package func isKnown(_ path: TreePath) -> Bool {
    var slot = top
    for level in 0..<path.depth {
      guard case .branch(let children) = slot.node else { break }
      slot = children[path[level]]
    }
    if case .missing = slot.node { return false }
    return true
  }

  /// True when something is known of a node: it is here, is missing, or is known to be empty.
  package func has(_ path: TreePath) -> Bool { slot(at: path) != nil }

  /// Calls `body` with all entries that are here below a path.
  package func visit(
    below path: TreePath,
    _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) {
    if let node = slot(at: path)?.node { Self.visit(node, body) }
  }
}

extension HashTree {
  /// The paths of the children that the bytes of a node name; none for a bucket.
  package static func children(ofNode content: [UInt8], at path: TreePath) -> [TreePath] {
    guard let hashes = TreeNode.hashes(in: content) else { return [] }
    return hashes.indices.filter { hashes[$0] != .empty }.map { path.child($0) }
  }

  /// The children that the bytes of a branch name, with their hashes; `nil` for other bytes.
  package static func branch(
    _ content: [UInt8], at path: TreePath
  ) -> [(path: TreePath, hash: Hash128)]? {
    TreeNode.hashes(in: content)?.enumerated().map { (path.child($0), $1) }
  }

  /// Calls `body` with the entries that the bytes of a bucket have. False for bytes that are not those of
  /// a bucket.
  package func forEachEntry(
    ofNode content: [UInt8], at path: TreePath,
    _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) -> Bool {
    guard Bucket.check(content, below: path, hashKey) != nil else { return false }
    Bucket.visit(content, body)
    return true
  }
}

extension HashTree {
  /// The keys whose placements are above one, by rising placement: whole nodes, until there are `bound`.
  /// That order follows from the keys alone. Cost: the nodes on the way, and those that come.
  package func keys(after placement: UInt64?, atMost bound: Int) -> [ArraySlice<UInt8>] {
    var result: [(placement: UInt64, key: ArraySlice<UInt8>)] = []
    func walk(_ node: TreeNode, _ path: TreePath) {
      guard result.count < bound else { return }
      switch node {
      case .empty, .missing: break
      case .bucket(let bytes):
        var found: [(placement: UInt64, key: ArraySlice<UInt8>)] = []
        Bucket.visit(bytes) { key, _ in
          let own = self.placement(of: key)
          if placement.map({ own > $0 }) ?? true { found.append((own, key)) }
        }
        result += found.sorted { $0.placement < $1.placement }
      case .branch(let children):
        for (index, child) in children.enumerated() {
          let path = path.child(index)
          if let placement, path.bits < placement, !path.covers(placement) { continue }
          walk(child.node, path)
        }
      }
    }
    walk(top.node, .top)
    return result.map(\.key)
  }
}

extension HashTree {
  /// Calls `body` with the entries that the bytes of a bucket have, wherever it stands. False for bytes that
  /// are not those of a bucket.
  func visitEntries(
    ofNode content: [UInt8],
    _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) -> Bool {
    guard content.first == Bucket.form, Bucket.isWellFormed(content) else { return false }
    Bucket.visit(content, body)
    return true
  }
}
