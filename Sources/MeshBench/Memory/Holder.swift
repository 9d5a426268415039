import MeshCRDT
import MeshEngine

/// Datagrams with an address and a time, as the two processes of the memory measurement tell them.
///
/// Layout: nanoseconds (8), then for each datagram the port (2), the length (2) and the bytes, all
/// numbers least significant byte first.
struct Carried {
  var time: MonotonicTime
  var datagrams: [(port: UInt16, bytes: [UInt8])] = []

  init(time: MonotonicTime) { self.time = time }

  init?(_ packet: [UInt8]) {
    var offset = 0
    func number(_ count: Int) -> UInt64? {
      guard offset + count <= packet.count else { return nil }
      defer { offset += count }
      return packet[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard let nanoseconds = number(8) else { return nil }
    time = MonotonicTime(nanoseconds: nanoseconds)
    while offset < packet.count {
      guard let port = number(2), let length = number(2).map({ Int($0) }),
        offset + length <= packet.count
      else { return nil }
      datagrams.append((UInt16(port), Array(packet[offset..<offset + length])))
      offset += length
    }
  }

  var packet: [UInt8] {
    var packet: [UInt8] = []
    func append(_ value: UInt64, _ count: Int) {
      for index in 0..<count { packet.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
    append(time.nanoseconds, 8)
    for datagram in datagrams {
      append(UInt64(datagram.port), 2)
      append(UInt64(datagram.bytes.count), 2)
      packet += datagram.bytes
    }
    return packet
  }
}

/// What the second process of the memory measurement says in the end.
struct Holding: Codable, Sendable {
  let before: Footprint
  let after: Footprint
  /// Sessions in the state.
  let sessions: Int
  /// Sessions that are seen.
  let shown: Int
  let origins: Int
}

/// The second process of the memory measurement: one engine that hears, and nothing else.
enum Holder {
  static let port: UInt16 = 9

  static func run(_ link: PacketLink) throws(BenchError) {
    var station = Station(crypto: NoCrypto(node: 9), port: port)
    _ = station.takeDatagrams()
    guard let before = Footprint.current() else { throw .unavailable("how much memory is used") }
    while true {
      let packet = try link.receive("the end")
      guard let carried = Carried(packet) else { break }
      var answer = Carried(time: carried.time)
      for datagram in carried.datagrams {
        station.engine.receive(
          datagram.bytes, from: PeerAddress(ipv4: 0x7F00_0001, port: datagram.port),
          now: carried.time)
        for sent in station.takeDatagrams() {
          answer.datagrams.append((sent.address.port, sent.bytes))
        }
      }
      try link.send(answer.packet, expecting: "the end")
    }
    guard let after = Footprint.current() else { throw .unavailable("how much memory is used") }
    let size = station.engine.size
    let shown = station.engine.snapshot().sessions.count
    try link.send(
      json: Holding(
        before: before, after: after, sessions: size.sessions, shown: shown,
        origins: size.origins),
      expecting: "the end")
  }
}
