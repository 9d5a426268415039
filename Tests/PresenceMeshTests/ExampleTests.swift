import Foundation
import PresenceMesh
import Testing

// The example of the README, kept compiling and running. What stands between the two marks is there
// word for word, but for the indentation.

private func example(
  _ configuration: PresenceMesh.Configuration, print: (String) -> Void
) async throws {
  // example
  let mesh = try await PresenceMesh.join(configuration)
  let room = try mesh.room("design")

  let session = try await mesh.openSession(Profile(userID: "ann", name: "Ann"), device: "laptop")
  try await session.enter(room.name)
  try await session.setStatus(.busy, message: "Reviewing", in: room.name)
  try await session.moveCursor(to: Cursor(x: 0.4, y: 0.6), in: room.name)

  for await event in room.events {
    switch event {
    case .snapshot(let now): print("here: \(now.users.map(\.profile.name))")
    case .online(let user): print("\(user.profile.name) came")
    case .offline(let user): print("\(user.profile.name) went")
    case .status(let user): print("\(user.profile.name) is \(user.status.name)")
    case .cursor(let user, _, let cursor): print("\(user) at \(cursor.x), \(cursor.y)")
    default: break
    }
  }
  await mesh.leave()
  // end of the example
}

@Suite("The example of the README", .timeLimit(.minutes(10)))
struct ExampleTests {
  @Test("It runs, and prints what another node does")
  func runs() async throws {
    let first = try await PresenceMesh.join(.loopback())
    let invite = try first.invite()
    let lines = Shared<[String]>([])
    let running = Task {
      try await example(.loopback(membership: .invite(invite))) { line in
        lines.change { $0.append(line) }
      }
    }
    try await eventually("the example has begun") { lines.now.contains { $0.hasPrefix("here: ") } }
    let bob = try await first.openSession(Profile(userID: "bob", name: "Bob"))
    try await first.room("design").enter(bob)
    try await eventually("it prints who came") { lines.now.contains("Bob came") }
    try await eventually("the example is seen") { try first.room("design").isOnline("ann") }
    running.cancel()
    try await running.value
    try await eventually("it left") { !first.isOnline("ann") }
    await first.leave()
  }

  @Test("The README shows it as it is")
  func standsInTheReadme() throws {
    let here = URL(filePath: #filePath)
    let root = here.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
    let source = try String(contentsOf: here, encoding: .utf8)
    let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex { $0 == "  // example" })
    let end = try #require(lines.firstIndex { $0 == "  // end of the example" })
    let example = lines[(start + 1)..<end].map { $0.hasPrefix("  ") ? $0.dropFirst(2) : $0 }
      .joined(separator: "\n")
    #expect(readme.contains(example), "copy the example from \(here.lastPathComponent)")
  }
}
