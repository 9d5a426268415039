import Foundation
import MeshCrypto
import MeshEngine
import MeshTrust
import MeshWire
import Testing

@testable import PresenceMesh

@Suite("The state directory")
struct StateDirectoryTests {
  let scratch = Scratch()

  private func open() throws(StateError) -> StateDirectory {
    try StateDirectory(path: scratch.path)
  }

  @Test("A missing directory is a new node, and belongs to its user alone")
  func missingDirectoryIsANewNode() throws {
    let directory = try StateDirectory(path: scratch.file("deep/er"))
    let origin = try directory.identity().origin
    #expect(try directory.identity().origin == origin)
    #expect(try directory.mesh() == nil)
    #expect(directory.rememberedAddresses().addresses.isEmpty)
    #expect(try directory.beginLife() == DurableState(incarnationCounter: 1))
    for name in ["", "deep", "deep/er"] { #expect(try scratch.mode(of: name) == 0o700) }
    for name in ["identity", "durable", "lock"] {
      #expect(try scratch.mode(of: "deep/er/" + name) == 0o600)
    }
  }

  @Test("What was kept is there in the next life")
  func stateIsKept() throws {
    let credentials = MeshCredentials.random()
    let addresses = [
      PeerAddress(ipv4: 0xC000_0201, port: 7946), PeerAddress(high: 1, low: 2, port: 3),
    ]
    var origin = try open().identity().origin
    try open().store(credentials)
    try open().remember(addresses)
    for life in 1...3 {
      let directory = try open()
      #expect(try directory.identity().origin == origin)
      origin = try directory.identity().origin
      let mesh = try #require(try directory.mesh())
      #expect(mesh.mesh == credentials.mesh)
      #expect(mesh.keyring.sealing?.key.exposed() == credentials.keyring.sealing?.key.exposed())
      #expect(directory.rememberedAddresses().addresses == addresses)
      #expect(
        try directory.beginLife() == DurableState(incarnationCounter: UInt64(life)))
    }
    #expect(try scratch.names() == ["identity", "mesh", "durable", "addresses", "lock"])
  }

  @Test("The incarnation of a life is on the disk before it is used")
  func incarnationIsKeptFirst() throws {
    #expect(try open().beginLife().incarnationCounter == 1)
    #expect(try open().beginLife().incarnationCounter == 2)
  }

  @Test("Durable state that is older than what is kept changes nothing")
  func olderStateChangesNothing() throws {
    do {
      let directory = try open()
      _ = try directory.identity()
      _ = try directory.beginLife()
      try directory.store(DurableState(incarnationCounter: 5))
      try directory.store(DurableState(incarnationCounter: 4))
    }
    #expect(try open().beginLife() == DurableState(incarnationCounter: 6))
  }

