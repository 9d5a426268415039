import MeshCRDT
package import MeshTrust
package import MeshWire

// The mesh key: giving it to members, asking for it, and going over to a new one.

extension Engine {
  /// The keys as they are now, for whoever keeps them.
  package var crypto: any Crypto { context.crypto }

  /// True while this node lacks the mesh key that the others use, as far as it knows.
  package var lacksKey: Bool {
    guard context.admitted != nil else { return false }
    guard let (epoch, decree) = trust.epochs.last else { return context.crypto.newestEpoch == 0 }
    return !isHeld(epoch, decree)
  }

  /// True when the mesh key that a decree names is held.
  func isHeld(_ epoch: UInt32, _ decree: Decree) -> Bool {
    guard case .epoch(_, let check) = decree.subject else { return false }
    return context.crypto.check(ofEpoch: epoch) == check
  }

  /// The epoch to seal under in the end: the highest whose key is held and decreed. A key whose decree was lost, or is
  /// that of an admin who was revoked, opens what others say, and seals nothing while there is another.
  var usableEpoch: UInt32 {
    trust.epochs.last { isHeld($0.epoch, $0.decree) }?.epoch ?? context.crypto.newestEpoch
  }

  /// Handles a datagram about admission. False: it is none.
  mutating func receiveAdmission(_ datagram: [UInt8], from address: PeerAddress) -> Bool {
    guard context.admitted != nil, AdmissionMessage.isOne(datagram, tag: admission.tag) else {
      return false
    }
    context.counters.count(.datagramsReceived)
    context.counters.count(.bytesReceived, datagram.count)
    guard let message = try? AdmissionMessage(datagram) else {
      context.counters.count(.datagramsMalformed)
      return true
    }
    switch message {
    case .hello(let nonce): answerHello(nonce, from: address)
    case .cookie(let cookie, let nonce): hear(cookie: cookie, nonce: nonce, from: address)
    case .request(let cookie, let epoch, let sealed):
      answer(sealed, cookie: cookie, epoch: epoch, from: address)
    case .grant(let sealed): learn(sealed, from: address)
    case .refusal(let sealed): hearRefusal(sealed, from: address)
    }
    return true
  }

  private mutating func send(_ message: AdmissionMessage, to address: PeerAddress?) {
    let bytes = message.encoded(tag: admission.tag)
    context.counters.count(.datagramsSent)
    context.counters.count(.bytesSent, bytes.count)
    admission.send(bytes, to: address)
  }

  // MARK: Giving

  private func cookie(for address: PeerAddress, spansAgo: UInt64 = 0) -> UInt64 {
    let span = context.now.nanoseconds / EngineLimits.tokenSpan.nanoseconds
    return context.crypto.token(
      forAddress: [0] + address.bytes + (span - min(span, spansAgo)).bigEndianBytes)
  }

  private mutating func answerHello(_ nonce: UInt64, from address: PeerAddress) {
    guard context.crypto.newestEpoch > 0, admission.takeCookie(for: address, now: context.now)
    else {
      return context.counters.count(.admissionsWithheld)
    }
    send(.cookie(cookie(for: address), nonce: nonce), to: address)
  }

  private mutating func answer(
    _ sealed: [UInt8], cookie: UInt64, epoch: UInt32, from address: PeerAddress
  ) {
    guard
      cookie == self.cookie(for: address) || cookie == self.cookie(for: address, spansAgo: 1),
      admission.takeRequest(of: address, now: context.now)
    else { return context.counters.count(.admissionsWithheld) }
    guard let bytes = context.crypto.openAdmission(sealed, epoch: epoch),
      let request = try? AdmissionMessage.Request(bytes)
    else { return context.counters.count(.admissionsRefused) }
    let node = request.certificate.node
    let reason = refusal(of: request.certificate)
    guard reason == nil || PlantedBug.isActive(.strangersHeard) else {
      context.counters.count(.admissionsRefused)
      let decree = trust.decrees(about: node, request.certificate).first
      if let reason,
        let sealed = context.crypto.seal(
          AdmissionMessage.Refusal(reason, wall: context.wall, decree: decree).encoded(),
          keyOf: nil, to: node)
      {
        send(.refusal(sealed: sealed), to: address)
      }
      return
    }
    guard
      let (newest, decree) = trust.epochs.last(where: { isHeld($0.epoch, $0.decree) }),
      let sealed = context.crypto.seal(decree.encoded(), keyOf: newest, to: node)
    else { return }
    context.counters.count(.admissionsGranted)
    send(.grant(sealed: sealed), to: address)
  }

