import MeshCRDT
import MeshWire

/// Answers comparisons. It remembers nothing of a request: everything that an answer needs is in it.
enum ComparisonAnswers {
  /// What is sent in answer, in this order.
  struct Answer: Sendable {
    var checkpoint: Authentic<Checkpoint>?
    var nodes: [NodesAnswer] = []
  }

  /// Answers a request; `nil`: nothing is held that it is about. What is above the allowed bytes is left out:
  /// the asker asks on.
  static func answer(
    _ request: CompareRequest, from source: inout some ComparisonSource, atMost allowed: Int = .max
  ) -> Answer? {
    switch request.place {
    case .replica:
      var writer = Writer(request, place: .replica, atMost: allowed)
      let tree = source.summaries()
      for node in request.nodes { writer.add(node) { $0 == .rooms ? tree : nil } }
      return Answer(nodes: writer.finish())
    case .origin(let origin, let incarnation, let sequence):
      guard let (checkpoint, replica) = source.completed(origin) else { return nil }
      let isOlder =
        (checkpoint.body.incarnation, checkpoint.body.sequence) < (incarnation, sequence)
      let place = ComparisonPlace.origin(
        origin, checkpoint.body.incarnation, sequence: checkpoint.body.sequence)
      var writer = Writer(request, place: place, atMost: allowed)
      // Who has less than is asked for, or cannot prove it, says so, and nothing else.
      if !isOlder && replica.isProven {
        for node in request.nodes { writer.add(node) { replica.completeTree($0) } }
      }
      let isAtTop = request.nodes.contains { $0.tree == .rooms && $0.path == .top }
      let isOther =
        (checkpoint.body.incarnation, checkpoint.body.sequence) != (incarnation, sequence)
      return Answer(checkpoint: isAtTop || isOther ? checkpoint : nil, nodes: writer.finish())
    }
  }

  /// Fills messages with nodes, as long as the budget lasts.
  private struct Writer {
    private let place: ComparisonPlace
    private let request: UInt16
    private var budget: Int
    /// What nodes that were asked about may take, too.
    private var allowed: Int
    private var pages: [[NodesAnswer.Node]] = []
    private var page: [NodesAnswer.Node] = []
    private var room: Int
    private let pageRoom: Int

    init(_ request: CompareRequest, place: ComparisonPlace, atMost allowed: Int) {
      self.place = place
      self.request = request.request
      self.allowed = allowed
      budget = min(Int(request.budget), allowed)
      pageRoom = NodesAnswer.room(at: place)
      room = pageRoom
    }

    /// Answers for one node: with its bytes if its hash is another one, and with all below it if the asker
    /// has nothing there.
    mutating func add(
      _ node: CompareRequest.Node, _ trees: (OriginFetch.Tree) -> HashTree?
    ) {
      // Of what is not held nothing is said.
      guard allowed > 0, let tree = trees(node.tree), tree.isKnown(node.path),
        tree.hash(at: node.path) != node.hash
      else { return }
      guard let bytes = tree.content(at: node.path) else {
        return put(node.tree, node.path, [])
      }
      put(node.tree, node.path, bytes)
      if node.hash == .empty { stream(below: node.tree, tree, node.path, bytes, trees) }
    }

    /// Answers for all nodes below one, each before its children.
    private mutating func stream(
      below name: OriginFetch.Tree, _ tree: HashTree, _ path: TreePath, _ bytes: [UInt8],
      _ trees: (OriginFetch.Tree) -> HashTree?
    ) {
      for child in HashTree.children(ofNode: bytes, at: path) {
        guard budget > 0 else { return }
        guard let bytes = tree.content(at: child) else { continue }
        put(name, child, bytes)
        stream(below: name, tree, child, bytes, trees)
      }
      guard name == .rooms, place != .replica else { return }
      for room in RoomEntry.rooms(inNode: bytes) {
        guard budget > 0 else { return }
        guard let tree = trees(.records(room)), let bytes = tree.content(at: .top) else { continue }
        put(.records(room), .top, bytes)
        stream(below: .records(room), tree, .top, bytes, trees)
      }
    }

    private mutating func put(_ tree: OriginFetch.Tree, _ path: TreePath, _ bytes: [UInt8]) {
      let node = NodesAnswer.Node(tree: tree, path: path, bytes: bytes)
      if node.byteCount(after: page.last?.tree) > room || page.count == NodesAnswer.bound {
        pages.append(page)
        page = []
        room = pageRoom
      }
      let bytes = node.byteCount(after: page.last?.tree)
      page.append(node)
      room -= bytes
      budget -= bytes
      allowed -= bytes
    }

    consuming func finish() -> [NodesAnswer] {
      if !page.isEmpty || pages.isEmpty { pages.append(page) }
      return pages.enumerated().map { index, nodes in
        NodesAnswer(
          place: place, request: request, page: index, isLast: index == pages.count - 1,
          nodes: nodes)
      }
    }
  }
}
