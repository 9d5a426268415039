import MeshCRDT
import MeshTrust
import MeshWire

/// The paths to other nodes: sequences the parts that find, prove, keep and lose them.
///
/// The parts do not know each other. What others need to know comes back as a result: a new path is
/// greeted by the engine, a lost one is taken out of the routes.
struct Paths: Sendable {
  private(set) var table = PathTable()
  private(set) var contacts = Contacts()
  private(set) var book = AddressBook()
  private var sealer: DatagramSealer
  private var validation: PathValidation
  private var budgets: PathBudgets

  init(_ context: inout EngineContext) {
    sealer = DatagramSealer(configuration: context.configuration)
    validation = PathValidation(now: context.now)
    budgets = PathBudgets(now: context.now)
    if let period = context.configuration.announcePeriod {
      context.outbox.announce()
      context.setTimer(.paths(.announce), afterJittered: period)
    }
  }
}

/// Which paths a node needs.
struct PathDemand: Sendable {
  /// The origins to have a path to; `nil`: all.
  var wanted: Set<OriginID>?
  /// With so many paths, a node that does not need all of them takes up no more on others' hints.
  var enough: Int
  /// True when this node has paths to all whom it needs, and tries others rarely.
  var isMet: Bool
  /// About how many nodes the mesh has: all of them together announce as often as one alone would.
  var meshSize: Int

  /// What a node of a small mesh needs: a path to everybody.
  static let all = PathDemand(wanted: nil, enough: .max, isMet: false, meshSize: 1)

  func wants(_ origin: OriginID) -> Bool { wanted?.contains(origin) ?? true }
}

// MARK: - Received datagrams

extension Paths {
  /// What a datagram brings.
  struct Received: Sendable {
    /// Whom it comes from; `nil`: from nobody who is known, and there is nothing to read.
    var arrival: Arrival?
    var lost: [LostPath] = []
    /// Another process has this node's key, in this incarnation.
    var ownKey: Incarnation?
    /// The datagram is of a higher epoch than is known.
    var unknownEpoch: UInt32?
    /// A node that no certificate is known of has proven an address.
    var applicant: Applicant?
  }

  /// A node that has proven its address, and is to show a certificate.
  struct Applicant: Sendable {
    let address: PeerAddress
    /// The one that came with the proof.
    let certificate: Certificate?
    fileprivate let proven: PathValidation.Proven
    fileprivate let header: DatagramHeader.Inner
    fileprivate let messages: MessageReader

    var origin: OriginID { proven.sender.origin }
  }

  /// A datagram of a proven path.
  struct Arrival: Sendable {
    let address: PeerAddress
    let sender: Sender
    /// The messages that are left to read.
    var messages: MessageReader
    /// True when the path was proven by this very datagram: its node is to be greeted.
    let isNewPath: Bool
  }

  /// Opens a datagram, finds out whether its path is proven, and answers when it is not.
  mutating func receive(
    _ datagram: [UInt8], from address: PeerAddress, _ context: inout EngineContext
  ) -> Received {
    var unknownEpoch: UInt32?
    guard let opened = sealer.open(datagram, unknownEpoch: &unknownEpoch, &context) else {
      return Received(unknownEpoch: unknownEpoch)
    }
    let header = opened.header
    guard !budgets.isBanned(address, now: context.now) else {
      context.counters.count(.datagramsBanned)
      return Received()
    }
    let sender = Sender(origin: header.sender, incarnation: header.incarnation)
    let standing = table.standing(of: address, sender, counter: header.counter, echo: header.echo)
    guard standing != .replayed else {
      context.counters.count(.datagramsReplayed)
      return Received()
    }
    let isEchoed =
      standing == .echoed || PathValidation.isToken(header.echo, for: address, context)
      || PlantedBug.isActive(.pathNotChallenged)
    if isEchoed, opened.messages.nextKind == StatementKind.pathProof.rawValue {
      return receiveProof(opened, from: address, &context)
    }
    guard isEchoed,
      table.receive(from: address, sender, counter: header.counter, now: context.now) == .accepted
    else {
      validation.handleUnproven(opened, from: address, known: table.path(at: address), &context)
      return Received()
    }
    context.counters.count(.datagramsAccepted)
    return Received(
      arrival: Arrival(
        address: address, sender: sender, messages: opened.messages, isNewPath: false))
  }

