import ArgumentParser

/// Measures, and prints the figures.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure, and print the figures.")

  mutating func run() async throws { throw CommandFailure("bench is not there yet") }
}
