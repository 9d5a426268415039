import PresenceMesh

/// How an awareness state is told in the mesh, and how a session of the mesh looks as one.
///
/// `user.name` and `user.color` are the profile, the other members of `user` its free data. A
/// `cursor` of two numbers `x` and `y` from 0 to 1 is the session's cursor. Everything else is the
/// session's free data in the room.
struct YjsState {
  var profile: Profile
  var cursor: Cursor?
  var data: [UInt8]
  /// True when members were left out, because the mesh carries less.
  var isTruncated = false

  init(_ state: JSONValue, client: UInt64, user token: String?) {
    let user = state["user"]
    let text = { (key: String, bound: Int) -> String? in
      guard let text = user?[key]?.string, !text.isEmpty, text.utf8.count <= bound else {
        return nil
      }
      return text.unicodeScalars.contains { $0.value < 0x20 || 0x7F...0x9F ~= $0.value }
        ? nil : text
    }
    let id = token ?? text("id", Limits.userIDBytes) ?? "yjs-\(client)"
    profile = Profile(
      userID: id, name: text("name", Limits.nameBytes),
      colour: text("color", 16).flatMap { Colour($0) })
    let rest = user?.without(["id", "name", "color"])
    var isTruncated = false
    if let rest, let members = rest.members, !members.isEmpty {
      if rest.bytes.count <= Limits.profileDataBytes {
        profile.data = rest.bytes
      } else {
        isTruncated = true
      }
    }
    var own = state.without(["user", "presence"])
    if let x = state["cursor"]?["x"]?.number, let y = state["cursor"]?["y"]?.number,
      0...1 ~= x, 0...1 ~= y
    {
      cursor = Cursor(x: x, y: y)
      own = own.without(["cursor"])
    }
    let members = own.members ?? []
    let fitting = Self.fitting(members, in: Limits.presenceDataBytes) { member in
      // Without the braces.
      JSONValue.object([member]).bytes.count - 2
    }
    data = fitting.isEmpty ? [] : JSONValue.object(fitting).bytes
    self.isTruncated = isTruncated || fitting.count < members.count
  }

  /// The members that fit into an object of so many bytes, in their order. What does not fit is left
  /// out, the longest first, and of equal ones the first.
  ///
  /// - Parameter size: The bytes of a member in JSON. Called once for each.
  /// - Complexity: The bytes of the members, and sorting them.
  static func fitting(
    _ members: [JSONValue.Member], in bound: Int, size: (JSONValue.Member) -> Int
  ) -> [JSONValue.Member] {
    let sizes = members.map(size)
    // A comma goes with each member but one, and the braces make two.
    var total = sizes.reduce(1) { $0 + $1 + 1 }
    var isKept = [Bool](repeating: true, count: members.count)
    for index in sizes.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
      guard total > bound else { break }
      isKept[index] = false
      total -= sizes[index] + 1
    }
    return zip(members, isKept).compactMap { $1 ? $0 : nil }
  }

  /// What other editors see of a session.
  static func json(of session: Session, user: User) -> [UInt8] {
    var members: [JSONValue.Member] = []
    let data = try? JSONReader.value(of: session.data)
    for member in data?.members ?? [] where member.key != "user" && member.key != "presence" {
      members.append(member)
    }
    var person: [JSONValue.Member] = [
      .init(key: "id", value: .string(session.profile.userID)),
      .init(key: "name", value: .string(session.profile.name)),
      .init(key: "color", value: .string(session.profile.colour.description)),
    ]
    let more = try? JSONReader.value(of: session.profile.data)
    for member in more?.members ?? []
    where !["id", "name", "color"].contains(member.key) {
      person.append(member)
    }
    members.append(.init(key: "user", value: .object(person)))
    members.append(
      .init(
        key: "presence",
        value: .pairs([
          "status": .string(user.status.name), "message": .string(user.message),
          "typing": .bool(session.isTyping), "devices": .integer(user.devices),
        ])))
    if let cursor = session.cursor, !members.contains(where: { $0.key == "cursor" }) {
      members.append(
        .init(
          key: "cursor",
          value: .pairs(["x": .number(cursor.x), "y": .number(cursor.y)])))
    }
    return JSONValue.object(members).bytes
  }
}
