import MeshCRDT

/// Which datagram counters of one incarnation of a sender were received: the highest, and at least
/// the 960 below it.
///
/// Source: RFC 6479, a window of words that are cleared as it moves.
struct ReplayWindow: Sendable {
  private static let wordCount = 16
  private static let width = UInt64(wordCount * 64)

  private var highest: UInt64 = 0
  private var words = [UInt64](repeating: 0, count: wordCount)

  /// True when the counter was not received yet and is not too old; it counts as received from then
  /// on.
  mutating func accept(_ counter: UInt64) -> Bool {
    if PlantedBug.isActive(.replayAccepted) { return true }
    if counter > highest {
      let first = highest / 64 + 1
      let last = counter / 64
      if last >= first {
        for word in first...min(last, first + UInt64(Self.wordCount) - 1) {
          words[Int(word % UInt64(Self.wordCount))] = 0
        }
        if last - first >= UInt64(Self.wordCount) {
          words = [UInt64](repeating: 0, count: Self.wordCount)
        }
      }
      highest = counter
    } else if !isNew(counter) {
      return false
    }
    words[Int(counter / 64 % UInt64(Self.wordCount))] |= 1 << (counter % 64)
    return true
  }

  /// True when ``accept(_:)`` would accept the counter.
  func isNew(_ counter: UInt64) -> Bool {
    if counter > highest || PlantedBug.isActive(.replayAccepted) { return true }
    guard highest - counter < Self.width - 64 else { return false }
    return words[Int(counter / 64 % UInt64(Self.wordCount))] & 1 << (counter % 64) == 0
  }
}
