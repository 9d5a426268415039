extension Scenario {
  /// Something that goes wrong in a simulated world.
  package enum Fault: String, CaseIterable, Hashable, Sendable {
    case loss, duplication, reordering, delay, corruption, truncation
    /// Links that carry short datagrams only.
    case sizeLimit
    case partition
    /// One direction of some links is cut.
    case oneWay
    /// Some links are cut, others between the same nodes are not.
    case partialPartition
    /// One node is cut off from everybody.
    case isolation
    /// A node goes on from another address.
    case addressChange
    /// Nodes behind an address translation, whose mappings change.
    case translation
    /// The process dies, and comes back with its disk, with an old copy of it, or with none.
    case crashKeptDisk, crashOldDisk, crashLostDisk
    /// The process dies when its incarnation is on the disk, before the datagrams behind it go.
    case crashAfterPersist
    /// The process sleeps for a while.
    case pause
    /// The process sleeps 0.7 s in each 2.4 s, or its timers come up to 550 ms late.
    case stalls
    case clockDrift
    /// The machine sleeps for up to a minute: nothing reaches it, and its clock goes on.
    case suspension
    /// Everybody starts, and opens sessions, at once.
    case joinStorm
    /// Nodes leave politely and come back.
    case churn
    /// A second process with the key of a node.
    case clone
    /// The mesh key is changed while the mesh runs, one node after the other.
    case keyRotation
    /// Nodes may send little.
    case sendRate
    /// Loss or a short size of datagrams that stay after the faults.
    case residue
    /// Somebody without the mesh key: replays, floods, spoofs.
    case outsider
    /// Members that lie, a third of the nodes at the most, to the end.
    case liars
  }
}
