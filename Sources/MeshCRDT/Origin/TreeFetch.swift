/// A tree that is being fetched, and which of its nodes are missing.
struct TreeFetch: Sendable {
  private(set) var tree: HashTree
  /// The number of missing nodes whose hashes are known.
  private(set) var missing: Int
  /// Where they are, and some that are not missing any more; the last ones are asked for first.
  private var places: [TreePath]
  /// What is fetched of a tree of rooms; what is not stays missing.
  private let scope: RoomScope

  init(_ tree: HashTree, scope: RoomScope = .all) {
    self.tree = tree
    self.scope = scope
    places = tree.missingPaths.filter(scope.reaches)
    missing = places.count
  }

  var isDone: Bool { missing == 0 }

  mutating func finish(count: Int) { tree.finish(count: count) }

  /// Missing nodes, at most so many, that are not under way.
  mutating func wants(atMost bound: Int) -> [TreePath] {
    var result: [TreePath] = []
    var kept = places.count
    while kept > 0, result.count < bound {
      kept -= 1
      if tree.isMissing(places[kept]) { result.append(places[kept]) }
    }
    // Those that came meanwhile go; the order of the others stays.
    places.replaceSubrange(kept..., with: result.reversed())
    return result
  }

  /// Takes a node in.
  mutating func accept(
    _ path: TreePath, _ content: [UInt8]?, base: HashTree, _ hash: some TreeHash
  ) -> OriginFetch.Outcome {
    guard let content else { return tree.isMissing(path) ? .wrong : .notWanted }
    switch tree.fill(path, with: content, base: base, hash) {
    case .wrong: return .wrong
    case .notMissing: return .notWanted
    case .filled(let all):
      let children = all.filter(scope.reaches)
      missing += children.count - 1
      places += children.reversed()
      return .progress
    }
  }
}
