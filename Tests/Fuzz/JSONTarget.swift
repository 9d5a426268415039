import Foundation
import PresenceMesh

@testable import MeshGateway

/// JSON, and the fields of requests.
///
/// What is read is written so that it reads the same, and another reader of JSON takes it too.
enum JSONTarget {
  static func test(_ input: [UInt8]) {
    guard let value = try? JSONReader.value(of: input) else { return }
    let written = value.bytes
    guard let again = try? JSONReader.value(of: written) else {
      return check(
        false, "what was written cannot be read: \(String(decoding: written, as: UTF8.self))")
    }
    check(again == value, "another value: \(String(decoding: written, as: UTF8.self))")
    check(again.bytes == written, "a value of two forms")
    check(
      (try? JSONSerialization.jsonObject(with: Data(written), options: .fragmentsAllowed)) != nil,
      "not JSON to others: \(String(decoding: written, as: UTF8.self))")
    guard let fields = try? RequestFields(bytes: input) else {
      return check(value.members == nil, "an object that is no request")
    }
    testFields(fields)
    for member in value.members ?? [] {
      if let inner = try? fields.fields(member.key) { testFields(inner) }
    }
  }

  private static func testFields(_ fields: RequestFields) {
    _ = try? fields.allow(["id", "room"])
    for key in ["id", "room", "data", "interval", "visible", "x"] {
      _ = try? fields.token(key, atMost: 64)
      if let text = try? fields.optionalText(key, atMost: 64) {
        check(text.utf8.count <= 64, "a text above its bound")
      }
      _ = try? fields.optionalFlag(key)
      if let number = try? fields.integer(key, in: -5...5000) {
        check(-5...5000 ~= number, "a number outside of its range")
      }
      _ = try? fields.fraction(key)
      _ = try? fields.room(key)
      if let data = try? fields.data(key, atMost: 384) {
        check(data.count <= 384, "data above their bound")
        check(data.isEmpty || (try? JSONReader.value(of: data)) != nil, "data that are not JSON")
      }
    }
    _ = try? fields.status()
    _ = try? fields.lease()
    if let cursor = try? fields.cursor() {
      check(0...1 ~= cursor.x && 0...1 ~= cursor.y, "a cursor outside of its room")
    }
    if let profile = try? fields.profile() {
      check(profile.userID.utf8.count <= Limits.userIDBytes, "a user id above its bound")
      check(profile.data.count <= Limits.profileDataBytes, "profile data above their bound")
    }
  }
}
