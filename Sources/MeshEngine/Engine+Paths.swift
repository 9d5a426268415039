import MeshCRDT
import MeshTrust
import MeshWire

// An address is heard when it echoes the token that this node made for it: the return path works
// and the words are of this life. Three datagrams make a path both ways:
//
//   A → B  challenge(a)                       no state at B
//   B → A  proof(echo a, token b, wants proof) signed; A has a path to B
//   A → B  proof(echo b, token a)              signed; B has a path to A
//
// What comes from an address without its echo is answered with a challenge (or, if it is one, with a
// proof), which is never longer than three times what came, and leaves no state.

extension Engine {
  /// Reads and opens a datagram and finds out whether its path is proven.
  mutating func open(_ datagram: [UInt8], from address: PeerAddress) {
    let outer: OuterHeader
    do { outer = try OuterHeader.read(datagram) } catch {
      return counters.count(.datagramsMalformed)
    }
    guard outer.tag == meshTag else { return counters.count(.datagramsForeign) }
    guard let inner = crypto.open(datagram, epoch: outer.epoch) else {
      return counters.count(.datagramsForged)
    }
    var reader = ByteReader(inner)
    guard let header = try? InnerHeader.read(&reader) else {
      return counters.count(.datagramsMalformed)
    }
    // What this node said itself, by way of multicast or an echo, is no news to it.
    if header.sender == origin && header.generation == generation {
      return counters.count(.datagramsOwn)
    }
    let known = paths.index(forKey: address)
    let ownToken =
      known.map { paths.values[$0].ownToken } ?? crypto.token(forAddress: address.bytes)
    guard header.echo == ownToken || PlantedBug.isActive(.pathNotChallenged) else {
      return hearUnproven(&reader, header, from: address, bytes: datagram.count)
    }
    if DatagramLayout.beginsWithProof(reader) {
      return hearProof(&reader, header, from: address)
    }
    guard let known else { return askForProof(header, from: address, bytes: datagram.count) }
    let life = paths.values[known].life
    guard life.origin == header.sender, life.generation == header.generation,
      life.covers(header.counter)
    else { return askForProof(header, from: address, bytes: datagram.count) }
    guard isFirst(header.counter, of: life) else {
      return counters.count(.datagramsReplayed)
    }
    counters.count(.datagramsAccepted)
    paths.values[known].heardAt = lastNow
    noteHeard()
    handleAll(&reader, from: address)
  }

  private mutating func handleAll(_ reader: inout ByteReader, from address: PeerAddress) {
    while !reader.isAtEnd {
      do {
        guard let message = try Message.read(&reader) else {
          counters.count(.messagesUnknown)
          continue
        }
        handle(message, from: address)
      } catch { return counters.count(.messagesMalformed) }
    }
  }

  private mutating func handle(_ message: Message, from address: PeerAddress) {
    switch message {
    // The path is proven: nothing is left to ask. A proof stands at the beginning, or nowhere.
    case .challenge, .proof: break
    case .batch(let envelope): hear(batch: envelope, from: address)
    case .head(let age, let envelope): hear(head: envelope, age: age, from: address)
    case .frame(let envelope): hear(frame: envelope, from: address)
    case .digest(let nonce, let digest): hear(digest, nonce: nonce, from: address)
    case .entries(let entries): hear(entries, from: address)
    case .pull(let pull): answer(pull, to: address)
    case .pullEnd(let end): hear(end, from: address)
    case .manifestRequest(let request): answer(request, to: address)
    case .manifest(let manifest): hear(manifest, from: address)
    case .fetch(let nonce, let room): answerFetch(room, nonce: nonce, to: address)
    case .headQuery(let known): answer(known, to: address)
    case .introduction(let introductions): hear(introductions)
    case .prune(let origins): hearPrune(origins, from: address)
    }
  }

  /// Proves every path anew, after the generation has risen.
  mutating func proveAllPaths() {
    for (address, path) in paths.sorted(by: { $0.key < $1.key }) {
      send(proof(echo: path.token, to: address, wantsProof: false), to: address)
    }
  }

