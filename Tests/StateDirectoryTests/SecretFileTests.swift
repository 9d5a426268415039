import Foundation
import MeshCrypto
import Testing

@testable import PresenceMesh

@Suite("Files with secrets that others made")
struct SecretFileTests {
  let scratch = Scratch()

  init() throws {
    try FileManager.default.createDirectory(
      atPath: scratch.path, withIntermediateDirectories: true)
    try scratch.write(Array("secret\n".utf8), to: "file")
  }

  private func read(_ name: String = "file", bound: Int = 100) throws(StateError) -> SecretBytes {
    try SecretFile.read(scratch.file(name), bound: bound)
  }

  private func error(_ name: String = "file", bound: Int = 100) -> StateError? {
    stateError { () throws(StateError) in _ = try read(name, bound: bound) }
  }

  @Test("A file of this user alone is read, whole", arguments: [0o600, 0o400])
  func ownFileIsRead(mode: Int) throws {
    try scratch.setMode(mode, of: "file")
    #expect(try read().exposed() == Array("secret\n".utf8))
    #expect(try read(bound: 7).count == 7)
    #expect("\(try #require(error(bound: 6)))".contains("more than 6 bytes"))
    try scratch.write([], to: "empty")
    #expect(try read("empty").count == 0)
  }

  @Test(
    "A file that others may use is refused, with the command that closes it",
    arguments: [0o644, 0o640, 0o660, 0o604, 0o602, 0o700])
  func openFileIsRefused(mode: Int) throws {
    try scratch.setMode(mode, of: "file")
    let path = scratch.file("file")
    #expect(error() == .tooOpen(path: path, mode: UInt32(mode), allowed: 0o600))
    #expect("\(try #require(error()))".contains("chmod 0600 \(path)"))
    #expect(try scratch.mode(of: "file") == mode)
    // A link does not hide what it leads to.
    try FileManager.default.createSymbolicLink(
      atPath: scratch.file("link"), withDestinationPath: path)
    let link = scratch.file("link")
    #expect(error("link") == .tooOpen(path: link, mode: UInt32(mode), allowed: 0o600))
  }

  @Test("What is no file is refused; a pipe is read")
  func kinds() throws {
    try FileManager.default.createDirectory(
      atPath: scratch.file("folder"), withIntermediateDirectories: false)
    #expect(error("folder") == .wrongKind(path: scratch.file("folder"), expected: "a plain file"))
    #expect(error("nothing")?.description.contains("cannot read") == true)
    let pipe = Pipe()
    try pipe.fileHandleForWriting.write(contentsOf: Data("through a pipe".utf8))
    try pipe.fileHandleForWriting.close()
    let read = try SecretFile.read(
      "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)", bound: 100)
    #expect(read.exposed() == Array("through a pipe".utf8))
  }

  @Test("An invite in guarded memory is read as its line is, and one line of an input is taken")
  func guardedInvite() throws {
    let invite = try #require(MeshCredentials.random().invite(by: []))
    for line in [invite.line, " '\(invite.line)'\r\n"] {
      #expect(try Invite(SecretBytes(line.utf8)).line == invite.line)
    }
    #expect(throws: InviteError.notAnInvite) { _ = try Invite(SecretBytes("hello".utf8)) }
    #expect(throws: InviteError.notAnInvite) { _ = try Invite(SecretBytes([])) }
    let pipe = Pipe()
    try pipe.fileHandleForWriting.write(contentsOf: Data("first\nsecond\n".utf8))
    try pipe.fileHandleForWriting.close()
    let input = pipe.fileHandleForReading.fileDescriptor
    for line in ["first", "second", "", ""] {
      let read = SecretBytes.read(from: input, bound: 10, until: UInt8(ascii: "\n")).content
      #expect(read?.exposed() == Array(line.utf8))
    }
  }
}

@Suite("The version of libsodium")
struct SodiumVersionTests {
  @Test("Another interface than that of the headers is told; a later one with the same is none")
  func versions() throws {
    func unfit(_ library: (Int, Int)) -> String? {
      Sodium.unfit(headers: (10, 3), library: library, version: "1.0.17")
    }
    for fit in [(10, 3), (10, 4)] { #expect(unfit(fit) == nil) }
    for other in [(10, 2), (9, 3), (26, 1)] {
      let text = try #require(unfit(other))
      #expect(text.contains("1.0.17") && text.contains("\(other.0).\(other.1)"))
      #expect(text.contains("1.0.18 or later"))
    }
    // Older than the oldest that will do, though it is the one that the headers are of.
    #expect(Sodium.unfit(headers: (10, 2), library: (10, 2), version: "1.0.17") != nil)
    #expect(Sodium.unfit == nil)
  }
}
