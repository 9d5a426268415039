/// For each session the slots that it has something to do with: nearly always one.
///
/// Memory: about 30 bytes for each session with one slot.
package struct SessionSlots: Sendable {
  /// A slot, or ``severalMark``.
  private var one = DenseMap<SessionID, Int32>()
  /// The slots of the few sessions that have several, lowest first.
  private var several: [SessionID: [Int32]] = [:]

  private static let severalMark: Int32 = -1

  package init() {}

  /// The number of sessions.
  package var count: Int { one.count }

  /// All sessions, in the order of the table.
  package var sessions: [SessionID] { Array(one.keys) }

  /// The slots of a session, lowest first.
  package func slots(of session: SessionID) -> [Int] {
    guard let slot = one[session] else { return [] }
    guard slot == Self.severalMark else { return [Int(slot)] }
    return several[session]?.map { Int($0) } ?? []
  }

  /// The slot of a session that has one alone. Cost: one look-up.
  package func onlySlot(of session: SessionID) -> Int? {
    guard let slot = one[session], slot != Self.severalMark else { return nil }
    return Int(slot)
  }

  /// Gives a session one slot in the place of all that it had. Returns the one that it had.
  @discardableResult
  package mutating func replace(_ session: SessionID, by slot: Int) -> Int? {
    one.put(Int32(slot), for: session).map { Int($0) }
  }

  /// Forgets a session. True when it was there.
  @discardableResult
  package mutating func remove(_ session: SessionID) -> Bool {
    several[session] = nil
    return one.remove(session) != nil
  }

  mutating func insert(_ slot: Int, for session: SessionID) {
    let known = slots(of: session)
    guard !known.isEmpty else {
      one.put(Int32(slot), for: session)
      return
    }
    set(Set(known + [slot]).sorted(), for: session)
  }

  mutating func remove(_ slot: Int, from session: SessionID) {
    guard let known = one[session] else { return }
    if known == Self.severalMark {
      set(slots(of: session).filter { $0 != slot }, for: session)
    } else if known == Int32(slot) {
      one.remove(session)
    }
  }

  private mutating func set(_ slots: [Int], for session: SessionID) {
    several[session] = slots.count > 1 ? slots.map { Int32($0) } : nil
    if slots.count > 1 {
      one.put(Self.severalMark, for: session)
    } else if let slot = slots.first {
      one.put(Int32(slot), for: session)
    } else {
      one.remove(session)
    }
  }
}
