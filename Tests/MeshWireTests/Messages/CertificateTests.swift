import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// What a certificate and a decree are believed by.
@Suite("Certificates and decrees")
struct CertificateTests {
  private struct Failed: Error {}

  private let fixture: Fixture

  init() throws { fixture = try Fixture() }

  private func check(_ bytes: [UInt8], _ signature: ArraySlice<UInt8>, _ key: OriginID) -> Bool {
    fixture.alice.verify(bytes, signature: signature, by: key)
  }

  private func failure(of certificate: Certificate, mesh: [UInt8]? = nil) -> Certificate.Failure? {
    let authority = Fixture.trustKey(0).origin
    do throws(Certificate.Failure) {
      try certificate.verify(
        mesh: mesh ?? fixture.mesh.bytes, isAuthority: { $0 == authority }, check: check)
      return nil
    } catch { return error }
  }

  @Test("A certificate by an authority or by its admin is right, for its node and its mesh alone")
  func certificatesAreRight() throws {
    let certificate = try fixture.certificate()
    #expect(failure(of: certificate) == nil)
    #expect(
      failure(of: Certificate(node: fixture.bob.origin, link: try fixture.adminLink())) == nil)
    #expect(failure(of: certificate, mesh: [UInt8](repeating: 9, count: 16)) == .wrongSignature)
    let stolen = Certificate(
      node: fixture.bob.origin, link: certificate.link, issuer: certificate.issuer)
    #expect(failure(of: stolen) == .wrongSignature)
  }

  @Test("No byte of a certificate can be changed")
  func everyByteCounts() throws {
    let bytes = try fixture.certificate().encoded()
    for index in bytes.indices {
      var forged = bytes
      forged[index] ^= 1
      var reader = ByteReader(forged)
      guard let certificate = try? Certificate(from: &reader) else { continue }
      #expect(failure(of: certificate) != nil, "byte \(index)")
    }
  }

  @Test("A member makes no members, and an admin no admins")
  func chainsAreShort() throws {
    let whole = try fixture.certificate()
    // Without the issuer's own link.
    #expect(
      failure(of: Certificate(node: whole.node, link: whole.link))
        == .unknownIssuer(fixture.bob.origin))
    // Of a member that issues: the link of the node in the place of an admin's.
    let byMember = Certificate(node: whole.node, link: whole.link, issuer: whole.link)
    #expect(failure(of: byMember) == .unknownIssuer(fixture.bob.origin))
    let admin = Certificate(
      node: fixture.bob.origin, link: try fixture.adminLink(), issuer: try fixture.adminLink())
    #expect(failure(of: admin) == .excessiveRights)
  }

  @Test("It ends with the first of its links")
  func endsWithTheFirst() throws {
    let whole = try fixture.certificate()
    #expect(whole.notAfter == whole.link.notAfter)
    let bytes = whole.encoded().count
    #expect(bytes <= Certificate.byteBound)
    let short = Certificate(node: whole.node, link: try fixture.adminLink()).encoded().count
    #expect(short <= 260, "\(short) bytes")
  }

  @Test("No byte of a decree can be changed, and only an authority names another")
  func decreesAreRight() throws {
    let authority = Fixture.trustKey(0).origin
    func isRight(_ decree: Decree) -> Bool {
      (try? decree.verify(
        mesh: fixture.mesh.bytes, isAuthority: { $0 == authority }, check: check)) != nil
    }
    let subjects: [Decree.Subject] = [
      .revokedNode(fixture.alice.origin), .revokedUser("eve"), .epoch(7, check: .empty),
    ]
    for subject in subjects {
      for byAdmin in [true, false] {
        let decree = try fixture.decree(subject, byAdmin: byAdmin)
        #expect(isRight(decree))
        let bytes = decree.encoded()
        for index in bytes.indices {
          var forged = bytes
          forged[index] ^= 1
          var reader = ByteReader(forged)
          guard let other = try? Decree(from: &reader) else { continue }
          #expect(!isRight(other), "byte \(index) of \(subject)")
        }
      }
    }
    #expect(isRight(try fixture.decree(.authority(fixture.bob.origin), byAdmin: false)))
    #expect(!isRight(try fixture.decree(.authority(fixture.bob.origin), byAdmin: true)))
  }

  @Test("A pattern names a user, or all whose ids begin so, by bytes")
  func patterns() throws {
    let scope = try #require(
      UserScope([UserPattern("bob-", isPrefix: true), UserPattern("ada")].compactMap(\.self)))
    #expect(scope.includes("ada"))
    #expect(!scope.includes("ada2"))
    #expect(scope.includes("bob-"))
    #expect(scope.includes("bob-e\u{301}"))
    #expect(!scope.includes("bob"))
    let accented = try #require(UserScope([UserPattern("caf\u{E9}")].compactMap(\.self)))
    #expect(accented.includes("caf\u{E9}"))
    #expect(!accented.includes("cafe\u{301}"))
    #expect(UserScope([]) == nil)
    #expect(UserPattern("") == nil)
    #expect(UserPattern(String(repeating: "u", count: 65)) == nil)
  }
}