  /// Answers an address that has not proven its return path, without keeping anything of it.
  private mutating func hearUnproven(
    _ reader: inout ByteReader, _ header: InnerHeader, from address: PeerAddress, bytes: Int
  ) {
    counters.count(.datagramsUnproven)
    let first: Message?
    do { first = try Message.read(&reader) } catch { return counters.count(.messagesMalformed) }
    // An announcement of somebody who is known.
    if case .challenge(0) = first, paths[address]?.life.origin == header.sender { return }
    guard challengeBudget.take(now: now) else { return counters.count(.challengesWithheld) }
    if case .challenge(let token) = first, token != 0 {
      let knowsIt = paths[address].map { $0.token == token } ?? false
      let proof = proof(echo: token, to: address, wantsProof: !knowsIt)
      answer(proof, echo: token, to: address, bytesReceived: bytes)
    } else {
      let token = crypto.token(forAddress: address.bytes)
      answer(.challenge(token: token), echo: 0, to: address, bytesReceived: bytes)
    }
  }

  private mutating func answer(
    _ message: Message, echo: UInt64, to address: PeerAddress, bytesReceived: Int
  ) {
    let encoded = message.encoded()
    guard
      encoded.count + DatagramLayout.overheadBytes <= Limits.amplificationFactor * bytesReceived
    else { return counters.count(.challengesWithheld) }
    counters.count(.challengesSent)
    for _ in 0..<(PlantedBug.isActive(.amplificationUnbounded) ? 12 : 1) {
      outbox.append(single: encoded, echo: echo, to: address)
    }
  }

  private func proof(echo: UInt64, to address: PeerAddress, wantsProof: Bool) -> Message {
    let body = ProofBody(
      generation: generation, life: life, echo: echo,
      token: crypto.token(forAddress: address.bytes),
      wantsProof: wantsProof)
    var writer = ByteWriter(reserving: 32)
    body.write(to: &writer)
    return .proof(verifier.sign(body, bytes: writer.bytes).envelope)
  }

  /// What comes with the right echo, but not on a path of that life of its sender: a proof is wanted.
  private mutating func askForProof(
    _ header: InnerHeader, from address: PeerAddress, bytes: Int
  ) {
    counters.count(.datagramsUnproven)
    guard challengeBudget.take(now: now) else { return counters.count(.challengesWithheld) }
    let token = crypto.token(forAddress: address.bytes)
    answer(.challenge(token: token), echo: 0, to: address, bytesReceived: bytes)
  }

  /// Hears a datagram that begins with a proof: it makes a path, or renews it.
  private mutating func hearProof(
    _ reader: inout ByteReader, _ header: InnerHeader, from address: PeerAddress
  ) {
    guard case .proof(let envelope) = try? Message.read(&reader) else {
      return counters.count(.messagesMalformed)
    }
    var bodyReader = envelope.body
    guard let body = try? ProofBody.read(&bodyReader) else {
      return counters.count(.messagesMalformed)
    }
    let life = Life(
      origin: header.sender, generation: header.generation, number: body.life)
    if let window = windows[life], !window.isNew(header.counter) {
      return counters.count(.datagramsReplayed)
    }
    counters.count(.signaturesVerified)
    guard envelope.origin == header.sender, body.generation == header.generation,
      life.covers(header.counter),
      body.echo == crypto.token(forAddress: address.bytes)
        || PlantedBug.isActive(.pathNotChallenged),
      (try? verifier.verify(envelope, as: ProofBody.self)) != nil
    else { return counters.count(.proofsRefused) }
    if life.origin == origin { return hearOwnWord(generation: body.generation) }
    guard isFirst(header.counter, of: life) else { return counters.count(.datagramsReplayed) }
    counters.count(.datagramsAccepted)
    adopt(life, token: body.token, at: address, wantsProof: body.wantsProof)
    handleAll(&reader, from: address)
  }

