import Testing

@testable import MeshGateway

@Suite("Strict JSON")
struct JSONTests {
  static func read(_ text: String) throws -> JSONValue {
    try JSONReader.value(of: Array(text.utf8))
  }

  @Test(
    "What is written is what was read",
    arguments: [
      "null", "true", "[]", "{}", "0", "-1.5", "1e+20", #""""#, #""a\"b\\c""#,
      #"{"a":[1,2,{"b":null}],"__proto__":{"c":false}}"#, #""é 😀""#,
    ])
  func roundTrip(text: String) throws {
    #expect(
      try Self.read(text) == Self.read(String(decoding: Self.read(text).bytes, as: UTF8.self)))
  }

  @Test(
    "What readers understand differently is refused",
    arguments: [
      "", " ", "nul", "tru", "01", "1.", ".5", "+1", "1e", "1e999", "-", "[1,]", "[1 2]", "{,}",
      #"{"a":1,}"#, #"{"a" 1}"#, #"{a:1}"#, #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "[", "{",
      #"""#, #""\x""#, #""\u12""#, #""\ud800""#, #""\ud800\u0041""#, "\"\u{1}\"", "[] []", "NaN",
      "'a'", "/**/1", "\u{FEFF}1",
    ])
  func refusals(text: String) {
    #expect(throws: JSONReader.Failure.self) { try Self.read(text) }
  }

  @Test("Bytes that are not UTF-8 are refused")
  func invalidText() {
    for bytes: [UInt8] in [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
    ] {
      #expect(throws: JSONReader.Failure.self) { try JSONReader.value(of: bytes) }
    }
  }

  @Test("Nesting has a bound, to the level")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try Self.read(nested(JSONReader.depthBound))
    #expect(throws: JSONReader.Failure.self) { try Self.read(nested(JSONReader.depthBound + 1)) }
    #expect(throws: JSONReader.Failure.self) { try Self.read(nested(100_000)) }
  }

  @Test("Escapes stand for the same text")
  func escapes() throws {
    #expect(try Self.read(#""\u00e9\n\t\/\ud83d\ude00""#) == .string("é\n\t/😀"))
    #expect(JSONValue.string("\u{1}\"\\").bytes == Array(#""\u0001\"\\""#.utf8))
  }

  @Test("A writer puts commas where they belong")
  func commas() {
    var writer = JSONWriter()
    writer.object { writer in
      writer.member("a", 1)
      writer.key("b")
      writer.array { writer in
        writer.object { $0.member("c", "d") }
        writer.null()
      }
      writer.member("e", true)
    }
    #expect(
      String(decoding: writer.bytes, as: UTF8.self) == #"{"a":1,"b":[{"c":"d"},null],"e":true}"#)
  }
}
