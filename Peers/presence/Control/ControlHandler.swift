import Logging
import NIOCore
import PresenceMesh
import Synchronization

/// What a node does for the clients of its control socket.
struct ControlHandler: Sendable {
  let mesh: PresenceMesh
  let refusals: ControlRefusals
  /// Asks the process to end.
  let shutDown: @Sendable () -> Void

  /// How long until a change of this node shows in its own view: a client that changes something
  /// and then looks sees the change.
  static let settlingTime: Duration = .milliseconds(40)

  /// Does what was asked for. An error becomes an answer.
  func answer(_ request: ControlRequest) async -> ControlResponse {
    do {
      return try await perform(request)
    } catch {
      return .failed("\(error)")
    }
  }

  private func perform(_ request: ControlRequest) async throws -> ControlResponse {
    switch request {
    case .peers: return .peers(await peers())
    case .counters:
      let counters =
        await mesh.counters()
        .map { CountersRecord.Counter(name: $0.name, value: $0.value) } + [refusals.counter]
      return .counters(CountersRecord(node: "\(mesh.nodeID)", counters: counters))
    case .rooms: return .rooms(rooms())
    case .invite(let addresses, let terms):
      return .invite(try mesh.invite(addresses: addresses, terms: terms))
    case .membership: return .membership(MembershipRecord(mesh))
    case .members: return .members(await members())
    case .invites:
      return .invites(
        InvitesRecord(invites: await mesh.invites().map { .init($0, isCounted: true) }))
    case .revoke(let request): return .told(try await revoke(request))
    case .rotate:
      let epoch = try await mesh.rotate()
      return .told("Epoch \(epoch) of the mesh has begun: members get its key as they are heard.")
    case .who(let room, let onlineOnly, let limit, let offset):
      return .who(
        try await roster(mesh.room(room), onlineOnly: onlineOnly, limit: limit, offset: offset))
    case .watch: throw CommandFailure("watching is not answered")
    case .open(let request): return try await open(request)
    case .heartbeat, .status, .typing, .cursor, .leave:
      try await speak(request)
    case .block(let addresses):
      try await mesh.block(addresses.isEmpty ? .everyone : .addresses(addresses))
    case .unblock: try await mesh.block(.nobody)
    case .down: shutDown()
    }
    return .done
  }
}

/// The connections of other users, which were refused.
final class ControlRefusals: Sendable {
  private let total = Mutex<UInt64>(0)
  private let logger: Logger

  init(logger: Logger) { self.logger = logger }

  /// Counts one, and logs each first, second, fourth, eighth…
  func count(_ client: PeerCredentials?) {
    let count = total.withLock { total in
      total += 1
      return total
    }
    guard count & (count - 1) == 0 else { return }
    logger.warning(
      "a client of another user was refused at the control socket",
      metadata: [
        "user": "\(client.map { "\($0.user)" } ?? "unknown")",
        "process": "\(client?.process.map { "\($0)" } ?? "unknown")", "count": "\(count)",
      ])
  }

  var counter: CountersRecord.Counter {
    CountersRecord.Counter(name: "controlClientsRefused", value: total.withLock { $0 })
  }
}

// MARK: - Listings

extension ControlHandler {
  private func peers() async -> PeersRecord {
    PeersRecord(
      node: "\(mesh.nodeID)", incarnation: await mesh.incarnation(),
      stateHash: await mesh.stateHash().hexadecimalDigits, stale: mesh.isStale,
      cloned: mesh.isCloned, addresses: mesh.addresses,
      peers: await mesh.nodes().map { PeersRecord.Peer($0) })
  }

  private func rooms() -> RoomsRecord {
    let rooms = mesh.rooms()
    let statistics = mesh.statistics(rooms: rooms.map(\.name))
    return RoomsRecord(
      stale: mesh.isStale, lobby: RoomsRecord.Room(mesh.lobby.count),
      rooms: rooms.map { RoomsRecord.Room($0) }, uniqueUsers: statistics.uniqueUsers,
      uniqueSessions: statistics.uniqueSessions)
  }

  private func roster(
    _ room: Room, onlineOnly: Bool, limit: Int, offset: Int
  ) async -> RosterRecord {
    let count = room.count
    let users = room.users(
      onlineOnly: onlineOnly, limit: min(max(limit, 0), ControlLimits.users),
      offset: max(offset, 0))
    return RosterRecord(
      room: room.name.text, node: "\(mesh.nodeID)",
      stateHash: await mesh.stateHash().hexadecimalDigits,
      roomHash: await mesh.roomHash(room.name).hexadecimalDigits, stale: mesh.isStale,
      onlineUsers: count.users, onlineSessions: count.sessions,
      users: users.map { UserRecord($0) })
  }
}

// MARK: - Watching

extension ControlHandler {
  /// Writes what happens in a room, and to a session of this node, until the mesh is left or the
  /// task is cancelled. A client that reads too slowly gets a new snapshot now and then.
  func watch(
    room: String, session: String?, to writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) async throws {
    let room = try mesh.room(room)
    // The lobby is the mesh: its watchers learn of the nodes as well.
    let events = room.name.isLobby ? mesh.events : room.events
    let followed = session.flatMap { SessionID($0) }
    try await withThrowingTaskGroup { group in
      if let followed {
        group.addTask { try await follow(followed, to: writer) }
      }
      group.addTask {
        for await event in events {
          try await writer.write(
            WatchRecord(event, atMs: Self.now, userBound: ControlLimits.users))
        }
      }
      try await group.waitForAll()
    }
  }

  private func follow(
    _ id: SessionID, to writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) async throws {
    if let session = await mesh.localSession(id) {
      for await event in session.events {
        var record = WatchRecord(.sessionRestored, atMs: Self.now)
        record.session = "\(id)"
        switch event {
        case .restored: break
        case .moved(let node):
          record.event = .sessionMoved
          record.node = "\(node)"
        case .leaseEnded: record.event = .sessionEnded
        case .removed(let room):
          guard room.isLobby else { continue }
          record.event = .sessionEnded
        }
        try await writer.write(record)
        if record.event != .sessionRestored { return }
      }
    }
    guard !Task.isCancelled else { return }
    // Ended by a request on another connection, or before it was followed.
    var record = WatchRecord(.sessionEnded, atMs: Self.now)
    record.session = "\(id)"
    try await writer.write(record)
  }

  /// Milliseconds since 1970.
  static var now: UInt64 { ClockText.nowMilliseconds }
}
