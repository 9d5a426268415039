/// What an engine does by time. Each part has its own timers, wrapped in a case of its own.
enum EngineTimer: Hashable, Sendable {
  case paths(PathTimer)
  /// What waits for its share of the bytes may go.
  case outbox
}
