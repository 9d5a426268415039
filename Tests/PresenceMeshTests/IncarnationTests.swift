import Foundation
import PresenceMesh
import Testing

@Suite("Two processes with one key, and old disks", .timeLimit(.minutes(10)))
struct IncarnationTests {
  @Test("A process with a copied state directory is noticed by both, and neither writes any more")
  func clones() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "presence-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let (path, copy) = (folder.appending(path: "a").path, folder.appending(path: "b").path)
    let first = try await PresenceMesh.join(
      .loopback(identity: .stateDirectory(path), membership: .storedOrNew(open: true)))
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    let second = try await PresenceMesh.join(
      .loopback(
        identity: .stateDirectory(copy), membership: .stored, peers: first.boundAddresses))
    #expect(second.nodeID == first.nodeID)
    for node in [first, second] {
      try await eventually("it is refused to write") {
        do throws(PresenceError) {
          let session = try await node.openSession(Profile(userID: "ann"))
          try await session.leave()
          return false
        } catch {
          return error == .cloned
        }
      }
      try await eventually("it says so") { node.isCloned }
    }
    await second.leave()
    await first.leave()
  }

  @Test("A node whose state directory was put back goes on above what the mesh knows of it")
  func oldBackup() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "presence-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let (path, backup) = (folder.appending(path: "a").path, folder.appending(path: "b").path)
    let identity = PresenceMesh.Configuration.Identity.stateDirectory(path)
    let other = try await PresenceMesh.join(.loopback())
    let invite = try other.invite()
    for _ in 0..<3 {
      let node = try await PresenceMesh.join(
        .loopback(identity: identity, membership: .invite(invite)))
      let session = try await node.openSession(Profile(userID: "ann"))
      try await eventually("she is seen") { other.room(.lobby).isOnline("ann") }
      if !FileManager.default.fileExists(atPath: backup) {
        try FileManager.default.copyItem(atPath: path, toPath: backup)
      }
      try await session.leave()
      await node.leave()
    }
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: backup, toPath: path)
    let node = try await PresenceMesh.join(
      .loopback(identity: identity, membership: .invite(invite)))
    _ = try await node.openSession(Profile(userID: "ann"))
    try await eventually("she is seen again") { other.room(.lobby).isOnline("ann") }
    #expect(await node.incarnation() > 3)
    let kept = try String(contentsOfFile: path + "/durable", encoding: .utf8)
    #expect(await kept.contains("incarnation \(node.incarnation())\n"))
    await node.leave()
    await other.leave()
  }
}
