package import MeshCRDT

/// What an engine wants done.
package enum Output: Sendable {
  /// Send a datagram to an address. Failure is loss.
  case send([UInt8], to: PeerAddress)
  /// Send a datagram to everybody on the LAN.
  case announce([UInt8])
  /// Tell the user.
  case event(MeshEvent)
  /// Keep this on the disk before the process ends.
  case persist(DurableState)
}

/// What must survive a restart.
package struct DurableState: Hashable, Sendable {
  package var generation: UInt64
  /// No Lamport counter of this life is above it.
  package var lamportCeiling: UInt64

  package init(generation: UInt64, lamportCeiling: UInt64) {
    self.generation = generation
    self.lamportCeiling = lamportCeiling
  }
}

/// How a node is, as this node sees it.
public enum NodeHealth: String, Hashable, Sendable {
  /// Heard of lately.
  case online
  /// Not heard of for half of the time to live; in a large mesh, for four fifths of it.
  case suspect
  /// Not heard of for the time to live, or, while this node hears nobody, for four times that. Its
  /// sessions are hidden.
  case offline
  /// It said farewell. Its sessions are hidden.
  case left
}

/// What changed. Replaying the events over a snapshot gives the next snapshot.
package enum MeshEvent: Hashable, Sendable {
  /// A session is seen that was not.
  case appeared(SessionSnapshot)
  /// A session that is seen says something else, or has another host.
  case changed(SessionSnapshot)
  /// A session is not seen any more.
  case disappeared(SessionID)
  /// A cursor of a session that is seen moved.
  case cursor(SessionID, RoomName, Cursor)
  /// The health of a node changed, or a node was first heard of.
  case node(OriginID, NodeHealth)
  /// A node was forgotten.
  case forgotten(OriginID)
  /// A session of this node came back inside its lease.
  case restored(SessionID)
  /// A session of this node went on at another host.
  case moved(SessionID, to: OriginID)
  /// A session of this node ended because its lease did.
  case leaseEnded(SessionID)
  /// A session of this node was taken out of a room by order, or ended (the lobby).
  case removed(SessionID, from: RoomName)
  /// True: nobody was heard for a while, and what is shown may be old.
  case stale(Bool)
  /// Another process speaks with this node's key.
  case cloned(generation: UInt64)
}

/// What is seen at one moment.
package struct MeshSnapshot: Hashable, Sendable {
  /// In the order of their ids.
  package var sessions: [SessionSnapshot]
  package var nodes: [OriginID: NodeHealth]
  package var isStale: Bool

  package init(sessions: [SessionSnapshot], nodes: [OriginID: NodeHealth], isStale: Bool) {
    self.sessions = sessions
    self.nodes = nodes
    self.isStale = isStale
  }
}
