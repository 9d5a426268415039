/// Notes under keys, of which the oldest go when there are too many.
///
/// A note that is changed keeps its place. Cost: constant, on average.
struct BoundedNotes<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Note: Sendable {
    var value: Value
    let order: UInt64
  }

  let bound: Int
  private var notes: [Key: Note] = [:]
  /// Keys by age. Those whose note has gone, or is another by now, are passed over.
  private var queue: [(key: Key, order: UInt64)] = []
  private var head = 0
  private var order: UInt64 = 0

  init(bound: Int) { self.bound = max(bound, 1) }

  var count: Int { notes.count }

  subscript(key: Key) -> Value? { notes[key]?.value }

  /// Adds a note, or changes the one there is.
  /// - Returns: the note that had to go.
  mutating func set(_ key: Key, _ value: Value) -> (key: Key, value: Value)? {
    if notes[key] != nil {
      notes[key]?.value = value
      return nil
    }
    let evicted = notes.count < bound ? nil : removeOldest()
    order += 1
    notes[key] = Note(value: value, order: order)
    queue.append((key, order))
    return evicted
  }

  mutating func remove(_ key: Key) -> Value? {
    let value = notes.removeValue(forKey: key)?.value
    compact()
    return value
  }

  private mutating func removeOldest() -> (key: Key, value: Value)? {
    defer { compact() }
    while head < queue.count {
      let (key, order) = queue[head]
      head += 1
      if let note = notes[key], note.order == order {
        notes[key] = nil
        return (key, note.value)
      }
    }
    return nil
  }

  /// Drops what is passed over when it is more than half.
  private mutating func compact() {
    guard queue.count > 2 * notes.count + 64 else { return }
    queue = queue[head...].filter { notes[$0.key]?.order == $0.order }
    head = 0
  }
}
