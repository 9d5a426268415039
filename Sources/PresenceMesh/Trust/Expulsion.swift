import MeshEngine

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
    }
  }
}

extension Expulsion {
  init(_ refusal: TrustRefusal) {
    self =
      switch refusal {
      case .revokedNode: .revokedNode
      case .revokedTicket: .revokedTicket
      case .usesExceeded: .usesExceeded
      case .expired: .expired
      case .notYetValid: .notYetValid
      }
  }
}