  /// True when a datagram of a life whose path is proven is heard for the first time.
  private mutating func isFirst(_ counter: UInt64, of life: Life) -> Bool {
    if windows[life] == nil && windows.count >= PathLimits.windows {
      let alive = Set(paths.values.map(\.life))
      windows = windows.filter { alive.contains($0.key) }
    }
    return windows[life, default: ReplayWindow()].accept(counter)
  }

  private mutating func adopt(
    _ life: Life, token: UInt64, at address: PeerAddress, wantsProof: Bool
  ) {
    let isKnown = paths[address]?.life == life
    if paths[address] == nil && paths.count >= PathLimits.paths {
      let oldest = paths.values.min { ($0.heardAt, $0.address) < ($1.heardAt, $1.address) }
      if let oldest { drop(oldest) }
      counters.count(.pathsDropped)
    }
    if let old = paths[address], old.life.origin != life.origin { drop(old) }
    if isKnown {
      paths[address]?.heardAt = lastNow
      paths[address]?.token = token
    } else {
      paths[address] = Path(
        address: address, life: life, token: token,
        ownToken: crypto.token(forAddress: address.bytes), heardAt: now,
        isCut: paths[address]?.isCut ?? false,
        budget: configuration.peerRate.map { Budget(bytesPerSecond: $0, now: now) })
    }
    if !isReachedElsewhere(life, than: address) {
      pathOf[life.origin] = address
      note(address, of: life.origin)
    }
    noteHeard()
    timers.set(.path(address), at: now + configuration.pathTimeout)
    if let contact = contacts[address], !contact.isConfigured { contacts[address] = nil }
    if wantsProof {
      send(proof(echo: token, to: address, wantsProof: false), to: address)
    }
    if !isKnown { greet(address) }
  }

  /// True when the same life was heard lately by another way: with two ways, the first one stays.
  private func isReachedElsewhere(_ life: Life, than address: PeerAddress) -> Bool {
    guard let other = pathOf[life.origin], other != address, let path = paths[other],
      path.life == life
    else { return false }
    return now.since(path.heardAt) < headPeriod.scaled(3, over: 2)
  }

  /// The first words on a new path: a sign of life, what is held, and who else is there.
  private mutating func greet(_ address: PeerAddress) {
    if let lastHead {
      send(.head(ageMilliseconds: now.since(lastHeadAt).milliseconds, lastHead), to: address)
    }
    // In the middle of pulling, much differs that will not differ soon.
    if !isLarge || pulls.isEmpty { probe(address) }
    introduce(to: address)
    fetchWaiting(from: address)
  }

  /// Tells a few other nodes' addresses.
  mutating func introduce(to address: PeerAddress) {
    guard let peer = paths[address]?.life.origin else { return }
    let others = pathOf.filter { $0.key != peer && $0.value.zone == 0 }.sorted { $0.key < $1.key }
    let chosen = random.sample(others, Int(Introduction.bound))
    guard !chosen.isEmpty else { return }
    send(
      .introduction(
        chosen.map {
          Introduction(
            origin: $0.key, addressHigh: $0.value.high, addressLow: $0.value.low,
            port: $0.value.port)
        }), to: address)
  }

  /// Tells where an origin was heard last.
  mutating func introduce(_ other: OriginID, to address: PeerAddress) {
    guard let known = book[other], known.zone == 0, paths[address]?.life.origin != other else {
      return
    }
    send(
      .introduction([
        Introduction(
          origin: other, addressHigh: known.high, addressLow: known.low, port: known.port)
      ]), to: address)
  }

  mutating func hear(_ introductions: [Introduction]) {
    for hint in introductions where hint.origin != origin && pathOf[hint.origin] == nil {
      let address = PeerAddress(high: hint.addressHigh, low: hint.addressLow, port: hint.port)
      note(address, of: hint.origin)
      // In a big mesh some are enough.
      guard isWanted(hint.origin) || pathOf.count < 2 * 2 * configuration.rings else { continue }
      contact(address, isConfigured: false)
    }
  }

  /// Remembers where an origin was heard last, by whomever.
  private mutating func note(_ address: PeerAddress, of origin: OriginID) {
    if book[origin] != nil || book.count < Limits.origins { book[origin] = address }
  }

