import NIOCore
import PresenceMesh

/// The messages to native clients: see section 4 of Docs/Gateway.md.
enum NativeWords {
  private static func message(
    _ type: String, _ body: (inout JSONWriter) -> Void
  ) -> ByteBuffer {
    var writer = JSONWriter()
    writer.object { writer in
      writer.member("type", type)
      body(&writer)
    }
    return ByteBuffer(bytes: writer.bytes)
  }

  static func welcome(node: String, isTrusted: Bool, heartbeat: Int) -> ByteBuffer {
    message("welcome") { writer in
      writer.member("node", node)
      writer.member("trusted", isTrusted)
      writer.member("heartbeat", heartbeat)
    }
  }

  static func ok(_ ref: JSONValue) -> ByteBuffer {
    message("ok") { writer in
      writer.key("ref")
      writer.value(ref)
    }
  }

  static func error(_ error: GatewayError, ref: JSONValue?) -> ByteBuffer {
    message("error") { writer in
      writer.member("code", error.code.rawValue)
      writer.member("message", error.message)
      if let ref {
        writer.key("ref")
        writer.value(ref)
      }
    }
  }

  static func joined(
    _ room: RoomName, session: SessionID?, token: String?, wasRestored: Bool, expiresIn: Int?,
    ref: JSONValue?
  ) -> ByteBuffer {
    message("joined") { writer in
      writer.member("room", room.text)
      writer.member("sessionId", session?.description)
      writer.member("sessionToken", token)
      writer.member("restored", wasRestored)
      writer.member("expiresIn", expiresIn.map { UInt64($0) })
      if let ref {
        writer.key("ref")
        writer.value(ref)
      }
    }
  }

  static func restored(_ room: RoomName, session: SessionID) -> ByteBuffer {
    message("presence.restored") { writer in
      writer.member("room", room.text)
      writer.member("sessionId", session.description)
    }
  }

  static func moved(to node: NodeID) -> ByteBuffer {
    message("presence.moved") { $0.member("node", node.description) }
  }

  /// `nil`: the session has ended.
  static func removed(from room: RoomName?) -> ByteBuffer {
    message("presence.removed") { $0.member("room", room?.text) }
  }

  static let expired = message("presence.expired") { _ in }

  static func sync(_ snapshot: PresenceSnapshot, resume: String) -> ByteBuffer {
    message("presence.sync") { writer in
      writer.member("room", snapshot.room.text)
      writer.key("users")
      writer.array { writer in
        for user in snapshot.users { writer.user(user) }
        for user in snapshot.departed { writer.user(user) }
      }
      writer.member("totalUsers", snapshot.roster.userCount)
      writer.member("totalConnections", snapshot.roster.sessionCount)
      writer.member("stale", snapshot.isStale)
      writer.member("resume", resume)
    }
  }

  /// A change; `nil` for one that clients of a room are not told.
  static func message(
    _ event: PresenceEvent, room: RoomName, resume: String
  ) -> ByteBuffer? {
    func about(
      _ type: String, _ user: User, _ body: (inout JSONWriter) -> Void
    ) -> ByteBuffer {
      message(type) { writer in
        writer.member("room", room.text)
        writer.member("userId", user.id)
        body(&writer)
        writer.member("resume", resume)
      }
    }
    func whole(_ type: String, _ user: User) -> ByteBuffer {
      about(type, user) { writer in
        writer.member("devices", user.devices)
        writer.key("user")
        writer.user(user)
      }
    }
    switch event {
    case .online(let user): return whole("presence.online", user)
    case .updated(let user): return whole("presence.update", user)
    case .offline(let user):
      return about("presence.offline", user) { writer in
        writer.member("lastDisconnected", user.lastDisconnected?.milliseconds)
      }
    case .status(let user):
      return about("presence.status", user) { writer in
        writer.member("status", user.status.name)
        writer.member("message", user.message)
        writer.member("timestamp", user.statusChangedAt?.milliseconds)
      }
    case .typing(let user):
      return about("presence.typing", user) { $0.member("typing", user.isTyping) }
    case .stale(let isStale):
      return message("presence.stale") { writer in
        writer.member("room", room.text)
        writer.member("stale", isStale)
        writer.member("resume", resume)
      }
    case .snapshot, .cursor, .node, .nodeForgotten, .cloned, .contradicted, .expelled, .lagged:
      return nil
    }
  }

  static func cursors(
    _ cursors: [(user: String, session: SessionID, cursor: Cursor)], room: RoomName,
    resume: String
  ) -> ByteBuffer {
    message("presence.cursor") { writer in
      writer.member("room", room.text)
      writer.key("cursors")
      writer.array { writer in
        for (user, session, cursor) in cursors {
          writer.object { writer in
            writer.member("userId", user)
            writer.member("sessionId", session.description)
            writer.cursorMembers(cursor)
          }
        }
      }
      writer.member("resume", resume)
    }
  }

  static func watch(_ id: String, _ user: User?) -> ByteBuffer {
    message("presence.watch") { writer in
      writer.member("userId", id)
      writer.member("online", user?.isOnline ?? false)
      writer.member("devices", user?.devices ?? 0)
      writer.member("status", user?.status.name)
      writer.member("lastDisconnected", user?.lastDisconnected?.milliseconds ?? 0)
    }
  }
}