  @Test("All keys of a keyring are kept")
  func keyringIsKept() throws {
    var credentials = MeshCredentials.random()
    for epoch: UInt32 in [2, 9, .max] {
      credentials.keyring.add(epoch: epoch, key: .random(count: 32))
    }
    try open().store(credentials)
    let kept = try #require(try open().mesh())
    #expect(kept.keyring.keys.map(\.epoch) == [1, 2, 9, .max])
    #expect(
      kept.keyring.keys.map { $0.key.exposed() }
        == credentials.keyring.keys.map { $0.key.exposed() })
  }

  @Test("A mesh is not replaced by another; new keys of the same mesh are kept")
  func meshIsNotReplaced() throws {
    let directory = try open()
    var credentials = MeshCredentials.random()
    try directory.store(credentials)
    credentials.keyring.add(epoch: 2, key: .random(count: 32))
    try directory.store(credentials)
    #expect(try directory.mesh()?.keyring.keys.count == 2)
    #expect(
      stateError { () throws(StateError) in try directory.store(.random()) }
        == .otherMesh(path: scratch.file("mesh")))
    #expect(try directory.mesh()?.mesh == credentials.mesh)
  }

  @Test("At most so many addresses are remembered, without those that mean nothing later")
  func addressesAreBounded() throws {
    let directory = try open()
    let linkLocal = PeerAddress(high: 0xFE80 << 48, low: 1, port: 7, zone: 2)
    let many = (1...100).map { PeerAddress(ipv4: UInt32($0), port: 7) }
    try directory.remember([linkLocal] + many)
    #expect(directory.rememberedAddresses().addresses == Array(many.prefix(64)))
    try directory.remember([])
    #expect(directory.rememberedAddresses().addresses.isEmpty)
  }

  @Test("A draft that a crash left over is replaced, never read")
  func draftIsReplaced() throws {
    _ = try open()
    try scratch.write(Array("half".utf8), to: ".durable.new")
    #expect(try open().beginLife().incarnationCounter == 1)
    #expect(try scratch.names() == ["durable", "lock"])
  }

  @Test("The default directory follows the environment")
  func defaultFollowsTheEnvironment() throws {
    func path(_ environment: [String: String]) throws(StateError) -> String {
      try StateDirectory.defaultPath(environment: environment)
    }
    let home = ["HOME": "/home/ada"]
    #expect(try path(home) == "/home/ada/.local/state/presence-mesh")
    let base = home.merging(["XDG_STATE_HOME": "/var/ada"]) { $1 }
    #expect(try path(base) == "/var/ada/presence-mesh")
    let relative = home.merging(["XDG_STATE_HOME": "ada"]) { $1 }
    #expect(try path(relative) == "/home/ada/.local/state/presence-mesh")
    #expect(try path(base.merging(["PRESENCE_STATE": "here"]) { $1 }) == "here")
    #expect(try path(base.merging(["PRESENCE_STATE": ""]) { $1 }) == "/var/ada/presence-mesh")
    #expect(stateError { () throws(StateError) in _ = try path([:]) } == .noDefaultPath)
  }

  @Test("A closed mesh is kept with its certificate, and the key that a newcomer seals to")
  func closedMeshIsKept() throws {
    let mesh = Closed()
    let node = try open().identity()
    let invite = try mesh.invite()
    var credentials = try MeshCredentials(invite, node: node.origin, at: Closed.now)
    try open().store(credentials)
    #expect(try open().mesh()?.membership == credentials.membership)
    #expect(try open().mesh()?.membership?.admission?.key == invite.ticket?.admissionKey)
    #expect(try open().authority() == nil)
    // It was admitted since.
    credentials.keyring = mesh.credentials.keyring
    credentials.membership?.admission = nil
    try open().store(credentials)
    let read = try #require(try open().mesh())
    #expect(read.membership == credentials.membership && read.epochs == credentials.epochs)
    // Keys came and went.
    for epoch: UInt32 in 2...9 { credentials.keyring.add(epoch: epoch, key: .random(count: 32)) }
    credentials.keyring.retire(below: 8)
    try open().store(credentials)
    let rotated = try #require(try open().mesh())
    #expect(rotated.epochs == [8, 9])
    for epoch: UInt32 in 1...9 {
      #expect(
        rotated.keyring.admissionKey(epoch: epoch)
          == credentials.keyring.admissionKey(epoch: epoch))
    }
  }

  @Test(
    "Who makes a closed mesh is its first admin and keeps the authority's key, which nothing replaces"
  )
  func makerKeepsTheAuthority() throws {
    let directory = try open()
    try directory.makeMesh(open: false, at: Closed.now)
    let known = try #require(try directory.mesh())
    let membership = try #require(known.membership)
    let authority = try #require(try directory.authority())
    let node = try directory.identity()
    #expect(membership.authority == authority.origin && membership.certificate.node == node.origin)
    #expect(membership.certificate.rights.role == .admin)
    #expect(membership.certificate.isGenuine(known.mesh, authority.origin))
    let decrees = try directory.decrees()
    guard case .epoch(1, _)? = decrees.first?.subject, decrees.count == 1 else {
      Issue.record("the first epoch has no decree")
      return
    }
    #expect(Issuer(known, node: node, authority: authority)?.link == nil)
    #expect(Issuer(known, node: node, authority: nil)?.link != nil)
    for name in ["authority", "mesh", "tickets"] where try scratch.names().contains(name) {
      #expect(try scratch.mode(of: name) == 0o600)
    }
    let refusal = stateError { () throws(StateError) in try directory.store(authority: .random()) }
    #expect(refusal == .otherMesh(path: scratch.file("authority")))
  }

  @Test(
    "Decrees and tickets are kept, the tickets without their secrets, and the oldest of too many goes"
  )
  func decreesAndTickets() throws {
    let mesh = Closed()
    let directory = try open()
    let decrees = try (0..<300).map { try mesh.decree(.revokedUser("user \($0)")) }
    try directory.store(decrees)
    #expect(try directory.decrees() == decrees)
    try directory.store([])
    #expect(try directory.decrees().isEmpty)
    var tickets: [Ticket] = []
    for _ in 0..<StateDirectory.ticketBound + 3 {
      let held = try #require(mesh.invite().ticket)
      tickets.append(held.ticket)
      try directory.note(held.ticket)
      let text = String(decoding: try scratch.bytes("tickets"), as: UTF8.self)
      #expect(!text.contains(hexadecimal(held.key.seed.exposed())))
    }
    #expect(try directory.tickets() == Array(tickets.suffix(StateDirectory.ticketBound)))
  }

  @Test("As many tickets as are kept, with the longest lists of users, are read again")
  func longTickets() throws {
    let mesh = Closed()
    let directory = try open()
    let users = (0..<8).map { String(repeating: "\($0)", count: Limits.userIDBytes) }
    let ticket = try #require(mesh.invite(InviteTerms(users: users)).ticket).ticket
    for _ in 0..<StateDirectory.ticketBound { try directory.note(ticket) }
    #expect(try directory.tickets().count == StateDirectory.ticketBound)
  }

  @Test("Secrets do not print")
  func secretsDoNotPrint() throws {
    let credentials = MeshCredentials.random()
    let invite = try #require(credentials.invite(by: []))
    var dumped = ""
    dump(credentials, to: &dumped)
    dump(invite, to: &dumped)
    let text = dumped + "\(credentials) \(invite) \(String(reflecting: invite))"
    let key = try #require(credentials.keyring.sealing).key.exposed()
    // Whatever would show them, as a list or one by one, would have a row for each.
    #expect(text.count(where: \.isNewline) < 10)
    #expect(!text.contains("\(key[0]), \(key[1])"))
    #expect(!text.contains(invite.line.suffix(20)))
  }
}

