package import MeshCRDT

/// Which trees are compared.
///
/// Layout: scope (1: 0 replica, 1 origin); for 1 origin (32), incarnation (12) and sequence (varint)
/// of a checkpoint.
package enum ComparisonPlace: Hashable, Sendable {
  /// The tree of the replica.
  case replica
  /// The trees of an origin, as a checkpoint has them.
  case origin(OriginID, Incarnation, sequence: UInt64)

  package var byteCount: Int {
    switch self {
    case .replica: 1
    case .origin(_, _, let sequence):
      1 + OriginID.byteCount + Incarnation.byteCount + FieldSize.varint(sequence)
    }
  }

  func write(to writer: inout ByteWriter) {
    switch self {
    case .replica: writer.byte(0)
    case .origin(let origin, let incarnation, let sequence):
      writer.byte(1)
      writer.origin(origin)
      writer.incarnation(incarnation)
      writer.varint(sequence)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    switch try reader.byte() {
    case 0: self = .replica
    case 1:
      let origin = try reader.origin()
      let incarnation = try reader.incarnation()
      self = .origin(origin, incarnation, sequence: try reader.counter(from: 1))
    default: throw .outOfBounds
    }
  }
}

/// Where a node stands: its tree and its path there.
///
/// Layout: a byte with the depth in bits 0…4, bit 7 for a tree of records, and bit 6 for that of the
/// same room as the node before, which must be used for it; the name of the room, with bit 7 alone;
/// the digits of the path. A tree of rooms, and that of the replica, has neither bit.
struct NodePlace {
  let tree: OriginFetch.Tree
  let path: TreePath

  private static let records: UInt8 = 0x80
  private static let sameRoom: UInt8 = 0x40

  func byteCount(after previous: OriginFetch.Tree?) -> Int {
    guard case .records(let room) = tree, tree != previous else { return FieldSize.path(path) }
    return FieldSize.path(path) + FieldSize.room(room)
  }

  func write(to writer: inout ByteWriter, after previous: OriginFetch.Tree?) {
    let depth = UInt8(path.depth)
    switch tree {
    case .rooms: writer.byte(depth)
    case .records where tree == previous: writer.byte(depth | Self.records | Self.sameRoom)
    case .records(let room):
      writer.byte(depth | Self.records)
      writer.text(room.text)
    }
    writer.digits(of: path)
  }

  init(tree: OriginFetch.Tree, path: TreePath) {
    self.tree = tree
    self.path = path
  }

  init(
    from reader: inout ByteReader, in place: ComparisonPlace, after previous: OriginFetch.Tree?
  ) throws(WireError) {
    let byte = try reader.byte()
    switch byte & (Self.records | Self.sameRoom) {
    case 0: tree = .rooms
    case Self.records:
      tree = .records(try reader.room())
      guard tree != previous else { throw .notCanonical }
    case Self.records | Self.sameRoom:
      guard case .records = previous, let previous else { throw .notCanonical }
      tree = previous
    default: throw .notCanonical
    }
    guard place != .replica || tree == .rooms else { throw .notCanonical }
    path = try reader.path(depth: Int(byte & 0x3F))
  }
}

/// Asks for what differs from the nodes that the sender has.
///
/// Layout: place, number of the request (2), budget (varint), number of nodes (varint), and for each
/// its ``NodePlace`` and hash (16).
package struct CompareRequest: Hashable, Sendable {
  /// A node by its hash; ``Hash128/empty``: nothing, or not yet.
  package struct Node: Hashable, Sendable {
    package let tree: OriginFetch.Tree
    package let path: TreePath
    package let hash: Hash128

    package init(tree: OriginFetch.Tree, path: TreePath, hash: Hash128) {
      self.tree = tree
      self.path = path
      self.hash = hash
    }

    var place: NodePlace { NodePlace(tree: tree, path: path) }
  }

  package let place: ComparisonPlace
  /// The number of the request: it comes back in the answers.
  package let request: UInt16
  /// The bytes of answers that the sender is ready to take.
  package let budget: UInt64
  package let nodes: [Node]

  package static let budgetBound: UInt64 = 65_536
  /// The most nodes of a message; fewer when their paths are long.
  package static let bound = 64

  package init(place: ComparisonPlace, request: UInt16, budget: UInt64, nodes: [Node]) {
    self.place = place
    self.request = request
    self.budget = min(budget, Self.budgetBound)
    self.nodes = nodes
  }

  /// How many of the nodes, from the first on, one message can ask about.
  package static func prefix(of nodes: some Sequence<Node>, at place: ComparisonPlace) -> Int {
    let rest =
      DatagramHeader.messageBytes - MeshMessage.headerBytes - place.byteCount - 2
      - FieldSize.varint(budgetBound) - 1
    var previous: OriginFetch.Tree?
    return FieldSize.prefix(of: nodes, bytes: rest, atMost: bound) { node in
      defer { previous = node.tree }
      return node.place.byteCount(after: previous) + Hash128.byteCount
    }
  }

  func write(to writer: inout ByteWriter) {
    place.write(to: &writer)
    writer.uint16(request)
    writer.varint(budget)
    writer.varint(nodes.count)
    var previous: OriginFetch.Tree?
    for node in nodes {
      node.place.write(to: &writer, after: previous)
      writer.hash128(node.hash)
      previous = node.tree
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    place = try ComparisonPlace(from: &reader)
    request = try reader.uint16()
    budget = try reader.varint(below: Self.budgetBound + 1)
    let count = try reader.count(1...Self.bound)
    var nodes: [Node] = []
    for _ in 0..<count {
      let node = try NodePlace(from: &reader, in: place, after: nodes.last?.tree)
      nodes.append(Node(tree: node.tree, path: node.path, hash: try reader.hash128()))
    }
    self.nodes = nodes
  }
}

/// The nodes that differ from what was asked.
///
/// Layout: place, number of the request (2), flag (1) of the last message of the answer, number of
/// nodes (varint), and for each its ``NodePlace`` and its bytes (a length and as many).
package struct NodesAnswer: Hashable, Sendable {
  /// A node with its bytes; none: nothing is there.
  package struct Node: Hashable, Sendable {
    package let tree: OriginFetch.Tree
    package let path: TreePath
    package let bytes: [UInt8]

    package init(tree: OriginFetch.Tree, path: TreePath, bytes: [UInt8]) {
      self.tree = tree
      self.path = path
      self.bytes = bytes
    }

    var place: NodePlace { NodePlace(tree: tree, path: path) }

    /// The number of bytes that the node takes in a message, behind one of some tree.
    package func byteCount(after previous: OriginFetch.Tree?) -> Int {
      place.byteCount(after: previous) + FieldSize.blob(bytes.count)
    }
  }

  package let place: ComparisonPlace
  /// That of the request.
  package let request: UInt16
  /// True in the last message of an answer.
  /// The place of the message in the answer, from 0, below ``pageBound``.
  package let page: Int
  /// True for the last message of the answer: there are ``page`` others.
  package let isLast: Bool
  package let nodes: [Node]

  /// The most nodes of a message.
  package static let bound = 255
  /// The most bytes of a node: a bucket with its form byte. Only one at the greatest depth could
  /// have more, of entries that agree in all 64 bits of their placement; it is not sent.
  package static let nodeBytes = 1 + HashTree.bucketBytes

  /// The most messages of an answer.
  package static let pageBound = 1 << 15

  package init(
    place: ComparisonPlace, request: UInt16, page: Int, isLast: Bool, nodes: [Node]
  ) {
    self.place = place
    self.request = request
    self.page = page
    self.isLast = isLast
    self.nodes = nodes
  }

  /// The bytes that are left for nodes in a message.
  package static func room(at place: ComparisonPlace) -> Int {
    // The number of the request (2), the flag (1), and the number of nodes, of one byte or two.
    DatagramHeader.messageBytes - MeshMessage.headerBytes - place.byteCount - 6
  }

  /// How many of the nodes, from the first on, one message can hold. It is at least 1 of nodes with
  /// at most ``nodeBytes`` bytes.
  package static func prefix(of nodes: some Sequence<Node>, at place: ComparisonPlace) -> Int {
    var previous: OriginFetch.Tree?
    return FieldSize.prefix(of: nodes, bytes: room(at: place), atMost: bound) { node in
      defer { previous = node.tree }
      return node.byteCount(after: previous)
    }
  }

  func write(to writer: inout ByteWriter) {
    place.write(to: &writer)
    writer.uint16(request)
    writer.uint16(UInt16(clamping: min(page, Self.pageBound - 1)) | (isLast ? 1 << 15 : 0))
    writer.varint(nodes.count)
    var previous: OriginFetch.Tree?
    for node in nodes {
      node.place.write(to: &writer, after: previous)
      writer.blob(node.bytes)
      previous = node.tree
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    place = try ComparisonPlace(from: &reader)
    request = try reader.uint16()
    let position = try reader.uint16()
    page = Int(position & 0x7FFF)
    isLast = position & 0x8000 != 0
    let count = try reader.count(0...Self.bound)
    var nodes: [Node] = []
    for _ in 0..<count {
      let node = try NodePlace(from: &reader, in: place, after: nodes.last?.tree)
      nodes.append(
        Node(
          tree: node.tree, path: node.path, bytes: try reader.blob(atMost: Self.nodeBytes)))
    }
    self.nodes = nodes
  }
}
