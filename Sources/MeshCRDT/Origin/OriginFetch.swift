/// The room logs of an origin at a checkpoint, as a fetch brought them.
package struct FetchedOrigin: Sendable {
  package let checkpoint: CheckpointFacts
  package let scope: RoomScope
  let rooms: HashTree
  let trees: [RoomName: (version: UInt64, tree: HashTree)]
}

/// The trees of an origin's checkpoint while they are fetched: a staging copy, from the top down.
///
/// Each node that comes must hash to what the node above it says, and the top to the root that the origin
/// signed. So a wrong node is known when it comes, and no word of a peer is believed. What is held already
/// with the same hash at the same place is not asked for.
///
/// Where a node holds some rooms alone, only the nodes on the way to these are fetched of the tree of rooms,
/// the empty places where rooms would stand among them: the hashes of the others prove the rest.
package struct OriginFetch: Sendable {
  /// A tree of the origin: that of its rooms, or that of the records in one.
  package enum Tree: Hashable, Sendable {
    case rooms
    case records(RoomName)
  }

  /// A node that is wanted, with the hash of what is held at its place. ``Hash128/empty``: nothing is, and
  /// all below it is wanted too; ``Hash128/other``: the node alone is.
  package struct Want: Hashable, Sendable {
    package let tree: Tree
    package let path: TreePath
    package let held: Hash128

    package init(tree: Tree, path: TreePath, held: Hash128) {
      self.tree = tree
      self.path = path
      self.held = held
    }
  }

  /// What a node that came did.
  package enum Outcome: Hashable, Sendable {
    case progress
    /// Nobody waits for it: it was here, or its place is not known yet.
    case notWanted
    /// It is not what its origin signed: whoever sent it lies, or is out of order.
    case wrong
  }

  package private(set) var target: CheckpointFacts
  private let hashKey: HashKey
  private let scope: RoomScope
  /// The tree of rooms; `nil`: its top has not come.
  private var rooms: TreeFetch?
  private var heldRooms: HashTree
  private var trees: [RoomName: (entry: RoomEntry, fetch: TreeFetch)] = [:]
  /// Rooms of which something is missing.
  private var open: Set<RoomName> = []
  /// The same, and some of which nothing is missing any more; the last ones are asked for first.
  private var queue: [RoomName] = []
  private var held: [RoomName: HashTree]
  /// Nodes that came before the nodes above them.
  private var early: [Place: [UInt8]] = [:]
  private var earlyBytes = 0
  /// Bytes of nodes that the checkpoint's trees may still have.
  private var room: Int
  private let bounds: OriginBounds
  /// True when so little is held that all is asked for at once: that is less than one more question.
  private var isSmall: Bool
  /// True when the origin signed what no origin may say: nothing of it stays.
  private var isUnsound = false

  /// The most bytes of nodes that came early; the others are asked for again.
  package static let earlyBound = 131_072

  private struct Place: Hashable, Sendable {
    let tree: Tree
    let path: TreePath
  }

  /// - Parameter replica: what is held of the origin; its hashes are computed.
  package init(_ target: CheckpointFacts, from replica: inout OriginReplica, _ hash: some TreeHash)
  {
    self.target = target
    hashKey = replica.hashKey
    scope = replica.scope
    bounds = replica.bounds
    isSmall = replica.isSmall
    room = Self.room(bounds)
    heldRooms = replica.settle(hash)
    held = replica.logs.mapValues(\.tree)
    beginRooms(hash)
  }

  /// Begins at the top, which may be held.
  private mutating func beginRooms(_ hash: some TreeHash) {
    rooms = nil
    if target.root == .empty || heldRooms.content(at: .top).map(hash.hash256) == target.root {
      rooms = TreeFetch(
        target.root == .empty ? HashTree(hashKey: hashKey) : heldRooms, scope: scope)
      _ = takeRooms(below: .top)
    }
  }

  /// Branches, and the heads of entries, are less than what they lead to.
  private static func room(_ bounds: OriginBounds) -> Int {
    2 * bounds.bytes + 128 * bounds.records
  }

  /// Goes on with a later checkpoint of the same incarnation. What is here and equal in both is kept.
  /// Cost: the rooms.
  package mutating func retarget(_ target: CheckpointFacts, _ hash: some TreeHash) {
    guard target.incarnation == self.target.incarnation, target.sequence > self.target.sequence
    else { return }
    self.target = target
    for (room, entry) in trees { held[room] = entry.fetch.tree }
    if let rooms { heldRooms = rooms.tree }
    // What came so far is held by now.
    isSmall = false
    beginAnew(hash)
  }

  private mutating func beginAnew(_ hash: some TreeHash) {
    isUnsound = false
    trees = [:]
    open = []
    queue = []
    early = [:]
    earlyBytes = 0
    room = Self.room(bounds)
    beginRooms(hash)
  }

  /// True when nothing is missing.
  package var isDone: Bool { rooms?.isDone == true && open.isEmpty && !isUnsound }

  /// Everything, when nothing is missing.
  package var result: FetchedOrigin? {
    guard isDone, var tree = rooms?.tree else { return nil }
    if scope.isAll { tree.finish(count: trees.count) }
    return FetchedOrigin(
      checkpoint: target, scope: scope, rooms: tree,
      trees: trees.mapValues { ($0.entry.version, $0.fetch.tree) })
  }

  /// Nodes that are missing and whose hashes are known, the rooms' first; at most so many.
  package mutating func wants(atMost bound: Int) -> [Want] {
    guard rooms != nil else {
      let first = Self.firstWants(scope, rooms: isSmall ? nil : heldRooms, isSmall ? [:] : held)
      return Array(first.prefix(bound))
    }
    var wants = (rooms?.wants(atMost: bound) ?? []).map {
      Self.want($0, isSmall ? nil : heldRooms, scope)
    }
    while let room = queue.last, !open.contains(room) { queue.removeLast() }
    for room in queue.reversed() where open.contains(room) {
      guard wants.count < bound else { break }
      for path in trees[room]?.fetch.wants(atMost: bound - wants.count) ?? [] {
        wants.append(
          Want(
            tree: .records(room), path: path,
            held: isSmall ? .empty : held[room]?.heldHash(at: path) ?? .empty))
      }
    }
    return wants
  }

  /// What is asked for at first. Of some rooms alone these are the first nodes on the way to them, and what
  /// they say, though it is not known yet where their nodes are: most origins have few rooms, and all
  /// comes with the first answer.
  static func firstWants(
    _ scope: RoomScope, rooms: HashTree?, _ held: [RoomName: HashTree]
  ) -> [Want] {
    let top = want(.top, rooms, scope)
    guard let wanted = scope.rooms else { return [top] }
    func records(_ room: RoomName) -> Want {
      Want(tree: .records(room), path: .top, held: held[room]?.heldHash(at: .top) ?? .empty)
    }
    return [top, records(.lobby)] + scope.firstPaths.map { want($0, rooms, scope) }
      + wanted.sorted().map(records)
  }

  private static func want(_ path: TreePath, _ rooms: HashTree?, _ scope: RoomScope) -> Want {
    let held = rooms?.heldHash(at: path) ?? .empty
    return Want(tree: .rooms, path: path, held: held == .empty && !scope.isAll ? .other : held)
  }

  /// Takes the bytes of a node in; `nil`: a peer says that nothing is there. Nodes that came early are taken
  /// in with the one that they waited for.
  package mutating func accept(
    _ tree: Tree, _ path: TreePath, _ content: [UInt8]?, _ hash: some TreeHash
  ) -> Outcome {
    switch tree {
    case .rooms: guard scope.reaches(path) else { return .notWanted }
    case .records(let room): guard scope.contains(room) else { return .notWanted }
    }
    let outcome = place(tree, path, content, hash)
    switch outcome {
    case .wrong: break
    case .notWanted: keepEarly(Place(tree: tree, path: path), content)
    case .progress:
      var next = early.isEmpty ? [] : waiting(below: tree, path)
      while let place = next.popLast() {
        guard let content = early.removeValue(forKey: place) else { continue }
        earlyBytes -= content.count
        // One that is wrong is asked for again, and shows then who is to blame.
        if self.place(place.tree, place.path, content, hash) == .progress {
          next += waiting(below: place.tree, place.path)
        }
      }
    }
    if isUnsound { beginAnew(hash) }
    return outcome
  }

  private mutating func place(
    _ tree: Tree, _ path: TreePath, _ content: [UInt8]?, _ hash: some TreeHash
  ) -> Outcome {
    let outcome =
      switch tree {
      case .rooms: acceptRooms(path, content, hash)
      case .records(let room): acceptRecords(room, path, content, hash)
      }
    guard outcome == .progress else { return outcome }
    room -= content?.count ?? 0
    isUnsound = isUnsound || room < 0
    return isUnsound ? .wrong : .progress
  }

  /// Keeps a node whose place is not known yet.
  private mutating func keepEarly(_ place: Place, _ content: [UInt8]?) {
    guard let content, earlyBytes + content.count <= Self.earlyBound, early[place] == nil else {
      return
    }
    switch place.tree {
    case .rooms:
      guard rooms.map({ !$0.tree.has(place.path) }) ?? true else { return }
    case .records(let room):
      guard trees[room].map({ !$0.fetch.tree.has(place.path) }) ?? true else { return }
    }
    early[place] = content
    earlyBytes += content.count
  }

  /// The places below a node that came, in which nodes may wait.
  private func waiting(below tree: Tree, _ path: TreePath) -> [Place] {
    let source: HashTree? =
      switch tree {
      case .rooms: rooms?.tree
      case .records(let room): trees[room]?.fetch.tree
      }
    guard let source else { return [] }
    var places = source.children(at: path).map { Place(tree: tree, path: $0.path) }
    if tree == .rooms, places.isEmpty {
      source.visit(below: path) { key, _ in
        if let room = RoomEntry.room(key) { places.append(Place(tree: .records(room), path: .top)) }
      }
    }
    return places.filter { early[$0] != nil }
  }

  private mutating func acceptRooms(
    _ path: TreePath, _ content: [UInt8]?, _ hash: some TreeHash
  ) -> Outcome {
    guard rooms == nil else {
      let outcome = rooms?.accept(path, content, base: heldRooms, hash) ?? .notWanted
      return outcome == .progress ? takeRooms(below: path) : outcome
    }
    guard path == .top else { return .notWanted }
    guard let content,
      let tree = HashTree(hashKey: hashKey, root: target.root, top: content, base: heldRooms, hash)
    else { return .wrong }
    rooms = TreeFetch(tree, scope: scope)
    return takeRooms(below: .top)
  }

  /// Looks at the rooms that a node of their tree brought, itself or by what is held.
  private mutating func takeRooms(below path: TreePath) -> Outcome {
    var isSound = true
    var found: [(room: RoomName, entry: RoomEntry)] = []
    rooms?.tree.visit(below: path) { key, value in
      guard let room = RoomEntry.room(key), let entry = RoomEntry(bytes: value) else {
        isSound = false
        return
      }
      if scope.contains(room) { found.append((room, entry)) }
    }
    guard isSound, trees.count + found.count <= bounds.rooms else {
      isUnsound = true
      return .wrong
    }
    for (room, entry) in found where trees[room] == nil {
      var tree = HashTree(hashKey: hashKey, missing: entry.hash)
      if let known = held[room], known.knownHash == entry.hash { tree = known }
      let fetch = TreeFetch(tree)
      trees[room] = (entry, fetch)
      guard !fetch.isDone else { continue }
      open.insert(room)
      queue.append(room)
    }
    return .progress
  }

  private mutating func acceptRecords(
    _ room: RoomName, _ path: TreePath, _ content: [UInt8]?, _ hash: some TreeHash
  ) -> Outcome {
    guard open.contains(room), var known = trees.removeValue(forKey: room) else {
      return .notWanted
    }
    // What no batch can say is not taken in: who followed the batches has not got it either.
    if let content, !isSound(content, in: room) {
      trees[room] = known
      return .notWanted
    }
    let outcome = known.fetch.accept(
      path, content, base: held[room] ?? HashTree(hashKey: hashKey), hash)
    if known.fetch.isDone {
      known.fetch.finish(
        count: min(Int(clamping: known.entry.count), bounds.records))
      open.remove(room)
    }
    trees[room] = known
    return outcome
  }

  /// True when the records in a node may stand in a room's log: of its kinds, with versions that the
  /// checkpoint speaks of. Branches have none.
  private func isSound(_ content: [UInt8], in room: RoomName) -> Bool {
    var isSound = true
    _ = heldRooms.visitEntries(ofNode: content) { key, value in
      guard let key = EntryKey(bytes: key), let record = StoredRecord(bytes: value),
        room.isLobby || key.kind.standsInRooms, record.version <= target.version
      else {
        isSound = false
        return
      }
    }
    return isSound
  }
}
