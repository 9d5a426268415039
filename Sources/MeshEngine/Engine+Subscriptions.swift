import MeshCRDT
import MeshTrust
import MeshWire

// Who subscribes to what, and what follows from it.

extension Engine {
  /// The rooms that this node subscribes to changed: drops what it does not hold any more, and asks for what
  /// it is to hold from now on.
  mutating func subscriptionChanged() {
    let rooms = hosting.subscription.rooms
    subscriptions.setOwn(rooms)
    let scope = RoomScope(rooms, hashKey: configuration.mesh.hashKey)
    for (slot, changes) in records.setScope(scope, except: ownSlot) {
      guard let other = records.origin(slot: slot) else { continue }
      noteChanges(changes, slot: slot)
      // What is under way is of other rooms.
      comparison.forget(other)
      repairs.complete(other)
      guard !records.isComplete(slot: slot), let address = source(of: other) else { continue }
      touched.append((slot, address))
    }
  }

  /// Takes note of others' subscriptions. As soon as a visible origin subscribes to some rooms only, this
  /// node says in the lobby which rooms its sessions are in, and goes on doing so.
  mutating func noteSubscriptions(_ changes: [AppliedChange], of other: OriginID) {
    guard subscriptions.note(changes, of: other) else { return }
    router.noteSubscriptions()
    noteVisibleSubscriber(other)
  }

  mutating func noteVisibleSubscriber(_ other: OriginID) {
    guard subscriptions.isPartial(other), members.health(of: other)?.isVisible == true else {
      return
    }
    hosting.beginOccupancy()
  }

  /// Whom an origin may be fetched from: the origin itself, or a peer that subscribes to all that this node
  /// does; else anybody.
  static func sources(
    of other: OriginID, _ paths: Paths, _ subscriptions: Subscriptions
  ) -> [[PeerAddress]] {
    let peers = paths.table.best
    let good = peers.filter { $0.origin == other || subscriptions.covers($0.origin) }
    return [good.map(\.address), peers.map(\.address)]
  }

  /// The peer to ask about an origin: this one, if it is a good source, else the origin itself, or another
  /// good one.
  mutating func source(of other: OriginID, near address: PeerAddress? = nil) -> PeerAddress? {
    if let address, let peer = paths.table.origin(at: address),
      peer == other || subscriptions.covers(peer)
    {
      return address
    }
    if let own = paths.table.bestAddress(of: other) { return own }
    let good = Self.sources(of: other, paths, subscriptions).first ?? []
    if good.isEmpty { paths.contact(other, &context) }
    return context.random.sample(good, 1).first ?? address
  }

  /// Fetches the nodes that prove what is held of an origin, where checkpoints alone have told that it is
  /// complete: somebody asks for them.
  mutating func prove(_ other: OriginID, for address: PeerAddress) {
    guard let slot = records.slot(of: other), records.isComplete(slot: slot),
      records.replica.replica(slot: slot)?.isProven == false,
      let position = records.complete(slot: slot)?.body.position,
      let source = source(of: other), source != address
    else { return }
    handle(fetch(other, position, from: source))
  }
}
