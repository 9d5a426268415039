import ArgumentParser
import PresenceMesh

/// `presence down`: ends the running node.
struct DownCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "down", abstract: "Ask the running node to leave politely and to end.")

  @OptionGroup var state: StateOptions

  func run() async throws {
    let directory = try state.path()
    try await ControlClient.with(state: directory) { client in
      do {
        try await client.command(.down)
      } catch let failure as CommandFailure where failure == ControlClient.silence {
        // It ended before it answered.
      }
    }
    // Its directory is free again when it is gone.
    for _ in 0..<100 {
      do {
        _ = try StateDirectory(path: directory)
        return
      } catch StateError.locked {
        try await Task.sleep(for: .milliseconds(50))
      } catch StateError.notOwned where !ControlSocket.exists(state: directory) {
        // Root asked a node of another user.
        return
      } catch StateError.notOwned {
        try await Task.sleep(for: .milliseconds(50))
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    throw CommandFailure("the node was asked to end, and is still there after 5 s")
  }
}