  private mutating func receiveProof(
    _ opened: DatagramSealer.Opened, from address: PeerAddress, _ context: inout EngineContext
  ) -> Received {
    var messages = opened.messages
    guard case .pathProof(let message) = try? messages.next() else {
      context.counters.count(.messagesMalformed)
      return Received()
    }
    let proven: PathValidation.Proven
    switch validation.handleProof(message, opened.header, from: address, &context) {
    case .refused: return Received()
    case .ownKey(let other):
      // So that the other process knows, too.
      if other.wantsProof {
        validation.sendProof(echo: other.token, to: address, ownToken: nil, &context)
      }
      return Received(ownKey: other.sender.incarnation)
    case .proven(let result): proven = result
    }
    guard context.isAdmitted(proven.sender.origin) else {
      var rest = messages
      var certificate: Certificate?
      if case .certificate(let shown) = try? rest.next(), shown.node == proven.sender.origin {
        (certificate, messages) = (shown, rest)
      }
      return Received(
        applicant: Applicant(
          address: address, certificate: certificate, proven: proven, header: opened.header,
          messages: messages))
    }
    return adopt(proven, opened.header, messages, from: address, &context)
  }

  /// Makes the path of a node whose certificate came with the proof.
  mutating func admit(_ applicant: Applicant, _ context: inout EngineContext) -> Received {
    adopt(
      applicant.proven, applicant.header, applicant.messages, from: applicant.address, &context)
  }

  /// Shows this node's own certificate to a node that showed none, and asks for its.
  mutating func askForCertificate(of applicant: Applicant, _ context: inout EngineContext) {
    validation.sendProof(
      echo: applicant.proven.token, to: applicant.address, ownToken: nil, wantsProof: true,
      &context)
  }

  /// Tells a node why it is no member, behind a proof, so that it reads that.
  mutating func refuse(
    _ applicant: Applicant, _ reasons: [MeshMessage], _ context: inout EngineContext
  ) {
    validation.sendProof(
      echo: applicant.proven.token, to: applicant.address, ownToken: nil, followedBy: reasons,
      &context)
  }

  private mutating func adopt(
    _ proven: PathValidation.Proven, _ header: DatagramHeader.Inner, _ messages: MessageReader,
    from address: PeerAddress, _ context: inout EngineContext
  ) -> Received {
    guard
      let adopted = table.adopt(
        proven.sender, at: address, token: proven.token, ownToken: header.echo,
        counter: header.counter, isConfigured: contacts.isConfigured(address), &context)
    else {
      context.counters.count(.proofsRefused)
      return Received()
    }
    context.counters.count(.datagramsAccepted)
    for lost in adopted.lost { close(lost, &context) }
    budgets.open(address, origin: proven.sender.origin, context)
    contacts.noteProven(address)
    if table.bestAddress(of: proven.sender.origin) == address {
      book.note(proven.sender.origin, heardAt: address, now: context.now)
    }
    if proven.wantsProof {
      validation.sendProof(
        echo: proven.token, to: address, ownToken: table.path(at: address)?.ownToken, &context)
    }
    return Received(
      arrival: Arrival(
        address: address, sender: proven.sender, messages: messages, isNewPath: adopted.isNew),
      lost: adopted.lost)
  }

  /// Drops what is kept and what waits for a path that was lost.
  private mutating func close(_ lost: LostPath, _ context: inout EngineContext) {
    budgets.close(lost.address)
    context.outbox.forget(lost.address)
  }
}

// MARK: - Budgets

extension Paths {
  /// Takes units of work of a path, see ``WorkUnits``. False when what it sent is to be dropped.
  mutating func takeWork(
    _ units: UInt64, reserved: UInt64 = 0, of address: PeerAddress, isOwnWord: Bool,
    _ context: inout EngineContext
  ) -> Bool {
    budgets.takeWork(units, reserved: reserved, of: address, isOwnWord: isOwnWord, &context)
  }

  /// The bytes of answers that a path may have now; `nil`: no answer is to be made.
  mutating func answerBytes(of address: PeerAddress, _ context: inout EngineContext) -> Int? {
    budgets.answerBytes(of: address, &context)
  }

