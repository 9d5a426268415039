import Foundation
import PresenceMesh

// How users and sessions look in JSON: see section 3 of Docs/Gateway.md.

extension JSONWriter {
  mutating func user(_ user: User) {
    object { writer in
      writer.member("userId", user.id)
      writer.member("username", user.profile.name)
      writer.member("online", user.isOnline)
      writer.member("suspect", user.isSuspect)
      writer.member("devices", user.devices)
      writer.member("status", user.status.name)
      writer.member("message", user.message)
      writer.member("statusChangedAt", user.statusChangedAt?.milliseconds)
      writer.member("typing", user.isTyping)
      writer.member("color", user.profile.colour.description)
      writer.member("avatar", user.profile.avatar)
      writer.key("data")
      writer.freeData(user.profile.data)
      writer.member("joinedAt", user.joinedAt.milliseconds)
      writer.member("lastSeen", user.lastSeen?.milliseconds)
      writer.member("lastDisconnected", user.lastDisconnected?.milliseconds ?? 0)
      writer.key("sessions")
      writer.array { writer in for session in user.sessions { writer.session(session) } }
    }
  }

  mutating func session(_ session: Session) {
    object { writer in
      writer.member("sessionId", session.id.description)
      writer.member("node", session.host.description)
      writer.member("device", session.device)
      writer.member("status", session.status.name)
      writer.member("typing", session.isTyping)
      writer.member("suspect", session.isSuspect)
      writer.member("joinedAt", session.joinedAt.milliseconds)
      writer.key("data")
      writer.freeData(session.data)
      writer.key("cursor")
      if let cursor = session.cursor {
        writer.object { $0.cursorMembers(cursor) }
      } else {
        writer.null()
      }
    }
  }

  mutating func cursorMembers(_ cursor: Cursor) {
    key("x")
    number((cursor.x * 100_000).rounded() / 100_000)
    key("y")
    number((cursor.y * 100_000).rounded() / 100_000)
    member("visible", cursor.isVisible)
    member("anchor", cursor.anchor)
  }

  /// The free data of a profile or a presence. Other programs of the mesh may hold anything there:
  /// what is not JSON is told as text in base64.
  mutating func freeData(_ data: [UInt8]) {
    guard !data.isEmpty else { return null() }
    if (try? JSONReader.value(of: data)) != nil {
      json(data)
    } else {
      object { $0.member("base64", Data(data).base64EncodedString()) }
    }
  }

  mutating func summary(_ summary: RoomSummary) {
    object { writer in
      writer.member("room", summary.name.text)
      writer.member("users", summary.users)
      writer.member("sessions", summary.sessions)
    }
  }
}
