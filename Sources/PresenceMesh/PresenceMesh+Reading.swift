import MeshCRDT
import MeshEngine
import MeshTransport

// MARK: - People

extension PresenceMesh {
  /// The room that every session of the mesh is in.
  public var lobby: Room { Room(name: .lobby, mesh: self) }

  /// A room of the mesh. Rooms need not be made: one is there while somebody is in it.
  public func room(_ name: RoomName) -> Room { Room(name: name, mesh: self) }

  /// A room of the mesh; the lobby for the empty name.
  /// - Throws: ``PresenceError/invalidRoomName(_:)``.
  public func room(_ name: String) throws(PresenceError) -> Room {
    guard let name = RoomName(name) else { throw .invalidRoomName(name) }
    return Room(name: name, mesh: self)
  }

  /// A page of the users of the whole mesh: see ``Room/users(onlineOnly:limit:offset:)``.
  public func users(onlineOnly: Bool = false, limit: Int = .max, offset: Int = 0) -> [User] {
    lobby.users(onlineOnly: onlineOnly, limit: limit, offset: offset)
  }

  /// A user who is online anywhere in the mesh, or has gone lately; `nil` for anybody else.
  public func user(_ id: String) -> User? { lobby.user(id) }

  /// True when the user has a live session anywhere in the mesh. Cost: a look-up.
  public func isOnline(_ user: String) -> Bool { lobby.isOnline(user) }

  /// All live sessions of the mesh as seen in the lobby, in the order of their ids. Cost: sorts them.
  public func sessions() -> [Session] { lobby.sessions() }

  /// A session with all the rooms that it is in; `nil` when it is not seen.
  public func session(_ id: SessionID) -> SessionSnapshot? { hub.look { $0.session(id) } }

  /// The rooms that somebody is in, in the order of their names, without the lobby. Exact as told by
  /// the hosts of the sessions, whether or not this node subscribes to them: see ``subscribe(to:)``.
  /// Cost: sorts the rooms.
  public func rooms() -> [RoomSummary] { hub.view.rooms }

  /// The rooms that a user is in, in the order of their names, without the lobby. Exact as told by the
  /// hosts of the sessions, whether or not this node subscribes to them. Cost: the sessions of the
  /// user.
  public func rooms(ofUser user: String) -> [RoomName] {
    hub.look { $0.rooms(ofUser: user) }
  }

  /// Counts over some rooms: each room's, and how many different users and sessions they have
  /// together. Exact as told by the hosts of the sessions, whether or not this node subscribes to them.
  /// Cost: the users and sessions of these rooms.
  public func statistics(rooms: [RoomName]) -> RoomStatistics {
    hub.view.statistics(rooms: rooms)
  }

  /// True when this node has heard no other for a while, and what it shows may be old. A node
  /// that is alone in its mesh is not stale.
  public var isStale: Bool { hub.isStale }

  /// True when another process speaks with this node's key, because its state directory was copied. This
  /// one has stopped writing for good, and others do not show its sessions: see ``PresenceError/cloned``.
  public var isCloned: Bool { hub.isCloned }

  /// Why this node is no member of the mesh any more; `nil`: it is one. It says nothing then, and is heard by
  /// nobody.
  public var expulsion: Expulsion? { hub.expulsion }
}

// MARK: - Events

extension PresenceMesh {
  /// The events of the whole mesh: users, nodes, staleness. See ``PresenceEvents``.
  public var events: PresenceEvents { events(buffer: configuration.eventBuffer) }

  /// The events of the whole mesh, with another bound on those that wait for the reader.
  public func events(buffer: Int) -> PresenceEvents {
    PresenceEvents(hub: hub, scope: .mesh, capacity: buffer, mesh: self)
  }

