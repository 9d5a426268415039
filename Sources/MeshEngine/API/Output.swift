package import MeshCRDT
package import MeshWire

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
  /// Keep these in the place of those before: what is known of the membership.
  case keep([Decree])
  /// Keep the mesh keys that ``Engine/crypto`` holds now in the place of those before.
  case keepKeys
}

/// What must survive a restart.
package struct DurableState: Hashable, Sendable {
  /// The counter of the highest incarnation that this node has had.
  package var incarnationCounter: UInt64

  package init(incarnationCounter: UInt64) { self.incarnationCounter = incarnationCounter }
}

/// How a node is, as this node sees it.
public enum NodeHealth: String, Hashable, Sendable {
  /// Its beats come in time.
  case online
  /// No beat for half of the time to live.
  case suspect
  /// No beat for the time to live. Its sessions are hidden.
  case offline
  /// It said that it leaves. Its sessions are hidden.
  case left
}

/// What changed. Replaying the events over a snapshot gives the next snapshot.
package enum MeshEvent: Hashable, Sendable {
  /// A session became visible.
  indirect case appeared(SessionSnapshot)
  /// A visible session says something else, or has another host.
  indirect case changed(SessionSnapshot)
  /// A session is not visible any more.
  case disappeared(SessionID)
  /// A cursor of a visible session moved.
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
  /// A session of this node was removed from a room, or ended (the lobby).
  case removed(SessionID, from: RoomName)
  /// True: nobody was heard for a while, and what is visible may be old.
  case stale(Bool)
  /// Another process speaks with this node's key, in this incarnation. This one has stopped writing.
  case cloned(Incarnation)
  /// An origin has signed two statements that contradict each other. Its sessions are hidden until it
  /// has a higher incarnation.
  case contradicted(OriginID, Incarnation)
  /// This node is no member of the mesh any more.
  case expelled(RefusalReason)
  /// The mesh key of an epoch has come.
  case admitted(UInt32)
  /// A node did not give the mesh key. Others are asked on.
  case admissionRefused(RefusalReason, at: PeerAddress)
}

/// What is visible at one moment.
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