  mutating func spendAnswer(bytes: Int, of address: PeerAddress) {
    budgets.spendAnswer(bytes: bytes, of: address)
  }

  /// Takes bytes of answers of a path. False when no answer is to be given.
  mutating func takeAnswer(
    bytes: Int, of address: PeerAddress, _ context: inout EngineContext
  ) -> Bool {
    budgets.takeAnswer(bytes: bytes, of: address, &context)
  }

  /// Charges a path for waste. Returns the path when it was dropped for that: what is left to read of
  /// its datagram is not to be read.
  mutating func charge(
    _ waste: Waste, to address: PeerAddress, _ context: inout EngineContext
  ) -> LostPath? {
    guard budgets.charge(waste, to: address, &context),
      let lost = table.drop(address, .wasteful)
    else { return nil }
    close(lost, &context)
    contacts.giveUp(address)
    return lost
  }

  /// Drops all paths of an origin. Returns those that were lost.
  mutating func drop(_ origin: OriginID, _ context: inout EngineContext) -> [LostPath] {
    var dropped: [LostPath] = []
    while let address = table.bestAddress(of: origin), let lost = table.drop(address, .notAdmitted)
    {
      close(lost, &context)
      contacts.giveUp(address)
      dropped.append(lost)
    }
    return dropped
  }

  /// Notes how long a request on a path took to be answered.
  mutating func note(roundTrip: Span, of address: PeerAddress) {
    table.note(roundTrip: roundTrip, of: address)
  }

  /// Notes that a request on a path was not answered in time.
  mutating func noteOverdue(_ address: PeerAddress) { table.noteOverdue(address) }
}

extension Paths {
  /// Notes whether a comparison found a difference.
  mutating func noteComparison(
    _ isEqual: Bool, with address: PeerAddress, _ context: EngineContext
  ) {
    table.noteComparison(isEqual, with: address, now: context.now)
  }
}

// MARK: - Contacts

extension Paths {
  /// Tries to reach an address that the user gave, or that is remembered, until there is a path to it.
  mutating func addConfigured(_ address: PeerAddress, _ context: inout EngineContext) {
    if contacts.add(address, .configured, &context) { table.setConfigured(address) }
  }

  /// Notes where other nodes are, and tries those that are needed.
  mutating func receive(
    _ peers: [PeerExchange], from source: PeerAddress, _ demand: PathDemand,
    _ context: inout EngineContext
  ) {
    for peer in peers where peer.origin != context.origin {
      let address = PeerAddress(high: peer.addressHigh, low: peer.addressLow, port: peer.port)
      guard table.bestAddress(of: peer.origin) == nil,
        budgets.takeWork(WorkUnits.hint, of: source, isOwnWord: false, &context),
        book.note(peer.origin, hintedAt: address, by: source, &context)
      else { continue }
      budgets.noteHint(from: source)
      guard demand.wants(peer.origin) || table.originCount < demand.enough else { continue }
      contacts.add(address, .hinted(peer.origin, source: source), &context)
    }
  }

  /// Tries to reach an origin that is needed, where it was heard or is said to be.
  mutating func contact(_ origin: OriginID, _ context: inout EngineContext) {
    guard origin != context.origin, table.bestAddress(of: origin) == nil else { return }
    for address in book.addresses(of: origin) {
      let source = book.source(of: origin, at: address)
      contacts.add(
        address, source.map { .hinted(origin, source: $0) } ?? .lost, &context)
    }
  }

  /// Tells the node at an address where some others are, as far as it is known: those that it needs, and any.
  mutating func sendPeers(
    _ origins: [OriginID], andOthers: Bool, to address: PeerAddress, _ context: inout EngineContext
  ) {
    guard let path = table.path(at: address) else { return }
    func mayBeTold(_ origin: OriginID, _ other: PeerAddress) -> Bool {
      origin != path.sender.origin && address.mayTell(of: other)
    }
    var chosen = origins.compactMap { origin in
      (table.bestAddress(of: origin) ?? book.addresses(of: origin).first).map { (origin, $0) }
    }.filter(mayBeTold)
    if andOthers {
      let others = table.best.map { ($0.origin, $0.address) }.filter { other in
        mayBeTold(other.0, other.1) && !chosen.contains { $0.0 == other.0 }
      }
      chosen += context.random.sample(
        others, PeerExchange.bound - min(chosen.count, PeerExchange.bound))
    }
    chosen = Array(chosen.prefix(PeerExchange.bound))
    guard !chosen.isEmpty else { return }
    context.send(
      .control(
        .peerExchange(
          chosen.map { origin, other in
            PeerExchange(
              origin: origin, addressHigh: other.high, addressLow: other.low, port: other.port)
          })), to: address)
  }

