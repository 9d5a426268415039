import Foundation
import Testing

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

#if os(Linux)
  /// A filter of the system's calls, set up by a Python script.
  private enum Filter {
    static let script =
      URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Support/refuse-sendmmsg.py").path

    static func wrapper(_ error: String) -> [String] { ["/usr/bin/env", "python3", script, error] }

    /// True when there is a Python, and the system lets it set up a filter.
    static let isAvailable = Tool.succeeds(wrapper("EPERM") + ["/bin/true"])
  }

  @Suite("Calls that the system refuses", .serialized, .timeLimit(.minutes(10)))
  struct RefusedCallTests {
    private static let sessions = 1500

    @Test(
      "Where sendmmsg is refused, a node that joins gets all sessions",
      .enabled(if: Filter.isAvailable), arguments: ["ENOSYS", "EPERM"])
    func sessionsArrive(error: String) async throws {
      let node = try await TestNode(
        ["--http", "127.0.0.1:0", "--log-level", "notice", "--name", "Ada"],
        wrapper: Filter.wrapper(error))
      let url = try #require(URL(string: "http://\(node.readyWord("http"))/api/v1/heartbeat"))
      try await withThrowingTaskGroup { group in
        for worker in 0..<8 {
          group.addTask {
            for number in stride(from: worker, to: Self.sessions, by: 8) {
              try await Self.beat(number, url)
            }
          }
        }
        try await group.waitForAll()
      }
      let other = try await TestNode(
        ["--invite", node.invite(), "--name", "Bob"], wrapper: Filter.wrapper(error))
      try await Program.eventually("all sessions arrive") {
        let lobby = try await other.run("rooms", "--json").object()["lobby"] as? [String: Any]
        return lobby?["sessions"] as? Int == Self.sessions + 2
      }
      try await Program.eventually("both hold the same") {
        let left = try await node.run("peers", "--json").object()["state_hash"] as? String
        let right = try await other.run("peers", "--json").object()["state_hash"] as? String
        return left != nil && left == right
      }
      let counters = try await node.run("counters", "--json").object()["counters"]
      let lost = (counters as? [[String: Any]])?.first { $0["name"] as? String == "sendErrors" }
      #expect(lost?["value"] as? Int == 0)
      #expect(node.child.errors.components(separatedBy: "sendmmsg").count == 2)
    }

    private static func beat(_ number: Int, _ url: URL) async throws {
      var request = URLRequest(url: url)
      request.httpMethod = "POST"
      request.setValue("application/json", forHTTPHeaderField: "content-type")
      request.httpBody = Data(
        """
        {"room": "hall", "user": {"id": "u\(number)"}, "sessionId": "s\(number)", \
        "interval": 3600000, "status": "busy", "message": "number \(number)"}
        """.utf8)
      let (_, response) = try await URLSession.shared.data(for: request)
      #expect((response as? HTTPURLResponse)?.statusCode == 200)
    }
  }
#endif
