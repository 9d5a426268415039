import Foundation
import PresenceMesh
import Testing

@Suite("Closed meshes on the command line", .serialized, .timeLimit(.minutes(10)))
struct MembershipTests {
  /// State directories that go with the test.
  private final class Places {
    private var states: [String] = []

    func fresh() -> String {
      states.append(TestNode.freshState())
      return states[states.count - 1]
    }

    deinit { for state in states { try? FileManager.default.removeItem(atPath: state) } }
  }

  private let places = Places()

  private func run(
    _ state: String, _ arguments: String..., input: String = ""
  ) async throws -> Program.Outcome {
    try await Program.run(arguments + ["--state", state], input: input)
  }

  /// An invite by the node or the directory of a state.
  private func invite(_ state: String, _ options: String...) async throws -> String {
    let told = try await Program.run(["invite", "--state", state] + options)
    #expect(told.exitCode == 0, "\(told.errors)")
    return try #require(told.lines.first)
  }

  /// A closed mesh with its first node.
  private func first(_ arguments: [String] = []) async throws -> TestNode {
    let state = places.fresh()
    #expect(try await run(state, "mesh", "create").exitCode == 0)
    return try await TestNode(arguments, state: state)
  }

  private func online(_ node: TestNode) async throws -> Set<String> {
    let users = try await node.users("design")
    return Set(users.filter { $0.value["online"] as? Bool == true }.keys)
  }

  private func members(_ node: TestNode) async throws -> [[String: Any]] {
    let object = try await node.run("members", "--json").object()
    return try #require(object["members"] as? [[String: Any]])
  }

  @Test(
    "Who was invited is in and speaks for its users; who was revoked is out, ends with 1, and stays out"
  )
  func wholeLife() async throws {
    let ada = try await first(["--name", "ada", "--room", "design"])
    let line = try await invite(ada.state, "--users", "bob*,carl", "--role", "moderator")
    #expect(line.hasPrefix("presence-mesh:2:"))
    let state = places.fresh()
    let bob = try await TestNode(
      ["--invite", line, "--name", "bob-1", "--room", "design"], state: state)
    for node in [ada, bob] {
      try await Program.eventually("both are seen") {
        try await online(node) == ["ada", "bob-1"]
      }
    }
    let eve = try await bob.run("join", "design", "--name", "eve", "--plain")
    #expect(eve.exitCode == 1 && eve.errors.contains("may not speak for user"))
    let doctor = try await bob.run("doctor").output
    #expect(doctor.contains("moderator, users bob*,carl, until"))
    #expect(doctor.contains("epoch 1 is used"))
    for command in [["rotate"], ["invite"], ["revoke", "--user", "ada"]] {
      let refused = try await Program.run(command + ["--state", state])
      #expect(refused.exitCode == 1 && refused.errors.contains("no admin"))
    }
    let rotated = try await ada.run("rotate")
    #expect(rotated.exitCode == 0 && rotated.errors.contains("has begun"))
    try await Program.eventually("the new key comes") {
      try await !bob.run("doctor").output.contains("epoch 1 is used")
    }
    let id = try bob.readyWord("node")
    #expect(try await members(ada).count == 2)
    let revoked = try await ada.run("revoke", String(id.prefix(10)))
    #expect(revoked.exitCode == 0 && revoked.errors.contains("presence invites revoke"))
    #expect(try await bob.child.exitCode() == 1)
    #expect(bob.child.errors.contains("this node was revoked"))
    try await Program.eventually("it is unseen") { try await online(ada) == ["ada"] }
    let again = try await run(state, "up", "--listen", "127.0.0.1:0", "--no-multicast")
    #expect(again.exitCode == 1 && again.errors.contains("this node was revoked"))
    let after = try await run(state, "doctor")
    #expect(after.exitCode == 1 && after.output.contains("this node was revoked"))
    let standings = try await members(ada).map { $0["standing"] as? String ?? "" }
    #expect(standings.sorted() == ["member", "revoked"])
  }

