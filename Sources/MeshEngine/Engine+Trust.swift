package import MeshCRDT
import MeshTrust
package import MeshWire

// Who is a member, and what each may say.

extension Engine {
  /// How this node stands in its mesh; `nil`: the mesh is open.
  package var refusal: RefusalReason? {
    guard context.admitted != nil else { return nil }
    switch trust.standing(of: origin) {
    case .admitted: return nil
    case .refused(let refusal): return refusal
    case .unknown:
      // It dropped out of the set: by time, or because others used its ticket before.
      guard let own = context.ownCertificate else { return .expired }
      if trust.allDecrees.contains(where: { $0.subject == .revokedTicket(own.ticket.key) }) {
        return .revokedTicket
      }
      return own.notAfter < context.wall ? .expired : .usesExceeded
    }
  }

  /// What this node may say.
  package var ownRights: Rights {
    guard context.admitted != nil else { return .unlimited }
    return context.ownCertificate?.rights ?? .unlimited
  }

  /// Begins with the own certificate, and what the disk remembers.
  mutating func beginTrust() {
    guard let configuration = configuration.trust else { return }
    // Those of an authority that another decree names come behind that one.
    for _ in 0..<3 { for decree in configuration.decrees { _ = add(decree) } }
    _ = add(configuration.certificate)
    view.setRights(slot: ownSlot, ownRights)
    hosting.setRights(ownRights)
    context.sealingEpoch = usableEpoch
    context.setTimer(.trust, after: EngineLimits.trustPeriod)
    if context.crypto.epochs.count > 1 {
      context.setTimer(.epoch, after: EngineLimits.epochOverlap)
    }
  }

  private mutating func setTrustTimer(_ nodes: Set<OriginID>) {
    guard let next = trust.nextChange(of: nodes, after: context.wall) else { return }
    context.setTimer(
      .trust, after: min(.milliseconds(next - context.wall), EngineLimits.trustPeriod))
  }

  /// Sets what an origin may say, where it stands.
  mutating func setRights(of other: OriginID, slot: Int) {
    guard case .admitted(let rights) = trust.standing(of: other) else { return }
    view.setRights(slot: slot, rights)
    records.setBounds(trust.bounds(of: other), slot: slot)
  }

  // MARK: Applicants

  /// Makes a path to a node that has shown its certificate with the proof of its address; asks for it if it
  /// has not.
  mutating func admit(_ applicant: Paths.Applicant) -> Paths.Received {
    if let certificate = applicant.certificate { receive(certificate, from: nil) }
    guard context.isAdmitted(applicant.origin) else {
      context.counters.count(.pathsWithoutCertificate)
      let reasons = reasons(ofRefused: applicant.origin, applicant.certificate)
      if !reasons.isEmpty {
        paths.refuse(applicant, reasons, &context)
      } else if applicant.certificate == nil {
        paths.askForCertificate(of: applicant, &context)
      }
      return Paths.Received()
    }
    return paths.admit(applicant, &context)
  }

  /// What shows a node that it is no member: decrees, or the certificates of those who used its ticket before.
  private mutating func reasons(
    ofRefused node: OriginID, _ certificate: Certificate? = nil
  ) -> [MeshMessage] {
    let decrees = trust.decrees(about: node, certificate)
    guard decrees.isEmpty, let ticket = certificate?.ticket, ticket.uses > 0 else {
      return decrees.map { .decree($0) }
    }
    return context.random.sample(trust.certificates(by: ticket), 2).map { .certificate($0) }
  }

  private mutating func tellRefused(_ node: OriginID, at address: PeerAddress?) {
    guard let address else { return }
    let echo = paths.table.echo(for: address)
    for message in reasons(ofRefused: node) {
      context.outbox.append(opening: message.encoded(), echo: echo, to: address)
    }
  }

  // MARK: Certificates and decrees

  mutating func receive(_ certificate: Certificate, from address: PeerAddress?) {
    context.counters.count(.certificatesReceived)
    guard let change = add(certificate, from: address), change.isNews else { return }
    spread(certificate, from: address)
  }

  /// Sends on a certificate that was news, in a mesh too large for its node to reach everybody.
  mutating func spread(_ certificate: Certificate, from address: PeerAddress?) {
    guard router.isLarge else { return }
    for other in receivers() where other != address {
      context.send(.control(.certificate(certificate)), to: other)
    }
  }

  mutating func receive(_ decree: Decree, from address: PeerAddress?) {
    context.counters.count(.decreesReceived)
    guard let change = add(decree, from: address), change.isNews,
      trust.holds(decree)
    else { return }
    if case .epoch = decree.subject, lacksKey {
      if let address { askForKey(at: address) }
      context.setTimer(.admission, after: EngineLimits.helloPause)
    }
    spread(decree, from: address)
  }

  /// Sends on a decree that was news, over all edges, as contradictions: that is to be everywhere soon.
  mutating func spread(_ decree: Decree, from address: PeerAddress?) {
    for other in receivers() where other != address {
      context.send(.control(.decree(decree)), to: other)
    }
  }

  /// Says something about the membership to all. It was signed by somebody who may.
  package mutating func publish(_ decree: Decree, now: MonotonicTime) {
    recording?.note(.decree(decree, now: now))
    tick(now: now)
    receive(decree, from: nil)
    tick(now: now)
  }

