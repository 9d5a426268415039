import MeshCRDT

/// The proven paths, by address, and the best path to each origin.
///
/// Bounded: ``EngineLimits/paths`` in all, ``EngineLimits/pathsPerOrigin`` to one origin. When there is
/// no room, a path of the address prefix that has most gives way, the one that was silent longest; one
/// to an address that the user gave only to another such one. So neither one key nor one network takes
/// the places of others.
struct PathTable: Sendable {
  private var paths: [PeerAddress: Path] = [:]
  private var addressesByOrigin: [OriginID: [PeerAddress]] = [:]
  private var bestByOrigin: [OriginID: PeerAddress] = [:]
  private var countByPrefix: [AddressRange: Int] = [:]
  /// The best path of each origin, in the order of the origins.
  private(set) var best: [(origin: OriginID, address: PeerAddress)] = []
  /// Rises whenever the best path to an origin changes: whoever keeps routes compares it.
  private(set) var revision: UInt64 = 0

  /// A path that was proven.
  struct Adopted: Sendable {
    let sender: Sender
    /// True when there was no path of this incarnation at the address.
    let isNew: Bool
    let lost: [LostPath]
  }

  var count: Int { paths.count }
  var isEmpty: Bool { paths.isEmpty }

  /// The number of origins with a path.
  var originCount: Int { bestByOrigin.count }

  func path(at address: PeerAddress) -> Path? { paths[address] }

  /// The origin that the path at an address leads to.
  func origin(at address: PeerAddress) -> OriginID? {
    paths.index(forKey: address).map { paths.values[$0].sender.origin }
  }

  /// The address of the best path to an origin.
  func bestAddress(of origin: OriginID) -> PeerAddress? { bestByOrigin[origin] }

  /// The token to send to an address; 0 without a path.
  func echo(for address: PeerAddress) -> UInt64 {
    paths.index(forKey: address).map { paths.values[$0].token } ?? 0
  }

  /// All addresses with a path, in their order.
  var addresses: [PeerAddress] { paths.keys.sorted() }
}

// MARK: - Changes

extension PathTable {
  /// Makes or renews the path of a sender that has proven its address.
  ///
  /// With two ways to one incarnation, the first stays the best one as long as it is heard.
  ///
  /// - Parameter counter: of the datagram that proved it.
  /// - Returns: `nil` when the counter came before, or the address is that of a higher incarnation of the
  ///   same origin that is heard: somebody shows an old proof again.
  mutating func adopt(
    _ sender: Sender, at address: PeerAddress, token: UInt64, ownToken: UInt64, counter: UInt64,
    isConfigured: Bool, _ context: inout EngineContext
  ) -> Adopted? {
    if let known = paths[address], known.sender.origin == sender.origin,
      known.sender.incarnation > sender.incarnation, isHeard(known, context)
    {
      return nil
    }
    guard receive(from: address, sender, counter: counter, now: context.now) != .replayed else {
      return nil
    }
    context.setTimer(.paths(.silence(address)), after: context.configuration.pathTimeout)
    var lost: [LostPath] = []
    let known = paths[address]
    if known?.sender == sender {
      paths[address]?.token = token
    } else {
      // A higher incarnation of the same node takes the place of the lower one.
      if let known, let gone = remove(address, .replaced), known.sender.origin != sender.origin {
        lost.append(gone)
      }
      lost += makeRoom(for: sender.origin, at: address, isConfigured: isConfigured, &context)
      var path = Path(
        address: address, sender: sender, token: token, ownToken: ownToken,
        heardAt: context.now, isConfigured: isConfigured)
      _ = path.window.accept(counter)
      insert(path)
      context.counters.count(.pathsProven)
    }
    if !isReachedElsewhere(sender, than: address, context) {
      setBest(address, of: sender.origin)
    }
    return Adopted(sender: sender, isNew: known?.sender != sender, lost: lost)
  }