  @Test(
    "Invites are listed with their uses, and revoked; one that was used up or ended admits nobody")
  func invites() async throws {
    let ada = try await first(["--name", "ada", "--room", "design"])
    let once = try await invite(ada.state, "--uses", "1")
    let bob = try await TestNode(["--invite", once, "--name", "bob", "--room", "design"])
    try await Program.eventually("he is seen") { try await online(ada) == ["ada", "bob"] }
    let second = try await Program.run(
      "up", "--listen", "127.0.0.1:0", "--no-multicast", "--invite", once, "--state",
      places.fresh())
    #expect(second.exitCode == 1 && second.errors.contains("as many other nodes"))
    let short = try await invite(ada.state, "--expires", "1s")
    try await Task.sleep(for: .milliseconds(1100))
    let late = try await run(places.fresh(), "mesh", "join", short)
    #expect(late.exitCode == 1 && late.errors.contains("this invite ended at"))
    func list() async throws -> [[String: Any]] {
      try #require(
        try await ada.run("invites", "--json").object()["invites"] as? [[String: Any]])
    }
    let uses = try await list().map { ($0["uses"] as? Int, $0["used"] as? Int) }
    #expect(uses.contains { $0 == (1, 1) })
    let ticket = try #require(try await list().first { $0["used"] as? Int == 1 }?["ticket"])
    #expect(try await ada.run("invites").output.contains("1 of 1"))
    let revoked = try await ada.run("invites", "revoke", String("\(ticket)".prefix(12)))
    #expect(revoked.exitCode == 0)
    #expect(try await bob.child.exitCode() == 1)
    #expect(bob.child.errors.contains("was revoked"))
    #expect(try await list().contains { $0["revoked"] as? Bool == true })
    #expect(try await ada.run("invites", "revoke", "feedfeed").exitCode == 1)
    #expect(try await ada.run("revoke").exitCode == 2)
    let state = ada.state
    #expect(try await ada.run("down").exitCode == 0)
    #expect(try await run(state, "invites").output.contains("revoked"))
    #expect(try await run(state, "revoke", "--user", "bob").exitCode == 3)
  }

  @Test("A member that was away during rotations comes back")
  func away() async throws {
    let ada = try await first(["--name", "ada", "--room", "design"])
    let state = places.fresh()
    let arguments = ["--name", "bob", "--room", "design"]
    do {
      let line = try await invite(ada.state)
      let bob = try await TestNode(["--invite", line] + arguments, state: state)
      try await Program.eventually("they meet") { try await online(bob) == ["ada", "bob"] }
      #expect(try await bob.run("down").exitCode == 0)
    }
    for _ in 0..<6 { #expect(try await ada.run("rotate").exitCode == 0) }
    let bob = try await TestNode(arguments, state: state)
    try await Program.eventually("they meet again") { try await online(bob) == ["ada", "bob"] }
  }

  @Test("A newcomer that reaches no member says so, and is in as soon as it reaches one")
  func nobodyThere() async throws {
    let maker = places.fresh()
    let line = try #require(try await run(maker, "mesh", "create").lines.first)
    let bob = try await TestNode(
      ["--invite", line, "--name", "bob", "--room", "design"], state: places.fresh())
    try await Program.eventually("it says so") {
      bob.child.errors.contains("no member of the mesh was reached yet")
    }
    #expect(try await bob.run("doctor").output.contains("no key of the mesh yet"))
    #expect(try await bob.run("invite").exitCode == 1)
    let address = try #require(bob.readyWord("addresses").split(separator: ",").first)
    let ada = try await TestNode(["--peer", String(address)], state: maker)
    try await Program.eventually("he is seen") { try await online(ada) == ["bob"] }
  }

  @Test("A newer invite is taken, an older one or another mesh's is refused aloud")
  func newerInvite() async throws {
    let maker = places.fresh()
    let state = places.fresh()
    let first = try #require(try await run(maker, "mesh", "create").lines.first)
    #expect(try await run(state, "mesh", "join", first).exitCode == 0)
    let second = try await invite(maker, "--role", "moderator")
    let taken = try await run(state, "mesh", "join", second)
    #expect(taken.exitCode == 0 && taken.errors.contains("new certificate"))
    #expect(try await run(state, "doctor").output.contains("moderator"))
    let same = try await run(state, "mesh", "join", second)
    #expect(same.exitCode == 0 && same.errors.contains("nothing changed"))
    let older = try await run(state, "mesh", "join", first)
    #expect(older.exitCode == 1 && older.errors.contains("nothing was changed"))
    let other = try #require(try await run(places.fresh(), "mesh", "create").lines.first)
    let foreign = try await run(state, "mesh", "join", other)
    #expect(foreign.exitCode == 1 && foreign.errors.contains("another mesh"))
    let node = try await TestNode(["--invite", first], state: state)
    #expect(node.child.errors.contains("older than the certificate"))
    #expect(try await node.run("mesh", "join", second).exitCode == 0)
    let third = try await invite(maker)
    let refused = try await node.run("mesh", "join", third)
    #expect(refused.exitCode == 1 && refused.errors.contains("presence down"))
    #expect(try await node.run("mesh", "join", other).errors.contains("another mesh"))
  }

  @Test("The authority's key moves to another member, which lets others in then")
  func authority() async throws {
    let (maker, state) = (places.fresh(), places.fresh())
    let line = try #require(try await run(maker, "mesh", "create").lines.first)
    #expect(try await run(state, "mesh", "join", line).exitCode == 0)
    #expect(try await run(state, "invite").exitCode == 1)
    let exported = try await run(maker, "authority", "export")
    #expect(exported.exitCode == 0 && exported.errors.contains("CONTROLS THE MESH"))
    let key = try #require(exported.lines.first)
    for wrong in ["nonsense", String(key.dropLast())] {
      #expect(try await run(state, "authority", "import", input: wrong + "\n").exitCode == 1)
    }
    let other = places.fresh()
    #expect(try await run(other, "mesh", "create").exitCode == 0)
    #expect(try await run(other, "authority", "import", input: key + "\n").exitCode == 1)
    #expect(try await run(state, "authority", "import", input: key + "\n").exitCode == 0)
    let node = try await TestNode(["--name", "ada"], state: maker)
    let second = try await TestNode(
      [
        "--peer",
        try #require(node.readyWord("addresses").split(separator: ",").first.map(String.init)),
      ],
      state: state)
    try await Program.eventually("it got the key, and lets others in") {
      try await second.run("invite", "--role", "admin").exitCode == 0
    }
    #expect(try await second.run("rotate").exitCode == 0)
  }

  @Test("An open mesh has one invite and no members, and says so")
  func openMesh() async throws {
    let node = try await TestNode(isOpen: true)
    #expect(try await node.run("invite").output.hasPrefix("presence-mesh:1:"))
    #expect(try await node.run("members").output.contains("the mesh is open"))
    #expect(try await node.run("doctor").output.contains("the mesh is open"))
    for command in [["invite", "--uses", "3"], ["rotate"], ["revoke", "--user", "ada"]] {
      let refused = try await Program.run(command + ["--state", node.state])
      #expect(refused.exitCode == 1 && refused.errors.contains("open"))
    }
  }
}
