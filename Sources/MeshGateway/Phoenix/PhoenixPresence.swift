import PresenceMesh

/// A room in the shape of Phoenix.Presence: for each user a list of metas, one for each session.
///
/// Clients take changes as joins and leaves of metas, told apart by `phx_ref`; so what was told last
/// of each session is kept.
struct PhoenixPresence {
  private struct Meta {
    var user: String
    var ref: String
    var members: [JSONValue.Member]
  }

  private var metas: [SessionID: Meta] = [:]
  private var nextRef: UInt64 = 0

  private mutating func newRef(_ session: SessionID) -> String {
    nextRef += 1
    return "\(session.description.prefix(8))\(nextRef)"
  }

  /// What a session says, as a meta. Cursors that move are left out: they are no presence in
  /// Phoenix's sense, and each would be a leave and a join.
  private static func members(_ session: Session, _ user: User) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    func add(_ key: String, _ value: JSONValue) {
      members.append(JSONValue.Member(key: key, value: value))
    }
    let data = try? JSONReader.value(of: session.data)
    for member in data?.members ?? [] where member.key != "phx_ref" && member.key != "phx_ref_prev"
    {
      members.append(member)
    }
    let own = Set(members.map(\.key))
    for (key, value) in [
      ("name", JSONValue.string(session.profile.name)),
      ("color", .string(session.profile.colour.description)),
      ("status", .string(user.status.name)), ("message", .string(user.message)),
      ("typing", .bool(session.isTyping)), ("device", .string(session.device)),
      ("session_id", .string(session.id.description)),
      ("online_at", .integer(session.joinedAt.milliseconds)),
    ] where !own.contains(key) {
      add(key, value)
    }
    return members
  }

  private static func write(
    _ writer: inout JSONWriter, _ members: [JSONValue.Member], ref: String, previous: String?
  ) {
    writer.object { writer in
      for member in members {
        writer.key(member.key)
        writer.value(member.value)
      }
      writer.member("phx_ref", ref)
      if let previous { writer.member("phx_ref_prev", previous) }
    }
  }

  /// Everything, as `presence_state` has it; what was told before is forgotten.
  mutating func state(_ snapshot: PresenceSnapshot) -> [UInt8] {
    metas = [:]
    var writer = JSONWriter(reserving: 1024)
    writer.object { writer in
      for user in snapshot.users {
        writer.key(user.id)
        writer.object { writer in
          writer.key("metas")
          writer.array { writer in
            for session in user.sessions {
              let meta = Meta(
                user: user.id, ref: newRef(session.id), members: Self.members(session, user))
              metas[session.id] = meta
              Self.write(&writer, meta.members, ref: meta.ref, previous: nil)
            }
          }
        }
      }
    }
    return writer.bytes
  }

  /// What changed of some users, as `presence_diff` has it; `nil` when nothing did.
  mutating func diff(
    of users: [String], before: PresenceSnapshot, after: PresenceSnapshot
  ) -> [UInt8]? {
    typealias Change = (ref: String, previous: String?, members: [JSONValue.Member])
    var joins: [(user: String, metas: [Change])] = []
    var leaves: [(user: String, metas: [Change])] = []
    for id in users {
      var joined: [Change] = []
      var left: [Change] = []
      let user = after.user(id)
      let sessions = user?.sessions ?? []
      for session in before.user(id)?.sessions ?? []
      where !sessions.contains(where: { $0.id == session.id }) {
        guard let meta = metas.removeValue(forKey: session.id) else { continue }
        left.append((meta.ref, nil, meta.members))
      }
      if let user {
        for session in sessions {
          let members = Self.members(session, user)
          let old = metas[session.id]
          if let old, old.members == members, UserKey(old.user) == UserKey(id) { continue }
          let ref = newRef(session.id)
          if let old { left.append((old.ref, nil, old.members)) }
          joined.append((ref, old?.ref, members))
          metas[session.id] = Meta(user: id, ref: ref, members: members)
        }
      }
      if !joined.isEmpty { joins.append((id, joined)) }
      if !left.isEmpty { leaves.append((id, left)) }
    }
    guard !joins.isEmpty || !leaves.isEmpty else { return nil }
    var writer = JSONWriter(reserving: 512)
    writer.object { writer in
      for (name, sides) in [("joins", joins), ("leaves", leaves)] {
        writer.key(name)
        writer.object { writer in
          for (user, metas) in sides {
            writer.key(user)
            writer.object { writer in
              writer.key("metas")
              writer.array { writer in
                for meta in metas {
                  Self.write(&writer, meta.members, ref: meta.ref, previous: meta.previous)
                }
              }
            }
          }
        }
      }
    }
    return writer.bytes
  }
}
