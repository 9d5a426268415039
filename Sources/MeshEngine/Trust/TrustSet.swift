import MeshCRDT
import MeshWire

/// What makes an origin's words count in a closed mesh.
enum TrustStanding: Hashable, Sendable {
  case admitted(Rights)
  /// No certificate of it is known.
  case unknown
  case refused(RefusalReason)
}

/// The certificates and decrees of a closed mesh: a set that all members come to hold alike.
///
/// Of a node and a ticket the certificate with the earliest binding is kept, of a ticket as many as it has
/// uses, the earliest ones; of what one signer says about a subject the newest decree. So sets that received
/// the same are equal, in whatever order it came. What counts follows from the set and from wall time; nothing is taken back but by time.
///
/// Bounds: ``certificateBound`` certificates, ``decreeBound`` decrees. More are refused.
struct TrustSet: Sendable {
  /// A place in the tree of the replica, and what stands there from now on.
  typealias Entry = (key: [UInt8], value: [UInt8]?)

  /// What something new did.
  struct Change: Sendable {
    var entries: [Entry] = []
    /// Nodes whose standing may be another one now.
    var nodes: Set<OriginID> = []
    var isNews: Bool { !entries.isEmpty }
  }

  /// The identity of a ticket: its signature. Its key will not do, since the issuer chooses that.
  private typealias TicketID = [UInt8]

  private struct Use: Hashable, Comparable, Sendable {
    let boundAt: UInt64
    let node: OriginID
    /// When the chain ends: of several to one issuer the longest is kept.
    let notAfter: UInt64
    let bytes: [UInt8]

    static func < (left: Self, right: Self) -> Bool {
      if left.boundAt != right.boundAt { return left.boundAt < right.boundAt }
      if left.node != right.node { return left.node < right.node }
      if left.notAfter != right.notAfter { return left.notAfter > right.notAfter }
      return left.bytes.lexicographicallyPrecedes(right.bytes)
    }
  }

  static let certificateBound = Limits.origins + 1024
  static let decreeBound = 4096
  /// Of one admin.
  static let decreesPerAdmin = 256
  /// The most certificates of a ticket without a bound of its own.
  static let usesBound = 1024
  /// Epochs whose decrees are kept: the highest ones.
  static let epochBound = 4

  /// `nil`: the mesh is open, and nothing is taken in.
  private let root: OriginID?
  /// By ticket, in the order of their binding.
  private var uses: [TicketID: [Use]] = [:]
  private var certificates: [OriginID: [Certificate]] = [:]
  private var certificateCount = 0
  /// By subject and signer.
  private var decrees: [[UInt8]: [OriginID: Decree]] = [:]
  private var decreeCount = 0
  private var standings: [OriginID: TrustStanding] = [:]
  /// The wall clock when standings were evaluated last.
  private var lastWall: UInt64 = 0
  private var rates: [OriginID: (quota: UInt64, budget: Budget)] = [:]
  /// Origins that a peer holds, and of which no certificate has come yet.
  private var awaited: [OriginID: (position: Checkpoint.Position, address: PeerAddress)] = [:]

  init(root: OriginID?) { self.root = root }

  /// Notes that a peer holds an origin whose certificate is missing.
  mutating func wait(
    for origin: OriginID, _ position: Checkpoint.Position, from address: PeerAddress
  ) {
    if awaited.count >= Limits.origins { awaited = [:] }
    awaited[origin] = (position, address)
  }

  /// Takes who has an origin that was waited for.
  mutating func takeAwaited(
    _ origin: OriginID
  ) -> (position: Checkpoint.Position, address: PeerAddress)? {
    awaited.removeValue(forKey: origin)
  }

  // MARK: Reading

  func standing(of node: OriginID) -> TrustStanding { standings[node] ?? .unknown }

  /// The nodes of which a certificate is known, in their order.
  var nodes: [OriginID] { certificates.keys.sorted() }