  /// Subscribes to some rooms only: other nodes send this one nothing of what is said in the others, and it
  /// drops what it holds of them, but for what its own sessions say there.
  ///
  /// A node subscribes to all rooms until it is told otherwise. Of another room it knows who
  /// is there, exactly as told by the hosts of the sessions: ``rooms()``, ``rooms(ofUser:)``,
  /// ``statistics(rooms:)``, ``Room/count`` and the users of ``Room`` answer as ever, and
  /// `SessionSnapshot.visits` names such rooms. What a session says there is not known: it shows with
  /// the status of the lobby, without typing, data and cursor. When the first node of a mesh subscribes to
  /// some rooms only, the others need a round trip to say where their sessions are.
  ///
  /// The other nodes are told at once, and a new room is asked for as a whole: a small
  /// one is there a round trip later. A room whose events are read (``Room/events``) is subscribed to
  /// meanwhile, as long as there are at most `Limits.roomsSubscribed` in all; those beyond wait.
  ///
  /// - Parameter rooms: at most `Limits.roomsSubscribed` (64); `nil`: all rooms.
  /// - Throws: ``PresenceError/tooManySubscriptions(limit:)``, ``PresenceError/meshLeft``; the subscription
  ///   is as before.
  public func subscribe(to rooms: Set<RoomName>?) async throws(PresenceError) {
    try await subscriptions.choose(rooms)
  }

  /// The events of one user anywhere in the mesh: comes online, goes, changes. The snapshots have
  /// that user or nobody.
  public func watch(user: String) -> PresenceEvents {
    PresenceEvents(
      hub: hub, scope: .user(user), capacity: configuration.eventBuffer, mesh: self)
  }
}

// MARK: - Nodes

extension PresenceMesh {
  /// The addresses that others can reach this node at, as far as the machine knows: such as
  /// `192.0.2.1:7946`; loopback last. Cost: asks the system for its interfaces.
  public var addresses: [String] { driver.localAddresses.map(\.description) }

  /// The addresses of the sockets, with the ports that they were given.
  public var boundAddresses: [String] { driver.boundAddresses.map(\.description) }

  /// The other nodes that this one knows of, in the order of their ids.
  public func nodes() async -> [Node] {
    await driver.read { engine, now in engine.peers(now: now) }.map { Node($0) }
  }

  /// One hash of the whole state: equal on all nodes that have converged, whichever rooms they subscribe to.
  public func stateHash() async -> UInt64 {
    await driver.read { engine, _ in engine.stateHash().high }
  }

  /// One hash of what is held of a room; of the lobby, of all that every node is told. Equal on all nodes
  /// that have converged and subscribe to the room. Cost: the nodes with sessions there.
  public func roomHash(_ room: RoomName) async -> UInt64 {
    await driver.read { engine, _ in engine.roomHash(room).high }
  }

  /// Which life of the node this is. It rises with each start, and once more when the mesh knows of
  /// a later life than this node does.
  public func incarnation() async -> UInt64 {
    await driver.read { engine, _ in engine.incarnation.counter }
  }

  /// What happened so far in numbers, those of the protocol and then those of the sockets, always in
  /// the same order.
  public func counters() async -> [EngineCounter] { await driver.allCounters() }

  /// Tries to reach nodes at these addresses from now on, `host:port` or `[IPv6]:port`; without a
  /// port it is 7946.
  /// - Throws: ``PresenceError/network(reason:)`` for text that is no address and names that are not
  ///   known; then none of them is tried.
  public func addPeers(_ addresses: [String]) async throws(PresenceError) {
    var resolved: [PeerAddress] = []
    for address in addresses {
      let endpoint = try Endpoint(reading: address)
      do throws(TransportError) {
        resolved += try await endpoint.resolve()
      } catch {
        throw PresenceError(error)
      }
    }
    await driver.addPeers(resolved)
  }
}

/// Whom a node does not hear and does not talk to: a cut cable for demonstrations and tests.
package enum LinkBlock: Hashable, Sendable {
  case nobody
  case everyone
  /// Numeric addresses with ports.
  case addresses([String])
}

extension PresenceMesh {
  /// Cuts this node off from others, or heals the cut.
  package func block(_ block: LinkBlock) async throws(PresenceError) {
    switch block {
    case .nobody: await driver.setLinkFilter(.open)
    case .everyone: await driver.setLinkFilter(.everyone)
    case .addresses(let texts):
      var addresses: [PeerAddress] = []
      for text in texts {
        do throws(TransportError) {
          addresses.append(try PeerAddress(parsing: text))
        } catch {
          throw PresenceError(error)
        }
      }
      await driver.setBlocked(addresses)
    }
  }
}

extension MeshDriver {
  /// The counters of the engine, then those of the sockets.
  func allCounters() async -> [EngineCounter] {
    let engine = await read { engine, _ in engine.counters }
    let sockets = await transportCounters()
    return (engine.all + sockets.all).map { EngineCounter(name: $0.name, value: $0.value) }
  }
}
