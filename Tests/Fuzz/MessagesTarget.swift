import MeshEngine
import MeshTransport
import NIOCore
import NIOHTTP1
import PresenceMesh

@testable import MeshGateway

/// Messages of Phoenix and Yjs, targets of requests, and addresses as text.
enum MessagesTarget {
  static func test(_ input: [UInt8]) {
    guard let form = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch form % 6 {
    case 0: testPhoenix(bytes, .one)
    case 1: testPhoenix(bytes, .two)
    case 2: testYjs(bytes)
    case 3: testState(bytes)
    case 4: testTarget(String(decoding: bytes, as: UTF8.self))
    default:
      let text = String(decoding: bytes, as: UTF8.self)
      _ = Origins.isNumericOrLocal(text)
      if let address = try? PeerAddress(parsing: text), address.zone == 0 {
        check((try? PeerAddress(parsing: "\(address)")) == address, "another address: \(address)")
      }
      if let colour = Colour(text) { check(Colour("\(colour)") == colour, "another colour") }
      if let room = RoomName(text) { check(room.text.utf8.count <= 64, "a room above its bound") }
    }
  }

  private static func testPhoenix(_ bytes: [UInt8], _ version: PhoenixFrame.Version) {
    guard let frame = PhoenixFrame(bytes, version: version) else { return }
    let written = PhoenixFrame.bytes(
      version, joinRef: frame.joinRef, ref: frame.ref, topic: frame.topic, event: frame.event,
      payload: frame.payload.bytes)
    guard let again = PhoenixFrame(Array(written.readableBytesView), version: version) else {
      return check(false, "a message that cannot be read again")
    }
    check(again.topic == frame.topic && again.event == frame.event, "another topic or event")
    check(again.ref == frame.ref && again.payload == frame.payload, "another message")
  }

  private static func testYjs(_ bytes: [UInt8]) {
    var reader = YjsReader(bytes)
    while !reader.isAtEnd {
      let before = reader.offset
      guard reader.number() != nil else { break }
      check(reader.offset > before && reader.offset <= bytes.count, "a number outside")
      _ = reader.range()
      check(reader.offset <= bytes.count, "a range outside")
    }
    guard let entries = YjsEntry.entries(bytes, range: 0..<bytes.count) else { return }
    check(entries.count <= 1024, "more entries than there may be")
    let message = YjsEntry.message(entries)
    var again = YjsReader(message)
    guard again.number() == 1, let range = again.range() else {
      return check(false, "a message that cannot be read again")
    }
    check(YjsEntry.entries(message, range: range) == entries, "other entries")
  }

  private static func testState(_ bytes: [UInt8]) {
    guard let value = try? JSONReader.value(of: bytes) else { return }
    let state = YjsState(value, client: 7, user: nil)
    check(state.data.count <= Limits.presenceDataBytes, "data above their bound")
    check(state.profile.data.count <= Limits.profileDataBytes, "profile data above their bound")
    check(state.profile.userID.utf8.count <= Limits.userIDBytes, "a user id above its bound")
    check(!state.profile.userID.isEmpty, "a user without an id")
    check(state.profile.name.utf8.count <= Limits.nameBytes, "a name above its bound")
    check(state.data.isEmpty || (try? JSONReader.value(of: state.data)) != nil, "not JSON")
  }

  private static func testTarget(_ text: String) {
    let target = HTTPRequest.split(text)
    if let path = HTTPRequest.decoded(path: target.path) {
      check(path.allSatisfy { !$0.utf8.contains(0) }, "a zero byte in a path")
    }
    _ = HTTPRequest.decoded(query: target.query)
    _ = base64URLText(text)
    _ = HTTPRequest.token(["authorization": text], query: [])
  }
}
