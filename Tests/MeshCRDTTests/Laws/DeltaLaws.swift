import MeshCRDT

/// The laws that tie records, deltas and steps of a single log to the join of whole logs. Each
/// returns the first violation that it finds.
enum DeltaLaws {
  /// Joining the records of a log one at a time, in rising or falling order, equals joining it as a
  /// delta.
  static func recordsViolation(_ logs: [OriginLog]) -> String? {
    for log in logs {
      for other in logs where other.generation == log.generation {
        let expected = log.joined(other.delta(above: 0))
        for records in [other.records, other.records.reversed()] {
          var result = log
          result.join(each: records)
          result.witness(other.claim)
          if result != expected {
            return "\(log.shown) with the records of \(other.shown): \(result.shown)"
          }
        }
      }
    }
    return nil
  }

  /// Who knows the records through a version, and the cut, learns the whole from the delta above it.
  static func deltaViolation(_ logs: [OriginLog]) -> String? {
    for log in logs {
      for other in logs where other.generation == log.generation && other.cut <= log.cut {
        for version in UInt64(0)...3 {
          let known = other.records.filter { $0.cell.version <= version }
          var copy = log
          guard copy.join(each: known) == 0 else { continue }
          let result = log.joined(other.delta(above: version))
          if result != log.joined(other) {
            return "\(log.shown) with the delta of \(other.shown) above \(version)"
          }
        }
      }
    }
    return nil
  }

  /// What was heard once is not news when it is heard again, before and after settling.
  static func repetitionViolation(records: [Written], claims: [Cut]) -> String? {
    for subset in 0..<1 << records.count {
      let heard = records.indices.filter { subset & 1 << $0 != 0 }.map { records[$0] }
      for claim in claims {
        var log = OriginLog(generation: 1)
        log.join(each: heard)
        log.witness(claim)
        for _ in 0..<2 {
          let before = log
          let news = log.join(each: heard)
          if news > 0 || log != before || log.witness(claim) {
            return "\(news) records were news again for \(before.shown)"
          }
          log.settle()
        }
      }
    }
    return nil
  }

  /// All orders of each subset of some records, each record heard again at the end, give one log:
  /// that of the join of the logs that hold one record each.
  static func orderViolation(_ records: [Written]) -> String? {
    for subset in 0..<1 << records.count {
      let heard = records.indices.filter { subset & 1 << $0 != 0 }.map { records[$0] }
      let whole = heard.reduce(OriginLog(generation: 1)) { log, record in
        var single = OriginLog(generation: 1)
        single.join(each: [record])
        return log.joined(single)
      }
      for order in permutations(heard) {
        var log = OriginLog(generation: 1)
        log.join(each: order)
        log.join(each: order)
        if log != whole { return "\(log.shown) instead of \(whole.shown)" }
      }
    }
    return nil
  }

  /// A step never lowers a log: x ≤ step(x).
  static func inflationViolation(
    _ logs: [OriginLog], of step: (inout OriginLog) -> Void
  ) -> String? {
    for log in logs {
      var after = log
      step(&after)
      if log.joined(after) != after { return "\(log.shown) became \(after.shown)" }
    }
    return nil
  }

  static func permutations<Element>(_ elements: [Element]) -> [[Element]] {
    guard let first = elements.first else { return [[]] }
    return permutations(Array(elements.dropFirst())).flatMap { rest in
      (0...rest.count).map { place in rest[..<place] + [first] + rest[place...] }
    }
  }
}
