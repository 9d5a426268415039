import MeshCrypto
import MeshEngine
import MeshTrust

@testable import PresenceMesh

/// Invites as lines of text.
///
/// A line that is read is written as another that reads the same. A line with one character changed is
/// no invite, or says the same.
enum InviteTarget {
  static func test(_ input: [UInt8]) {
    guard let form = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch form & 3 {
    case 0: testLine(String(decoding: bytes, as: UTF8.self))
    // The payload behind a right beginning.
    case 1: testLine(beginning(form) + String(decoding: bytes, as: UTF8.self))
    // And with a right checksum.
    case 2:
      var payload = bytes
      testLine(PrintedLine.printed(beginning(form), &payload))
    default:
      let text = Base64URL.encoded(bytes)
      check(Base64URL.decoded(text) == bytes, "base64 that does not come back")
      let line = String(decoding: bytes, as: UTF8.self)
      if let read = Base64URL.decoded(line) {
        check(Base64URL.encoded(read) == line, "base64 of another form")
      }
    }
  }

  /// Of an open mesh, or of a closed one.
  private static func beginning(_ form: UInt8) -> String {
    form & 4 == 0 ? "presence-mesh:1:" : "presence-mesh:2:"
  }

  private static func testLine(_ line: String) {
    let secret = try? Invite(SecretBytes(Array(line.utf8)))
    guard let invite = try? Invite(line: line) else {
      return check(secret == nil, "an invite in guarded memory alone")
    }
    check(secret?.line == invite.line, "another invite in guarded memory")
    check(invite.addresses.count <= Invite.addressBound, "more addresses than there may be")
    check(
      invite.key?.count ?? MeshKeyring.keyBytes == MeshKeyring.keyBytes, "a key of another length")
    check((invite.key == nil) == (invite.ticket != nil), "neither key nor ticket")
    guard let again = try? Invite(line: invite.line) else {
      return check(false, "an invite that cannot be read again")
    }
    check(again.mesh == invite.mesh && again.epoch == invite.epoch, "another mesh")
    check(again.line == invite.line && again.addresses == invite.addresses, "another invite")
  }
}