  /// Takes in the certificate of whoever asks; why it does not count.
  private mutating func refusal(of certificate: Certificate) -> RefusalReason? {
    // Who was not heard of in time comes by a ticket that is over, or by one of somebody who was put out.
    if !trust.holds(certificate) {
      let tolerance = EngineLimits.clockTolerance.milliseconds
      if certificate.ticket.expires &+ tolerance < context.wall { return .expired }
      if trust.hasRevokedUse(certificate.ticket) { return .revokedTicket }
    }
    do throws(TrustSet.Refusal) {
      let change = try trust.add(
        certificate, at: context.wall, mesh: configuration.mesh.bytes, check: check)
      apply(change)
      spread(certificate, from: nil)
    } catch {
      switch error {
      case .known: break
      case .full: return .full
      case .invalid: return .unknownIssuer
      case .usesExceeded: return .usesExceeded
      case .ended: return certificate.notAfter < context.wall ? .expired : .revokedTicket
      }
    }
    switch trust.standing(of: certificate.node) {
    case .admitted: return nil
    case .refused(let reason): return reason
    case .unknown: return .unknownIssuer
    }
  }

  // MARK: Asking

  /// The nonce of this node's hellos to an address; `nil`: of its hellos to the LAN. A cookie that carries it
  /// answers such a hello.
  private func nonce(for address: PeerAddress?) -> UInt64 {
    context.crypto.token(forAddress: [1] + (address?.bytes ?? []))
  }

  /// Says hello to an address that may have the mesh key; `nil`: to everybody on the LAN.
  ///
  /// - Parameter isRepeated: false: once, since somebody unknown is the reason.
  mutating func askForKey(at address: PeerAddress?, isRepeated: Bool = true) {
    switch admission.ask(address, isRepeated: isRepeated, now: context.now) {
    case .nothing: return
    case .hello: send(.hello(nonce: nonce(for: address)), to: address)
    case .request(let cookie): if let address { request(cookie, at: address) }
    }
    context.counters.count(.keysAskedFor)
    context.setTimer(.admission, after: EngineLimits.helloPause)
  }

  /// Asks again, as long as the key is missing: those that were asked, and somebody with a path.
  mutating func askAgain() {
    let peers = lacksKey ? context.random.sample(paths.table.best.map(\.address), 2) : []
    let asked = admission.takeUnanswered(now: context.now) + peers
    for address in asked { askForKey(at: address) }
    if !asked.isEmpty || lacksKey { context.setTimer(.admission, after: EngineLimits.helloPause) }
  }

  /// A datagram came under an epoch whose key is not held: one that is to be asked for, or one that was retired,
  /// and whoever uses it is to ask.
  mutating func hearUnknownEpoch(_ epoch: UInt32, from address: PeerAddress) {
    guard context.admitted != nil else { return }
    if epoch > context.crypto.newestEpoch {
      if admission.takeHint(from: address, now: context.now) {
        askForKey(at: address, isRepeated: false)
      }
    } else {
      answerHello(0, from: address)
    }
  }

  private mutating func hear(cookie: UInt64, nonce: UInt64, from address: PeerAddress) {
    if nonce == self.nonce(for: address),
      admission.note(cookie: cookie, from: address, now: context.now)
    {
      return request(cookie, at: address)
    }
    // One that answers a hello to all is asked by itself; one that nobody asked for says that what this node says
    // cannot be opened there.
    let isAnswer = nonce == self.nonce(for: nil) && admission.isAskingAll(now: context.now)
    if isAnswer || admission.takeHint(from: address, now: context.now) {
      askForKey(at: address, isRepeated: false)
    }
  }

  private mutating func request(_ cookie: UInt64, at address: PeerAddress) {
    guard let certificate = context.ownCertificate, let (epoch, key) = admissionKey,
      let sealed = context.crypto.seal(
        AdmissionMessage.Request(wall: context.wall, certificate: certificate).encoded(),
        toAdmissionKey: key)
    else { return }
    send(.request(cookie: cookie, epoch: epoch, sealed: sealed), to: address)
  }

  /// The admission key that members can open: of the newest epoch that is known here.
  private var admissionKey: (epoch: UInt32, key: [UInt8])? {
    let newest = context.crypto.newestEpoch
    if let key = context.crypto.admissionKey(epoch: newest) { return (newest, key) }
    return configuration.trust?.admission.map { ($0.epoch, $0.key) }
  }