  private mutating func add(
    _ certificate: Certificate, from address: PeerAddress? = nil
  ) -> TrustSet.Change? {
    guard context.admitted != nil, takeTrustWork(of: address) else { return nil }
    do throws(TrustSet.Refusal) {
      let change = try trust.add(
        certificate, at: context.wall, mesh: configuration.mesh.bytes, check: check)
      apply(change)
      return change
    } catch {
      refuse(error, .certificatesRefused, from: address)
      return nil
    }
  }

  mutating func add(_ decree: Decree, from address: PeerAddress? = nil) -> TrustSet.Change? {
    guard context.admitted != nil, takeTrustWork(of: address) else { return nil }
    do throws(TrustSet.Refusal) {
      let change = try trust.add(
        decree, at: context.wall, mesh: configuration.mesh.bytes, check: check)
      apply(change)
      view.setRevoked(users: trust.revokedUsers)
      keptDecrees = trust.allDecrees
      return change
    } catch {
      refuse(error, .decreesRefused, from: address)
      return nil
    }
  }

  func check(_ bytes: [UInt8], _ signature: ArraySlice<UInt8>, _ key: OriginID) -> Bool {
    context.crypto.verify(bytes, signature: signature, by: key)
  }

  private mutating func takeTrustWork(of address: PeerAddress?) -> Bool {
    guard let address else { return true }
    return paths.takeWork(4 * WorkUnits.signature, of: address, isOwnWord: false, &context)
  }

  private mutating func refuse(
    _ refusal: TrustSet.Refusal, _ counter: Counters.Name, from address: PeerAddress?
  ) {
    if refusal != .known { context.counters.count(counter) }
    // An authority may have made its issuer one, and that is not heard yet.
    if case .invalid(let failure) = refusal, let address {
      if case .unknownIssuer = failure { return }
      charge(.wrongSignature, to: address)
    }
  }

  /// Takes over what changed: the tree, and who is a member.
  mutating func apply(_ change: TrustSet.Change) {
    records.set(change.entries)
    for node in trust.evaluate(change.nodes, at: context.wall) { standingChanged(node) }
    setTrustTimer(change.nodes)
  }

  private mutating func standingChanged(_ node: OriginID) {
    let standing = trust.standing(of: node)
    if case .admitted(let rights) = standing {
      context.admitted?.insert(node)
      if node == origin {
        context.ownCertificate = trust.certificate(of: node, at: context.wall)
        hosting.setRights(rights)
        hosting.readmit()
      }
      if let slot = records.slot(of: node) { setRights(of: node, slot: slot) }
      if let (position, address) = trust.takeAwaited(node), node != origin {
        wantOrAsk(node, position, from: address)
      }
      return
    }
    guard !PlantedBug.isActive(.revocationIgnored) else { return }
    context.admitted?.remove(node)
    guard node != origin else {
      hosting.expel()
      if let refusal { context.emit(.expelled(refusal)) }
      return
    }
    // Before the path is gone: it is to know why.
    tellRefused(node, at: paths.table.bestAddress(of: node))
    for lost in paths.drop(node, &context) { handle(lost) }
    guard records.slot(of: node) != nil else { return }
    _ = members.remove(node)
    forget(node)
  }

  /// Drops what has ended by time, and looks again at all whose time may have come.
  mutating func dropEndedTrust() {
    guard context.admitted != nil else { return }
    var change = trust.dropEnded(at: context.wall)
    change.nodes.formUnion(trust.nodes)
    apply(change)
    view.setRevoked(users: trust.revokedUsers)
    context.setTimer(.trust, after: EngineLimits.trustPeriod)
  }

  // MARK: Comparing

  /// A peer holds something about the membership that is not held here.
  mutating func learn(_ key: [UInt8], _ value: [UInt8], from address: PeerAddress) {
    guard context.admitted != nil else { return }
    var reader = ByteReader(value)
    switch key.first {
    case 1:
      guard let certificate = try? Certificate(from: &reader) else { break }
      return receive(certificate, from: address)
    case 2:
      guard let decree = try? Decree(from: &reader) else { break }
      return receive(decree, from: address)
    default: break
    }
    charge(.wrongAnswer, to: address)
  }

  /// Tells a peer something about the membership that it lacks.
  mutating func tell(_ key: [UInt8], to address: PeerAddress) {
    guard let value = records.replica.entry(key) else { return }
    var reader = ByteReader(value)
    let message: MeshMessage? =
      key.first == 1
      ? (try? Certificate(from: &reader)).map { .certificate($0) }
      : (try? Decree(from: &reader)).map { .decree($0) }
    guard let message, paths.takeAnswer(bytes: value.count, of: address, &context) else { return }
    context.send(.answer(message), to: address)
  }

  // MARK: Reading

  /// How a node stands, for people to look at; `nil`: the mesh is open.
  package func certificate(of node: OriginID) -> Certificate? {
    trust.certificate(of: node, at: context.wall)
  }

  /// What is known of the membership, in the order of what it is about.
  package var decrees: [Decree] { trust.allDecrees }

  /// The nodes of which a certificate is known, in their order.
  package var certifiedNodes: [OriginID] { trust.nodes }
}