  /// What a datagram is to the path of its address.
  enum Reception: Hashable, Sendable {
    case accepted
    /// Its counter came before, or is too old.
    case replayed
    /// The address has no path of its sender.
    case noPath
  }

  /// Notes that a datagram came by a path.
  mutating func receive(
    from address: PeerAddress, _ sender: Sender, counter: UInt64, now: MonotonicTime
  ) -> Reception {
    guard let index = paths.index(forKey: address), paths.values[index].sender == sender else {
      return .noPath
    }
    guard paths.values[index].window.accept(counter) else { return .replayed }
    paths.values[index].heardAt = now
    return .accepted
  }

  /// What a datagram's header shows of its sender, before anything is noted.
  enum Standing: Hashable, Sendable {
    /// Its counter came before by the path of the sender at the address.
    case replayed
    /// It shows the token that this node made for the address.
    case echoed
    case unproven
  }

  /// What a datagram's header shows of its sender at an address.
  func standing(
    of address: PeerAddress, _ sender: Sender, counter: UInt64, echo: UInt64
  ) -> Standing {
    // Read in place: a copy of the window would make the next change of it copy it, too.
    guard let index = paths.index(forKey: address), paths.values[index].sender == sender else {
      return .unproven
    }
    guard paths.values[index].window.isNew(counter) else { return .replayed }
    return paths.values[index].ownToken == echo ? .echoed : .unproven
  }

  /// Notes a round trip: the mean moves an eighth of the way, as in RFC 6298.
  mutating func note(roundTrip: Span, of address: PeerAddress) {
    guard let known = paths[address] else { return }
    let mean = known.roundTrip.map { $0.scaled(7, over: 8) + roundTrip.scaled(1, over: 8) }
    paths[address]?.roundTrip = mean ?? roundTrip
    paths[address]?.overdue = 0
  }

  /// Notes that an answer was overdue.
  mutating func noteOverdue(_ address: PeerAddress) { paths[address]?.overdue += 1 }

  /// Notes whether a comparison found a difference.
  mutating func noteComparison(_ isEqual: Bool, with address: PeerAddress, now: MonotonicTime) {
    guard let index = paths.index(forKey: address) else { return }
    paths.values[index].differs =
      isEqual ? nil : (paths.values[index].differs?.first ?? now, now)
  }

  /// Marks an address that the user gave.
  mutating func setConfigured(_ address: PeerAddress) { paths[address]?.isConfigured = true }

  /// Loses the path at an address when it was silent too long: for longer than beats of its origin are
  /// apart, and at least for the time-out.
  ///
  /// - Parameter period: the time between the beats of the path's origin, if it is known.
  mutating func handleSilence(
    of address: PeerAddress, period: Span?, _ context: inout EngineContext
  ) -> LostPath? {
    guard let path = paths[address] else { return nil }
    let timeout = context.configuration.pathTimeout
    let due = path.heardAt + max(timeout, (period ?? timeout).scaled(3, over: 1))
    guard due <= context.now else {
      context.timers.set(.paths(.silence(address)), at: due)
      return nil
    }
    context.counters.count(.pathsSilent)
    return remove(address, .silent)
  }

  /// Drops the path at an address.
  mutating func drop(_ address: PeerAddress, _ reason: LostPath.Reason) -> LostPath? {
    remove(address, reason)
  }
}

// MARK: - Room

extension PathTable {
  private mutating func makeRoom(
    for origin: OriginID, at address: PeerAddress, isConfigured: Bool,
    _ context: inout EngineContext
  ) -> [LostPath] {
    var lost: [LostPath] = []
    if let own = addressesByOrigin[origin], own.count >= EngineLimits.pathsPerOrigin {
      lost += [evictable(of: own, context).flatMap { remove($0, .evicted) }].compactMap(\.self)
    } else if paths.count >= EngineLimits.paths, let oldest = evictable(by: isConfigured) {
      lost += [remove(oldest, .evicted)].compactMap(\.self)
    }
    context.counters.count(.pathsEvicted, lost.count)
    return lost
  }

