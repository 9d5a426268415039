import PresenceMesh

/// Why a client's request is refused. No state changed then, unless a case says otherwise.
struct GatewayError: Error, Equatable {
  /// The kinds of refusals, by the name that clients see; see section 2 of Docs/Gateway.md.
  enum Code: String, CaseIterable {
    case malformedJSON = "malformed_json"
    case invalidRequest = "invalid_request"
    case unknownStatus = "unknown_status"
    case unauthorized
    case forbidden
    case originRefused = "origin_refused"
    case unknownRoom = "unknown_room"
    case unknownUser = "unknown_user"
    case unknownSession = "unknown_session"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case sessionConflict = "session_conflict"
    case sessionRemoved = "session_removed"
    case tooLarge = "too_large"
    case headersTooLarge = "headers_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case tooManyRequests = "too_many_requests"
    case tooManySessions = "too_many_sessions"
    case tooManyRooms = "too_many_rooms"
    case unavailable

    /// The status of an HTTP answer with this error.
    var httpStatus: Int {
      switch self {
      case .malformedJSON, .invalidRequest, .unknownStatus: 400
      case .unauthorized: 401
      case .forbidden, .originRefused: 403
      case .unknownRoom, .unknownUser, .unknownSession, .notFound: 404
      case .methodNotAllowed: 405
      case .sessionConflict, .tooManySessions, .tooManyRooms: 409
      case .sessionRemoved: 410
      case .tooLarge: 413
      case .unsupportedMediaType: 415
      case .tooManyRequests: 429
      case .headersTooLarge: 431
      case .unavailable: 503
      }
    }
  }

  var code: Code
  var message: String

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ error: PresenceError) {
    let code: Code =
      switch error {
      case .unknownSession: .unknownSession
      case .sessionOfAnotherUser: .sessionConflict
      case .notInRoom, .tooLong, .malformed, .invalidRoomName, .invalidSetting: .invalidRequest
      case .tooManySessions: .tooManySessions
      case .tooManyRooms, .tooManyRoomsOnNode: .tooManyRooms
      case .sessionRemoved, .removedFromRoom: .sessionRemoved
      case .tooManyRemovals, .tooManySubscriptions: .tooManyRequests
      case .unknownStatus: .unknownStatus
      case .userNotCovered, .mayNotRemove, .mayNotAdminister: .forbidden
      case .expelled, .meshLeft, .cloned, .invalidInvite, .noMesh, .stateDirectory,
        .network:
        .unavailable
      }
    self.init(code, error.description)
  }

  init(_ failure: JSONReader.Failure) {
    self.init(.malformedJSON, "byte \(failure.offset): \(failure.reason)")
  }

  static let leaving = GatewayError(.unavailable, "the node is about to leave")
  static let lobbyStays = GatewayError(.invalidRequest, "the lobby cannot be removed")

  static func missing(_ field: String, _ kind: String) -> GatewayError {
    GatewayError(.invalidRequest, "\(field) is missing: it must be \(kind)")
  }

  static func wrong(_ field: String, _ kind: String) -> GatewayError {
    GatewayError(.invalidRequest, "\(field) must be \(kind)")
  }
}
