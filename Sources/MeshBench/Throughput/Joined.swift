import MeshEngine

extension Counters {
  /// Records and cursor updates that were joined.
  var joined: UInt64 {
    self[.recordsJoined] + self[.cursorUpdatesJoined]
  }
}