  private mutating func learn(_ sealed: [UInt8], from address: PeerAddress) {
    guard admission.isAwaited(address, now: context.now) else { return }
    var heard: Decree?
    let newest = context.crypto.newestEpoch
    // Not an older one than the ticket was made in.
    let least = configuration.trust?.admission?.epoch ?? 0
    let learned = context.crypto.learning(sealed) { bytes in
      var reader = ByteReader(bytes)
      guard let decree = try? Decree(from: &reader),
        case .epoch(let epoch, let check) = decree.subject,
        epoch > newest, epoch >= least
      else { return nil }
      heard = decree
      return (epoch, check)
    }
    guard let learned, let decree = heard, case .epoch(let epoch, _) = decree.subject else {
      return
    }
    // Signed by who may, or known to be.
    receive(decree, from: nil)
    guard trust.epochs.contains(where: { $0.decree == decree }) else { return }
    begin(learned, epoch)
    admission.end()
    context.emit(.admitted(epoch))
  }

  private mutating func hearRefusal(_ sealed: [UInt8], from address: PeerAddress) {
    guard admission.isAwaited(address, now: context.now),
      let bytes = context.crypto.openSealed(sealed),
      let refusal = try? AdmissionMessage.Refusal(bytes)
    else { return }
    // What a decree says is so; the rest is a hint, to who has nothing to go by.
    if let decree = refusal.decree { receive(decree, from: nil) }
    guard context.crypto.newestEpoch == 0, admission.refusals[address] != refusal.reason else {
      return
    }
    admission.note(refusal.reason, from: address)
    context.emit(.admissionRefused(refusal.reason, at: address))
  }

  // MARK: Epochs

  /// Begins a new epoch of the mesh key: who is no member any more does not get it.
  ///
  /// - Throws: ``OperationError/notAdmin``; then nothing changed.
  package mutating func rotate(now: MonotonicTime) throws(OperationError) {
    recording?.note(.rotate(now: now))
    tick(now: now)
    guard let link = adminLink else { throw .notAdmin }
    let highest = max(context.crypto.newestEpoch, trust.epochs.last?.epoch ?? 0)
    // Two that rotate at once begin epochs that differ: the higher one is used, and both can be opened.
    let step = EngineLimits.epochStep
    let epoch =
      (min(highest, .max - 2 * step) / step + 1) * step + UInt32(context.random.below(Int(step)))
    let (crypto, check) = context.crypto.beginning(epoch: epoch)
    let decree = Decree(
      .epoch(epoch, check: check), signer: origin, link: link, issuedAt: context.wall,
      until: context.wall + EngineLimits.decreeLifetime.milliseconds,
      mesh: configuration.mesh.bytes, sign: context.crypto.sign)
    // Others go over to a key whose decree they hold, and this node does so before.
    guard let decree, add(decree) != nil, trust.epochs.contains(where: { $0.decree == decree })
    else { throw .notAdmin }
    begin(crypto, epoch)
    spread(decree, from: nil)
    tick(now: now)
  }

  /// Signs a decree as an admin, and says it to all.
  ///
  /// - Throws: ``OperationError/notAdmin``; then nothing changed.
  package mutating func decree(
    _ subject: Decree.Subject, until: UInt64, now: MonotonicTime
  ) throws(OperationError) {
    guard let link = adminLink,
      let decree = Decree(
        subject, signer: origin, link: link, issuedAt: context.wall, until: until,
        mesh: configuration.mesh.bytes, sign: context.crypto.sign)
    else { throw .notAdmin }
    publish(decree, now: now)
  }

  /// What makes this node an admin; `nil`: it is none.
  private var adminLink: CertificateLink? {
    guard refusal == nil, let certificate = context.ownCertificate, certificate.issuer == nil,
      certificate.rights.role == .admin
    else { return nil }
    return certificate.link
  }

  /// Goes on with a new mesh key: at once if there was none, else when all may have it.
  private mutating func begin(_ crypto: any Crypto, _ epoch: UInt32) {
    let isFirst = context.crypto.newestEpoch == 0
    context.setCrypto(crypto)
    keysChanged = true
    if isFirst {
      context.sealingEpoch = epoch
      paths.restart(&context)
    }
    context.setTimer(.epoch, after: EngineLimits.epochDelay)
  }

  /// Seals with the newest key from now on, and opens older ones for a while.
  mutating func goOverToNewestEpoch() {
    guard context.admitted != nil, context.crypto.newestEpoch > 0 else { return }
    let epoch = usableEpoch
    if context.sealingEpoch != epoch {
      context.sealingEpoch = epoch
      context.setTimer(.epoch, after: EngineLimits.epochOverlap)
    } else if context.crypto.epochs[0] < epoch {
      context.setCrypto(context.crypto.retiring(below: epoch))
      keysChanged = true
    }
  }
}
