/// The rooms of which a node holds what others say: all, or the lobby and some.
package struct RoomScope: Hashable, Sendable {
  /// All rooms.
  package static let all = RoomScope()

  /// The rooms beside the lobby; `nil`: all.
  package let rooms: Set<RoomName>?
  /// Where they and the lobby lie in a tree of rooms.
  let placements: [UInt64]

  private init() { (rooms, placements) = (nil, []) }

  /// - Parameter rooms: `nil`: all.
  package init(_ rooms: Set<RoomName>?, hashKey: HashKey) {
    self.rooms = rooms
    placements = (rooms?.union([.lobby]) ?? []).map {
      HashTree.placement(of: RoomEntry.key($0), hashKey)
    }.sorted()
  }

  /// True when it has all rooms.
  package var isAll: Bool { rooms == nil }

  package func contains(_ room: RoomName) -> Bool {
    room.isLobby || rooms?.contains(room) ?? true
  }

  /// True when some room may lie below a node of a tree of rooms. Cost: the rooms.
  func reaches(_ path: TreePath) -> Bool { isAll || placements.contains(where: path.covers) }

  /// The children of the top of a tree of rooms on the way to the rooms.
  var firstPaths: [TreePath] {
    Set(placements.map { TreePath.digit($0, at: 0) }).sorted().map { TreePath.top.child($0) }
  }
}
