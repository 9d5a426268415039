import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("The bytes of y-protocols")
struct YjsCodecTests {
  static func bytes(_ hex: String) -> [UInt8] {
    stride(from: 0, to: hex.utf8.count, by: 2).map { offset in
      let start = hex.index(hex.startIndex, offsetBy: offset)
      return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16) ?? 0
    }
  }

  @Test(
    "Numbers",
    arguments: [(300, "ac02"), ((1 << 53) - 1, "ffffffffffffff0f"), (0, "00")]
      as [(UInt64, String)])
  func numbers(value: UInt64, hex: String) {
    var writer = YjsWriter()
    writer.number(value)
    #expect(writer.bytes == Self.bytes(hex))
    var reader = YjsReader(writer.bytes)
    #expect(reader.number() == value && reader.isAtEnd)
  }

  @Test("Numbers from 2^53 on, and those that do not end, are refused")
  func refusedNumbers() {
    for hex in ["ffffffffffffff1f", "ffffffffffffffffff01", "80", "ffff"] {
      var reader = YjsReader(Self.bytes(hex))
      #expect(reader.number() == nil, "\(hex)")
    }
  }

  @Test("Updates of a client: an empty state, and none")
  func updates() {
    for (hex, state) in [("010100027b7d", Array("{}".utf8)), ("010102046e756c6c", nil)]
      as [(String, [UInt8]?)]
    {
      let update = Self.bytes(hex)
      let entries = YjsEntry.entries(update, range: 0..<update.count)
      #expect(entries == [YjsEntry(client: 1, clock: state == nil ? 2 : 0, state: state)])
      #expect(
        entries.map { YjsEntry.message($0) } == [1, UInt8(update.count)] + update)
    }
  }

  @Test("Cut updates are none")
  func cutUpdates() {
    let update = Self.bytes("0201027b7d7b0202046e756c6c")
    for end in 0..<update.count {
      #expect(YjsEntry.entries(update, range: 0..<end) == nil)
    }
  }

  @Test("Each member is measured once, and as many are left out as must be")
  func fitting() throws {
    let lengths = (0..<250).map { ($0 * 37) % 101 }
    let members = lengths.enumerated().map { index, length in
      JSONValue.Member(key: "\(index)", value: .string(String(repeating: "x", count: length)))
    }
    func bytes(_ members: [JSONValue.Member]) -> Int { JSONValue.object(members).bytes.count }
    for bound in [2, 40, 384, 4000, 20_000] {
      // The same, by leaving out one after the other.
      var expected = members
      while bytes(expected) > bound {
        let sizes = expected.map { bytes([$0]) }
        let longest = try #require(sizes.indices.first { sizes[$0] == sizes.max() })
        expected.remove(at: longest)
      }
      var measured = 0
      let fitting = YjsState.fitting(members, in: bound) { member in
        measured += 1
        return bytes([member]) - 2
      }
      #expect(fitting == expected)
      #expect(measured == members.count)
    }
  }

  @Test("What does not fit into the mesh is left out, the longest first")
  func truncation() throws {
    let long = String(repeating: "x", count: 500)
    let json = JSONValue.pairs([
      "user": .pairs(["name": .string("Ada"), "color": .string("#102030"), "role": .string("x")]),
      "cursor": .pairs(["x": .number(0.5), "y": .number(1)]), "a": .string(long),
      "b": .string("kept"),
    ])
    let state = YjsState(json, client: 7, user: nil)
    #expect(state.isTruncated)
    #expect(state.profile.userID == "yjs-7" && state.profile.name == "Ada")
    #expect(state.profile.colour == Colour("#102030"))
    #expect(state.profile.data == Array(#"{"role":"x"}"#.utf8))
    #expect(state.cursor == Cursor(x: 0.5, y: 1))
    #expect(state.data == Array(#"{"b":"kept"}"#.utf8))
  }
}
