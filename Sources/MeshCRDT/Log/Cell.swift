/// One record as the state holds it: a version, a Lamport counter and a value or a tombstone.
///
/// The value stays encoded, as a range of the bytes of the signed batch that brought it; the cell
/// keeps the batch alive, and nothing is copied. Layout: 32 bytes.
package struct Cell: Sendable {
  private let storage: [UInt8]
  private let versionAndLength: UInt64
  private let counterAndOffset: UInt64
  /// The keyed hash of key, version, counter and value: what the live hash is made of.
  package let hash: UInt64

  /// Makes a cell from bytes inside of a batch.
  ///
  /// - Parameters:
  ///   - range: where the value lies in `storage`, which is shorter than 32 KiB.
  ///   - isTombstone: true when the record removes; the range is then empty.
  package init(
    key: RecordKey, version: UInt64, counter: UInt64, isTombstone: Bool, storage: [UInt8],
    range: Range<Int>, hashKey: HashKey
  ) {
    precondition(version < Limits.counterBound && counter < Limits.counterBound)
    precondition(range.upperBound <= storage.count && storage.count < 1 << 15)
    self.storage = storage
    versionAndLength = version << 16 | UInt64(isTombstone ? 1 << 15 : range.count)
    counterAndOffset = counter << 16 | UInt64(range.lowerBound)
    var hasher = SipHash(key: hashKey)
    hasher.combine(key.session.high)
    hasher.combine(key.session.low)
    hasher.combine(key.room.bits | UInt64(key.lane.rawValue))
    hasher.combine(version)
    hasher.combine(counter << 1 | (isTombstone ? 1 : 0))
    storage.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[range])) }
    hash = hasher.finalize()
  }

  package var version: UInt64 { versionAndLength >> 16 }
  package var counter: UInt64 { counterAndOffset >> 16 }
  package var isTombstone: Bool { versionAndLength & 1 << 15 != 0 }

  /// The encoded value: empty for a tombstone.
  package var value: ArraySlice<UInt8> {
    let start = Int(counterAndOffset & 0xFFFF)
    return storage[start..<start + (isTombstone ? 0 : Int(versionAndLength & 0x7FFF))]
  }

  /// The bytes that ``value`` is a part of.
  package var bytesOfValue: [UInt8] { storage }

  /// True when both say the same at the same time, whatever their versions: an origin that packs
  /// its records anew changes versions only.
  package func saysTheSame(as other: Cell) -> Bool {
    counter == other.counter && isTombstone == other.isTombstone && value == other.value
  }
}

extension Cell: Hashable {
  package static func == (left: Self, right: Self) -> Bool {
    left.versionAndLength == right.versionAndLength && left.hash == right.hash
      && left.counter == right.counter && left.value == right.value
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(versionAndLength)
    hasher.combine(hash)
  }

  /// The total order that settles two records of one key: the higher version wins; if the origin
  /// signed two bodies for one version, the tombstone wins, then the higher counter, then the bytes.
  package func wins(over other: Cell) -> Bool {
    if version != other.version { return version > other.version }
    if PlantedBug.isActive(.firstArrivalWins) { return false }
    if isTombstone != other.isTombstone { return isTombstone }
    if counter != other.counter { return counter > other.counter }
    return other.value.lexicographicallyPrecedes(value)
  }
}
