/// A record as a batch brings it: what is to be written under a key.
package struct RecordChange: Hashable, Sendable {
  package let key: EntryKey
  /// The Lamport counter of the subject: of the session, or 0 for a subscription.
  package let counter: UInt64
  /// The encoded value; `nil`: a tombstone.
  package let value: ArraySlice<UInt8>?

  package init(_ key: EntryKey, counter: UInt64, slice: ArraySlice<UInt8>?) {
    self.key = key
    self.counter = counter
    value = slice
  }

  package init(_ key: EntryKey, counter: UInt64, value: [UInt8]?) {
    self.init(key, counter: counter, slice: value?[...])
  }
}

/// A record as a tree holds it.
///
/// Layout of ``bytes``: version and counter as varints, then the encoded value.
package struct StoredRecord: Hashable, Sendable {
  package let version: UInt64
  package let counter: UInt64
  package let value: ArraySlice<UInt8>

  package init(version: UInt64, counter: UInt64, value: ArraySlice<UInt8>) {
    self.version = version
    self.counter = counter
    self.value = value
  }

  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(12 + value.count)
    append(to: &bytes)
    return bytes
  }

  /// Adds ``bytes`` to others.
  func append(to bytes: inout [UInt8]) {
    Varint.append(version, to: &bytes)
    Varint.append(counter, to: &bytes)
    bytes.append(contentsOf: value)
  }

  /// Reads ``bytes``; `nil` when they are not those of a record.
  package init?(bytes: ArraySlice<UInt8>) {
    var rest = bytes
    guard let version = Varint.take(from: &rest), let counter = Varint.take(from: &rest) else {
      return nil
    }
    self.init(version: version, counter: counter, value: rest)
  }
}

/// Numbers below 2^48 in groups of 7 bits, least significant first, in the fewest bytes.
enum Varint {
  static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Takes a number off the front; `nil` when there is none, or not in its shortest form.
  static func take(from bytes: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = bytes.popFirst() {
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 {
        return (byte != 0 || shift == 0) && value < Limits.counterBound ? value : nil
      }
      shift += 7
      guard shift < 49 else { return nil }
    }
    return nil
  }
}