  /// Of the prefix with most paths that may give way, the address that was silent longest.
  private func evictable(by isConfigured: Bool) -> PeerAddress? {
    let others = paths.values.filter { !$0.isConfigured }
    // A table of configured paths alone: one of them, for another one.
    let candidates = others.isEmpty && isConfigured ? Array(paths.values) : others
    func weight(_ path: Path) -> Int {
      countByPrefix[.prefix(of: path.address)] ?? 0
    }
    return candidates.min {
      let (left, right) = (weight($0), weight($1))
      return left == right
        ? ($0.heardAt, $0.address) < ($1.heardAt, $1.address) : left > right
    }?.address
  }

  /// Of one origin's paths the one silent longest, of the prefix that has most of them. Its best one stays
  /// as long as it is heard: whoever passes its proofs on can make many others.
  private func evictable(of addresses: [PeerAddress], _ context: EngineContext) -> PeerAddress? {
    var weights: [AddressRange: Int] = [:]
    for address in addresses { weights[.prefix(of: address), default: 0] += 1 }
    func key(_ path: Path) -> (Int, Int, MonotonicTime, PeerAddress) {
      let isBest = bestByOrigin[path.sender.origin] == path.address && isHeard(path, context)
      return (
        isBest ? 2 : path.isConfigured ? 1 : 0, -(weights[.prefix(of: path.address)] ?? 0),
        path.heardAt, path.address
      )
    }
    return addresses.compactMap { paths[$0] }.min { key($0) < key($1) }?.address
  }

  /// True when a path was heard lately.
  private func isHeard(_ path: Path, _ context: EngineContext) -> Bool {
    context.now.since(path.heardAt) < context.configuration.beatPeriod.scaled(3, over: 2)
  }

  private mutating func insert(_ path: Path) {
    paths[path.address] = path
    addressesByOrigin[path.sender.origin, default: []].append(path.address)
    countByPrefix[.prefix(of: path.address), default: 0] += 1
  }

  private mutating func remove(_ address: PeerAddress, _ reason: LostPath.Reason) -> LostPath? {
    guard let path = paths.removeValue(forKey: address) else { return nil }
    let origin = path.sender.origin
    let prefix = AddressRange.prefix(of: address)
    countByPrefix[prefix, default: 1] -= 1
    if countByPrefix[prefix] == 0 { countByPrefix[prefix] = nil }
    addressesByOrigin[origin]?.removeAll { $0 == address }
    if addressesByOrigin[origin]?.isEmpty == true { addressesByOrigin[origin] = nil }
    if bestByOrigin[origin] == address {
      let others = (addressesByOrigin[origin] ?? []).compactMap { paths[$0] }
      setBest(
        others.max { ($0.heardAt, $0.address) < ($1.heardAt, $1.address) }?.address, of: origin)
    }
    return LostPath(
      address: address, origin: origin, reason: reason,
      isReachedElsewhere: bestByOrigin[origin] != nil)
  }

  private mutating func setBest(_ address: PeerAddress?, of origin: OriginID) {
    guard bestByOrigin[origin] != address else { return }
    let wasReached = bestByOrigin[origin] != nil
    bestByOrigin[origin] = address
    revision &+= 1
    var low = 0
    var high = best.count
    while low < high {
      let middle = (low + high) / 2
      if best[middle].origin < origin { low = middle + 1 } else { high = middle }
    }
    let new = address.map { [(origin: origin, address: $0)] } ?? []
    best.replaceSubrange(low..<(wasReached ? low + 1 : low), with: new)
  }

  /// True when the same incarnation was heard lately by another way, or a higher one is.
  private func isReachedElsewhere(
    _ sender: Sender, than address: PeerAddress, _ context: EngineContext
  ) -> Bool {
    guard let other = bestByOrigin[sender.origin], other != address, let path = paths[other]
    else { return false }
    return path.sender.incarnation >= sender.incarnation && isHeard(path, context)
  }
}
