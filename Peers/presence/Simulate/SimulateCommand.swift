import ArgumentParser

/// Replays simulated meshes from their seeds.
struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Replay simulated meshes from their seeds.")

  mutating func run() async throws { throw CommandFailure("simulate is not there yet") }
}
