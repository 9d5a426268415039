import PresenceMesh

/// The fields of a request, read with their kinds and bounds. Each is named in its refusal.
struct RequestFields {
  let value: JSONValue

  init(_ value: JSONValue) throws(GatewayError) {
    guard case .object = value else {
      throw GatewayError(.invalidRequest, "an object is expected")
    }
    self.value = value
  }

  init(bytes: [UInt8]) throws(GatewayError) {
    do throws(JSONReader.Failure) {
      try self.init(checking: JSONReader.value(of: bytes))
    } catch {
      throw GatewayError(error)
    }
    guard case .object = value else {
      throw GatewayError(.invalidRequest, "an object is expected")
    }
  }

  private init(checking value: JSONValue) { self.value = value }

  /// Refuses fields that are not among these: a name that is mistyped would be passed over.
  func allow(_ names: Set<String>) throws(GatewayError) {
    for member in value.members ?? [] where !names.contains(member.key) {
      throw GatewayError(
        .invalidRequest,
        "\(member.key.debugDescription) is unknown: there are \(names.sorted().joined(separator: ", "))"
      )
    }
  }

  private func present(_ key: String) -> JSONValue? {
    value[key].flatMap { $0.isNull ? nil : $0 }
  }

  /// A word of this gateway's own, such as a token: whatever else it is, it is not known.
  func token(_ key: String, atMost bound: Int) throws(GatewayError) -> String {
    guard let value = present(key) else { throw .missing(key, "text") }
    guard let text = value.string else { throw .wrong(key, "text") }
    guard text.utf8.count <= bound else { throw .wrong(key, "at most \(bound) bytes long") }
    return text
  }

  func text(_ key: String, atMost bound: Int = 4096) throws(GatewayError) -> String {
    guard let text = try optionalText(key, atMost: bound) else { throw .missing(key, "text") }
    return text
  }

  func optionalText(_ key: String, atMost bound: Int = 4096) throws(GatewayError) -> String? {
    guard let value = present(key) else { return nil }
    guard let text = value.string else { throw .wrong(key, "text") }
    guard text.utf8.count <= bound else {
      throw .wrong(key, "at most \(bound) bytes long")
    }
    // The mesh refuses them later, when other parts of the request are done already.
    guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw .wrong(key, "without control characters")
    }
    return text
  }

  func flag(_ key: String) throws(GatewayError) -> Bool {
    guard let flag = try optionalFlag(key) else { throw .missing(key, "true or false") }
    return flag
  }

  func optionalFlag(_ key: String) throws(GatewayError) -> Bool? {
    guard let value = present(key) else { return nil }
    guard let flag = value.bool else { throw .wrong(key, "true or false") }
    return flag
  }

  func integer(_ key: String, in range: ClosedRange<Int>) throws(GatewayError) -> Int? {
    guard let value = present(key) else { return nil }
    guard let number = value.number, let integer = Int(exactly: number), range.contains(integer)
    else {
      throw .wrong(key, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return integer
  }

  func fraction(_ key: String) throws(GatewayError) -> Double {
    guard let value = present(key) else { throw .missing(key, "a number from 0 to 1") }
    guard let number = value.number, 0...1 ~= number else {
      throw .wrong(key, "a number from 0 to 1")
    }
    return number
  }

  func fields(_ key: String) throws(GatewayError) -> RequestFields? {
    guard let value = present(key) else { return nil }
    guard case .object = value else { throw .wrong(key, "an object") }
    return RequestFields(checking: value)
  }

  /// A room; the lobby for the empty text.
  func room(_ key: String = "room") throws(GatewayError) -> RoomName {
    let text = try text(key)
    guard text != "~" else {
      throw .wrong(key, "another name: ~ stands for the lobby in paths")
    }
    guard let room = RoomName(text) else {
      throw .wrong(key, "at most \(Limits.roomNameBytes) bytes without control characters")
    }
    return room
  }

  /// Free JSON of at most so many bytes; no bytes for `null`, `nil` when it is not there.
  func data(_ key: String, atMost bound: Int) throws(GatewayError) -> [UInt8]? {
    guard let value = value[key] else { return nil }
    guard !value.isNull else { return [] }
    let bytes = value.bytes
    guard bytes.count <= bound else {
      throw .wrong(key, "at most \(bound) bytes of JSON, not \(bytes.count)")
    }
    return bytes
  }

  func status(_ key: String = "status") throws(GatewayError) -> Status? {
    guard let name = try optionalText(key) else { return nil }
    guard let status = Status(name) else {
      let known = Status.allCases.map(\.name).joined(separator: ", ")
      throw GatewayError(
        .unknownStatus, "\(name.debugDescription) is not a status: use one of \(known)")
    }
    return status
  }

  func cursor() throws(GatewayError) -> Cursor {
    Cursor(
      x: try fraction("x"), y: try fraction("y"),
      isVisible: try optionalFlag("visible") ?? true,
      anchor: try optionalText("anchor", atMost: Limits.anchorBytes))
  }

  /// Who a user is. Missing fields are those of `known`.
  func profile(_ known: Profile? = nil, id: String? = nil) throws(GatewayError) -> Profile {
    try allow(["id", "name", "color", "avatar", "data"])
    let id =
      if let id = id ?? known?.userID { id } else { try text("id", atMost: Limits.userIDBytes) }
    var profile = known ?? Profile(userID: id)
    if let name = try optionalText("name", atMost: Limits.nameBytes) { profile.name = name }
    if let text = try optionalText("color") {
      guard let colour = Colour(text) else { throw .wrong("color", "like #1a2b3c") }
      profile.colour = colour
    }
    if let avatar = try optionalText("avatar", atMost: Limits.avatarBytes) {
      profile.avatar = avatar
    }
    if let data = try data("data", atMost: Limits.profileDataBytes) { profile.data = data }
    return profile
  }

  /// How long a session lives, from `interval` and `expiresIn` in milliseconds; `nil`: not said.
  func lease() throws(GatewayError) -> SessionLease? {
    let bounds = 1000...3_600_000
    let interval = try integer("interval", in: bounds)
    let expiresIn = try integer("expiresIn", in: bounds)
    if let expiresIn { return .timeToLive(.milliseconds(expiresIn)) }
    return interval.map { .interval(.milliseconds($0)) }
  }
}

extension SessionLease {
  /// The milliseconds that a session lives without a sign of life.
  var milliseconds: Int? {
    switch self {
    case .process: nil
    case .interval(let interval): interval.inMilliseconds * 5 / 2
    case .timeToLive(let time): time.inMilliseconds
    }
  }
}

extension Duration {
  var inMilliseconds: Int {
    Int(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000)
  }
}
