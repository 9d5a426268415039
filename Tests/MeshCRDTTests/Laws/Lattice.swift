import MeshCRDT

/// A set of logs that is closed under join and settle, with the table of all joins.
///
/// Two logs are one element when peers can observe no difference. The table makes the law of three
/// affordable: millions of triples are look-ups in it.
struct Lattice {
  private(set) var elements: [OriginLog] = []
  /// `joins[i][j]` is the element that element i becomes when it joins element j.
  private(set) var joins: [[Int32]] = []
  /// What element i becomes by settling.
  private(set) var settled: [Int] = []
  /// The first result that broke an invariant of a log, or that looked equal to another and was not.
  private(set) var violation: String?
  private var indices: [Face: Int] = [:]

  /// The most elements: a join that keeps no law need not close at all.
  private let bound: Int

  /// What peers can observe of a log.
  private struct Face: Hashable {
    let generation: UInt64
    let shelves: [RoomID: Shelf]
    let records: [Written]
  }

  init(closing seeds: [OriginLog], bound: Int = 400) {
    self.bound = bound
    for seed in seeds { intern(seed) }
    var row = 0
    while row < elements.count {
      if elements.count > bound {
        violation = violation ?? "the joins do not close: more than \(bound) logs"
        break
      }
      extend(to: row)
      row += 1
    }
    if joins.count < elements.count { elements.removeLast(elements.count - joins.count) }
  }

  /// Fills row and column `new` of the table.
  private mutating func extend(to new: Int) {
    settled.append(intern(elements[new].settled))
    joins.append([])
    for other in 0..<new {
      joins[new].append(Int32(join(new, other)))
      joins[other].append(Int32(join(other, new)))
    }
    joins[new].append(Int32(join(new, new)))
  }

  private mutating func join(_ left: Int, _ right: Int) -> Int {
    var result = elements[left]
    let isChanged = result.join(elements[right])
    let index = intern(result)
    if isChanged != (index != left) {
      note("join told \(isChanged) for the change of \(elements[left]) to \(result)")
    }
    return index
  }

  /// The index of a log, made if there is none.
  @discardableResult
  private mutating func intern(_ log: OriginLog) -> Int {
    if let violation = log.invariantViolation() { note("\(violation): \(log)") }
    var shelves = [RoomID.lobby: log.lobby]
    for row in log.rooms.rows where row.value != Shelf() { shelves[row.key] = row.value }
    let face = Face(generation: log.generation, shelves: shelves, records: log.records)
    if let index = indices[face] {
      let known = elements[index]
      if log.isSettled != known.isSettled || log.settled != known.settled {
        note("two logs look equal and settle in other ways: \(log) and \(known)")
      }
      return index
    }
    indices[face] = elements.count
    elements.append(log)
    return elements.count - 1
  }

  private mutating func note(_ text: String) { violation = violation ?? text }
}

// MARK: - Laws

extension Lattice {
  private func told(_ law: String, _ indices: [Int]) -> String {
    "\(law): " + indices.map { elements[$0].shown }.joined(separator: " ; ")
  }

  /// x ⊔ y = y ⊔ x
  func commutativityViolation() -> String? {
    for i in elements.indices {
      for j in 0..<i where joins[i][j] != joins[j][i] { return told("not commutative", [i, j]) }
    }
    return nil
  }

  /// (x ⊔ y) ⊔ z = x ⊔ (y ⊔ z)
  func associativityViolation() -> String? {
    let count = elements.count
    let flat = joins.flatMap { $0 }
    guard flat.count == count * count, flat.allSatisfy({ $0 < count }) else {
      return "the joins do not close, so that not all triples can be looked up"
    }
    return flat.withUnsafeBufferPointer { table in
      for i in 0..<count {
        for j in 0..<count {
          let left = Int(table[i * count + j]) * count
          let right = j * count
          for k in 0..<count
          where table[left + k] != table[i * count + Int(table[right + k])] {
            return told("not associative", [i, j, k])
          }
        }
      }
      return nil
    }
  }

  /// x ⊔ x = x, and (x ⊔ y) ⊔ y = x ⊔ y
  func idempotenceViolation() -> String? {
    for i in elements.indices {
      if joins[i][i] != Int32(i) { return told("not idempotent", [i]) }
      for j in elements.indices {
        let once = Int(joins[i][j])
        if once < elements.count, joins[once][j] != Int32(once) {
          return told("not idempotent", [i, j])
        }
      }
    }
    return nil
  }

  /// x ≤ x ⊔ y and y ≤ x ⊔ y, where a ≤ b means a ⊔ b = b.
  func monotonicityViolation() -> String? {
    for i in elements.indices {
      for j in elements.indices {
        let both = joins[i][j]
        guard both < elements.count else { continue }
        if joins[i][Int(both)] != both || joins[j][Int(both)] != both {
          return told("not monotone", [i, j])
        }
      }
    }
    return nil
  }

  /// x ≤ settle(x)
  func inflationViolation() -> String? {
    for i in elements.indices {
      let after = settled[i]
      guard after < elements.count else { continue }
      if joins[i][after] != Int32(after) { return told("settling lowered", [i, after]) }
    }
    return nil
  }

  /// Equal cuts of a generation cover equal records: who settled holds what the origin signed.
  func soundnessViolation() -> String? {
    var covered: [UInt64: [Cut: Set<Written>]] = [:]
    for log in elements where log.cut != .empty {
      // Later records of a key hide its covered one, so those that have none are compared.
      guard log.highestVersion <= log.cut.version else { continue }
      let records = Set(log.records)
      let known = covered[log.generation, default: [:]][log.cut]
      if let known, known != records { return "one cut covers other records: \(log.shown)" }
      covered[log.generation, default: [:]][log.cut] = records
      let hash = records.reduce(0) { $0 &+ $1.cell.hash }
      if UInt64(records.count) != log.cut.count || hash != log.cut.hash {
        return "a cut that does not hash its records: \(log.shown)"
      }
    }
    return nil
  }
}

extension OriginLog {
  /// A line that names everything in the log.
  var shown: String {
    let cells = records.map { record in
      let value = record.cell.isTombstone ? "†" : hexadecimal(record.cell.value)
      return "\(record.key.lane)@\(record.cell.version)=\(value)"
    }
    return "g\(generation) cut \(cut.version)/\(cut.count) claim \(claim.version)/\(claim.count) "
      + "[\(cells.joined(separator: " "))]"
  }
}
