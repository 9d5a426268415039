import MeshCRDT
import MeshCrypto

extension VectorFile {
  /// Entries that no protocol makes: short keys and values of some sizes.
  private static func entries(_ count: Int, valueBytes: Int) -> [(key: [UInt8], value: [UInt8])] {
    (0..<count).map { number in
      let key = Array("key-\(number)".utf8)
      return (key, (0..<valueBytes).map { UInt8(truncatingIfNeeded: number &* 7 &+ $0) })
    }
  }

  private static func tree(_ entries: [(key: [UInt8], value: [UInt8])]) -> HashTree {
    var tree = HashTree(hashKey: Fixture.hashKey)
    for entry in entries { tree.set(entry.key, to: entry.value) }
    return tree
  }

  static func trees(_ fixture: Fixture) -> JSON {
    let deep = entries(400, valueBytes: 20)
    // Removing entries folds branches into buckets again.
    var folded = tree(deep)
    for entry in deep.dropFirst(30) { folded.remove(entry.key) }
    let all: [(String, HashTree)] = [
      ("empty", tree([])),
      ("one entry without a value", tree([([0x61], [])])),
      // An entry of these has 3 + 5 + 82 bytes: ten of them are 900.
      ("the largest bucket", tree(entries(10, valueBytes: 82))),
      ("one byte more than a bucket", tree(entries(10, valueBytes: 82) + [([0x61], [])])),
      ("two levels of branches", tree(deep)),
      ("what is left of two levels", folded),
      ("records of the lobby", Fixture.records(.lobby)),
      ("records of a room", Fixture.records(Fixture.design)),
      ("rooms of an origin", Fixture.rooms),
      ("a replica", fixture.replica),
    ]
    return .list(all.map { described($0, $1) })
  }

  private static func described(_ name: String, _ tree: HashTree) -> JSON {
    var tree = tree
    let hash = tree.hash(Fixture.hash)
    var entries: [(key: [UInt8], value: [UInt8])] = []
    func add(_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
      entries.append((Array(key), Array(value)))
    }
    tree.visit(add)
    entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
    return .object([
      "name": .text(name),
      "entries": .list(
        entries.map {
          .object([
            "key": .hex($0.key), "value": .hex($0.value),
            "placement": .hex(tree.placement(of: $0.key)),
          ])
        }),
      "nodes": .list(nodes(tree, at: .top)),
      "hash": .hex(hash.bytes),
      "root": .hex(tree.root(Fixture.hash).bytes),
    ])
  }

  /// The nodes from a path on, each before its children.
  private static func nodes(_ tree: HashTree, at path: TreePath) -> [JSON] {
    guard let bytes = tree.content(at: path) else { return [] }
    let node = JSON.object([
      "path": .text(path.digits), "bytes": .hex(bytes),
      "hash": .hex(Fixture.hash.hash128(bytes).bytes),
    ])
    return [node] + tree.children(at: path).flatMap { nodes(tree, at: $0.path) }
  }
}
