import Foundation
import MeshCrypto
import PresenceMesh
import Testing

@Suite("Invites with other keys on the command line", .serialized, .timeLimit(.minutes(10)))
struct InviteTests {
  /// An invite to the same mesh with a new random key of an epoch.
  private func invite(like line: String, epoch: UInt32) throws -> String {
    let invite = try Invite(line: line)
    return Invite(
      mesh: invite.mesh, epoch: epoch, key: .random(count: 32), addresses: invite.addresses
    ).line
  }

  private func epoch(_ line: String) throws -> UInt32 { try Invite(line: line).epoch }

  private struct Place {
    let state = TestNode.freshState()

    /// Makes a mesh, and returns its invite.
    func create() async throws -> String {
      try await Program.run("mesh", "create", "--open", "--state", state).lines.first ?? ""
    }

    func join(_ line: String) async throws -> Program.Outcome {
      try await Program.run("mesh", "join", line, "--state", state)
    }

    func invite() async throws -> String {
      try await Program.run("mesh", "invite", "--state", state).lines.first ?? ""
    }

    func remove() { try? FileManager.default.removeItem(atPath: state) }
  }

  @Test("The newer key of an invite is kept, and what is new is told; the same line tells nothing")
  func newerKeyIsKept() async throws {
    let place = Place()
    defer { place.remove() }
    let first = try await place.create()
    let newer = try invite(like: first, epoch: 2)
    let taken = try await place.join(newer)
    #expect(taken.exitCode == 0)
    #expect(taken.errors.contains("epoch 2"))
    #expect(try await place.invite() == newer)
    for line in [newer, first] {
      let again = try await place.join(line)
      #expect(again.exitCode == 0)
      #expect(again.errors.contains("nothing changed"))
    }
    #expect(try await place.invite() == newer)
    let node = try await TestNode(state: place.state)
    #expect(try epoch(await node.invite()) == 2)
  }

  @Test("Another key of a known epoch and the key of an old one are refused, and change nothing")
  func contradictionsAreRefused() async throws {
    let place = Place()
    defer { place.remove() }
    let first = try await place.create()
    let third = try invite(like: first, epoch: 3)
    #expect(try await place.join(third).exitCode == 0)
    for (epoch, reason): (UInt32, String) in [
      (1, "another key for epoch 1"), (3, "another key for epoch 3"), (2, "of epoch 2"),
    ] {
      let refused = try await place.join(invite(like: first, epoch: epoch))
      #expect(refused.exitCode == 1)
      #expect(refused.errors.contains(reason))
      #expect(refused.errors.contains("presence mesh invite"))
    }
    #expect(try await place.invite() == third)
    #expect(try await place.join(first).exitCode == 0)
  }

  @Test("A node that starts with an invite takes its newer key, and refuses a contradiction")
  func startingWithAnInvite() async throws {
    let place = Place()
    defer { place.remove() }
    let first = try await place.create()
    let third = try invite(like: first, epoch: 3)
    do {
      let node = try await TestNode(["--invite", third], state: place.state)
      #expect(try await node.invite().hasPrefix("presence-mesh:1:"))
      #expect(try epoch(await node.invite()) == 3)
    }
    let refused = try await Program.run(
      "up", "--state", place.state, "--listen", "127.0.0.1:0", "--invite",
      try invite(like: first, epoch: 3))
    #expect(refused.exitCode == 1)
    #expect(refused.errors.contains("another key for epoch 3"))
    // An old invite in a script keeps no node from starting.
    let node = try await TestNode(
      ["--invite", invite(like: first, epoch: 2)], state: place.state)
    #expect(node.child.errors.contains("epoch 2"))
    #expect(try epoch(await node.invite()) == 3)
  }

  @Test("While a node is running, an invite with another key or mesh is refused aloud")
  func runningNode() async throws {
    let node = try await TestNode(isOpen: true)
    let other = Place()
    defer { other.remove() }
    let line = try await node.invite()
    let refusals = [
      (try invite(like: line, epoch: 2), "presence down"),
      (try invite(like: line, epoch: 1), "another key for epoch 1"),
      (try await other.create(), "another mesh"),
      ("nonsense", "not an invite"),
    ]
    for (wrong, reason) in refusals {
      let joined = try await node.run("mesh", "join", wrong)
      #expect(joined.exitCode == 1)
      #expect(joined.errors.contains(reason))
      let guest = try await node.run("join", "design", "--name", "Grace", "--invite", wrong)
      #expect(guest.exitCode == 1)
      #expect(guest.errors.contains(reason))
      #expect(guest.output.isEmpty)
    }
    #expect(try await node.run("mesh", "join", line).exitCode == 0)
    let guest = try await Program.run(
      ["join", "design", "--name", "Grace", "--invite", "-", "--state", node.state],
      input: line + "\nbusy\n/quit\n")
    // It has read the rest of its input.
    #expect(guest.exitCode == 0)
    #expect(try await node.invite() == line)
  }
}
