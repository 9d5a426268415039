import Foundation
import JWTKit
import NIOHTTP1
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Who may do what")
struct AccessTests {
  static func room(_ name: String) throws -> RoomName { try #require(RoomName(name)) }

  @Test("Rights hold in the named rooms, and where a pattern begins so")
  func patterns() throws {
    let access = Access(
      user: "ada", rooms: ["design": [.read, .publish], "team-*": [.read]], expiresAt: nil)
    #expect(access.allows(.publish, in: try Self.room("design")))
    #expect(!access.allows(.moderate, in: try Self.room("design")))
    #expect(access.allows(.read, in: try Self.room("team-1")))
    #expect(!access.allows(.publish, in: try Self.room("team-1")))
    #expect(!access.allows(.read, in: try Self.room("team")))
    #expect(!access.allows(.read, in: .lobby))
    #expect(throws: GatewayError.self) { try access.checkSpeaking(for: "bob") }
    // The same letters in other bytes are another room.
    let accented = Access(user: "ada", rooms: ["caf\u{E9}": [.read]], expiresAt: nil)
    #expect(accented.allows(.read, in: try Self.room("caf\u{E9}")))
    #expect(!accented.allows(.read, in: try Self.room("cafe\u{301}")))
    try access.checkSpeaking(for: "ada")
  }

  @Test("What may not be read does not exist")
  func unreadableRooms() throws {
    let access = Access(user: "ada", rooms: ["a": [.publish]], expiresAt: nil)
    let error = #expect(throws: GatewayError.self) {
      try access.check(.publish, in: Self.room("a"))
    }
    #expect(error?.code == .unknownRoom)
  }

  @Test("Tokens of both algorithms are minted and understood; others are not")
  func tokens() async throws {
    let hs = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let other = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let ed = try await TokenKeys(
      json: Data(
        #"""
        {"keys":[{"kty":"OKP","kid":"web","alg":"EdDSA","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
        """#.utf8))
    for keys in [hs, ed] {
      let token = try await keys.token(
        user: "ada", rooms: ["design"], rights: [.read], expiresIn: .seconds(60))
      let access = try #require(await keys.access(of: token))
      #expect(access.user == "ada")
      #expect(access.allows(.read, in: try Self.room("design")))
      #expect(!access.allows(.publish, in: try Self.room("design")))
      #expect(await other.access(of: token) == nil)
      #expect(await keys.access(of: token + "x") == nil)
      let parts = token.split(separator: ".")
      #expect(await keys.access(of: "eyJhbGciOiJub25lIn0.\(parts[1]).") == nil)
    }
    let ended = try await hs.token(
      user: "ada", rooms: ["*"], rights: [.read], expiresIn: .seconds(-1))
    #expect(await hs.access(of: ended) == nil)
  }

  /// Claims with an end of any size.
  private struct Claims: JWTPayload {
    var sub = "ada"
    var exp: Double
    var rooms = ["*": ["read"]]

    func verify(using algorithm: some JWTAlgorithm) {}
  }

  @Test(
    "A token whose end no calendar has is refused",
    arguments: [
      (4_000_000_000, true), (281_474_976_710, true), (281_474_976_711, false), (1e15, false),
      (1.8446744073709552e19, false), (1e300, false), (-1e300, false), (-1, false), (0, false),
    ] as [(Double, Bool)])
  func ends(end: Double, isValid: Bool) async throws {
    let secret = Data((0..<32).map { UInt8($0) })
    let keys = try await TokenKeys(
      json: Data(
        #"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"\#(secret.base64URL)"}]}"#.utf8))
    let signing = JWTKeyCollection()
    await signing.add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256, kid: "a")
    let token = try await signing.sign(Claims(exp: end), kid: "a")
    let access = await keys.access(of: token)
    #expect((access != nil) == isValid)
    #expect(access?.expiresAt.map { Double($0) == end * 1000 } ?? true)
  }

  @Test(
    "Files of keys that cannot be used say why",
    arguments: [
      "", "{}", #"{"keys":[]}"#, #"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"c2hvcnQ"}]}"#,
      #"{"keys":[{"kty":"RSA","kid":"a","alg":"RS256"}]}"#,
      #"{"keys":[{"kty":"OKP","kid":"a","alg":"EdDSA","crv":"Ed25519","x":"!"}]}"#,
    ])
  func badFiles(text: String) async {
    await #expect(throws: TokenError.self) { try await TokenKeys(json: Data(text.utf8)) }
  }

  @Test(
    "Pages of the gateway itself and of listed origins may use it",
    arguments: [
      (nil, "127.0.0.1:1", true), ("http://127.0.0.1:1", "127.0.0.1:1", true),
      ("http://localhost:1", "localhost:1", true), ("http://[::1]:1", "[::1]:1", true),
      ("http://evil.example", "127.0.0.1:1", false),
      // A name that its owner lets stand for this machine.
      ("http://evil.example:1", "evil.example:1", false), (nil, "evil.example:1", false),
      (nil, "app.example", true), ("null", "127.0.0.1:1", false),
      ("https://app.example", "127.0.0.1:1", true), ("http://app.example", "127.0.0.1:1", false),
    ] as [(String?, String, Bool)])
  func origins(origin: String?, host: String, isAllowed: Bool) {
    var configuration = GatewayConfiguration(address: "127.0.0.1:0")
    configuration.origins = ["https://app.example"]
    var headers: HTTPHeaders = ["host": host]
    if let origin { headers.add(name: "origin", value: origin) }
    #expect(Origins(configuration).allow(headers) == isAllowed)
  }
}
