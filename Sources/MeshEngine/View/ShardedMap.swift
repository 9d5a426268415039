import MeshCRDT

/// A hash map in 64 parts, so that growing never moves many rows in one turn.
struct ShardedMap<Key: DenseKey & Comparable, Value: Sendable>: Sendable {
  private var parts = [DenseMap<Key, Value>](repeating: DenseMap(), count: 64)
  private(set) var count = 0

  private static func part(_ key: Key) -> Int { Int(key.spread & 63) }

  /// The value of a key. Cost: one look-up.
  subscript(key: Key) -> Value? {
    // An element that an array gives is a copy, which counts its parts once more.
    parts.withUnsafeBufferPointer { $0[Self.part(key)][key] }
  }

  /// Sets the value of a key; `nil`: none. Returns the one that it had.
  @discardableResult
  mutating func set(_ key: Key, _ value: Value?) -> Value? {
    let part = Self.part(key)
    guard let value else {
      let old = parts[part].remove(key)
      if old != nil { count -= 1 }
      return old
    }
    let old = parts[part].put(value, for: key)
    if old == nil { count += 1 }
    return old
  }

  /// All keys, rising. Cost: sorts them.
  var sortedKeys: [Key] { parts.flatMap(\.keys).sorted() }

  /// The keys whose values pass, rising. Cost: all.
  func sortedKeys(where isWanted: (Value) -> Bool) -> [Key] {
    parts.flatMap { $0.rows.filter { isWanted($0.value) }.map(\.key) }.sorted()
  }
}