  mutating func send(_ message: Message, to address: PeerAddress, isAnswer: Bool = false) {
    outbox.append(message.encoded(), to: address, isAnswer: isAnswer, now: now)
  }
}

// MARK: - Contacts

extension Engine {
  /// Begins to try an address.
  mutating func contact(_ address: PeerAddress, isConfigured: Bool) {
    if var known = contacts[address] {
      known.isConfigured = known.isConfigured || isConfigured
      contacts[address] = known
      return
    }
    guard address.port != 0, contacts.count < PathLimits.contacts else {
      return counters.count(.originsRefused)
    }
    contacts[address] = Contact(
      isConfigured: isConfigured, triesLeft: PathLimits.triesOfHearsay)
    timers.set(.contact(address), at: now)
  }

  mutating func tryContact(_ address: PeerAddress) {
    guard var contact = contacts[address] else { return }
    if paths[address] != nil {
      contact.tries = 0
      if isConnected() {
        contacts[address] = contact
        return timers.set(.contact(address), at: now + random.jittered(PathLimits.idleRetry))
      }
    } else {
      guard contact.isConfigured || contact.triesLeft > 0 else {
        contacts[address] = nil
        return
      }
      contact.tries += 1
      contact.triesLeft -= 1
      let token = crypto.token(forAddress: address.bytes)
      counters.count(.challengesSent)
      outbox.append(
        single: Message.challenge(token: token).encoded(), echo: 0, to: address)
    }
    contacts[address] = contact
    let wait = Span.milliseconds(250 << UInt64(min(contact.tries, 10)))
    let longest =
      isConnected() && contact.isConfigured ? PathLimits.idleRetry : configuration.retryPeriod
    timers.set(.contact(address), at: now + random.jittered(min(wait, longest)))
  }

  /// Drops a path that was silent too long, and goes on trying its address.
  mutating func judgePath(_ address: PeerAddress) {
    guard let path = paths[address] else { return }
    let due = path.heardAt + silence(of: path)
    guard due <= now else { return timers.set(.path(address), at: due) }
    drop(path)
    // Its node is reached by another way.
    if pathOf[path.life.origin] != nil && contacts[address]?.isConfigured != true { return }
    let isConfigured = contacts[address]?.isConfigured ?? false
    if isConnected() && !isWanted(path.life.origin) {
      if isConfigured {
        timers.set(.contact(address), at: now + random.jittered(PathLimits.idleRetry))
      }
      return
    }
    guard contacts.count < PathLimits.contacts || isConfigured else { return }
    contacts[address] = Contact(
      isConfigured: isConfigured, triesLeft: PathLimits.triesOfLost)
    timers.set(.contact(address), at: now)
  }

  /// How long a path may be silent: longer than its node's heads are apart.
  private func silence(of path: Path) -> Span {
    guard let slot = state.slot(of: path.life.origin) else { return configuration.pathTimeout }
    return max(configuration.pathTimeout, liveness[slot].period.scaled(3, over: 1))
  }

  private mutating func drop(_ path: Path) {
    paths[path.address] = nil
    outbox.forget(path.address)
    for slot in liveness.indices
    where path.isCut && !PlantedBug.isActive(.prunedNeverGrafted) {
      liveness[slot].pruned.removeAll { $0 == path.address }
      liveness[slot].cut.removeAll { $0 == path.address }
    }
    guard pathOf[path.life.origin] == path.address else { return }
    let others = paths.values.filter { $0.life.origin == path.life.origin }
    pathOf[path.life.origin] =
      others.max { ($0.heardAt, $0.address) < ($1.heardAt, $1.address) }?.address
  }

  /// Addresses worth remembering for the next start: those with a path, then the configured ones.
  package var knownAddresses: [PeerAddress] {
    let proven = paths.keys.sorted()
    let configured = contacts.filter { $0.value.isConfigured && paths[$0.key] == nil }
    return proven + configured.keys.sorted()
  }
}
