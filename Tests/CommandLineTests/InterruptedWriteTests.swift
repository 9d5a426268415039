import Foundation
import MeshCrypto
import PresenceMesh
import Testing

#if os(Linux)
  /// Interrupts the writes of a process.
  private enum Interrupter {
    static let library = Preload.interruptWrites

    static func environment(at step: Int, _ how: String = "kill") -> [String: String] {
      ["LD_PRELOAD": library ?? "", "INTERRUPT_AT": "\(step)", "INTERRUPT_HOW": how]
    }
  }

  @Suite(
    "Writes of the state directory that are interrupted", .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Interrupter.library != nil))
  struct InterruptedWriteTests {
    private let base = TestNode.freshState()
    /// A directory that has a mesh, with the invites to it of epoch 1 and of epoch 2.
    private let known: String
    private let (first, second): (String, String)

    init() async throws {
      known = base + "-known"
      first = try await Program.run("mesh", "create", "--open", "--state", known).lines.first ?? ""
      let invite = try Invite(line: first)
      second = Invite(mesh: invite.mesh, epoch: 2, key: .random(count: 32), addresses: []).line
    }

    private func remove() {
      for path in [base, known] { try? FileManager.default.removeItem(atPath: path) }
    }

    private func invite() async throws -> String? {
      let told = try await Program.run("mesh", "invite", "--state", base)
      return told.exitCode == 0 ? told.lines.first : nil
    }

    private func join(_ environment: [String: String] = [:]) async throws -> Program.Outcome {
      try await Program.run(
        ["mesh", "join", "-", "--state", base], input: second, environment: environment)
    }

    /// Does something with a fresh copy for each step, until one is beyond the last. Returns how many
    /// steps there were.
    private func eachStep(
      from original: String?, _ body: (_ step: Int) async throws -> Bool
    ) async throws -> Int {
      for step in 1..<100 {
        try? FileManager.default.removeItem(atPath: base)
        if let original { try FileManager.default.copyItem(atPath: original, toPath: base) }
        guard try await body(step) else { return step - 1 }
      }
      Issue.record("there is no end")
      return 0
    }

    @Test("Killed at any step, a command leaves the old keys or the new ones, and can be repeated")
    func killedWhileAddingAKey() async throws {
      defer { remove() }
      let steps = try await eachStep(from: known) { step in
        let killed = try await join(Interrupter.environment(at: step))
        guard killed.exitCode != 0 else { return false }
        #expect(killed.exitCode == -SIGKILL)
        let kept = try await invite()
        #expect(kept == first || kept == second, "killed at step \(step)")
        #expect(try await join().exitCode == 0)
        #expect(try await invite() == second)
        let names = try FileManager.default.contentsOfDirectory(atPath: base)
        #expect(Set(names) == ["identity", "durable", "mesh", "addresses", "lock"])
        return true
      }
      #expect(steps >= 7)
    }

    @Test("Killed at any step of its making, a state directory can be made after all")
    func killedWhileMaking() async throws {
      defer { remove() }
      let steps = try await eachStep(from: nil) { step in
        let killed = try await join(Interrupter.environment(at: step))
        guard killed.exitCode != 0 else { return false }
        #expect(killed.exitCode == -SIGKILL)
        #expect(try await join().exitCode == 0, "killed at step \(step)")
        #expect(try await invite() == second)
        return true
      }
      #expect(steps >= 21)
    }

    @Test("Killed at any step of its start, a node starts again, as the same and in a later life")
    func killedWhileStarting() async throws {
      defer { remove() }
      var (identity, last): (String?, Int) = (nil, 0)
      let start = ["up", "--state", base, "--listen", "127.0.0.1:0", "--no-multicast"]
      // One directory for all steps.
      try FileManager.default.copyItem(atPath: known, toPath: base)
      for step in 1... {
        let child = try Child(start, environment: Interrupter.environment(at: step))
        try await Program.eventually("it is ready or killed") {
          !child.isRunning || child.output.hasSuffix("\n")
        }
        if child.isRunning {
          #expect(step > 7)
          break
        }
        #expect(try await child.exitCode() == -SIGKILL)
        let node = try await TestNode(state: base)
        let record = try await node.run("peers", "--json").object()
        #expect(identity == nil || record["node"] as? String == identity)
        identity = record["node"] as? String
        let incarnation = try #require(record["incarnation"] as? Int)
        #expect(incarnation > last)
        last = incarnation
      }
    }

    @Test("Where a step fails, the command says so, and the directory holds the old or the new")
    func failingSteps() async throws {
      defer { remove() }
      var refused = 0
      let steps = try await eachStep(from: known) { step in
        let log = base + ".log"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let outcome = try await join(
          Interrupter.environment(at: step, "fail").merging(["INTERRUPT_LOG": log]) { $1 })
        let done = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        guard done.count >= step else { return false }
        let kept = try await invite()
        if outcome.exitCode == 0 {
          // What is there already need not be removed.
          #expect(done[step - 1] == "unlink" && kept == second)
        } else {
          refused += 1
          #expect(outcome.exitCode == 1)
          #expect(outcome.errors.contains("Input/output error"))
          #expect(kept == first || kept == second)
          if step < 6 { #expect(kept == first && outcome.errors.contains("as it was before")) }
        }
        #expect(try await join().exitCode == 0)
        #expect(try await invite() == second)
        return true
      }
      #expect(steps >= 7 && refused >= 6)
    }

    @Test("A file is on the disk before it takes the place of the old one, and the folder after it")
    func orderOfSteps() async throws {
      defer { remove() }
      let log = base + ".log"
      defer { try? FileManager.default.removeItem(atPath: log) }
      _ = try await join(["LD_PRELOAD": Interrupter.library ?? "", "INTERRUPT_LOG": log])
      let steps = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
      let one = ["unlink", "open", "write", "sync file", "close", "rename", "sync folder"]
      #expect(steps.count >= one.count && steps.count % one.count == 0)
      for (index, step) in steps.enumerated() { #expect(step == one[index % one.count]) }
    }
  }
#endif
