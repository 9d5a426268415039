import PresenceMesh

/// How a node stands in its mesh, and until when.
enum MembershipChecks {
  /// `doctor` warns of a certificate that ends sooner.
  private static let noticeMs: UInt64 = 30 * 86_400_000

  static func all(_ record: MembershipRecord) -> [Check] { [membership(record), epochs(record)] }

  private static func membership(_ record: MembershipRecord) -> Check {
    let renewal =
      "ask an admin for a new invite (`presence invite`), end the node, and take it with "
      + "`presence mesh join`"
    if let reason = record.expelled {
      // It says itself what to do.
      return Check("membership", .fail, reason)
    }
    guard let certificate = record.certificate else {
      return Check("membership", .ok, "the mesh is open: whoever has its key is a member")
    }
    let end = certificate.notAfterAtMs
    let words =
      "\(certificate.role), users \(UsersText.text(certificate.users)), until "
      + ClockText.date(ofMilliseconds: end) + (record.admin ? ", lets others in" : "")
    let now = ClockText.nowMilliseconds
    guard end < now + noticeMs else { return Check("membership", .ok, words) }
    return Check(
      "membership", .warn,
      words + (end > now ? " (\(ClockText.span(milliseconds: end - now)) from now)" : " (over)"),
      advice: renewal)
  }

  private static func epochs(_ record: MembershipRecord) -> Check {
    guard let newest = record.epochs.last else {
      return Check(
        "epochs", .warn,
        "this node has no key of the mesh yet: no member that it can reach admits it",
        advice:
          "is a member running, and does the invite name its address? Else name one with --peer")
    }
    let others = record.epochs.dropLast().map(String.init)
    return Check(
      "epochs", .ok,
      "epoch \(newest) is used"
        + (others.isEmpty ? "" : ", \(others.joined(separator: ", ")) still heard"))
  }
}
