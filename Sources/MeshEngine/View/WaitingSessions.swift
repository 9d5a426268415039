import MeshCRDT

/// The sessions about which there may be news to report, each once, in the order in which they came.
struct WaitingSessions: Sendable {
  private var table = DenseMap<SessionID, UnreportedChanges>()
  private var queue: [SessionID] = []
  private var head = 0

  /// Memory for more than this is given back once no session waits.
  private static let keptCapacity = 1024

  var isEmpty: Bool { table.isEmpty }
  var count: Int { table.count }

  /// The sessions of which changes of records of an origin are noted. Cost: all that wait.
  func sessions(involving slot: Int) -> [SessionID] {
    table.rows.lazy.filter { $0.value.involves(slot) }.map(\.key).sorted()
  }

  subscript(session: SessionID) -> UnreportedChanges? { table.isEmpty ? nil : table[session] }

  /// Adds a session, unless it waits, and changes what is noted of it.
  mutating func add<Result>(
    _ session: SessionID, _ body: (inout UnreportedChanges) -> Result
  ) -> Result {
    let count = table.count
    let row = table.row(of: session, default: UnreportedChanges())
    if table.count > count { queue.append(session) }
    return table.change(row: row, body)
  }

  /// The session that waits longest.
  mutating func popFirst() -> (session: SessionID, changes: UnreportedChanges)? {
    while head < queue.count {
      let session = queue[head]
      head += 1
      let changes = table.remove(session)
      compact()
      // It may have been taken out of turn.
      if let changes { return (session, changes) }
    }
    return nil
  }

  /// Takes a session out of its turn. Cost: one look-up.
  mutating func remove(_ session: SessionID) -> UnreportedChanges? {
    // Its place in the queue is passed over.
    table.isEmpty ? nil : table.remove(session)
  }

  private mutating func compact() {
    if head == queue.count {
      if queue.capacity > Self.keptCapacity {
        queue = []
        table = DenseMap()
      } else {
        queue.removeAll(keepingCapacity: true)
      }
      head = 0
    } else if head > Self.keptCapacity && head > queue.count / 2 {
      queue.removeFirst(head)
      head = 0
    }
  }
}