  /// The certificate that counts of a node; `nil`: none does.
  func certificate(of node: OriginID, at wall: UInt64) -> Certificate? {
    certificates[node]?.filter { refusal(of: $0, at: wall) == nil }
      .max { ($0.notAfter, $1.ticket.key) < ($1.notAfter, $0.ticket.key) }
  }

  /// All certificates of a node.
  func certificates(of node: OriginID) -> [Certificate] { certificates[node] ?? [] }

  /// All decrees, in the order of their keys.
  var allDecrees: [Decree] {
    decrees.values.flatMap(\.values).sorted { $0.key.lexicographicallyPrecedes($1.key) }
  }

  /// True when a decree is held.
  func holds(_ decree: Decree) -> Bool { decrees[decree.subject.key]?[decree.signer] == decree }

  /// The decrees by which a node's certificates do not count.
  func decrees(about node: OriginID, _ shown: Certificate? = nil) -> [Decree] {
    var subjects: [Decree.Subject] = [.revokedNode(node)]
    for certificate in certificates(of: node) + (shown.map { [$0] } ?? []) {
      subjects.append(.revokedTicket(certificate.ticket.key))
      if certificate.issuer != nil { subjects.append(.revokedNode(certificate.ticket.issuer)) }
    }
    return subjects.compactMap { decree($0) }
  }

  /// The certificates by a ticket, in the order of their binding.
  func certificates(by ticket: Ticket) -> [Certificate] {
    (uses[ticket.signature] ?? []).compactMap { use in
      certificates[use.node]?.first { $0.ticket.signature == ticket.signature }
    }
  }

  /// True when a certificate is held.
  func holds(_ certificate: Certificate) -> Bool {
    certificates(of: certificate.node).contains {
      $0.ticket.signature == certificate.ticket.signature
    }
  }

  /// True when somebody who came by a ticket was revoked: nobody else comes by it.
  func hasRevokedUse(_ ticket: Ticket) -> Bool {
    (uses[ticket.signature] ?? []).contains {
      isRevoked(.revokedNode($0.node), role: ticket.rights.role)
    }
  }

  /// True for an authority of the mesh.
  func isAuthority(_ key: OriginID) -> Bool {
    key == root || isDecreed(.authority(key))
  }

  /// The users that were revoked.
  var revokedUsers: [String] {
    decrees.values.flatMap(\.values).compactMap { decree in
      if case .revokedUser(let user) = decree.subject, counts(decree), !hasEnded(decree) {
        user
      } else {
        nil
      }
    }
  }

  /// The epochs that were decreed, the highest last.
  var epochs: [(epoch: UInt32, decree: Decree)] {
    epochDecrees.filter { counts($0.decree) }
  }

  private var epochDecrees: [(epoch: UInt32, decree: Decree)] {
    decrees.values.flatMap(\.values).compactMap { decree in
      if case .epoch(let epoch, _) = decree.subject { (epoch, decree) } else { nil }
    }.sorted {
      $0.epoch == $1.epoch ? $0.decree.signer < $1.decree.signer : $0.epoch < $1.epoch
    }
  }

  /// The number of certificates and decrees.
  var count: (certificates: Int, decrees: Int) { (certificateCount, decreeCount) }

  // MARK: Quotas

  private func quotas(of node: OriginID) -> Quotas {
    if case .admitted(let rights) = standing(of: node) { rights.quotas } else { .none }
  }

  /// How much an origin may be; `nil`: as much as any.
  func bounds(of node: OriginID) -> OriginBounds? {
    let quotas = quotas(of: node)
    return quotas == .none ? nil : OriginBounds(quotas)
  }

  /// Takes bytes that an origin said. False when that is more than its quota.
  mutating func take(bytes: Int, of node: OriginID, now: MonotonicTime) -> Bool {
    let quota = quotas(of: node).bytesPerSecond
    guard quota > 0 else { return true }
    if rates[node]?.quota != quota {
      if rates.count >= Limits.origins { rates = [:] }
      rates[node] = (quota, Budget(perSecond: quota, burst: max(quota, 4800), now: now))
    }
    guard rates[node]?.budget.wait(for: UInt64(clamping: bytes), now: now) == nil else {
      return false
    }
    rates[node]?.budget.spend(UInt64(clamping: bytes))
    return true
  }

