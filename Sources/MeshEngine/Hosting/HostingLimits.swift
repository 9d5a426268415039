import MeshCRDT

/// The bounds of the tables of hosting, and its spans that no setting changes.
enum HostingLimits {
  // MARK: Rooms

  /// Rooms in which a node's sessions are at a time, the lobby not counted. Others are refused. A
  /// room log that became empty counts at other nodes until a checkpoint, so this is half of their
  /// bound.
  static let roomLogs = Limits.roomsPerOrigin / 2
  /// Occupancy records of this node. More are not written: such a session is seen in the room only
  /// by those who subscribe to it.
  static let occupancies = 4 * Limits.sessionsPerOrigin

  /// What this node's records may be before operations that add to them are refused: less than others take,
  /// since what waits to be written comes on top.
  static let records: OriginBounds = {
    var bounds = OriginBounds()
    (bounds.sessions, bounds.removals) = (.max, .max)
    (bounds.records, bounds.bytes) = (bounds.records / 4 * 3, bounds.bytes / 4 * 3)
    return bounds
  }()

  // MARK: Moving sessions

  /// How long a session's records stay after another node took it over.
  static let handOverDelay = Span.milliseconds(250)
  /// Ended sessions and users whose highest counters are remembered. The one that was noted first
  /// goes.
  static let rememberedCounters = 16_384

  // MARK: Removals

  /// Removals that users ordered and that stand. More are refused.
  static let orders = Limits.removalsPerOrigin / 2
  /// Removals that stand because other origins hold records of what ended here. The oldest goes.
  static let departures = Limits.removalsPerOrigin / 2
  /// Origins whose records a removal waits for. More are not noted.
  static let holdersPerRemoval = 16

  // MARK: Work in one turn

  /// Batches that one flush writes.
  static let batchesPerFlush = 16
  /// Leases, cursors, removals and others that are evaluated in one turn.
  static let evaluationsPerTurn = 128
}
