import MeshCRDT
import MeshEngine

/// What beats of others a node had, and how: since when it must count the silence of one that died.
///
/// A beat says when the origin lived at the latest, never at the earliest. Where one came in time, the node knows
/// when the others were due, and where the origin itself spoke to it, to a period. Who first heard of the origin
/// through others goes by the ages that they told; with a new sign of life 2.5 periods later or more these count no
/// more, and what that brings may be any time old: its silence counts from its coming.
struct BeatWatch {
  private struct Contact {
    let schedule: BeatStanding.Schedule
    let at: UInt64
    /// True when ages that others told counted then, and the origin itself has not spoken soon after.
    var isThroughOthers: Bool
    /// When the newest sign of life came, and what that is.
    var signAt: UInt64
    var chain: UInt64
    var index: UInt64
  }

  /// How long the silence of a dead origin is, at the least.
  struct Silence: Equatable {
    let since: UInt64
    /// What the origin may be believed to be younger by.
    let allowance: UInt64
  }

  static let period = 2 * World.second
  /// When new signs of life end what was told at first contact. Clocks run up to 1 % fast.
  static let toldAtLeast = 5 * period / 2 - period / 20

  private var contacts: [OriginID: Contact] = [:]
  /// The schedules of which a beat came from the origin itself in time.
  private var timely: [OriginID: BeatStanding.Schedule] = [:]

  func isTimely(_ origin: OriginID, _ schedule: BeatStanding.Schedule) -> Bool {
    timely[origin] == schedule
  }

  /// True when signs of life that come late have to be noted.
  func mayBeLate(_ origin: OriginID) -> Bool {
    contacts[origin].map { $0.isThroughOthers && timely[origin] != $0.schedule } ?? false
  }

  /// A beat came from the origin itself in time.
  mutating func noteTimely(_ origin: OriginID, _ schedule: BeatStanding.Schedule) {
    timely[origin] = schedule
  }

  /// Notes the newest beat of an origin that the node knows.
  mutating func note(_ beat: BeatStanding, of origin: OriginID, at time: UInt64) {
    guard var contact = contacts[origin], contact.schedule == beat.schedule else {
      contacts[origin] = Contact(
        schedule: beat.schedule, at: time, isThroughOthers: beat.isTold, signAt: time,
        chain: beat.chain, index: beat.index)
      return
    }
    if !beat.isTold, time < contact.at + Self.toldAtLeast { contact.isThroughOthers = false }
    if (beat.chain, beat.index) > (contact.chain, contact.index) {
      (contact.signAt, contact.chain, contact.index) = (time, beat.chain, beat.index)
    }
    contacts[origin] = contact
  }

  /// - Parameters:
  ///   - beat: the newest that the node knows.
  ///   - areLies: true where members may tell false ages: who first heard of the origin by one of them
  ///     believes that, until somebody tells a higher one.
  func silence(
    of origin: OriginID, diedAt: UInt64, _ beat: BeatStanding, areLies: Bool
  ) -> Silence {
    if isTimely(origin, beat.schedule) { return Silence(since: diedAt, allowance: 0) }
    if areLies, beat.isTold, let contact = contacts[origin], contact.schedule == beat.schedule,
      contact.isThroughOthers
    {
      return Silence(since: max(diedAt, contact.at), allowance: Self.period)
    }
    guard let contact = contacts[origin], contact.schedule == beat.schedule,
      contact.isThroughOthers, !beat.isTold, contact.signAt >= contact.at + Self.toldAtLeast
    else { return Silence(since: diedAt, allowance: Self.period) }
    return Silence(since: max(diedAt, contact.signAt), allowance: 0)
  }
}