  // MARK: What counts

  /// A decree about a subject that counts; one of an authority, if there is one.
  private func decree(_ subject: Decree.Subject) -> Decree? {
    let all = (decrees[subject.key] ?? [:]).values.filter { counts($0) && !hasEnded($0) }
    return all.min { ($0.link == nil ? 0 : 1, $0.signer) < ($1.link == nil ? 0 : 1, $1.signer) }
  }

  private func isDecreed(_ subject: Decree.Subject) -> Bool { decree(subject) != nil }

  private func hasEnded(_ decree: Decree) -> Bool {
    decree.until &+ EngineLimits.clockTolerance.milliseconds < lastWall
  }

  /// True unless whoever signed the decree was revoked.
  private func counts(_ decree: Decree) -> Bool {
    decree.link.map { !isRevoked(admin: decree.signer, by: $0) } ?? true
  }

  /// True when an admin was revoked, which authorities alone can do.
  private func isRevoked(admin: OriginID, by link: CertificateLink) -> Bool {
    [Decree.Subject.revokedNode(admin), .revokedTicket(link.ticket.key)].contains {
      decrees[$0.key]?.values.contains { $0.link == nil } ?? false
    }
  }

  /// True when a node or a ticket was revoked by somebody who may do that.
  private func isRevoked(_ subject: Decree.Subject, role: Role) -> Bool {
    guard let decree = decree(subject) else { return false }
    return role < .admin || decree.link == nil
  }

  private func refusal(of certificate: Certificate, at wall: UInt64) -> RefusalReason? {
    let role = certificate.rights.role
    if isRevoked(.revokedNode(certificate.node), role: role) { return .revokedNode }
    if isRevoked(.revokedTicket(certificate.ticket.key), role: role) { return .revokedTicket }
    if let issuer = certificate.issuer, isRevoked(admin: certificate.ticket.issuer, by: issuer) {
      return .revokedNode
    }
    if certificate.notAfter &+ EngineLimits.clockTolerance.milliseconds < wall { return .expired }
    if certificate.link.boundAt > wall &+ EngineLimits.clockTolerance.milliseconds {
      return .notYetValid
    }
    return nil
  }

  /// Finds out what counts of some nodes. Returns those whose standing changed.
  mutating func evaluate(_ nodes: some Sequence<OriginID>, at wall: UInt64) -> [OriginID] {
    lastWall = wall
    var changed: [OriginID] = []
    for node in Set(nodes).sorted() {
      let standing = evaluated(node, at: wall)
      guard standing != self.standing(of: node) else { continue }
      standings[node] = standing == .unknown ? nil : standing
      changed.append(node)
    }
    return changed
  }

  private func evaluated(_ node: OriginID, at wall: UInt64) -> TrustStanding {
    if let certificate = certificate(of: node, at: wall) { return .admitted(certificate.rights) }
    guard let first = certificates[node]?.first, let refusal = refusal(of: first, at: wall) else {
      return .unknown
    }
    return .refused(refusal)
  }

  /// When the standing of some of the nodes may change by time alone.
  func nextChange(of nodes: some Sequence<OriginID>, after wall: UInt64) -> UInt64? {
    let tolerance = EngineLimits.clockTolerance.milliseconds
    var next: UInt64?
    for certificate in nodes.lazy.flatMap({ self.certificates(of: $0) }) {
      let begin = certificate.link.boundAt - min(tolerance, certificate.link.boundAt)
      for time in [begin, certificate.notAfter &+ tolerance &+ 1] where time > wall {
        next = min(next ?? time, time)
      }
    }
    for decree in decrees.values.flatMap(\.values) where decree.until &+ tolerance &+ 1 > wall {
      next = min(next ?? .max, decree.until &+ tolerance &+ 1)
    }
    return next
  }
}