  /// Addresses worth remembering for the next start: those with a path, then those that the user gave.
  var knownAddresses: [PeerAddress] {
    table.addresses + contacts.configured.filter { table.path(at: $0) == nil }
  }
}

// MARK: - Timers

extension Paths {
  /// Does what is due. Returns the path that was lost, if one was.
  ///
  /// - Parameter period: the time between the beats of an origin, if it is known.
  mutating func handle(
    _ timer: PathTimer, _ demand: PathDemand, period: (OriginID) -> Span?,
    _ context: inout EngineContext
  ) -> LostPath? {
    switch timer {
    case .silence(let address):
      guard let origin = table.origin(at: address),
        let lost = table.handleSilence(of: address, period: period(origin), &context)
      else { return nil }
      close(lost, &context)
      retry(lost, demand, &context)
      return lost
    case .contact(let address): handleContact(address, demand, &context)
    case .announce:
      guard let period = context.configuration.announcePeriod else { return nil }
      context.outbox.announce()
      let share = UInt64(max(1, demand.meshSize / 16))
      context.setTimer(.paths(.announce), afterJittered: period.scaled(share, over: 1))
    }
    return nil
  }

  private mutating func handleContact(
    _ address: PeerAddress, _ demand: PathDemand, _ context: inout EngineContext
  ) {
    let hasPath = table.path(at: address) != nil
    var mayAttempt = true
    if !hasPath, case .hinted(let origin, let source) = contacts.kind(of: address) {
      mayAttempt = budgets.takeReflection(
        bytes: PathValidation.challengeDatagramBytes, of: source,
        isWanted: demand.wants(origin), now: context.now)
    }
    let due = contacts.handleDue(
      address, hasPath: hasPath, isConnected: demand.isMet, mayAttempt: mayAttempt, &context)
    switch due {
    case .nothing: break
    case .attempt: validation.sendChallenge(to: address, &context)
    case .givenUp(.hinted(let origin, _)): book.noteTriedInVain(origin, at: address)
    case .givenUp: break
    }
  }

  /// Goes on trying the address of a path that was silent too long, when it is needed.
  private mutating func retry(
    _ lost: LostPath, _ demand: PathDemand, _ context: inout EngineContext
  ) {
    if PlantedBug.isActive(.lostPathNotTried) { return }
    let isNeeded = !demand.isMet || demand.wants(lost.origin)
    if contacts.isConfigured(lost.address) {
      contacts.noteLost(lost.address, isNeeded: isNeeded, &context)
    } else if isNeeded && !lost.isReachedElsewhere {
      contacts.add(lost.address, .lost, &context)
    }
  }
}

// MARK: - Sending

extension Paths {
  /// Seals the next datagram; `nil`: nothing can go now. The address is `nil` for everybody on the LAN.
  mutating func nextDatagram(
    _ context: inout EngineContext
  ) -> (bytes: [UInt8], address: PeerAddress?)? {
    guard let departure = context.nextDeparture() else { return nil }
    let echo = departure.echo ?? departure.address.map { table.echo(for: $0) } ?? 0
    return (sealer.seal(departure.messages, echo: echo, &context), departure.address)
  }

  /// Tries all addresses that the user gave at once, after the first mesh key has come.
  mutating func restart(_ context: inout EngineContext) {
    for address in contacts.configured { contacts.noteLost(address, isNeeded: true, &context) }
    if context.configuration.announcePeriod != nil { context.outbox.announce() }
  }

  /// Proves every path anew, after the incarnation has risen.
  mutating func proveAll(_ context: inout EngineContext) {
    for address in table.addresses {
      validation.sendProof(
        echo: table.echo(for: address), to: address, ownToken: table.path(at: address)?.ownToken,
        &context)
    }
  }
}
