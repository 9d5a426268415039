/// Why a measurement could not be made. Nothing is left running.
package enum BenchError: Error, Hashable, Sendable {
  /// No measurement and no figure has that name.
  case unknownName(String)
  /// The second process could not be started, in the system's words.
  case childFailed(String)
  /// The second process ended, or said something else than it should.
  case childSilent(expected: String)
  /// A socket of the measurement could not be used, in the system's words.
  case socketFailed(String)
  /// Two nodes did not find each other.
  case notConnected
  /// Too few of the samples arrived.
  case samplesMissing(arrived: Int, of: Int)
  /// The engine refused what the measurement asked of it.
  case refused(String)
  /// The engine did something else than the work that is measured.
  case workMissing(String)
  /// What it is compared with is not installed; how it can be.
  case notInstalled(String, remedy: String)
  /// A count that must not rise has risen.
  case risen(String, count: Double, bound: Double)
  /// The system does not say what is asked of it.
  case unavailable(String)
}

extension BenchError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownName(let name):
      "there is no figure '\(name)': one of \(FigureFamily.allNames.joined(separator: ", "))"
    case .childFailed(let reason): "the second process cannot be started: \(reason)"
    case .childSilent(let expected): "the second process ended before \(expected)"
    case .socketFailed(let reason): "a socket on loopback cannot be used: \(reason)"
    case .notConnected: "the two nodes did not find each other on loopback"
    case .samplesMissing(let arrived, let count): "only \(arrived) of \(count) samples arrived"
    case .refused(let reason): "the engine refused: \(reason)"
    case .workMissing(let what): "the engine did not do the work: \(what)"
    case .notInstalled(let name, let remedy):
      "\(name) is not installed (\(remedy))"
    case .risen(let name, let count, let bound):
      "\(name) has risen to \(count), above \(bound)"
    case .unavailable(let what): "this system does not say \(what)"
    }
  }
}
