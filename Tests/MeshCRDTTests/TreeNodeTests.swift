import MeshCRDT
import MeshCrypto
import Testing

@Suite("Nodes of hash trees")
struct TreeNodeTests {
  private func tree(_ count: Int, seed: UInt64) -> (HashTree, [[UInt8]]) {
    var random = SplitMix64(seed: seed)
    var tree = HashTree(hashKey: meshKey)
    let keys = (0..<count).map { _ in random.bytes(17) }
    for key in keys { tree.set(key, to: random.bytes(random.below(60))) }
    _ = tree.root(blake)
    return (tree, keys)
  }

  /// Takes all nodes of `source` that `target` misses. Returns how many.
  private func fetch(_ target: inout HashTree, from source: HashTree, base: HashTree) -> Int {
    var asked = 0
    while let path = target.missingPaths.first {
      asked += 1
      guard let content = source.content(at: path),
        case .filled = target.fill(path, with: content, base: base, blake)
      else { return -1 }
    }
    return asked
  }

  @Test(
    "A tree is rebuilt from the nodes of another one, each checked by the node above",
    arguments: [0, 1, 5, 60, 2000])
  func rebuilt(count: Int) throws {
    var (source, keys) = tree(count, seed: 3)
    let empty = HashTree(hashKey: meshKey)
    var target = try #require(
      HashTree(
        hashKey: meshKey, root: source.root(blake), top: source.content(at: .top), base: empty,
        blake))
    let asked = fetch(&target, from: source, base: empty)
    #expect(asked >= 0)
    let roots = (target.root(blake), source.root(blake))
    #expect(roots.0 == roots.1)
    for key in keys { #expect(target[key] == source[key]) }
  }

  @Test("A node below the top that is well-formed and not the one that was named is wrong")
  func otherNodes() throws {
    var (source, keys) = tree(2000, seed: 5)
    let root = source.root(blake)
    let empty = HashTree(hashKey: meshKey)
    var target = try #require(
      HashTree(hashKey: meshKey, root: root, top: source.content(at: .top), base: empty, blake))
    // The same entries at the same places, but one that says something else.
    var other = source
    other.set(keys[0], to: [9, 9, 9])
    _ = other.root(blake)
    var refused = 0
    while let path = target.missingPaths.first {
      let (right, wrong) = (source.content(at: path), other.content(at: path))
      if let wrong, wrong != right {
        let fill = target.fill(path, with: wrong, base: empty, blake)
        #expect(fill == .wrong)
        refused += 1
      }
      let fill = target.fill(path, with: try #require(right), base: empty, blake)
      guard case .filled = fill else { throw TreeFault.notFilled }
    }
    // The branches and the bucket above the entry.
    #expect(refused >= 2)
    let rebuilt = target.root(blake)
    #expect(rebuilt == root)
    #expect(target[keys[0]] == source[keys[0]])
  }

  private enum TreeFault: Error { case notFilled }

