/// The highest counters of the subjects that were noted last: a bounded table. The one that was
/// noted first goes.
struct CounterMemory<Subject: Hashable & Sendable>: Sendable {
  private var counters: [Subject: UInt64] = [:]
  private var order: [Subject] = []
  /// The place in ``order`` that is written next, once it is full.
  private var next = 0
  private let bound: Int

  init(bound: Int) { self.bound = bound }

  /// The highest counter that was noted of a subject; 0 when none is remembered.
  subscript(subject: Subject) -> UInt64 { counters[subject] ?? 0 }

  mutating func note(_ subject: Subject, _ counter: UInt64) {
    if let known = counters[subject] {
      counters[subject] = max(known, counter)
      return
    }
    if order.count < bound {
      order.append(subject)
    } else {
      counters[order[next]] = nil
      order[next] = subject
      next = (next + 1) % bound
    }
    counters[subject] = counter
  }
}
