import MeshCRDT

/// Where origins can be reached: where they were heard, and where others say that they are.
///
/// Bounded: ``EngineLimits/addresses`` origins. When there is no room, an origin that is known by hints
/// alone gives way, or else any, the one that was noted least lately. Of hinted addresses one prefix has
/// at most ``EngineLimits/hintedAddressesPerPrefix``; the one that was noted least lately goes.
struct AddressBook: Sendable {
  /// An address that another node told.
  private struct Hint: Sendable {
    let address: PeerAddress
    /// The path that it came by.
    let source: PeerAddress
    let notedAt: MonotonicTime
    var wasTriedInVain = false
  }

  private struct Entry: Sendable {
    /// Where the origin was heard last.
    var heard: PeerAddress?
    var hint: Hint?
    var notedAt: MonotonicTime
    /// The number of the last note of it.
    var number: UInt64 = 0
  }

  private var entries: [OriginID: Entry] = [:]
  private var hintedByPrefix: [AddressRange: [OriginID]] = [:]
  /// The origins in the order in which hints were noted; those that were noted again since, or heard,
  /// are passed over.
  private var hintOrder: [(origin: OriginID, number: UInt64)] = []
  private var firstHint = 0
  private var nextNumber: UInt64 = 0

  var count: Int { entries.count }

  /// The origins with an address. Cost: all of them.
  var origins: [OriginID] { entries.keys.sorted() }

  /// Where an origin can be tried: where it was heard first, then where it is said to be.
  func addresses(of origin: OriginID) -> [PeerAddress] {
    guard let entry = entries[origin] else { return [] }
    return [entry.heard, entry.hint.flatMap { $0.address == entry.heard ? nil : $0.address }]
      .compactMap(\.self)
  }

  /// The path by which an address of an origin was hinted at; `nil` when it was not.
  func source(of origin: OriginID, at address: PeerAddress) -> PeerAddress? {
    entries[origin]?.hint.flatMap { $0.address == address ? $0.source : nil }
  }

  /// Notes where an origin was heard.
  mutating func note(_ origin: OriginID, heardAt address: PeerAddress, now: MonotonicTime) {
    guard makeRoom(for: origin, isHint: false) else { return }
    entries[origin, default: Entry(notedAt: now)].heard = address
    entries[origin]?.notedAt = now
  }

  /// Notes a hint. False when it is refused: the address is none that a node can have, or none that
  /// the source could know of, or there is no room.
  ///
  /// The hint of another source stands for a while, unless it was tried in vain: so hints cannot be
  /// overwritten faster than they are tried.
  mutating func note(
    _ origin: OriginID, hintedAt address: PeerAddress, by source: PeerAddress,
    _ context: inout EngineContext
  ) -> Bool {
    guard source.mayTell(of: address) else {
      context.counters.count(.addressesRefused)
      return false
    }
    let known = entries[origin]?.hint
    if let known, known.source != source, known.address != address, !known.wasTriedInVain,
      context.now.since(known.notedAt) < EngineLimits.hintStands
    {
      return false
    }
    guard makeRoom(for: origin, isHint: true) else { return false }
    removeHint(of: origin, keepingEntry: true)
    let prefix = AddressRange.prefix(of: address)
    if let others = hintedByPrefix[prefix], others.count >= EngineLimits.hintedAddressesPerPrefix {
      removeHint(of: others[0], keepingEntry: false)
    }
    entries[origin, default: Entry(notedAt: context.now)].hint = Hint(
      address: address, source: source, notedAt: context.now)
    entries[origin]?.notedAt = context.now
    hintedByPrefix[prefix, default: []].append(origin)
    order(origin)
    return true
  }

  /// Notes that a hinted address did not answer: the next hint takes its place.
  mutating func noteTriedInVain(_ origin: OriginID, at address: PeerAddress) {
    guard entries[origin]?.hint?.address == address else { return }
    entries[origin]?.hint?.wasTriedInVain = true
  }

  private mutating func makeRoom(for origin: OriginID, isHint: Bool) -> Bool {
    guard entries[origin] == nil, entries.count >= EngineLimits.addresses else { return true }
    if let oldest = takeOldestHint() {
      removeHint(of: oldest, keepingEntry: false)
      return true
    }
    // A hint does not take the place of what was heard.
    guard !isHint else { return false }
    let oldest = entries.min {
      ($0.value.notedAt, $0.key) < ($1.value.notedAt, $1.key)
    }
    if let oldest {
      removeHint(of: oldest.key, keepingEntry: true)
      entries[oldest.key] = nil
    }
    return true
  }

  /// The origin known by hints alone that was noted least lately.
  private mutating func takeOldestHint() -> OriginID? {
    while firstHint < hintOrder.count {
      let (origin, number) = hintOrder[firstHint]
      firstHint += 1
      if let entry = entries[origin], entry.number == number, entry.heard == nil { return origin }
    }
    return nil
  }

  private mutating func order(_ origin: OriginID) {
    nextNumber += 1
    entries[origin]?.number = nextNumber
    hintOrder.append((origin, nextNumber))
    // What was passed over, or noted again, leaves no more than as much behind.
    guard hintOrder.count > 2 * EngineLimits.addresses else { return }
    hintOrder = hintOrder[firstHint...].filter { entries[$0.origin]?.number == $0.number }
    firstHint = 0
  }

  private mutating func removeHint(of origin: OriginID, keepingEntry: Bool) {
    guard let hint = entries[origin]?.hint else { return }
    entries[origin]?.hint = nil
    let prefix = AddressRange.prefix(of: hint.address)
    hintedByPrefix[prefix]?.removeAll { $0 == origin }
    if hintedByPrefix[prefix]?.isEmpty == true { hintedByPrefix[prefix] = nil }
    if !keepingEntry, entries[origin]?.heard == nil { entries[origin] = nil }
  }
}
