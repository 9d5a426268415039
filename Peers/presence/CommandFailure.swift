/// Why a command could not do what it was asked to, in words for its user.
struct CommandFailure: Error, Hashable {
  /// It could not be done.
  static let failedExitCode: Int32 = 1
  /// Wrong usage.
  static let usageExitCode: Int32 = 2
  /// No node is running for the state directory.
  static let noNodeExitCode: Int32 = 3
  /// Ended at once by Ctrl-C while it was ending already.
  static let interruptedExitCode: Int32 = 130

  /// What happened and what to do about it, in one line.
  let message: String
  let exitCode: Int32

  init(_ message: String, exitCode: Int32 = failedExitCode) {
    self.message = message
    self.exitCode = exitCode
  }

  /// No node is running for a state directory.
  static func noNode(state: String) -> CommandFailure {
    CommandFailure(
      "no node is running for \(state): start one with `presence up`, or name the state "
        + "directory of one that runs with --state",
      exitCode: noNodeExitCode)
  }
}

extension CommandFailure: CustomStringConvertible {
  /// The message alone.
  var description: String { message }
}

/// The reader of the standard output went away: nobody is left to tell anything.
struct OutputClosed: Error {}