// MARK: - Taking in

extension TrustSet {
  /// Why something is not taken in.
  enum Refusal: Error, Hashable, Sendable {
    /// The set holds it already, or something that takes its place.
    case known
    case full
    /// Nobody could believe it.
    case invalid(Certificate.Failure)
    /// Its ticket was used by as many others before.
    case usesExceeded
    /// It does not count, and will not.
    case ended
  }

  /// Takes in a certificate. Cost: up to four signatures, when it is news.
  mutating func add(
    _ certificate: Certificate, at wall: UInt64, mesh: [UInt8], check: SignatureCheck
  ) throws(Refusal) -> Change {
    let (node, ticket) = (certificate.node, certificate.ticket)
    let use = Use(
      boundAt: certificate.link.boundAt, node: node, notAfter: certificate.notAfter,
      bytes: certificate.encoded())
    var held = uses[ticket.signature] ?? []
    let old = held.firstIndex { $0.node == node }
    if let old {
      guard use < held[old] else { throw .known }
      held.remove(at: old)
    }
    guard certificate.notAfter &+ EngineLimits.endedKept.milliseconds >= wall,
      !isRevoked(.revokedTicket(ticket.key), role: ticket.rights.role)
    else { throw .ended }
    let bound = ticket.uses == 0 ? Self.usesBound : min(Int(clamping: ticket.uses), Self.usesBound)
    let place = held.firstIndex { use < $0 } ?? held.count
    guard place < bound else { throw .usesExceeded }
    guard old != nil || certificateCount < Self.certificateBound else { throw .full }
    do throws(Certificate.Failure) {
      try certificate.verify(mesh: mesh, isAuthority: isAuthority, check: check)
    } catch { throw .invalid(error) }
    held.insert(use, at: place)
    var change = Change()
    if old != nil { remove(node, ticket.signature) }
    if held.count > bound, let last = held.popLast() {
      remove(last.node, ticket.signature)
      change.entries.append((Self.key(last.node, ticket.signature), nil))
      change.nodes.insert(last.node)
    }
    uses[ticket.signature] = held
    certificates[node, default: []].append(certificate)
    certificateCount += 1
    change.entries.append((Self.key(node, ticket.signature), use.bytes))
    change.nodes.insert(node)
    return change
  }

  private mutating func remove(_ node: OriginID, _ ticket: TicketID) {
    guard var held = certificates[node],
      let index = held.firstIndex(where: { $0.ticket.signature == ticket })
    else { return }
    held.remove(at: index)
    certificates[node] = held.isEmpty ? nil : held
    certificateCount -= 1
  }

  /// Where a certificate stands in the tree of the replica.
  private static func key(_ node: OriginID, _ ticket: TicketID) -> [UInt8] {
    Certificate.key(of: node) + ticket
  }

