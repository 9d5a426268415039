import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

// Closed worlds: an authority certifies the nodes, and some are revoked.

extension World {
  /// Milliseconds since 1970 at the start of the world.
  private static let wallStart: UInt64 = 1_800_000_000_000
  private static let year: UInt64 = 365 * 86_400_000

  private var wallMilliseconds: UInt64 { Self.wallStart + time / Self.millisecond }

  private func key(_ secret: UInt64, epochs: [UInt32] = []) -> any Crypto {
    scenario.makeCrypto(NodeSecrets(node: secret, mesh: meshSecret, process: 0, epochs: epochs))
  }

  private var authority: any Crypto { key(meshSecret ^ 0x6175_7468) }

  /// What a node begins with: a ticket was made for it, and it has bound its key.
  func trust(of node: SimulatedNode, _ origin: OriginID) -> TrustConfiguration? {
    guard isClosed else { return nil }
    let authority = authority
    let ticketSecret = node.disk.secret ^ 0x7469_636b
    let isAdmin = node.index % 3 == 0
    guard
      let ticket = Ticket(
        issuer: authority.origin, key: key(ticketSecret).origin,
        rights: Rights(role: isAdmin ? .admin : .moderator, users: .all), uses: 1,
        issuedAt: Self.wallStart, expires: Self.wallStart + Self.year, lifetime: Self.year,
        mesh: mesh.bytes, sign: authority.sign),
      let link = CertificateLink(
        binding: origin, to: ticket, at: Self.wallStart, mesh: mesh.bytes,
        sign: key(ticketSecret).sign)
    else { return nil }
    var configuration = TrustConfiguration(
      authority: authority.origin, certificate: Certificate(node: origin, link: link),
      decrees: node.disk.decrees, wallMilliseconds: wallMilliseconds)
    // The operator makes the ticket now.
    let epoch = nodes.map(\.newestEpoch).max() ?? 1
    if let key = key(0, epochs: [epoch]).admissionKey(epoch: epoch) {
      configuration.admission = (epoch, key)
    }
    return configuration
  }

  /// The first node begins the mesh with its first epoch.
  func prepareTrust() {
    guard isClosed else { return }
    let (_, check) = key(0).beginning(epoch: 1)
    let first = Decree(
      .epoch(1, check: check), signer: authority.origin, link: nil, issuedAt: Self.wallStart,
      until: Self.wallStart + Self.year, mesh: mesh.bytes, sign: authority.sign)
    nodes[0].disk.decrees = first.map { [$0] } ?? []
    nodes[0].disk.epochs = [1]
  }

  /// An admin begins an epoch, or revokes a node: at most a third of all.
  func changeMembership(by admin: SimulatedNode) {
    guard admin.isAwake, admin.isHonest, admin.index % 3 == 0 else { return }
    let revoked = nodes.count { $0.isRevoked }
    if random.chance(0.4), 3 * (revoked + 1) <= nodes.count {
      let victim = nodes[random.below(nodes.count)]
      // Admins are revoked by authorities alone, and the first two are known to everybody.
      guard victim.index > 1, victim.index % 3 != 0, victim.isUp, !victim.hasClone, !victim.isClone,
        !victim.isRevoked, let origin = victim.engine?.origin
      else { return }
      note("node \(admin.index) revokes node \(victim.index)")
      victim.isRevoked = true
      liarOrigins.insert(origin)
      for index in clients.indices where clients[index].node == victim.index {
        clients[index].isStolen = true
      }
      drive(admin.index) { engine, now in
        try? engine.decree(
          .revokedNode(origin), until: self.wallMilliseconds + Self.year, now: now)
      }
    }
    drive(admin.index) { engine, now in try? engine.rotate(now: now) }
  }

  /// The memberships of honest nodes that differ, or a revoked node that one shows.
  func unequalTrust(_ up: [SimulatedNode]) -> String? {
    guard isClosed, let first = up.first?.process?.engine else { return nil }
    let newest = up.compactMap { $0.process?.engine.crypto.newestEpoch }.max() ?? 0
    for node in up {
      guard let engine = node.process?.engine else { continue }
      if let refusal = engine.refusal { return "node \(node.index) is refused: \(refusal)" }
      if engine.decrees != first.decrees {
        return "node \(node.index) knows \(engine.decrees.count) decrees, another one "
          + "\(first.decrees.count)"
      }
      if engine.certifiedNodes != first.certifiedNodes {
        return "node \(node.index) knows \(engine.certifiedNodes.count) certified nodes, another "
          + "one \(first.certifiedNodes.count)"
      }
      if engine.crypto.newestEpoch != newest {
        return "node \(node.index) has the key of epoch \(engine.crypto.newestEpoch), not \(newest)"
      }
      for origin in node.replayed.nodes.keys.sorted() where engine.certificate(of: origin) == nil {
        return "node \(node.index) shows \(origin.short), of which it has no certificate"
      }
      for decree in engine.decrees {
        guard case .revokedNode(let origin) = decree.subject, node.replayed.nodes[origin] != nil
        else { continue }
        return "node \(node.index) shows \(origin.short), which was revoked"
      }
    }
    return nil
  }
}
