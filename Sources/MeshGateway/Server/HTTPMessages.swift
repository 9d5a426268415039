import Foundation
import NIOCore
import NIOHTTP1

/// A request with its whole body.
struct HTTPRequest {
  let method: HTTPMethod
  /// The parts of the path, percent-decoded.
  let path: [String]
  let query: [(name: String, value: String)]
  let headers: HTTPHeaders
  let body: [UInt8]

  /// - Throws: ``GatewayError`` for a target that cannot be read.
  init(_ head: HTTPRequestHead, body: [UInt8]) throws(GatewayError) {
    let target = Self.split(head.uri)
    guard let path = Self.decoded(path: target.path), let query = Self.decoded(query: target.query)
    else {
      throw GatewayError(.invalidRequest, "the path or the query is not percent-encoded UTF-8")
    }
    method = head.method
    self.path = path
    self.query = query
    headers = head.headers
    self.body = body
  }

  static func split(_ uri: String) -> (path: String, query: String) {
    let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    return (String(parts.first ?? "/"), parts.count > 1 ? String(parts[1]) : "")
  }

  /// The parts between slashes; `nil` when one is not percent-encoded UTF-8.
  static func decoded(path: String) -> [String]? {
    var parts: [String] = []
    // Empty parts are kept: a path without a name in it is another path.
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      guard let text = String(part).removingPercentEncoding, !text.utf8.contains(0) else {
        return nil
      }
      parts.append(text)
    }
    return parts == [""] ? [] : parts
  }

  static func decoded(query: String) -> [(name: String, value: String)]? {
    var pairs: [(name: String, value: String)] = []
    for part in query.split(separator: "&", omittingEmptySubsequences: true) {
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = sides.count > 1 ? String(sides[1]).replacing("+", with: " ") : ""
      guard let name = String(sides[0]).removingPercentEncoding,
        let value = value.removingPercentEncoding
      else { return nil }
      pairs.append((name, value))
    }
    return pairs
  }

  func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }

  func parameters(_ name: String) -> [String] {
    query.filter { $0.name == name }.map(\.value)
  }

  /// The token of the client: in the header, or in the query.
  static func token(_ headers: HTTPHeaders, query: [(name: String, value: String)]) -> String? {
    if let value = headers.first(name: "authorization") {
      let parts = value.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "bearer" else { return "" }
      return String(parts[1])
    }
    return query.first { $0.name == "token" }?.value
  }
}

/// An answer.
struct HTTPResponse {
  var status: HTTPResponseStatus
  var headers: HTTPHeaders = [:]
  var body: [UInt8] = []
  /// What goes on after the head: the body is then what begins it.
  var stream: (any EventStream)?
  /// When the stream must end, because its token does: milliseconds since 1970.
  var streamEnd: UInt64?

  static func json(_ status: HTTPResponseStatus = .ok, _ body: (inout JSONWriter) -> Void) -> Self {
    var writer = JSONWriter(reserving: 1024)
    writer.object(body)
    return HTTPResponse(
      status: status, headers: ["content-type": "application/json; charset=utf-8"],
      body: writer.bytes)
  }

  static func error(_ error: GatewayError) -> Self {
    var response = json(HTTPResponseStatus(statusCode: error.code.httpStatus)) { writer in
      writer.key("error")
      writer.object { writer in
        writer.member("code", error.code.rawValue)
        writer.member("message", error.message)
      }
    }
    switch error.code {
    case .tooManyRequests, .unavailable: response.headers.add(name: "retry-after", value: "1")
    case .unauthorized: response.headers.add(name: "www-authenticate", value: "Bearer")
    default: break
    }
    return response
  }
}

/// What server-sent events come from. Called on the gateway's loop.
protocol EventStream: AnyObject {
  /// Begins; the connection writes what it gets through ``EventStreamWriter``.
  func begin(_ writer: EventStreamWriter)
  /// There was no room for an event, and now there is: begin anew.
  func resynchronize()
  func end()
}

/// Writes server-sent events to one connection.
final class EventStreamWriter {
  private let write: (ByteBuffer) -> Bool

  init(_ write: @escaping (ByteBuffer) -> Bool) { self.write = write }

  /// Sends a message as an event of its `type`. False: there is no room.
  func send(_ type: String, _ message: ByteBuffer) -> Bool {
    var buffer = ByteBuffer()
    buffer.writeString("event: \(type)\ndata: ")
    buffer.writeImmutableBuffer(message)
    buffer.writeString("\n\n")
    return write(buffer)
  }
}
