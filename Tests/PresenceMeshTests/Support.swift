import Logging
import MeshCRDT
import MeshEngine
import Synchronization
import Testing

@testable import PresenceMesh

/// A value that several tasks of a test write to.
final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>

  init(_ value: Value) { self.value = Mutex(value) }

  var now: Value { value.withLock { $0 } }

  func change(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }
}

func testNode(_ number: UInt64) -> NodeID { OriginID(number, 0, 0, 0) }

func testSession(_ number: UInt64) -> SessionID { SessionID(0, number) }

func name(_ text: String) -> RoomName { RoomName(text) ?? .lobby }

/// A session of a user, in the lobby and perhaps in a room.
func seen(
  _ number: UInt64, of user: String, on host: UInt64 = 1, in room: RoomName? = nil,
  status: Status? = nil, counter: UInt64 = 1
) -> SessionSnapshot {
  let presence = PresenceValue(
    enteredCounter: 1,
    status: status.map {
      StatusValue(status: $0, counter: counter, changedAt: WallTime(milliseconds: counter))
    })
  return SessionSnapshot(
    id: testSession(number), host: testNode(host),
    value: SessionValue(
      profile: Profile(userID: user), device: "test", joinedAt: WallTime(milliseconds: 1)),
    places: (room.map { [$0] } ?? [.lobby]).map {
      SessionSnapshot.Place(room: $0, presence: presence, cursor: nil)
    })
}

extension Hub {
  /// Takes an event in at a time that does not matter.
  func handle(_ event: MeshEvent) { handle(event, now: WallTime(milliseconds: 1000)) }

  func events(_ scope: Hub.Scope = .mesh, buffer: Int = 256) -> PresenceEvents {
    PresenceEvents(hub: self, scope: scope, capacity: buffer, mesh: nil)
  }

  /// What a reader that begins now would see.
  func snapshot(_ scope: Hub.Scope = .mesh) -> PresenceSnapshot {
    let mailbox = Mailbox<PresenceEvent>(capacity: 1, overflow: .resynchronize)
    return open(mailbox, for: scope)
  }
}

extension PresenceEvent {
  /// The kind of event, for comparing.
  var kind: String {
    switch self {
    case .snapshot: "snapshot"
    case .online: "online"
    case .updated: "updated"
    case .offline: "offline"
    case .status: "status"
    case .typing: "typing"
    case .cursor: "cursor"
    case .stale: "stale"
    case .node: "node"
    case .nodeForgotten: "nodeForgotten"
    case .cloned: "cloned"
    case .contradicted: "contradicted"
    case .expelled: "expelled"
    case .lagged: "lagged"
    }
  }
}

/// Waits until something holds. It gives up after a time that only a broken program needs.
func eventually(
  _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
  _ holds: () async throws -> Bool
) async throws {
  for _ in 0..<3000 {
    if try await holds() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  Issue.record(what, sourceLocation: sourceLocation)
}

extension PresenceMesh.Configuration {
  /// A node on this machine alone, which finds others by the given addresses only.
  static func loopback(
    identity: Identity = .inMemory, membership: PresenceMesh.Membership = .new(open: true),
    peers: [String] = [], beatPeriod: Duration = .milliseconds(300)
  ) -> Self {
    var configuration = Self(
      identity: identity, membership: membership,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    configuration.listen = .loopback(port: 0)
    configuration.peers = peers
    configuration.multicast = false
    configuration.beatPeriod = beatPeriod
    return configuration
  }
}

/// Nodes of one mesh in this process, on real sockets.
func withMesh(
  of count: Int, beatPeriod: Duration = .milliseconds(300),
  _ body: ([PresenceMesh]) async throws -> Void
) async throws {
  let first = try await PresenceMesh.join(.loopback(beatPeriod: beatPeriod))
  var nodes = [first]
  for _ in 1..<max(1, count) {
    let invite = try first.invite()
    nodes.append(
      try await PresenceMesh.join(
        .loopback(membership: .invite(invite), beatPeriod: beatPeriod)))
  }
  do {
    for node in nodes {
      try await eventually("all nodes hear of each other") {
        await node.nodes().count { $0.health == .online } == count - 1
      }
    }
    try await body(nodes)
  } catch {
    for node in nodes { await node.leave() }
    throw error
  }
  for node in nodes { await node.leave() }
}
