import NIOCore
import NIOHTTP1
import PresenceMesh

/// Finds what answers a request.
struct Routes {
  typealias Completion = (HTTPResponse) -> Void

  let core: GatewayCore

  func answer(_ request: HTTPRequest, completion: @escaping Completion) {
    let isReading = request.method == .GET || request.method == .HEAD
    if core.isLeaving, request.headers[canonicalForm: "upgrade"].contains("websocket") {
      return completion(.error(.leaving))
    }
    if let file = WebFiles.file(at: request.path) {
      return completion(isReading ? file.response(to: request.headers) : refuse("GET"))
    }
    switch request.path {
    case ["healthz"]: return completion(health(isReading, isReady: true))
    case ["readyz"]:
      return completion(health(isReading, isReady: !core.isLeaving && !core.mesh.isCloned))
    case ["metrics"]:
      guard isReading else { return completion(refuse("GET")) }
      return withAccess(request, completion) { access in
        guard access.allowsEverywhere(.read) else {
          return completion(
            .error(GatewayError(.forbidden, "this needs the right to read every room")))
        }
        MetricsText.make(core) { text in
          completion(
            HTTPResponse(
              status: .ok,
              headers: ["content-type": "text/plain; version=0.0.4; charset=utf-8"],
              body: Array(text.utf8)))
        }
      }
    case ["api", "mutation"], ["api", "query"]:
      guard request.method == .POST else { return completion(refuse("POST")) }
      return withAccess(request, isBeacon: true, completion) { access in
        ConvexFunctions(core: core, access: access).answer(
          request, isMutation: request.path[1] == "mutation", completion: completion)
      }
    default: break
    }
    guard request.path.prefix(2) == ["api", "v1"] else {
      return completion(.error(GatewayError(.notFound, "there is nothing at this path")))
    }
    let path = Array(request.path.dropFirst(2))
    withAccess(request, isBeacon: path == ["disconnect"], completion) { access in
      let api = PresenceAPI(core: core, access: access, request: request, completion: completion)
      do throws(GatewayError) {
        try api.answer(path)
      } catch {
        var response = HTTPResponse.error(error)
        if error.code == .methodNotAllowed {
          response.headers.add(name: "allow", value: api.allowedMethods(path))
        }
        completion(response)
      }
    }
  }

  private func refuse(_ allowed: String) -> HTTPResponse {
    var response = HTTPResponse.error(
      GatewayError(.methodNotAllowed, "this path takes \(allowed)"))
    response.headers.add(name: "allow", value: allowed)
    return response
  }

  private func health(_ isReading: Bool, isReady: Bool) -> HTTPResponse {
    guard isReading else { return refuse("GET") }
    return .json(isReady ? .ok : .serviceUnavailable) { writer in
      writer.member("status", isReady ? "ok" : core.isLeaving ? "leaving" : "cloned")
      writer.member("node", core.mesh.nodeID.description)
      writer.member("stale", core.mesh.isStale)
    }
  }

  /// Goes on with what the client may do.
  /// - Parameter isBeacon: True: a session's token suffices, so that no other is asked for.
  private func withAccess(
    _ request: HTTPRequest, isBeacon: Bool = false, _ completion: @escaping Completion,
    _ body: @escaping (Access) -> Void
  ) {
    let token = HTTPRequest.token(request.headers, query: request.query)
    Authentication(core: core).access(token: token) { access in
      if let access { return body(access) }
      // A token that has ended keeps nobody from leaving.
      if isBeacon {
        return body(Access(user: "", rooms: [:], expiresAt: nil))
      }
      core.counters.count(.tokensRefused)
      completion(
        .error(
          GatewayError(
            .unauthorized,
            token == nil
              ? "a token is needed: Authorization: Bearer <token>, made by 'presence token'"
              : "the token is not valid, or has ended")))
    }
  }
}

/// Who a client is.
struct Authentication {
  let core: GatewayCore

  /// - Parameter completion: Called with what the client may do; `nil`: it is nobody.
  func access(token: String?, completion: @escaping (Access?) -> Void) {
    guard let keys = core.configuration.keys else { return completion(.trusted) }
    guard let token else { return completion(nil) }
    core.run({ await keys.access(of: token) }, then: completion)
  }
}
