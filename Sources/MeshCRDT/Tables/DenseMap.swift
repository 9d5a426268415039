/// A key of a ``DenseMap``.
@usableFromInline package protocol DenseKey: Hashable, Sendable {
  /// 64 bits that depend on all of the key, hard to foresee for whoever chooses keys.
  var spread: UInt64 { get }
}

/// Words that are chosen once for the process, so that nobody can choose keys that collide. They
/// decide where a key is looked for, and never an order that can be seen.
@usableFromInline package enum DenseSeed {
  private static func word(_ number: Int) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(number)
    return UInt64(truncatingIfNeeded: hasher.finalize())
  }

  @usableFromInline static let first = word(1)
  @usableFromInline static let second = word(2)

  /// Two words multiplied, each under a seed, and folded.
  @inlinable package static func spread(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = (left ^ first).multipliedFullWidth(by: right ^ second)
    return product.high ^ product.low
  }
}

/// A hash map whose rows lie densely, one behind the other.
///
/// Beside the rows there is a table of 4 bytes for each place: the number of a row in as many bits as
/// the table has, and a tag of its hash in the others, so that nearly no foreign row is looked at
/// (open addressing with linear probing; removing shifts back, Knuth 6.4 R). Little memory is held in
/// reserve (``DenseRows``): with 32 bytes for a row, the map takes about 40 a key, where `Dictionary`
/// takes up to 85.
///
/// The order of the rows follows from the insertions and removals alone: the same on every run. A
/// removed row is replaced by the last one.
///
/// All of it is usable from inline code, the types too: without that no other module specializes it, and each
/// look-up costs several times as much.
@usableFromInline package struct DenseMap<Key: DenseKey, Value: Sendable>: Sendable {
  @usableFromInline package struct Row: Sendable {
    @usableFromInline package internal(set) var key: Key
    @usableFromInline package internal(set) var value: Value

    @inlinable init(key: Key, value: Value) {
      (self.key, self.value) = (key, value)
    }
  }

  @usableFromInline package internal(set) var rows = DenseRows<Row>()
  /// A row's number plus one and a tag; 0: free. A power of two of them, or none.
  @usableFromInline var places: [UInt32] = []

  @inlinable package init() {}

  @inlinable package var count: Int { rows.count }
  @inlinable package var isEmpty: Bool { rows.isEmpty }
  /// In the order of the rows.
  @inlinable package var keys: some Collection<Key> { rows.lazy.map(\.key) }
  /// In the order of the rows.
  @inlinable package var values: some Collection<Value> { rows.lazy.map(\.value) }

  /// The value of a key. Cost: one look-up; setting may move the rows.
  @inlinable package subscript(key: Key) -> Value? {
    get { row(of: key).map { rows[$0].value } }
    set {
      if let newValue { put(newValue, for: key) } else { remove(key) }
    }
  }

  /// The number of a key's row. Cost: one look-up.
  @inlinable package func row(of key: Key) -> Int? {
    guard !places.isEmpty else { return nil }
    let hash = key.spread
    let mask = UInt32(truncatingIfNeeded: places.count - 1)
    let tag = UInt32(truncatingIfNeeded: hash) & ~mask
    var place = UInt32(truncatingIfNeeded: hash >> 32) & mask
    return places.withUnsafeBufferPointer { places in
      while true {
        let entry = places[Int(place)]
        if entry == 0 { return nil }
        if entry & ~mask == tag {
          let row = Int(entry & mask) - 1
          if rows[row].key == key { return row }
        }
        place = (place &+ 1) & mask
      }
    }
  }

  /// Changes the value in a row, in place.
  @inlinable package mutating func change<Result>(
    row: Int, _ body: (inout Value) -> Result
  ) -> Result {
    body(&rows[row].value)
  }

  /// The row of a key, made with this value if there is none.
  @inlinable package mutating func row(of key: Key, default value: @autoclosure () -> Value) -> Int
  {
    row(of: key) ?? append(key, value())
  }

  /// Sets a value. Returns the one that was there.
  @discardableResult
  @inlinable package mutating func put(_ value: Value, for key: Key) -> Value? {
    guard let row = row(of: key) else {
      _ = append(key, value)
      return nil
    }
    let old = rows[row].value
    rows[row].value = value
    return old
  }

  /// Removes a key. Returns the value that it had. Cost: one look-up, or two.
  @discardableResult
  @inlinable package mutating func remove(_ key: Key) -> Value? {
    guard let row = row(of: key) else { return nil }
    vacate(place(of: row))
    let removed = rows[row]
    let last = rows.removeLast()
    if row < rows.count {
      // The last row takes its number.
      let place = place(of: last.key, row: rows.count)
      let mask = UInt32(truncatingIfNeeded: places.count - 1)
      places[place] = places[place] & ~mask | UInt32(row + 1)
      rows[row] = last
    }
    return removed.value
  }

  // MARK: Places

  @inlinable mutating func append(_ key: Key, _ value: Value) -> Int {
    if (rows.count + 1) * 16 > places.count * 13 { rebuild(places: max(8, places.count * 2)) }
    rows.append(Row(key: key, value: value))
    occupy(key, row: rows.count - 1)
    return rows.count - 1
  }

  @inlinable mutating func rebuild(places count: Int) {
    places = [UInt32](repeating: 0, count: count)
    for (row, entry) in rows.enumerated() { occupy(entry.key, row: row) }
  }

  @inlinable mutating func occupy(_ key: Key, row: Int) {
    let hash = key.spread
    let mask = UInt32(truncatingIfNeeded: places.count - 1)
    var place = UInt32(truncatingIfNeeded: hash >> 32) & mask
    while places[Int(place)] != 0 { place = (place &+ 1) & mask }
    places[Int(place)] = UInt32(truncatingIfNeeded: hash) & ~mask | UInt32(row + 1)
  }

  @inlinable func place(of row: Int) -> Int { place(of: rows[row].key, row: row) }

  @inlinable func place(of key: Key, row: Int) -> Int {
    let mask = UInt32(truncatingIfNeeded: places.count - 1)
    var place = UInt32(truncatingIfNeeded: key.spread >> 32) & mask
    while Int(places[Int(place)] & mask) != row + 1 { place = (place &+ 1) & mask }
    return Int(place)
  }

  /// Frees a place, and moves those back that were put further on because of it.
  @inlinable mutating func vacate(_ place: Int) {
    let mask = places.count - 1
    var free = place
    var next = place
    while true {
      next = (next + 1) & mask
      let entry = places[next]
      if entry == 0 { break }
      let row = Int(entry & UInt32(truncatingIfNeeded: mask)) - 1
      let home = Int(truncatingIfNeeded: rows[row].key.spread >> 32) & mask
      // Its own place does not lie behind the free one: it may not stand before it.
      if (next &- home) & mask < (next &- free) & mask { continue }
      places[free] = entry
      free = next
    }
    places[free] = 0
  }
}

extension DenseMap.Row: Equatable where Value: Equatable {}

extension DenseMap: Equatable where Value: Equatable {
  /// Equal when the keys and values are, in whatever order.
  @inlinable package static func == (left: Self, right: Self) -> Bool {
    left.count == right.count
      && left.rows.allSatisfy { row in
        right.row(of: row.key).map { right.rows[$0].value == row.value } ?? false
      }
  }
}

extension SessionID: DenseKey {
  @inlinable package var spread: UInt64 { DenseSeed.spread(high, low) }
}
