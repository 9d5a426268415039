import Foundation

/// Packets over two descriptors: a length of four bytes, least significant first, and the bytes.
struct PacketLink: Sendable {
  private let reading: CInt
  private let writing: CInt

  init(reading: CInt, writing: CInt) {
    self.reading = reading
    self.writing = writing
  }

  /// Sends a packet. Blocks until the other end has room for it.
  func send(_ bytes: [UInt8], expecting next: String) throws(BenchError) {
    let length = UInt32(bytes.count)
    let packet = (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) } + bytes
    var start = 0
    while start < packet.count {
      let count = packet[start...].withUnsafeBytes { write(writing, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .childSilent(expected: next) }
      start += count
    }
  }

  /// The next packet. Blocks until it is here.
  func receive(_ what: String) throws(BenchError) -> [UInt8] {
    let header = try read(4, what)
    let length = header.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= 1 << 28 else { throw .childSilent(expected: what) }
    return try read(length, what)
  }

  private func read(_ count: Int, _ what: String) throws(BenchError) -> [UInt8] {
    var isWhole = true
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = 0
      while filled < count {
        let rest = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
        let got = Foundation.read(reading, rest.baseAddress, rest.count)
        if got < 0 && errno == EINTR { continue }
        guard got > 0 else {
          isWhole = false
          return
        }
        filled += got
      }
    }
    guard isWhole else { throw .childSilent(expected: what) }
    return bytes
  }

  /// Sends a value as JSON.
  func send(json value: some Encodable, expecting next: String) throws(BenchError) {
    guard let data = try? JSONEncoder().encode(value) else {
      throw .childSilent(expected: next)
    }
    try send(Array(data), expecting: next)
  }

  /// The next packet as a value.
  func receive<Value: Decodable>(json type: Value.Type, _ what: String) throws(BenchError) -> Value
  {
    let bytes = try receive(what)
    guard let value = try? JSONDecoder().decode(type, from: Data(bytes)) else {
      throw .childSilent(expected: what)
    }
    return value
  }
}
