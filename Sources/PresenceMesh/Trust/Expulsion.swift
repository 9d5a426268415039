package import MeshWire

/// Why a node is not, or no longer, a member of a closed mesh.
public enum Expulsion: String, Codable, CaseIterable, Sendable {
  /// The node was revoked, or whoever issued its invite was.
  case revokedNode
  /// The invite that it joined by was revoked.
  case revokedTicket
  /// Its invite was used by as many others before.
  case usesExceeded
  /// Its certificate has ended.
  case expired
  /// Its certificate begins later than now: a clock is off.
  case notYetValid
  /// No authority of the mesh stands behind its certificate.
  case unknownIssuer
  /// The mesh has as many members as it may.
  case full
}

extension Expulsion: CustomStringConvertible {
  /// What happened, and what to do about it.
  public var description: String {
    switch self {
    case .revokedNode:
      """
      this node was revoked, or whoever invited it was: if that was a mistake, join by a new invite with \
      a new state directory
      """
    case .revokedTicket: "the invite that this node joined by was revoked: join by a new one"
    case .usesExceeded:
      "as many other nodes as it admits have joined by the invite of this node: join by a new one"
    case .expired: "the certificate of this node has ended: join by a new invite"
    case .notYetValid:
      "the certificate of this node begins in the future: set the clock of this machine"
    case .unknownIssuer:
      "no authority of the mesh stands behind the certificate of this node: join by a new invite"
    case .full: "the mesh has as many members as it may: revoke some that are gone"
    }
  }
}

extension Expulsion {
  /// Why a membership that is kept on the disk holds no more, as far as can be told from it and from what is
  /// known to be revoked; `nil`: it may hold.
  package init?(_ membership: ClosedMembership, _ decrees: [Decree] = [], at moment: WallTime) {
    let certificate = membership.certificate
    let subjects = Set(decrees.map(\.subject))
    let now = moment.milliseconds
    if subjects.contains(.revokedNode(certificate.node))
      || certificate.issuer != nil && subjects.contains(.revokedNode(certificate.ticket.issuer))
    {
      self = .revokedNode
    } else if subjects.contains(.revokedTicket(certificate.ticket.key)) {
      self = .revokedTicket
    } else if certificate.notAfter + WallClock.tolerance < now {
      self = .expired
    } else if certificate.link.boundAt > now + WallClock.tolerance {
      self = .notYetValid
    } else {
      return nil
    }
  }

  init(_ refusal: RefusalReason) {
    self =
      switch refusal {
      case .revokedNode: .revokedNode
      case .revokedTicket: .revokedTicket
      case .usesExceeded: .usesExceeded
      case .expired: .expired
      case .notYetValid: .notYetValid
      case .unknownIssuer: .unknownIssuer
      case .full: .full
      }
  }
}
