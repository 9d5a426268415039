/// The entries of a bucket: keys with values, as bytes, in the order of the keys.
///
/// Layout of an entry: length of the key (1 byte, not 0), key, length of the value (2 bytes, most
/// significant first), value. A bucket is the byte 0 and its entries one behind the other, each key
/// above the one before it. These are the bytes that are hashed and sent.
struct Bucket: Sendable {
  /// The byte in front of the entries.
  static let form: UInt8 = 0

  /// Where the parts of an entry lie in a bucket.
  struct Entry {
    let start: Int
    let key: Range<Int>
    let value: Range<Int>
    var end: Int { value.upperBound }
  }

  /// The number of bytes of an entry.
  static func entryBytes(key: Int, value: Int) -> Int { 3 + key + value }

  /// The entry at an offset, which lies inside of a bucket that was checked.
  static func entry(_ bytes: UnsafeBufferPointer<UInt8>, at start: Int) -> Entry {
    let key = start + 1..<start + 1 + Int(bytes[start])
    let length = Int(bytes[key.upperBound]) << 8 | Int(bytes[key.upperBound + 1])
    return Entry(
      start: start, key: key, value: key.upperBound + 2..<key.upperBound + 2 + length)
  }

  /// Calls `body` with each entry of a checked bucket.
  static func visit(
    _ bytes: [UInt8], _ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
  ) {
    var offset = 1
    while offset < bytes.count {
      let entry = bytes.withUnsafeBufferPointer { Self.entry($0, at: offset) }
      body(bytes[entry.key], bytes[entry.value])
      offset = entry.end
    }
  }

  /// The number of entries of a checked bucket.
  static func count(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBufferPointer { bytes in
      var (offset, count) = (1, 0)
      while offset < bytes.count {
        offset = entry(bytes, at: offset).end
        count += 1
      }
      return count
    }
  }

  /// The entry of a key, or the offset where it would stand.
  static func find(
    _ key: UnsafeBufferPointer<UInt8>, in bytes: [UInt8]
  ) -> (entry: Entry?, offset: Int) {
    bytes.withUnsafeBufferPointer { bytes in
      var offset = 1
      while offset < bytes.count {
        let entry = Self.entry(bytes, at: offset)
        let order = compare(key, UnsafeBufferPointer(rebasing: bytes[entry.key]))
        if order == 0 { return (entry, offset) }
        if order < 0 { return (nil, offset) }
        offset = entry.end
      }
      return (nil, offset)
    }
  }

  /// Below 0, 0 or above 0, as the left bytes stand before, at or behind the right ones.
  private static func compare(
    _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>
  ) -> Int {
    let common = min(left.count, right.count)
    func word(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int) -> UInt64 {
      let word = UnsafeRawBufferPointer(bytes).loadUnaligned(
        fromByteOffset: offset, as: UInt64.self)
      return UInt64(bigEndian: word)
    }
    var offset = 0
    // Eight bytes at a time.
    while offset + 8 <= common {
      let (one, other) = (word(left, offset), word(right, offset))
      if one != other { return one < other ? -1 : 1 }
      offset += 8
    }
    while offset < common {
      if left[offset] != right[offset] { return left[offset] < right[offset] ? -1 : 1 }
      offset += 1
    }
    return left.count - right.count
  }

  /// A bucket with an entry in the place of some bytes, in just the memory that it needs.
  static func replacing(
    _ range: Range<Int>, of bytes: [UInt8], by key: UnsafeBufferPointer<UInt8>,
    _ value: UnsafeBufferPointer<UInt8>
  ) -> [UInt8] {
    let count = bytes.count - range.count + entryBytes(key: key.count, value: value.count)
    return [UInt8](unsafeUninitializedCapacity: count) { new, end in
      func add(_ bytes: some Collection<UInt8>) {
        end = new[end...].initialize(fromContentsOf: bytes)
      }
      add(bytes[..<range.lowerBound])
      add(CollectionOfOne(UInt8(truncatingIfNeeded: key.count)))
      add(key)
      add(CollectionOfOne(UInt8(truncatingIfNeeded: value.count >> 8)))
      add(CollectionOfOne(UInt8(truncatingIfNeeded: value.count)))
      add(value)
      add(bytes[range.upperBound...])
    }
  }

  /// Adds an entry at the end. The key has 1…255, the value at most 65,535 bytes.
  static func append(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(UInt8(truncatingIfNeeded: key.count))
    bytes.append(contentsOf: key)
    bytes.append(UInt8(truncatingIfNeeded: value.count >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value.count))
    bytes.append(contentsOf: value)
  }

  /// True when bytes that came from outside are entries behind one another, be they in order or not.
  static func isWellFormed(_ bytes: [UInt8]) -> Bool {
    var offset = 1
    while offset < bytes.count {
      let key = offset + 1 + Int(bytes[offset])
      guard key + 2 <= bytes.count else { return false }
      offset = key + 2 + (Int(bytes[key]) << 8 | Int(bytes[key + 1]))
    }
    return offset == bytes.count
  }

  /// The number of entries of bytes that came from outside; `nil` when they are not a bucket below a
  /// path. Cost: a hash for each entry.
  static func check(_ bytes: [UInt8], below path: TreePath, _ hashKey: HashKey) -> Int? {
    guard bytes.first == form else { return nil }
    var (offset, count) = (1, 0)
    var last: ArraySlice<UInt8> = []
    while offset < bytes.count {
      let key = offset + 1..<offset + 1 + Int(bytes[offset])
      guard !key.isEmpty, key.upperBound + 2 <= bytes.count else { return nil }
      let length = Int(bytes[key.upperBound]) << 8 | Int(bytes[key.upperBound + 1])
      let end = key.upperBound + 2 + length
      guard end <= bytes.count, last.lexicographicallyPrecedes(bytes[key]),
        path.covers(HashTree.placement(of: bytes[key], hashKey))
      else { return nil }
      last = bytes[key]
      offset = end
      count += 1
    }
    return count
  }
}
