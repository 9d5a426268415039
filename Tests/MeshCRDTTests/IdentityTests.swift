import MeshCRDT
import Testing

/// Names and ids as text and as values.
@Suite("Names and ids")
struct IdentityTests {
  @Test("A session id reads what it prints")
  func sessionReadsWhatItPrints() {
    var generator = SplitMix64(seed: 1)
    for _ in 0..<100 {
      let session = SessionID.random(using: &generator)
      #expect(SessionID(session.description) == session)
      #expect(SessionID(session.description.uppercased()) == session)
    }
  }

  @Test(
    "Text that is not 32 hexadecimal digits is no session id",
    arguments: [
      "", "0", String(repeating: "0", count: 31), String(repeating: "0", count: 33),
      "-000000000000000-000000000000000", "+0000000000000000000000000000000",
      "0x000000000000000000000000000000", "000000000000000g0000000000000000",
      "0000000000000000 000000000000000", String(repeating: "é", count: 16),
    ])
  func malformedSessionIsRefused(text: String) { #expect(SessionID(text) == nil) }

  @Test("A colour reads what it prints, and nothing else")
  func colours() {
    for rgb: UInt32 in [0, 0x00_00FF, 0x12_3456, 0xFF_FFFF] {
      #expect(Colour(Colour(rgb: rgb).description) == Colour(rgb: rgb))
    }
    for text in ["", "#", "#12345", "#1234567", "123456", "#-00000", "#+00000", "#12345g"] {
      #expect(Colour(text) == nil, "\(text)")
    }
  }

  @Test("Room names are bounded, plain, and equal by their bytes")
  func roomNames() throws {
    #expect(RoomName("") == .lobby)
    #expect(RoomName(String(repeating: "r", count: Limits.roomNameBytes)) != nil)
    #expect(RoomName(String(repeating: "r", count: Limits.roomNameBytes + 1)) == nil)
    #expect(RoomName(String(repeating: "é", count: Limits.roomNameBytes / 2 + 1)) == nil)
    for control in ["\0", "\u{1F}", "\u{7F}", "\u{85}", "\u{9F}", "a\nb"] {
      #expect(RoomName(control) == nil)
    }
    let composed = try #require(RoomName("caf\u{E9}"))
    let decomposed = try #require(RoomName("cafe\u{301}"))
    #expect(composed != decomposed)
    let ids = [composed, decomposed].map { RoomID($0, key: meshKey) }
    #expect(ids[0] != ids[1])
    #expect(ids.allSatisfy { $0.bits & 3 == 0 })
    #expect(decomposed < composed)
  }

  @Test("Values are equal when the bytes of their texts are")
  func textsOfValues() {
    let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
    #expect(Profile(userID: "u", name: composed) != Profile(userID: "u", name: decomposed))
    #expect(Profile(userID: composed) != Profile(userID: decomposed))
    #expect(Profile(userID: composed) == Profile(userID: composed))
    #expect(
      PresenceValue(enteredCounter: 1, message: composed)
        != PresenceValue(enteredCounter: 1, message: decomposed))
    #expect(
      SessionValue(
        profile: Profile(userID: "u"), device: composed, joinedAt: WallTime(milliseconds: 0))
        != SessionValue(
          profile: Profile(userID: "u"), device: decomposed, joinedAt: WallTime(milliseconds: 0)))
    #expect(Cursor(x: 0, y: 0, anchor: composed) != Cursor(x: 0, y: 0, anchor: decomposed))
    #expect(Cursor(x: 0, y: 0, anchor: "") != Cursor(x: 0, y: 0))
  }

  @Test("Hexadecimal digits stand for bytes both ways")
  func hexadecimalDigits() {
    let all = (0...255).map { UInt8($0) }
    #expect(bytes(fromHexadecimal: hexadecimal(all)) == all)
    #expect(bytes(fromHexadecimal: "0") == nil)
    #expect(bytes(fromHexadecimal: "0g") == nil)
    #expect(bytes(fromHexadecimal: "FfaA") == [0xFF, 0xAA])
  }

  @Test("A position outside of the surface is moved to its edge")
  func cursorsStayOnTheSurface() {
    let wild = Cursor(x: -.infinity, y: .infinity)
    #expect(wild.column == 0 && wild.row == .max)
    #expect(Cursor(x: .nan, y: 0.5).column == 0)
    #expect(Cursor(x: 1, y: 0).x == 1 && Cursor(x: 1, y: 0).y == 0)
  }

  @Test("Times are kept below their bound")
  func timesAreBounded() {
    #expect(WallTime(milliseconds: .max).milliseconds == Limits.counterBound - 1)
  }

  @Test("Every status has a name that reads back")
  func statusNames() {
    for status in Status.allCases { #expect(Status(status.name) == status) }
    #expect(Status("offline") == nil)
  }
}
