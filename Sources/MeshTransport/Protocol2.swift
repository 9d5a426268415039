// The words of the next core that differ from those of the present one: see Package.swift.
#if PROTOCOL_2
  package import MeshEngine

  package typealias EngineConfiguration = Configuration

  extension Engine {
    /// When `tick(now:)` is next due.
    func currentDeadline() -> MonotonicTime? { deadline }
  }
#endif
