import MeshCRDT
package import MeshCrypto
package import MeshTrust
package import MeshWire

/// A ticket with the secret half of its key: who holds it can make a node a member of a closed mesh.
package struct HeldTicket: Sendable {
  package let ticket: Ticket
  /// What certifies who issued it; `nil`: an authority did.
  package let issuer: CertificateLink?
  /// The first authority of the mesh.
  package let authority: OriginID
  /// The public half of the mesh's admission key in the epoch of the invite.
  package let admissionKey: [UInt8]
  /// The pair of the ticket key.
  package let key: NodeKey

  /// Makes a certificate of a node's key.
  /// - Throws: ``InviteError`` when it is too late or too early, or when no authority stands behind the
  ///   ticket.
  package func certificate(
    of node: OriginID, mesh: MeshID, at moment: WallTime
  ) throws(InviteError) -> Certificate {
    guard moment.milliseconds <= ticket.expires else {
      throw .expired(WallTime(milliseconds: ticket.expires))
    }
    guard moment.milliseconds + WallClock.tolerance >= ticket.issuedAt else {
      throw .notYetValid(WallTime(milliseconds: ticket.issuedAt))
    }
    guard
      let link = CertificateLink(
        binding: node, to: ticket, at: max(moment.milliseconds, ticket.issuedAt), mesh: mesh.bytes,
        sign: key.sign)
    else { throw .damaged }
    let certificate = Certificate(node: node, link: link, issuer: issuer)
    do throws(Certificate.Failure) {
      try certificate.verify(
        mesh: mesh.bytes, isAuthority: { $0 == authority }, check: NodeKey.verify)
    } catch { throw .notGenuine }
    return certificate
  }
}
