import NIOCore
import NIOHTTP1
import PresenceMesh

/// The HTTP API: see section 5 of Docs/Gateway.md.
struct PresenceAPI {
  let core: GatewayCore
  let access: Access
  let request: HTTPRequest
  let completion: (HTTPResponse) -> Void

  private static let pageBound = 1000
  private static let pageSize = 100
  /// The most rooms of one question about several: their names stand in the address.
  static let roomBound = 100

  // MARK: Paths

  /// The methods of a path, for `Allow`.
  func allowedMethods(_ path: [String]) -> String {
    switch (path.first, path.count) {
    case ("heartbeat", 1), ("disconnect", 1), ("demo", 2): "POST"
    case ("rooms", 2): "GET, DELETE"
    case ("rooms", 4): "PATCH, DELETE"
    case ("users", 3) where path[2] == "sessions": "DELETE"
    default: "GET"
    }
  }

  func answer(_ path: [String]) throws(GatewayError) {
    let method = request.method == .HEAD ? HTTPMethod.GET : request.method
    switch (method, path.first, path.count) {
    case (.POST, "heartbeat", 1): try heartbeat()
    case (.POST, "disconnect", 1): try disconnect()
    case (.GET, "rooms", 1): try listRooms()
    case (.GET, "rooms", 2): try listRoom(try room(path[1]))
    case (.DELETE, "rooms", 2): try removeRoom(try room(path[1]))
    case (.GET, "rooms", 3) where path[2] == "count": try count(try room(path[1]))
    case (.GET, "rooms", 3) where path[2] == "events": try follow(try room(path[1]))
    case (.PATCH, "rooms", 4) where path[2] == "users":
      try update(try user(path[3]), in: try room(path[1]))
    case (.DELETE, "rooms", 4) where path[2] == "users":
      try remove(try user(path[3]), from: try room(path[1]))
    case (.GET, "users", 2): try show(try user(path[1]))
    case (.GET, "users", 3) where path[2] == "rooms": try rooms(of: try user(path[1]))
    case (.GET, "users", 3) where path[2] == "events": try watch(try user(path[1]))
    case (.DELETE, "users", 3) where path[2] == "sessions": try signOut(try user(path[1]))
    case (.GET, "statistics", 1): try statistics()
    case (.GET, "nodes", 1): try nodes()
    case (.POST, "demo", 2) where path[1] == "link" && core.configuration.isDemo: try cutLinks()
    default:
      guard Self.isKnown(path, isDemo: core.configuration.isDemo) else {
        throw GatewayError(.notFound, "there is nothing at this path")
      }
      throw GatewayError(.methodNotAllowed, "this path takes \(allowedMethods(path))")
    }
  }

  private static func isKnown(_ path: [String], isDemo: Bool) -> Bool {
    switch (path.first, path.count) {
    case ("heartbeat", 1), ("disconnect", 1), ("rooms", 1), ("rooms", 2), ("users", 2),
      ("statistics", 1), ("nodes", 1):
      true
    case ("demo", 2): path[1] == "link" && isDemo
    case ("rooms", 3): ["count", "events"].contains(path[2])
    case ("rooms", 4): path[2] == "users"
    case ("users", 3): ["rooms", "events", "sessions"].contains(path[2])
    default: false
    }
  }

  // MARK: Parts of requests

  func room(_ text: String) throws(GatewayError) -> RoomName {
    let name = text == "~" ? "" : text
    guard let room = RoomName(name) else { throw GatewayError(PresenceError.invalidRoomName(text)) }
    return room
  }

  /// A user id in a path.
  func user(_ text: String) throws(GatewayError) -> String {
    guard 1...Limits.userIDBytes ~= text.utf8.count,
      !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw .wrong(
        "the user", "an id of 1 to \(Limits.userIDBytes) bytes without control characters")
    }
    return text
  }

  /// - Parameter isBeacon: True: browsers send it without asking first, as text.
  func body(isBeacon: Bool = false) throws(GatewayError) -> RequestFields {
    let type = request.headers.first(name: "content-type")?.lowercased() ?? "application/json"
    let kind = type.prefix { $0 != ";" && $0 != " " }
    guard kind == "application/json" || isBeacon && kind == "text/plain" else {
      throw GatewayError(.unsupportedMediaType, "the body must be application/json")
    }
    return try RequestFields(bytes: request.body)
  }

  func number(
    _ name: String, in range: ClosedRange<Int>, otherwise: Int
  ) throws(GatewayError) -> Int {
    guard let text = request.parameter(name) else { return otherwise }
    guard let number = Int(text), range.contains(number) else {
      throw .wrong(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func page() throws(GatewayError) -> (onlineOnly: Bool, limit: Int, offset: Int) {
    let onlineOnly: Bool
    switch request.parameter("onlineOnly") {
    case nil, "false": onlineOnly = false
    case "true": onlineOnly = true
    default: throw .wrong("onlineOnly", "true or false")
    }
    return (
      onlineOnly, try number("limit", in: 1...Self.pageBound, otherwise: Self.pageSize),
      try number("offset", in: 0...Int(Int32.max), otherwise: 0)
    )
  }
}
