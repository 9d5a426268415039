package import MeshCRDT
package import MeshCRDT2
import MeshWire

/// Which tree is compared.
///
/// Layout: scope (1: 0 replica, 1 rooms, 2 records); for 1 and 2 origin (32), incarnation (12) and
/// sequence (varint) of a checkpoint; for 2 the room.
package enum ComparisonPlace: Hashable, Sendable {
  /// The tree of the replica.
  case replica
  /// The tree of rooms of an origin, as a checkpoint has it.
  case rooms(OriginID, Incarnation, sequence: UInt64)
  /// The tree of records of a room log.
  case records(OriginID, Incarnation, sequence: UInt64, RoomName)

  static let byteBound =
    1 + OriginID.byteCount + Incarnation.byteCount + FieldSize.mostCounter + FieldSize.mostRoom

  package var byteCount: Int {
    switch self {
    case .replica: 1
    case .rooms(_, _, let sequence):
      1 + OriginID.byteCount + Incarnation.byteCount + FieldSize.varint(sequence)
    case .records(_, _, let sequence, let room):
      1 + OriginID.byteCount + Incarnation.byteCount + FieldSize.varint(sequence)
        + FieldSize.room(room)
    }
  }

  func write(to writer: inout ByteWriter) {
    func checkpoint(_ origin: OriginID, _ incarnation: Incarnation, _ sequence: UInt64) {
      writer.origin(origin)
      writer.incarnation(incarnation)
      writer.varint(sequence)
    }
    switch self {
    case .replica: writer.byte(0)
    case .rooms(let origin, let incarnation, let sequence):
      writer.byte(1)
      checkpoint(origin, incarnation, sequence)
    case .records(let origin, let incarnation, let sequence, let room):
      writer.byte(2)
      checkpoint(origin, incarnation, sequence)
      writer.text(room.text)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    let scope = try reader.byte()
    guard scope <= 2 else { throw .outOfBounds }
    guard scope > 0 else {
      self = .replica
      return
    }
    let origin = try reader.origin()
    let incarnation = try reader.incarnation()
    let sequence = try reader.counter(from: 1)
    self =
      scope == 1
      ? .rooms(origin, incarnation, sequence: sequence)
      : .records(origin, incarnation, sequence: sequence, try reader.room())
  }
}

/// Asks for what differs from the nodes that the sender has.
///
/// Layout: place, budget (varint), number of nodes (varint), and for each its path and hash (16).
package struct CompareRequest: Hashable, Sendable {
  /// A node by its hash; ``Hash128/empty``: nothing, or not yet.
  package struct Node: Hashable, Sendable {
    package let path: TreePath
    package let hash: Hash128

    package init(path: TreePath, hash: Hash128) {
      self.path = path
      self.hash = hash
    }

    var byteCount: Int { FieldSize.path(path) + Hash128.byteCount }
  }

  package let place: ComparisonPlace
  /// The bytes of answers that the sender is ready to take.
  package let budget: UInt64
  package let nodes: [Node]

  package static let budgetBound: UInt64 = 65_536
  /// The most nodes of a message; fewer when their paths are long.
  package static let bound = 64

  package init(place: ComparisonPlace, budget: UInt64, nodes: [Node]) {
    self.place = place
    self.budget = min(budget, Self.budgetBound)
    self.nodes = nodes
  }

  /// How many of the nodes, from the first on, one message can ask about.
  package static func prefix(of nodes: some Sequence<Node>, at place: ComparisonPlace) -> Int {
    let rest =
      DatagramHeader.messageBytes - MeshMessage.headerBytes - place.byteCount
      - FieldSize.varint(budgetBound) - 1
    return FieldSize.prefix(of: nodes, bytes: rest, atMost: bound) { $0.byteCount }
  }

  func write(to writer: inout ByteWriter) {
    place.write(to: &writer)
    writer.varint(budget)
    writer.varint(nodes.count)
    for node in nodes {
      writer.path(node.path)
      writer.hash128(node.hash)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    place = try ComparisonPlace(from: &reader)
    budget = try reader.varint(below: Self.budgetBound + 1)
    let count = try reader.count(1...Self.bound)
    var nodes: [Node] = []
    for _ in 0..<count {
      nodes.append(Node(path: try reader.path(), hash: try reader.hash128()))
    }
    self.nodes = nodes
  }
}

/// The nodes that differ from what was asked.
///
/// Layout: place, number of nodes (varint), and for each its path and its bytes (a length and as
/// many).
package struct NodesAnswer: Hashable, Sendable {
  /// A node with its bytes; none: nothing is there.
  package struct Node: Hashable, Sendable {
    package let path: TreePath
    package let bytes: [UInt8]

    package init(path: TreePath, bytes: [UInt8]) {
      self.path = path
      self.bytes = bytes
    }

    /// The number of bytes that the node takes in a message.
    package var byteCount: Int { FieldSize.path(path) + FieldSize.blob(bytes.count) }
  }

  package let place: ComparisonPlace
  package let nodes: [Node]

  /// The most nodes of a message.
  package static let bound = 255
  /// The most bytes of a node: a bucket with its form byte. Only one at the greatest depth could
  /// have more, of entries that agree in all 64 bits of their placement; it is not sent.
  package static let nodeBytes = 1 + HashTree.bucketBytes

  package init(place: ComparisonPlace, nodes: [Node]) {
    self.place = place
    self.nodes = nodes
  }

  /// The bytes that are left for nodes in a message.
  package static func room(at place: ComparisonPlace) -> Int {
    // The number of nodes has one byte or two.
    DatagramHeader.messageBytes - MeshMessage.headerBytes - place.byteCount - 2
  }

  /// How many of the nodes, from the first on, one message can hold. It is at least 1 of nodes with
  /// at most ``nodeBytes`` bytes.
  package static func prefix(of nodes: some Sequence<Node>, at place: ComparisonPlace) -> Int {
    FieldSize.prefix(of: nodes, bytes: room(at: place), atMost: bound) { $0.byteCount }
  }

  func write(to writer: inout ByteWriter) {
    place.write(to: &writer)
    writer.varint(nodes.count)
    for node in nodes {
      writer.path(node.path)
      writer.blob(node.bytes)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    place = try ComparisonPlace(from: &reader)
    let count = try reader.count(0...Self.bound)
    var nodes: [Node] = []
    for _ in 0..<count {
      nodes.append(
        Node(path: try reader.path(), bytes: try reader.blob(atMost: Self.nodeBytes)))
    }
    self.nodes = nodes
  }
}
