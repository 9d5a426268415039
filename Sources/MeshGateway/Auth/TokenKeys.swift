public import Foundation
import JWTKit
import PresenceMesh

/// The claims of a token: see section 1 of Docs/Gateway.md.
struct TokenClaims: JWTPayload {
  var sub: SubjectClaim
  var exp: ExpirationClaim
  var nbf: NotBeforeClaim?
  var iat: IssuedAtClaim?
  var rooms: [String: [String]]

  func verify(using algorithm: some JWTAlgorithm) async throws {
    try exp.verifyNotExpired()
    try nbf?.verifyNotBefore()
  }
}

/// The keys that tokens are verified with, and minted with where they allow it.
public struct TokenKeys: Sendable {
  private struct KeyFile: Codable {
    var keys: [Key]
  }

  private struct Key: Codable {
    var kty: String
    var kid: String
    var alg: String
    var crv: String?
    var k: String?
    var x: String?
    var d: String?
  }

  private let collection: JWTKeyCollection
  /// The first key that tokens can be minted with.
  private let mintingKey: String?

  /// The fewest bytes of a secret for HS256: as many as the hash has.
  private static let secretBytes = 32

  /// Reads a JWK set of HS256 and Ed25519 keys.
  /// - Throws: ``TokenError`` with what is wrong and where; secrets are not repeated.
  public init(json: Data) async throws(TokenError) {
    let file: KeyFile
    do {
      file = try JSONDecoder().decode(KeyFile.self, from: json)
    } catch {
      throw TokenError("it is not a JWK set, {\"keys\": [...]}, with kty, kid and alg in each key")
    }
    guard !file.keys.isEmpty else { throw TokenError("it has no keys") }
    let collection = JWTKeyCollection()
    var mintingKey: String?
    var names: Set<String> = []
    for key in file.keys {
      guard names.insert(key.kid).inserted else {
        throw TokenError("two keys have the kid \(key.kid.debugDescription)")
      }
      if try await Self.add(key, to: collection) { mintingKey = mintingKey ?? key.kid }
    }
    self.collection = collection
    self.mintingKey = mintingKey
  }

  /// Adds a key. True when tokens can be minted with it.
  private static func add(
    _ key: Key, to collection: JWTKeyCollection
  ) async throws(TokenError) -> Bool {
    let name = "the key \(key.kid.debugDescription)"
    let kid = JWKIdentifier(string: key.kid)
    switch (key.kty, key.alg) {
    case ("oct", "HS256"):
      guard let text = key.k, let secret = Data(base64URL: text), secret.count >= secretBytes
      else { throw TokenError("\(name) needs k: base64url of at least \(secretBytes) bytes") }
      await collection.add(
        hmac: HMACKey(from: secret), digestAlgorithm: .sha256, kid: kid)
      return true
    case ("OKP", "EdDSA"):
      guard key.crv == "Ed25519", let x = key.x else {
        throw TokenError("\(name) needs crv Ed25519 and x, the public key in base64url")
      }
      do {
        if let d = key.d {
          await collection.add(
            eddsa: try EdDSA.PrivateKey(d: d, curve: .ed25519), kid: kid)
          return true
        }
        await collection.add(
          eddsa: try EdDSA.PublicKey(x: x, curve: .ed25519), kid: kid)
        return false
      } catch {
        throw TokenError("\(name) cannot be read: x and d are 32 bytes in base64url")
      }
    default:
      throw TokenError("\(name) must be of kty oct with alg HS256, or of kty OKP with alg EdDSA")
    }
  }

  /// Who a token is, and what it allows; `nil` when it is not valid.
  func access(of token: String) async -> Access? {
    guard token.utf8.count <= 4096,
      let claims = try? await collection.verify(token, as: TokenClaims.self),
      !claims.sub.value.isEmpty, claims.sub.value.utf8.count <= Limits.userIDBytes,
      let end = Self.milliseconds(claims.exp.value)
    else { return nil }
    return Access(
      user: claims.sub.value,
      rooms: claims.rooms.mapValues { Set($0.compactMap { AccessRight(rawValue: $0) }) },
      expiresAt: end)
  }

  /// Milliseconds since 1970; `nil` for times beyond those that the mesh can write (year 10889): a
  /// token that ends so late has no end.
  private static func milliseconds(_ date: Date) -> UInt64? {
    let milliseconds = date.timeIntervalSince1970 * 1000
    guard 0...Double(Limits.counterBound) ~= milliseconds else { return nil }
    return UInt64(milliseconds)
  }

  /// Mints a token.
  /// - Throws: ``TokenError`` when no key of the file can sign.
  public func token(
    user: String, rooms: [String], rights: Set<AccessRight>, expiresIn: Duration
  ) async throws(TokenError) -> String {
    guard let mintingKey else {
      throw TokenError("none of its keys can sign: it has public keys only")
    }
    let now = Date()
    let names = AccessRight.allCases.filter { rights.contains($0) }.map(\.rawValue)
    let claims = TokenClaims(
      sub: SubjectClaim(value: user),
      exp: ExpirationClaim(
        value: now.addingTimeInterval(Double(expiresIn.inMilliseconds) / 1000)),
      iat: IssuedAtClaim(value: now),
      rooms: Dictionary(rooms.map { ($0, names) }) { first, _ in first })
    do {
      return try await collection.sign(claims, kid: JWKIdentifier(string: mintingKey))
    } catch {
      throw TokenError("the token cannot be signed: \(error)")
    }
  }

  /// The text of a new key file with one HS256 key.
  public static func newFile() -> String {
    var generator = SystemRandomNumberGenerator()
    let secret = Data((0..<secretBytes).map { _ in UInt8.random(in: 0...255, using: &generator) })
    let key = secret.base64URL
    return """
      {"keys": [{"kty": "oct", "kid": "main", "alg": "HS256", "k": "\(key)"}]}

      """
  }
}

/// What is wrong with a file of keys, in words.
public struct TokenError: Error, Hashable, CustomStringConvertible, Sendable {
  /// What is wrong.
  public let description: String

  init(_ description: String) { self.description = description }
}

extension Data {
  /// Bytes from base64 for URLs (RFC 4648 §5), with or without padding; `nil` for anything else.
  init?(base64URL text: String) {
    var text = text.replacing("-", with: "+").replacing("_", with: "/")
    while text.utf8.count % 4 != 0 { text += "=" }
    self.init(base64Encoded: text)
  }

  /// Base64 for URLs without padding.
  var base64URL: String {
    base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
      .replacing("=", with: "")
  }
}

/// The text that base64 for URLs stands for; `nil` when it is none.
func base64URLText(_ coded: String) -> String? {
  Data(base64URL: coded).flatMap { String(data: $0, encoding: .utf8) }
}