@Suite("Permissions and the lock")
struct StateAccessTests {
  let scratch = Scratch()

  private func open() throws(StateError) -> StateDirectory {
    try StateDirectory(path: scratch.path)
  }

  @Test(
    "A directory that others may enter is refused, with the command that closes it",
    arguments: [0o755, 0o750, 0o701, 0o720])
  func openDirectoryIsRefused(mode: Int) throws {
    _ = try open()
    try scratch.setMode(mode)
    let error = stateError { () throws(StateError) in _ = try open() }
    #expect(error == .tooOpen(path: scratch.path, mode: UInt32(mode), allowed: 0o700))
    #expect("\(try #require(error))".contains("chmod 0700 \(scratch.path)"))
    #expect(try scratch.mode() == mode)
    try scratch.setMode(0o700)
    _ = try open()
  }

  @Test(
    "A file that others may read or write is refused, with the command that closes it",
    arguments: ["identity", "durable", "mesh", "lock"], [0o644, 0o604, 0o620, 0o700])
  func openFileIsRefused(name: String, mode: Int) throws {
    do {
      let directory = try open()
      _ = try directory.identity()
      try directory.store(.random())
    }
    try scratch.setMode(mode, of: name)
    let error = stateError { () throws(StateError) in
      let directory = try open()
      _ = try directory.identity()
      _ = try directory.mesh()
      _ = try directory.beginLife()
    }
    let path = scratch.file(name)
    #expect(error == .tooOpen(path: path, mode: UInt32(mode), allowed: 0o600))
    #expect("\(try #require(error))".contains("chmod 0600 \(path)"))
    #expect(try scratch.mode(of: name) == mode)
  }

  @Test("A path with spaces is quoted in the command")
  func pathIsQuoted() {
    let error = StateError.tooOpen(path: "/a b/it's", mode: 0o755, allowed: 0o700)
    #expect("\(error)".hasSuffix("run chmod 0700 '/a b/it'\\''s'"))
  }

  @Test("A directory in use is refused, with the process that uses it")
  func directoryInUseIsRefused() throws {
    let first = try open()
    let error = stateError { () throws(StateError) in _ = try open() }
    let process = ProcessInfo.processInfo.processIdentifier
    #expect(error == .locked(path: scratch.path, process: process))
    #expect("\(try #require(error))".contains("in use by process \(process)"))
    #expect(first.path == scratch.path)
  }

  @Test("A directory whose process ended can be used, also after a crash")
  func directoryIsFreeAgain() throws {
    _ = try open()
    try scratch.write(Array("99999\n".utf8), to: "lock")
    _ = try open()
  }

  @Test("A file in the place of the directory, and a link in the place of a file, are refused")
  func wrongKindsAreRefused() throws {
    _ = try open()
    try scratch.write([1], to: "plain")
    #expect(
      stateError { () throws(StateError) in _ = try StateDirectory(path: scratch.file("plain")) }
        == .wrongKind(path: scratch.file("plain"), expected: "a directory"))
    try FileManager.default.createSymbolicLink(
      atPath: scratch.file("mesh"), withDestinationPath: scratch.file("plain"))
    #expect(
      stateError { () throws(StateError) in _ = try open().mesh() }
        == .wrongKind(path: scratch.file("mesh"), expected: "a plain file"))
    try FileManager.default.createDirectory(
      atPath: scratch.file("identity"), withIntermediateDirectories: false)
    #expect(
      stateError { () throws(StateError) in _ = try open().identity() }
        == .wrongKind(path: scratch.file("identity"), expected: "a plain file"))
  }

  @Test("A directory that cannot be made is an error that names it")
  func directoryThatCannotBeMade() throws {
    _ = try open()
    try scratch.write([1], to: "plain")
    let path = scratch.file("plain/below")
    let error = try #require(
      stateError { () throws(StateError) in _ = try StateDirectory(path: path) })
    #expect("\(error)".contains(path))
  }
}
