import MeshCRDT

/// Addresses that are tried because there is no path to them.
///
/// Bounded by kind, so that hints never take the place of what the user gave: see
/// ``EngineLimits/configuredContacts``, ``EngineLimits/lostContacts`` and
/// ``EngineLimits/hintedContacts``. What is beyond a bound is refused. The tries of one address come ever
/// more rarely, with jitter; a configured address is never given up.
struct Contacts: Sendable {
  /// Why an address is tried.
  enum Kind: Hashable, Sendable {
    /// The user gave it, or it is remembered.
    case configured
    /// There was a path to it.
    case lost
    /// Another node says that an origin is there.
    case hinted(OriginID, source: PeerAddress)
  }

  private struct Contact: Sendable {
    var kind: Kind
    /// How often it was tried since there was a path.
    var tries = 0
    /// When it was tried last.
    var triedAt: MonotonicTime?
    /// How often it is still tried, unless it is configured.
    var triesLeft: Int
  }

  /// What is to be done when a contact's time has come.
  enum Due: Hashable, Sendable {
    case nothing
    /// A challenge is to be sent there.
    case attempt
    /// It did not answer, and is not tried any more.
    case givenUp(Kind)
  }

  private var contacts: [PeerAddress: Contact] = [:]
  private var configuredCount = 0
  private var lostCount = 0
  private var hintedCount = 0
  private var hintedBySource: [PeerAddress: Int] = [:]
  private var hintedByPrefix: [AddressRange: Int] = [:]

  var count: Int { contacts.count }

  func kind(of address: PeerAddress) -> Kind? { contacts[address]?.kind }

  func isConfigured(_ address: PeerAddress) -> Bool { kind(of: address) == .configured }

  /// The addresses that the user gave, in their order.
  var configured: [PeerAddress] {
    contacts.filter { $0.value.kind == .configured }.keys.sorted()
  }
}

// MARK: - In and out

extension Contacts {
  /// Begins to try an address. One that is tried already and waits for its next try is tried now, when it
  /// was not for a moment: somebody says that its node is there. False when there is no room for it.
  @discardableResult
  mutating func add(
    _ address: PeerAddress, _ kind: Kind, _ context: inout EngineContext
  ) -> Bool {
    guard address.port != 0 else {
      context.counters.count(.addressesRefused)
      return false
    }
    if let known = contacts[address], !Self.outranks(kind, known.kind) {
      // Hints of hints change nothing: those have a bound of tries, and are paid for.
      if case .hinted = known.kind { return true }
      if let triedAt = known.triedAt {
        context.timers.set(
          .paths(.contact(address)), at: max(context.now, triedAt + EngineLimits.firstRetry))
      }
      return true
    }
    guard hasRoom(for: kind, at: address) else {
      context.counters.count(.contactsRefused)
      return false
    }
    if let known = contacts[address] { count(known.kind, at: address, -1) }
    count(kind, at: address, 1)
    let triesLeft =
      switch kind {
      case .configured: Int.max
      case .lost: EngineLimits.triesOfLost
      case .hinted: EngineLimits.triesOfHinted
      }
    contacts[address] = Contact(kind: kind, triesLeft: triesLeft)
    context.timers.set(.paths(.contact(address)), at: context.now)
    return true
  }

  /// Notes that there is a path to an address: unless it is configured, it is a contact no longer.
  mutating func noteProven(_ address: PeerAddress) {
    guard let known = contacts[address] else { return }
    guard known.kind == .configured else { return remove(address) }
    contacts[address]?.tries = 0
  }

  /// Notes that the path to a configured address was lost: it is tried at once again.
  mutating func noteLost(_ address: PeerAddress, isNeeded: Bool, _ context: inout EngineContext) {
    guard contacts[address]?.kind == .configured else { return }
    contacts[address]?.tries = 0
    if isNeeded {
      context.timers.set(.paths(.contact(address)), at: context.now)
    } else {
      context.setTimer(.paths(.contact(address)), afterJittered: EngineLimits.idleRetry)
    }
  }

  /// Forgets an address, unless it is configured.
  mutating func giveUp(_ address: PeerAddress) {
    guard contacts[address]?.kind != .configured else { return }
    remove(address)
  }

  /// Judges what to do with an address whose time has come, and sets the time of its next try.
  ///
  /// - Parameters:
  ///   - hasPath: true when there is a path to it.
  ///   - isConnected: true when this node needs no more paths than it has.
  ///   - mayAttempt: false when whoever hinted at it has no credit left. That counts as a try.
  mutating func handleDue(
    _ address: PeerAddress, hasPath: Bool, isConnected: Bool, mayAttempt: Bool,
    _ context: inout EngineContext
  ) -> Due {
    guard var contact = contacts[address] else { return .nothing }
    guard !hasPath else {
      contacts[address]?.tries = 0
      context.setTimer(
        .paths(.contact(address)),
        afterJittered: isConnected ? EngineLimits.idleRetry : context.configuration.retryPeriod)
      return .nothing
    }
    guard contact.triesLeft > 0 else {
      remove(address)
      return .givenUp(contact.kind)
    }
    contact.tries += 1
    contact.triedAt = context.now
    if contact.kind != .configured { contact.triesLeft -= 1 }
    contacts[address] = contact
    let wait = EngineLimits.firstRetry.scaled(1 << UInt64(min(contact.tries - 1, 10)), over: 1)
    let longest =
      isConnected && contact.kind == .configured
      ? EngineLimits.idleRetry : context.configuration.retryPeriod
    context.setTimer(.paths(.contact(address)), afterJittered: min(wait, longest))
    guard mayAttempt else {
      context.counters.count(.contactsWithheld)
      return .nothing
    }
    return .attempt
  }

  /// What the user gave stands above what was lost, and that above hints.
  private static func outranks(_ kind: Kind, _ other: Kind) -> Bool {
    func rank(_ kind: Kind) -> Int {
      switch kind {
      case .configured: 2
      case .lost: 1
      case .hinted: 0
      }
    }
    return rank(kind) > rank(other)
  }

  private func hasRoom(for kind: Kind, at address: PeerAddress) -> Bool {
    switch kind {
    case .configured: configuredCount < EngineLimits.configuredContacts
    case .lost: lostCount < EngineLimits.lostContacts
    case .hinted(_, let source):
      hintedCount < EngineLimits.hintedContacts
        && hintedBySource[source, default: 0] < EngineLimits.hintedContactsPerSource
        && hintedByPrefix[.prefix(of: address), default: 0]
          < EngineLimits.hintedContactsPerPrefix
    }
  }

  private mutating func remove(_ address: PeerAddress) {
    guard let contact = contacts.removeValue(forKey: address) else { return }
    count(contact.kind, at: address, -1)
  }

  private mutating func count(_ kind: Kind, at address: PeerAddress, _ change: Int) {
    switch kind {
    case .configured: configuredCount += change
    case .lost: lostCount += change
    case .hinted(_, let source):
      hintedCount += change
      let prefix = AddressRange.prefix(of: address)
      hintedBySource[source, default: 0] += change
      hintedByPrefix[prefix, default: 0] += change
      if hintedBySource[source] == 0 { hintedBySource[source] = nil }
      if hintedByPrefix[prefix] == 0 { hintedByPrefix[prefix] = nil }
    }
  }
}
