/// Several things at once, until the first of them ends.
enum Race {
  /// Runs all of them. When one returns or throws, the others are cancelled and waited for, and that
  /// is the outcome.
  static func first(_ runners: (@Sendable () async throws -> Void)...) async throws {
    try await withThrowingTaskGroup { group in
      for runner in runners { group.addTask { try await runner() } }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}
