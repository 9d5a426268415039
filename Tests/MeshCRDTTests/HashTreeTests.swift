import MeshCRDT
import MeshCrypto
import Testing

@Suite("Hash trees")
struct HashTreeTests {
  /// A tree that was built in one go.
  private func tree(of entries: [[UInt8]: [UInt8]]) -> HashTree {
    var tree = HashTree(hashKey: meshKey)
    for key in entries.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      tree.set(key, to: entries[key] ?? [])
    }
    return tree
  }

  @Test(
    "The root follows from the entries alone, whatever was written and removed", arguments: 1...30)
  func rootIsCanonical(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var entries: [[UInt8]: [UInt8]] = [:]
    var written = HashTree(hashKey: meshKey)
    let keys = (0..<(10 + random.below(600))).map { _ in random.bytes(1 + random.below(20)) }
    for step in 0..<1500 {
      let key = keys[random.below(keys.count)]
      if random.below(step > 1000 ? 2 : 4) == 0 {
        let wasThere = entries.removeValue(forKey: key) != nil
        let isGone = written.remove(key)
        #expect(isGone == wasThere)
      } else {
        let value = random.bytes(random.below(random.below(20) == 0 ? 400 : 60))
        entries[key] = value
        let isIn = written.set(key, to: value)
        #expect(isIn)
      }
      // Hashes that are kept must not outlive what they are of.
      if random.below(10) == 0 { _ = written.root(blake) }
    }
    var built = tree(of: entries)
    let roots = (written.root(blake), built.root(blake))
    #expect(roots.0 == roots.1)
    #expect(written.count == entries.count)
    for key in keys { #expect(written[key].map(Array.init) == entries[key]) }
    var found: [[UInt8]: [UInt8]] = [:]
    written.visit { found[Array($0)] = Array($1) }
    #expect(found == entries)
  }

  @Test("Any change of a key or a value changes the root")
  func rootTellsEverything() {
    var random = SplitMix64(seed: 5)
    var entries: [[UInt8]: [UInt8]] = [:]
    for _ in 0..<200 { entries[random.bytes(17)] = random.bytes(30) }
    var all = tree(of: entries)
    let root = all.root(blake)
    for key in entries.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      var changed = all
      changed.set(key, to: (entries[key] ?? []) + [0])
      let changedRoot = changed.root(blake)
      changed = all
      changed.remove(key)
      let removedRoot = changed.root(blake)
      #expect(changedRoot != root && removedRoot != root && changedRoot != removedRoot)
    }
  }

  @Test("A copy keeps what it had when the original is written")
  func copiesAreValues() {
    var random = SplitMix64(seed: 9)
    var tree = HashTree(hashKey: meshKey)
    let keys = (0..<500).map { _ in random.bytes(17) }
    for key in keys { tree.set(key, to: [1]) }
    var copy = tree
    let root = tree.root(blake)
    for key in keys { tree.set(key, to: [2]) }
    let roots = (copy.root(blake), tree.root(blake))
    #expect(roots.0 == root && roots.1 != root)
    #expect(copy[keys[0]].map(Array.init) == [1])
  }

  @Test("An empty tree has the empty root, also after its last entry went")
  func emptyRoot() {
    var tree = HashTree(hashKey: meshKey)
    var roots = [tree.root(blake)]
    tree.set([1], to: [2])
    roots.append(tree.root(blake))
    tree.remove([1])
    roots.append(tree.root(blake))
    #expect(roots[0] == .empty && roots[1] != .empty && roots[2] == .empty)
    #expect(tree.isEmpty)
  }

  @Test("An entry that is too large is refused, and nothing changes")
  func boundOfEntries() {
    var tree = HashTree(hashKey: meshKey)
    let tooLarge = tree.set([1], to: [UInt8](repeating: 0, count: HashTree.bucketBytes - 3))
    let withoutKey = tree.set([], to: [1])
    #expect(!tooLarge && !withoutKey && tree.isEmpty)
    let largest = tree.set([1], to: [UInt8](repeating: 0, count: HashTree.bucketBytes - 4))
    #expect(largest)
  }

  @Test("The differences of two trees are those of their entries", arguments: 1...20)
  func differences(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var (left, right): ([[UInt8]: [UInt8]], [[UInt8]: [UInt8]]) = ([:], [:])
    for _ in 0..<random.below(500) {
      let (key, value) = (random.bytes(5), random.bytes(random.below(40)))
      let choice = random.below(10)
      if choice != 0 { left[key] = value }
      if choice != 1 { right[key] = choice == 2 ? value + [7] : value }
    }
    var trees = (tree(of: left), tree(of: right))
    if seed % 2 == 0 { _ = (trees.0.root(blake), trees.1.root(blake)) }
    var found: [[UInt8]: (old: [UInt8]?, new: [UInt8]?)] = [:]
    HashTree.forEachDifference(from: trees.0, to: trees.1) { key, old, new in
      #expect(found[Array(key)] == nil)
      found[Array(key)] = (old.map(Array.init), new.map(Array.init))
    }
    let keys = Set(left.keys).union(right.keys).filter { left[$0] != right[$0] }
    #expect(Set(found.keys) == keys)
    for key in keys {
      #expect(found[key]?.old == left[key] && found[key]?.new == right[key])
    }
  }

  @Test("A large value takes the place of another large one, and of its neighbours none goes")
  func largeValues() {
    var random = SplitMix64(seed: 2)
    var tree = HashTree(hashKey: meshKey)
    let keys = (0..<40).map { _ in random.bytes(17) }
    for round in 0..<3 {
      for key in keys {
        let isIn = tree.set(key, to: [UInt8](repeating: UInt8(round), count: 860))
        #expect(isIn)
      }
    }
    #expect(tree.count == 40)
    for key in keys { #expect(tree[key]?.first == 2) }
  }
}
