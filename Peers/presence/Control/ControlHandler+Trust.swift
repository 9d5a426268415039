import PresenceMesh

extension ControlHandler {
  func members() async -> MembersRecord {
    MembersRecord(
      node: "\(mesh.nodeID)", open: mesh.isOpen, members: await mesh.members().map { .init($0) },
      revokedUsers: await mesh.revokedUsers())
  }

  /// Takes something back. Returns what there is to say about it.
  func revoke(_ request: RevokeRequest) async throws -> String {
    switch request {
    case .user(let user):
      try await mesh.revoke(.user(user))
      return "User \(PlainText.safe(user)) is revoked: nobody shows that user any more."
    case .ticket(let digits):
      let known = await mesh.invites().map(\.id) + mesh.members().compactMap(\.certificate?.ticket)
      let ticket = try Self.choose(digits, of: known, "ticket", "presence invites")
      try await mesh.revoke(.ticket(ticket))
      return "Ticket \(ticket.short) is revoked: it admits nobody, and whoever came by it is out."
    case .node(let digits):
      let members = await mesh.members()
      let node = try Self.choose(digits, of: members.map(\.id), "node", "presence members")
      guard node != mesh.nodeID else {
        throw CommandFailure(
          "this node would put itself out: revoke it on another node of an admin")
      }
      try await mesh.revoke(.node(node))
      let told = "Node \(node.short) is revoked: nobody shows it or hears it any more."
      // A thief of the node's directory may have the line that it joined by, too.
      guard let ticket = members.first(where: { $0.id == node })?.certificate?.ticket,
        let invite = await mesh.invites().first(where: { $0.id == ticket }),
        !invite.isRevoked, invite.expires.milliseconds > Self.now, invite.uses != 1
      else { return told }
      return told + """
         The invite that it came by admits others still: `presence invites revoke \(ticket.short)` ends \
        that, for all who came by it.
        """
    }
  }

  /// The one id that begins with some digits. A whole id need not be known.
  private static func choose(
    _ digits: String, of known: [NodeID], _ kind: String, _ list: String
  ) throws -> NodeID {
    if let whole = NodeID(digits.lowercased()) { return whole }
    let found = Set(known).filter { digits.count >= 4 && "\($0)".hasPrefix(digits.lowercased()) }
    guard let first = found.first, found.count == 1 else {
      throw CommandFailure(
        found.isEmpty
          ? "no \(kind) \(PlainText.safe(digits)) is known: `\(list)` lists them (4 digits are the least)"
          : "several begin with \(PlainText.safe(digits)): give more digits")
    }
    return first
  }
}
