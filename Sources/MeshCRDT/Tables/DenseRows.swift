/// Rows one behind the other, in pieces: growing moves none of them once there are many.
///
/// An array that grows by little to save memory copies all of itself again and again. Here only the
/// first piece grows so; each later one has all its memory from the start, and is the only one with
/// room left over.
@usableFromInline package struct DenseRows<Row: Sendable>: RandomAccessCollection, Sendable {
  @usableFromInline var pieces: [[Row]] = []
  @usableFromInline package internal(set) var count = 0

  /// A piece has 2^7 rows.
  @inlinable static var shift: Int { 7 }
  @inlinable static var pieceRows: Int { 1 << shift }

  @inlinable package init() {}

  @inlinable package var startIndex: Int { 0 }
  @inlinable package var endIndex: Int { count }

  /// The rows for which there is memory.
  @inlinable package var capacity: Int { pieces.reduce(0) { $0 + $1.capacity } }

  @inlinable package subscript(index: Int) -> Row {
    get {
      // An element that an array gives is a copy, which counts its parts once more.
      pieces.withUnsafeBufferPointer {
        $0[index >> Self.shift].withUnsafeBufferPointer { $0[index & (Self.pieceRows - 1)] }
      }
    }
    _modify { yield &pieces[index >> Self.shift][index & (Self.pieceRows - 1)] }
  }

  /// Adds a row at the end. Cost: constant, but for the first piece's growing by sixteenths.
  @inlinable package mutating func append(_ row: Row) {
    let last = count >> Self.shift
    if last == pieces.count {
      pieces.append([])
      if last > 0 { pieces[last].reserveCapacity(Self.pieceRows) }
    } else if pieces[last].count == pieces[last].capacity {
      pieces[last].reserveCapacity(pieces[last].count + Swift.max(4, pieces[last].count / 16))
    }
    pieces[last].append(row)
    count += 1
  }

  /// Takes the last row off. There must be one.
  @inlinable package mutating func removeLast() -> Row {
    count -= 1
    let row = pieces[pieces.count - 1].removeLast()
    if pieces.count > 1, pieces[pieces.count - 1].isEmpty { pieces.removeLast() }
    return row
  }
}
