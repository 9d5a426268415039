import NIOCore

/// A message of Phoenix channels: in version 2 a list of five, in version 1 an object.
struct PhoenixFrame {
  enum Version {
    case one, two
  }

  /// The words that replies repeat, as they came: text, in old clients a number, or `null`.
  var joinRef: JSONValue
  var ref: JSONValue
  var topic: String
  var event: String
  var payload: JSONValue

  init?(_ bytes: [UInt8], version: Version) {
    guard let value = try? JSONReader.value(of: bytes) else { return nil }
    switch version {
    case .two:
      guard let parts = value.array, parts.count == 5, let topic = parts[2].string,
        let event = parts[3].string, let joinRef = Self.ref(parts[0]),
        let ref = Self.ref(parts[1])
      else { return nil }
      (self.joinRef, self.ref, self.topic, self.event) = (joinRef, ref, topic, event)
      payload = parts[4]
    case .one:
      guard let topic = value["topic"]?.string, let event = value["event"]?.string,
        let ref = Self.ref(value["ref"] ?? .null),
        let joinRef = Self.ref(value["join_ref"] ?? .null)
      else { return nil }
      (self.joinRef, self.ref, self.topic, self.event) = (joinRef, ref, topic, event)
      payload = value["payload"] ?? .null
    }
  }

  private static func ref(_ value: JSONValue) -> JSONValue? {
    switch value {
    case .null, .string, .number: value
    default: nil
    }
  }

  /// The bytes of a message; the payload is JSON already.
  static func bytes(
    _ version: Version, joinRef: JSONValue, ref: JSONValue, topic: String, event: String,
    payload: [UInt8]
  ) -> ByteBuffer {
    var writer = JSONWriter(reserving: payload.count + 128)
    switch version {
    case .two:
      writer.array { writer in
        writer.value(joinRef)
        writer.value(ref)
        writer.string(topic)
        writer.string(event)
        writer.json(payload)
      }
    case .one:
      writer.object { writer in
        writer.member("topic", topic)
        writer.member("event", event)
        writer.key("payload")
        writer.json(payload)
        writer.key("ref")
        writer.value(ref)
      }
    }
    return ByteBuffer(bytes: writer.bytes)
  }
}
