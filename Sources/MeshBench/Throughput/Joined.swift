import MeshEngine

extension Counters {
  /// Records and cursor updates that were joined.
  var joined: UInt64 {
    #if PROTOCOL_2
      self[.recordsJoined] + self[.cursorUpdatesJoined]
    #else
      self[.recordsJoined]
    #endif
  }
}
