import MeshCrypto
import MeshEngine
import MeshTrust
import Testing

@testable import PresenceMesh

@Suite("Invites")
struct InviteTests {
  let credentials = MeshCredentials.random()

  private func invite(by addresses: [PeerAddress]) throws -> Invite {
    try #require(credentials.invite(by: addresses))
  }

  private func addresses(_ count: Int) -> [PeerAddress] {
    (0..<count).map { PeerAddress(high: 0x2001_0DB8 << 32, low: UInt64($0), port: 7946) }
  }

  private func error(of line: String) -> InviteError? {
    do throws(InviteError) {
      _ = try Invite(line: line)
      return nil
    } catch {
      return error
    }
  }

  @Test("An invite that is printed and read again is the same", arguments: 0...8)
  func printedInviteIsReadAgain(count: Int) throws {
    let invite = Invite(
      mesh: credentials.mesh, epoch: .max, key: try #require(credentials.keyring.sealing).key,
      addresses: addresses(count))
    let read = try Invite(line: invite.line)
    #expect(read.mesh == invite.mesh)
    #expect(read.epoch == .max)
    #expect(read.key?.exposed() == invite.key?.exposed())
    #expect(read.addresses == addresses(count))
    #expect(read.line == invite.line)
  }

  @Test("An invite is one line of plain characters")
  func inviteIsOneLine() throws {
    let line = try invite(by: addresses(8)).line
    #expect(line.hasPrefix("presence-mesh:1:"))
    #expect(line.utf8.count < 300)
    #expect(
      line.allSatisfy { $0.isASCII && !$0.isWhitespace && !"'\"$`\\&|;<>()*?#~".contains($0) })
  }

  @Test("White space and quotes around an invite are passed over")
  func surroundingsArePassedOver() throws {
    let invite = try invite(by: addresses(1))
    for line in [" \(invite.line)\n", "\"\(invite.line)\"", "'\(invite.line)' \r\n"] {
      #expect(try Invite(line: line).line == invite.line)
    }
  }

  @Test("The first eight addresses go in, without those that mean nothing elsewhere")
  func addressesAreBounded() throws {
    let linkLocal = PeerAddress(high: 0xFE80 << 48, low: 1, port: 7, zone: 2)
    let invite = try invite(by: [linkLocal] + addresses(12))
    #expect(invite.addresses == addresses(8))
  }

  @Test("Every wrong character is found")
  func wrongCharacterIsFound() throws {
    let line = Array(try invite(by: addresses(2)).line)
    for index in "presence-mesh:1:".count..<line.count {
      var changed = line
      changed[index] = line[index] == "A" ? "B" : "A"
      #expect(error(of: String(changed)) == .damaged, "character \(index)")
    }
  }

  @Test("A line that was cut short, or went on, is found")
  func cutLineIsFound() throws {
    let line = try invite(by: addresses(2)).line
    for length in "presence-mesh:1:".count..<line.count {
      #expect(error(of: String(line.prefix(length))) == .damaged, "\(length) characters")
    }
    for end in ["A", "AAAA", "=", ":", "!"] { #expect(error(of: line + end) == .damaged) }
  }

  @Test("Two characters that changed places are found")
  func swappedCharactersAreFound() throws {
    let line = Array(try invite(by: addresses(1)).line)
    for index in "presence-mesh:1:".count..<(line.count - 1) where line[index] != line[index + 1] {
      var changed = line
      changed.swapAt(index, index + 1)
      #expect(error(of: String(changed)) == .damaged)
    }
  }

  @Test(
    "What is no invite is told so",
    arguments: ["", " ", "hello", "http://example.org", "presence-mesh", "Presence-mesh:1:AAAA"])
  func otherTextIsNoInvite(line: String) {
    #expect(error(of: line) == .notAnInvite)
  }

  @Test("Two lines are no invite")
  func twoLinesAreNoInvite() throws {
    let line = try invite(by: []).line
    #expect(error(of: line + "\n" + line) == .notAnInvite)
  }

  @Test("A version that is not known is named")
  func unknownVersionIsNamed() {
    #expect(error(of: "presence-mesh:3:AAAA") == .unknownVersion("3"))
    #expect(error(of: "presence-mesh:") == .damaged)
    #expect("\(InviteError.unknownVersion("3"))".contains("'3'"))
  }

  @Test("An invite makes the credentials of its mesh")
  func inviteMakesCredentials() throws {
    let joined = try MeshCredentials(
      Invite(line: invite(by: []).line), node: NodeKey.random().origin, at: Closed.now)
    #expect(joined.mesh == credentials.mesh)
    #expect(joined.epochs == credentials.epochs)
    #expect(joined.keyring.sealing?.key.exposed() == credentials.keyring.sealing?.key.exposed())
  }

  @Test("Base64 for URLs is read back, and only in its one form", arguments: 0...20)
  func base64IsReadBack(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 73 + 250) }
    let text = Base64URL.encoded(bytes)
    #expect(Base64URL.decoded(text) == bytes)
    #expect(text.count == (count * 4 + 2) / 3)
    if count % 3 != 0 { #expect(Base64URL.decoded(text.dropLast() + "_") == nil) }
  }
}
