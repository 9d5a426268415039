package import Foundation

/// Everything that a run of measurements brought.
package struct Report: Codable, Hashable, Sendable {
  /// A measurement that could not be made.
  package struct Failure: Codable, Hashable, Sendable {
    package let name: String
    package let reason: String
  }

  package let machine: Machine
  package var figures: [Figure] = []
  /// What was left out, because what it is compared with is not installed.
  package var skipped: [Failure] = []
  /// Empty when all is well.
  package var failures: [Failure] = []

  package init(machine: Machine) { self.machine = machine }

  /// The report as one JSON object.
  package func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}
