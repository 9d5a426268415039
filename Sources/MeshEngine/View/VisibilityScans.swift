import MeshCRDT

/// The origins whose visibility changed and whose sessions are still to be looked at, some at a time, in
/// turns. At most one scan for each origin.
struct VisibilityScans: Sendable {
  private struct Scan {
    let slot: Int
    /// The session that was looked at last.
    var last: SessionID?
  }

  private var scans: [Scan] = []
  private var turn = 0

  var isEmpty: Bool { scans.isEmpty }

  /// True while an origin is scanned. Cost: the scans.
  func contains(_ slot: Int) -> Bool { scans.contains { $0.slot == slot } }

  /// Begins a scan, or begins it anew. Cost: the scans.
  mutating func begin(_ slot: Int) {
    if let index = scans.firstIndex(where: { $0.slot == slot }) {
      scans[index].last = nil
    } else {
      scans.append(Scan(slot: slot))
    }
  }

  /// Ends a scan. Cost: the scans.
  mutating func end(_ slot: Int) {
    guard let index = scans.firstIndex(where: { $0.slot == slot }) else { return }
    scans.remove(at: index)
    if index < turn { turn -= 1 }
  }

  /// The scan whose turn it is, and how far it has come.
  var next: (slot: Int, last: SessionID?)? {
    guard !scans.isEmpty else { return nil }
    let scan = scans[turn < scans.count ? turn : 0]
    return (scan.slot, scan.last)
  }

  /// The scan whose turn it was has come to a session; the next one has its turn.
  mutating func advance(to last: SessionID) {
    guard !scans.isEmpty else { return }
    if turn >= scans.count { turn = 0 }
    scans[turn].last = last
    turn += 1
  }
}
