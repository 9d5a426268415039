import MeshCRDT

/// The replay windows of senders, by incarnation. They are kept when a path is lost, so that nothing is
/// accepted twice.
///
/// Bounded: ``EngineLimits/replayWindows`` in all, ``EngineLimits/replayWindowsPerOrigin`` of one origin.
/// What goes is the window that accepted least lately, of those that no path needs.
struct ReplayWindows: Sendable {
  private struct Entry: Sendable {
    var window = ReplayWindow()
    var usedAt: MonotonicTime
  }

  private var entries: [Sender: Entry] = [:]
  private var sendersByOrigin: [OriginID: [Sender]] = [:]

  var count: Int { entries.count }

  /// True when ``accept(_:of:inUse:_:)`` would accept the counter.
  func isNew(_ counter: UInt64, of sender: Sender) -> Bool {
    entries[sender]?.window.isNew(counter) ?? true
  }

  /// True when a datagram comes for the first time; it counts as received from then on.
  ///
  /// - Parameter inUse: the senders with a path, whose windows stay. It is asked for when there is no
  ///   room.
  mutating func accept(
    _ counter: UInt64, of sender: Sender, inUse: @autoclosure () -> Set<Sender>,
    _ context: inout EngineContext
  ) -> Bool {
    if let index = entries.index(forKey: sender) {
      entries.values[index].usedAt = context.now
      return entries.values[index].window.accept(counter)
    }
    let own = sendersByOrigin[sender.origin] ?? []
    if own.count >= EngineLimits.replayWindowsPerOrigin {
      evict(from: own, inUse: inUse(), &context)
    } else if entries.count >= EngineLimits.replayWindows {
      evict(from: Array(entries.keys), inUse: inUse(), &context)
    }
    var entry = Entry(usedAt: context.now)
    let isAccepted = entry.window.accept(counter)
    entries[sender] = entry
    sendersByOrigin[sender.origin, default: []].append(sender)
    return isAccepted
  }

  private mutating func evict(
    from senders: [Sender], inUse: Set<Sender>, _ context: inout EngineContext
  ) {
    func key(_ sender: Sender) -> (MonotonicTime, OriginID) {
      (entries[sender]?.usedAt ?? context.now, sender.origin)
    }
    let oldest = senders.filter { !inUse.contains($0) }.min {
      key($0) == key($1) ? $0.incarnation < $1.incarnation : key($0) < key($1)
    }
    guard let oldest else { return }
    entries[oldest] = nil
    sendersByOrigin[oldest.origin]?.removeAll { $0 == oldest }
    if sendersByOrigin[oldest.origin]?.isEmpty == true { sendersByOrigin[oldest.origin] = nil }
    context.counters.count(.replayWindowsEvicted)
  }
}
