import Foundation
import Testing

/// A TCP client that sends whatever bytes it is given, and reads only when it is asked to.
final class RawClient {
  enum Failure: Error {
    case cannotConnect(Int32)
    case isClosed
    case tookTooLong
  }

  /// What was read and not taken yet.
  private(set) var buffer: [UInt8] = []
  /// True when the server has ended the connection.
  private(set) var isAtEnd = false
  private let file: Int32

  /// - Parameters:
  ///   - url: Such as `http://127.0.0.1:7980`.
  ///   - receiveBytes: The bytes that the system keeps for a client that does not read.
  init(_ url: String, receiveBytes: Int32? = nil) throws {
    let port = try #require(URL(string: url)?.port)
    #if os(Linux)
      file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      file = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    if var receiveBytes {
      setsockopt(file, SOL_SOCKET, SO_RCVBUF, &receiveBytes, socklen_t(MemoryLayout<Int32>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw Failure.cannotConnect(errno) }
    _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
    signal(SIGPIPE, SIG_IGN)
  }

  deinit { close(file) }

  /// Ends the sending; the server then ends the connection.
  func shutDown() { shutdown(file, Int32(SHUT_RDWR)) }

  // MARK: Sending

  /// Sends as much as the system takes at once; `nil`: nothing, because the server does not read.
  func offer(_ bytes: ArraySlice<UInt8>) throws -> Int? {
    let sent = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    if sent >= 0 { return sent }
    guard errno == EAGAIN || errno == EINTR else { throw Failure.isClosed }
    return nil
  }

  func send(_ bytes: [UInt8]) async throws {
    var rest = bytes[...]
    try await Self.wait {
      while !rest.isEmpty {
        guard let sent = try self.offer(rest) else { return false }
        rest = rest.dropFirst(sent)
      }
      return true
    }
  }

  func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  /// Sends a request with the headers that each needs.
  func request(_ line: String, _ headers: [String] = [], body: String = "") async throws {
    var lines = ["\(line) HTTP/1.1", "host: 127.0.0.1"] + headers
    if !body.isEmpty {
      lines += ["content-type: application/json", "content-length: \(body.utf8.count)"]
    }
    try await send((lines + ["", body]).joined(separator: "\r\n"))
  }

  // MARK: Reading

  /// Reads what is there, without waiting.
  func readSome() {
    var part = [UInt8](repeating: 0, count: 65_536)
    while !isAtEnd {
      let count = read(file, &part, part.count)
      if count > 0 {
        buffer += part[0..<count]
      } else if count == 0 || errno != EAGAIN && errno != EINTR {
        isAtEnd = true
      } else if errno == EAGAIN {
        return
      }
    }
  }

  /// Reads until something can be made of what was read, or the connection ends.
  func take<Value>(_ parse: (inout [UInt8]) -> Value?) async throws -> Value? {
    var value: Value?
    try await Self.wait {
      self.readSome()
      value = parse(&self.buffer)
      return value != nil || self.isAtEnd
    }
    return value
  }

  /// Throws away what was read, and says how many bytes it was.
  func takeAll() -> Int {
    defer { buffer = [] }
    return buffer.count
  }

  /// Everything up to the end of the connection.
  func rest() async throws -> String {
    let none: Void? = try await take { _ in nil }
    #expect(none == nil)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// The next answer: its status, its headers in small letters, and its body by content-length.
  func answer(
    to method: String = "GET"
  ) async throws -> (status: Int, headers: [String: String], body: String)? {
    try await take { buffer in
      guard let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
      let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
        .components(separatedBy: "\r\n")
      var headers: [String: String] = [:]
      for line in lines.dropFirst() {
        let parts = line.split(separator: ":", maxSplits: 1)
        headers[parts[0].lowercased()] = parts.last?.trimmingCharacters(in: .whitespaces) ?? ""
      }
      let length = method == "HEAD" ? 0 : headers["content-length"].flatMap { Int($0) } ?? 0
      guard buffer.count >= end.upperBound + length else { return nil }
      let body = String(decoding: buffer[end.upperBound..<end.upperBound + length], as: UTF8.self)
      buffer.removeFirst(end.upperBound + length)
      let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
      return (status ?? 0, headers, body)
    }
  }

  /// Waits until something is so, for up to half a minute.
  static func wait(_ condition: () throws -> Bool) async throws {
    let end = ContinuousClock.now.advanced(by: .seconds(30))
    while try !condition() {
      guard ContinuousClock.now < end else { throw Failure.tookTooLong }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

/// A WebSocket over a ``RawClient``.
final class RawSocket {
  enum Message: Equatable {
    case text(String)
    case close(UInt16?)
  }

  let client: RawClient

  /// Opens a socket; the status of the answer if it is not opened.
  init(_ url: String, path: String = "/api/v1/socket") async throws {
    client = try RawClient(url)
    try await client.request(
      "GET \(path)",
      [
        "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
      ])
    let status = try await client.answer()?.status
    try #require(status == 101)
  }

  func send(_ text: String) async throws { try await send(opcode: 1, Array(text.utf8)) }

  /// Sends a frame, masked with zeros.
  func send(opcode: UInt8, _ payload: [UInt8]) async throws {
    var frame: [UInt8] = [0x80 | opcode]
    if payload.count < 126 {
      frame.append(0x80 | UInt8(payload.count))
    } else {
      frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    }
    try await client.send(frame + [0, 0, 0, 0] + payload)
  }

  /// The next message of text, or the close; `nil` at the end.
  func next() async throws -> Message? {
    while let (opcode, payload) = try await client.take(Self.frame) {
      switch opcode {
      case 1: return .text(String(decoding: payload, as: UTF8.self))
      case 8:
        return .close(payload.count < 2 ? nil : UInt16(payload[0]) << 8 | UInt16(payload[1]))
      default: break
      }
    }
    return nil
  }

  /// The next message of a type, as an object. Others are passed over.
  func next(_ type: String) async throws -> [String: Any] {
    while case .text(let text) = try await next() {
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
      if let object, object["type"] as? String == type { return object }
    }
    throw RawClient.Failure.isClosed
  }

  private static func frame(_ buffer: inout [UInt8]) -> (UInt8, [UInt8])? {
    guard buffer.count >= 2 else { return nil }
    let short = Int(buffer[1] & 0x7F)
    let width = short == 126 ? 2 : short == 127 ? 8 : 0
    guard buffer.count >= 2 + width else { return nil }
    let length = width == 0 ? short : buffer[2..<2 + width].reduce(0) { $0 << 8 | Int($1) }
    guard buffer.count >= 2 + width + length else { return nil }
    let frame = (buffer[0] & 0x0F, Array(buffer[(2 + width)..<(2 + width + length)]))
    buffer.removeFirst(2 + width + length)
    return frame
  }
}

extension TestMesh {
  /// A figure of `/metrics`, asked for over a connection of its own.
  func metric(_ name: String, at node: Int = 0) async throws -> Int {
    let client = try RawClient(urls[node])
    try await client.request("GET /metrics", ["connection: close"])
    let text = try await client.rest()
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
    return try #require(line.flatMap { Int($0.dropFirst(name.count + 1)) })
  }
}
