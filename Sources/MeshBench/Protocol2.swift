// The words of the next core that differ from those of the present one: see Package.swift.
#if PROTOCOL_2
  /// There is no simulator of protocol 2 yet.
  enum Spread {
    static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
      throw .notInstalled("a simulator of protocol 2", remedy: "measure protocol 1")
    }
  }
#endif