  /// Takes in a decree. Cost: up to three signatures, when it is news.
  mutating func add(
    _ decree: Decree, at wall: UInt64, mesh: [UInt8], check: SignatureCheck
  ) throws(Refusal) -> Change {
    let key = decree.subject.key
    let known = decrees[key]?[decree.signer]
    if let known {
      guard
        known.issuedAt < decree.issuedAt
          || known.issuedAt == decree.issuedAt
            && known.encoded().lexicographicallyPrecedes(decree.encoded())
      else { throw .known }
    } else if decree.link != nil {
      let own = decrees.values.reduce(0) { $0 + ($1[decree.signer] == nil ? 0 : 1) }
      guard own < Self.decreesPerAdmin else { throw .full }
    } else {
      guard decreeCount < Self.decreeBound else { throw .full }
    }
    guard decree.until &+ EngineLimits.endedKept.milliseconds >= wall, counts(decree) else {
      throw .ended
    }
    if case .epoch(let epoch, _) = decree.subject, known == nil {
      let others = epochDecrees
      guard
        others.count < Self.epochBound
          || (others[0].epoch, others[0].decree.signer) < (epoch, decree.signer)
      else { throw .ended }
    }
    do throws(Certificate.Failure) {
      try decree.verify(mesh: mesh, isAuthority: isAuthority, check: check)
    } catch { throw .invalid(error) }
    if decrees[key, default: [:]].updateValue(decree, forKey: decree.signer) == nil {
      decreeCount += 1
    }
    var change = Change(entries: [(decree.key, decree.encoded())])
    switch decree.subject {
    case .revokedTicket(let ticket):
      // What it admitted does not count any more, and takes no room.
      dropAll(of: ticket, &change)
      change.nodes.formUnion(nodes(cameBy: ticket))
    case .revokedNode(let node): change.nodes.formUnion(nodes(dependingOn: node))
    case .authority: change.nodes.formUnion(certificates.keys)
    case .epoch, .revokedUser: break
    }
    // What admins said who were revoked takes nobody's place.
    if decree.link == nil {
      for other in decrees.values.flatMap(\.values) where !counts(other) {
        drop(other, &change)
        if case .epoch = other.subject { continue }
        change.nodes.formUnion(certificates.keys)
      }
    }
    for (_, old) in epochDecrees.dropLast(Self.epochBound) { drop(old, &change) }
    return change
  }

  /// A node, and those whose tickets it issued.
  private func nodes(dependingOn node: OriginID) -> [OriginID] {
    [node]
      + certificates.filter { $0.value.contains { $0.ticket.issuer == node } }.map(\.key)
  }

  /// The nodes that came by a ticket, and those whose tickets these issued.
  private func nodes(cameBy ticket: OriginID) -> [OriginID] {
    certificates.filter {
      $0.value.contains { $0.ticket.key == ticket || $0.issuer?.ticket.key == ticket }
    }.map(\.key)
  }

  private mutating func drop(_ decree: Decree, _ change: inout Change) {
    guard decrees[decree.subject.key]?.removeValue(forKey: decree.signer) != nil else { return }
    if decrees[decree.subject.key]?.isEmpty == true { decrees[decree.subject.key] = nil }
    decreeCount -= 1
    change.entries.append((decree.key, nil))
  }

  private mutating func dropAll(of ticket: OriginID, _ change: inout Change) {
    for certificate in certificates.values.joined()
    where certificate.ticket.key == ticket
      && isRevoked(.revokedTicket(ticket), role: certificate.rights.role)
    {
      let (node, id) = (certificate.node, certificate.ticket.signature)
      remove(node, id)
      uses[id] = nil
      change.entries.append((Self.key(node, id), nil))
      change.nodes.insert(node)
    }
  }

  /// Drops what ended long ago. Until then it stands, and does not count: a clock that was wrong for a while
  /// takes nothing away.
  mutating func dropEnded(at wall: UInt64) -> Change {
    var change = Change()
    let kept = EngineLimits.endedKept.milliseconds
    for certificate in certificates.values.joined() where certificate.notAfter &+ kept < wall {
      let (node, id) = (certificate.node, certificate.ticket.signature)
      remove(node, id)
      uses[id]?.removeAll { $0.node == node }
      if uses[id]?.isEmpty == true { uses[id] = nil }
      change.entries.append((Self.key(node, id), nil))
      change.nodes.insert(node)
    }
    for decree in decrees.values.flatMap(\.values) where decree.until &+ kept < wall {
      drop(decree, &change)
      change.nodes.formUnion(certificates.keys)
    }
    change.entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
    return change
  }
}

extension OriginBounds {
  /// What an origin with quotas may be.
  init(_ quotas: Quotas) {
    self.init()
    func lower(_ value: inout Int, _ quota: UInt64, _ more: Int = 0) {
      if quota > 0 { value = min(value, Int(clamping: quota) + more) }
    }
    lower(&sessions, quotas.sessions)
    // The lobby is one of them here.
    lower(&rooms, quotas.rooms, 1)
    lower(&records, quotas.records)
  }
}