  @Test("What is held already is not fetched again")
  func sharesWhatIsHeld() throws {
    var (source, keys) = tree(5000, seed: 4)
    let base = source
    source.set(keys[17], to: [1, 2, 3])
    source.remove(keys[4000])
    let root = source.root(blake)
    var target = try #require(
      HashTree(hashKey: meshKey, root: root, top: source.content(at: .top), base: base, blake))
    let asked = fetch(&target, from: source, base: base)
    let rebuilt = target.root(blake)
    #expect(rebuilt == root)
    #expect((1...8).contains(asked), "asked for \(asked) nodes")
  }

  @Test("A node that was changed in any byte is wrong, and nothing changes")
  func forgeries() throws {
    var (source, _) = tree(300, seed: 5)
    let root = source.root(blake)
    let empty = HashTree(hashKey: meshKey)
    let top = try #require(source.content(at: .top))
    var target = try #require(
      HashTree(hashKey: meshKey, root: root, top: top, base: empty, blake))
    for index in top.indices {
      var forged = top
      forged[index] ^= 1
      #expect(
        HashTree(hashKey: meshKey, root: root, top: forged, base: empty, blake) == nil)
    }
    let path = try #require(target.missingPaths.first)
    let content = try #require(source.content(at: path))
    let before = target.missingPaths
    for index in content.indices {
      var forged = content
      forged[index] ^= 0x80
      let targetFill = target.fill(path, with: forged, base: empty, blake)
      #expect(targetFill == .wrong)
    }
    for count in 0..<content.count {
      let targetFill = target.fill(path, with: Array(content.prefix(count)), base: empty, blake)
      #expect(targetFill == .wrong)
    }
    #expect(target.missingPaths == before)
    let fills = (0..<2).map { _ in target.fill(path, with: content, base: empty, blake) }
    #expect(fills == [.filled(missing: []), .notMissing])
  }

  @Test(
    "A bucket whose entries lie elsewhere, are out of order or doubled is wrong, though its hash fits"
  )
  func malformedBuckets() {
    // Bytes that hash to what is asked for, as an origin that lies could sign them.
    func fill(_ content: [UInt8], at path: TreePath = .top) -> TreeFill {
      var sparse = HashTree(hashKey: meshKey, missing: blake.hash128(content))
      return sparse.fill(path, with: content, base: HashTree(hashKey: meshKey), blake)
    }
    #expect(fill([0, 1, 7, 0, 0, 1, 9, 0, 0]) == .filled(missing: []))
    #expect(fill([0, 1, 9, 0, 0, 1, 7, 0, 0]) == .wrong)
    #expect(fill([0, 1, 7, 0, 0, 1, 7, 0, 0]) == .wrong)
    #expect(fill([0, 0, 0, 0]) == .wrong)
    #expect(fill([0]) == .wrong)
    #expect(fill([2, 1, 7, 0, 0]) == .wrong)
    #expect(fill([0, 1, 7, 0, 1]) == .wrong)
    #expect(fill([1, 0, 0]) == .wrong)
    #expect(fill([1, 0, 1] + [UInt8](repeating: 0, count: 16)) == .wrong)
    #expect(fill([1, 0, 3] + [UInt8](repeating: 1, count: 16)) == .wrong)
    // A bucket below a branch has entries of that child only.
    let tree = HashTree(hashKey: meshKey)
    let digit = Int(tree.placement(of: [7]) >> 60)
    let bucket: [UInt8] = [0, 1, 7, 0, 0]
    for child in 0..<16 {
      var branch: [UInt8] = [1, UInt8((1 << child) >> 8), UInt8((1 << child) & 0xFF)]
      withUnsafeBytes(of: blake.hash128(bucket).high.bigEndian) { branch += $0 }
      withUnsafeBytes(of: blake.hash128(bucket).low.bigEndian) { branch += $0 }
      var sparse = HashTree(hashKey: meshKey, missing: blake.hash128(branch))
      let path = TreePath.top.child(child)
      let branchFill = sparse.fill(.top, with: branch, base: tree, blake)
      #expect(branchFill == .filled(missing: [path]))
      let expected = child == digit ? TreeFill.filled(missing: []) : .wrong
      let sparseFill = sparse.fill(path, with: bucket, base: tree, blake)
      #expect(sparseFill == expected)
    }
  }

  @Test("A sparse tree hashes to the same root, and takes no entry where a node is missing")
  func sparseTrees() throws {
    var (source, keys) = tree(400, seed: 6)
    let root = source.root(blake)
    let empty = HashTree(hashKey: meshKey)
    var sparse = try #require(
      HashTree(hashKey: meshKey, root: root, top: source.content(at: .top), base: empty, blake))
    let path = try #require(sparse.missingPaths.first)
    let sparseRoot = sparse.root(blake)
    #expect(sparseRoot == root)
    let outside = try #require(keys.first { !path.covers(source.placement(of: $0)) })
    #expect(!sparse.reaches(outside))
    let isIn = sparse.set(outside, to: [1])
    let rootAfter = sparse.root(blake)
    #expect(!isIn && rootAfter == root)
  }
}
