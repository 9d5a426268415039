import Foundation
import MeshCrypto
import MeshEngine
import MeshWire
import Testing

@testable import PresenceMesh

@Suite("Damaged state files")
struct DamageTests {
  let scratch = Scratch()
  static let files = ["identity", "mesh", "durable", "authority", "decrees", "tickets"]
  private static let authority = "authority " + String(repeating: "01", count: 32)
  private let mesh = Closed()

  private func open() throws(StateError) -> StateDirectory {
    try StateDirectory(path: scratch.path)
  }

  /// Fills the directory.
  private func fill() throws {
    let directory = try open()
    _ = try directory.identity()
    _ = try directory.beginLife()
    try directory.makeMesh(open: false, at: Closed.now)
    try directory.store([mesh.decree(.revokedUser("eve"))])
    try directory.note(try #require(mesh.invite().ticket?.ticket))
    try directory.remember([PeerAddress(ipv4: 1, port: 2)])
  }

  /// The error of reading one file, which must leave it as it is.
  private func errorOfReading(_ name: String) throws -> StateError? {
    let before = try scratch.bytes(name)
    let error = stateError { () throws(StateError) in
      let directory = try open()
      switch name {
      case "identity": _ = try directory.identity()
      case "mesh": _ = try directory.mesh()
      case "authority": _ = try directory.authority()
      case "decrees": _ = try directory.decrees()
      case "tickets": _ = try directory.tickets()
      default: _ = try directory.beginLife()
      }
    }
    if error != nil { #expect(try scratch.bytes(name) == before) }
    return error
  }

  private func expectDamage(_ name: String, _ damage: StateError.Damage) throws {
    let error = try errorOfReading(name)
    #expect(error == .damaged(path: scratch.file(name), damage))
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(scratch.file(name)) && text.contains("backup"))
  }

  /// Writes lines with a checksum that is right.
  private func write(_ name: String, _ lines: [String]) throws {
    let values = lines.map { $0.split(separator: " ").map { StateText.Value.text(String($0)) } }
    try scratch.write(StateText.encoded(kind: name, lines: values).exposed(), to: name)
  }

  @Test("An empty file is named", arguments: files)
  func emptyFileIsNamed(name: String) throws {
    try fill()
    try scratch.write([], to: name)
    try expectDamage(name, .empty)
  }

  @Test("A file that was cut short is named, wherever it was cut", arguments: files)
  func cutFileIsNamed(name: String) throws {
    try fill()
    let whole = try scratch.bytes(name)
    for length in 1..<whole.count {
      try scratch.write(Array(whole[..<length]), to: name)
      switch try errorOfReading(name) {
      case .damaged(scratch.file(name), .truncated)?, .damaged(scratch.file(name), .foreign)?,
        .unknownVersion(scratch.file(name), "")?:
        break
      case let other: Issue.record("cut to \(length) bytes: \(String(describing: other))")
      }
    }
    try scratch.write(whole, to: name)
    #expect(try errorOfReading(name) == nil)
  }

  @Test("A single changed bit is found, wherever it is", arguments: files)
  func changedBitIsFound(name: String) throws {
    try fill()
    let whole = try scratch.bytes(name)
    for index in whole.indices {
      var changed = whole
      changed[index] ^= 1 << UInt8(index % 8)
      try scratch.write(changed, to: name)
      #expect(try errorOfReading(name) != nil, "byte \(index)")
    }
  }

  @Test("A wrong checksum is named", arguments: files)
  func wrongChecksumIsNamed(name: String) throws {
    try fill()
    var bytes = try scratch.bytes(name)
    let last = bytes.count - 2
    bytes[last] = bytes[last] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
    try scratch.write(bytes, to: name)
    try expectDamage(name, .checksumWrong)
  }

  @Test("A file of another kind is named", arguments: files)
  func foreignFileIsNamed(name: String) throws {
    try fill()
    try scratch.write(Array("hello\nworld\n".utf8), to: name)
    try expectDamage(name, .foreign)
    let other = name == "mesh" ? "durable" : "mesh"
    try scratch.write(try scratch.bytes(other), to: name)
    try expectDamage(name, .foreign)
  }

  @Test("A file that is far too long is named", arguments: files)
  func longFileIsNamed(name: String) throws {
    try fill()
    let bound = try #require(StateDirectory.File(rawValue: name)).byteBound
    try scratch.write([UInt8](repeating: 10, count: bound + 1), to: name)
    try expectDamage(name, .tooLong(limit: bound))
  }

  @Test("A file of a later version is named with its version", arguments: files)
  func laterVersionIsNamed(name: String) throws {
    try fill()
    try scratch.write(Array("presence-mesh \(name) 2\nwhatever\n".utf8), to: name)
    let error = try errorOfReading(name)
    #expect(error == .unknownVersion(path: scratch.file(name), version: "2"))
  }

  @Test(
    "A line that is not what it should be is named by its number",
    arguments: [
      ("durable", 2, []), ("durable", 3, ["generation 1"]), ("durable", 2, ["generation x"]),
      ("durable", 2, ["generation 01", "lamport 0"]),
      ("durable", 2, ["generation 4294967296", "lamport 0"]),
      ("durable", 3, ["generation 1", "lamport 281474976710656"]),
      ("durable", 3, ["generation 1", "lamport 1", "more 1"]), ("durable", 2, ["lamport 1"]),
      ("identity", 2, []), ("identity", 2, ["seed 00"]), ("mesh", 2, ["mesh 00"]),
      ("mesh", 3, ["mesh 00112233445566778899aabbccddeeff"]),
      ("mesh", 3, ["mesh 00112233445566778899aabbccddeeff", "key 1 00"]),
      ("mesh", 3, ["mesh 00112233445566778899aabbccddeeff", "key 4294967296 00"]),
      ("mesh", 3, ["mesh 00112233445566778899aabbccddeeff", "authority 00"]),
      ("mesh", 4, ["mesh 00112233445566778899aabbccddeeff", Self.authority]),
      ("mesh", 4, ["mesh 00112233445566778899aabbccddeeff", Self.authority, "certificate 00"]),
      ("authority", 2, ["seed 00"]), ("decrees", 2, ["decree 00"]), ("decrees", 2, ["ticket 00"]),
      ("tickets", 2, ["ticket 0011"]),
    ] as [(String, Int, [String])])
  func malformedLineIsNamed(name: String, line: Int, lines: [String]) throws {
    try fill()
    try write(name, lines)
    let error = try errorOfReading(name)
    guard case .damaged(scratch.file(name), .malformedLine(line, _))? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(
    "A counter of incarnations that is not alone, or no number below its bound, is named",
    arguments: [
      ["incarnation x"], ["incarnation 4294967296"], ["incarnation 01"],
      ["incarnation 1", "lamport 1"],
    ])
  func malformedIncarnationIsNamed(lines: [String]) throws {
    try fill()
    try write("durable", lines)
    let error = try errorOfReading("durable")
    guard case .damaged(scratch.file("durable"), .malformedLine(2, _))? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("The lives of a node of version 1 of the protocol go on, and are kept as incarnations")
  func olderFileIsRead() throws {
    try fill()
    try write("durable", ["generation 41", "lamport 7"])
    #expect(try open().beginLife() == DurableState(incarnationCounter: 42))
    let text = String(decoding: try scratch.bytes("durable"), as: UTF8.self)
    #expect(text.contains("\nincarnation 42\n") && !text.contains("generation"))
    #expect(try open().beginLife() == DurableState(incarnationCounter: 43))
  }

  @Test("Epochs that do not rise, and more keys than are used at once, are refused")
  func keysAreChecked() throws {
    try fill()
    let key = String(repeating: "ab", count: 32)
    let mesh = "mesh 00112233445566778899aabbccddeeff"
    try write("mesh", [mesh, "key 2 \(key)", "key 2 \(key)"])
    #expect("\(try #require(try errorOfReading("mesh")))".contains("line 4 is not a rising epoch"))
    try write("mesh", [mesh] + (1...5).map { "key \($0) \(key)" })
    #expect("\(try #require(try errorOfReading("mesh")))".contains("line 7"))
    try write("mesh", [mesh] + (1...4).map { "key \($0) \(key)" })
    #expect(try errorOfReading("mesh") == nil)
  }

  @Test("A seed with the id of another node is refused")
  func mismatchedIdentityIsRefused() throws {
    try fill()
    let seed = String(repeating: "00", count: 32)
    try write("identity", ["seed \(seed)", "origin \(NodeKey.random().origin)"])
    try expectDamage(
      "identity", .malformedLine(number: 3, expected: "the id that belongs to the seed"))
  }

  @Test("An identity without its durable state is refused: it could repeat itself")
  func missingGenerationIsRefused() throws {
    try fill()
    try FileManager.default.removeItem(atPath: scratch.file("durable"))
    #expect(
      stateError { () throws(StateError) in _ = try open().beginLife() }
        == .missing(path: scratch.file("durable"), besides: scratch.file("identity")))
  }

  @Test("The last incarnation is an error, not a start over")
  func lastGenerationIsAnError() throws {
    try fill()
    try write("durable", ["generation 4294967295", "lamport 0"])
    #expect(
      try errorOfReading("durable") == .incarnationsExhausted(path: scratch.file("durable")))
  }

  @Test(
    "Damaged addresses are put aside with a warning, as they are only a hint",
    arguments: ["", "nonsense", "presence-mesh addresses 9\n", "presence-mesh addresses 1\n"])
  func damagedAddressesArePutAside(text: String) throws {
    try fill()
    try scratch.write(Array(text.utf8), to: "addresses")
    let directory = try open()
    let (addresses, warning) = directory.rememberedAddresses()
    #expect(addresses.isEmpty)
    #expect("\(try #require(warning))".contains(scratch.file("addresses")))
    #expect(try scratch.bytes("addresses.damaged") == Array(text.utf8))
    #expect(directory.rememberedAddresses().warning == nil)
    try directory.remember([PeerAddress(ipv4: 3, port: 4)])
    #expect(directory.rememberedAddresses().addresses == [PeerAddress(ipv4: 3, port: 4)])
  }
}
