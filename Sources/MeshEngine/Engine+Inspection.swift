package import MeshCRDT

// What simulations look at, beside what users do.

extension Engine {
  /// The position and root of the newest checkpoint of an origin that is complete here; `nil`: none is.
  package func summary(of other: OriginID) -> OriginSummary? {
    guard let slot = records.slot(of: other), let complete = records.complete(slot: slot) else {
      return nil
    }
    return OriginSummary(complete.body.facts)
  }

  /// The highest counter of a session record that is held of a session; 0: none is.
  package func counter(of session: SessionID) -> UInt64 {
    records.homes(of: session).reduce(0) { highest, home in
      let record = records.record(EntryKey(.session, session), in: .lobby, slot: home.slot)
      return max(highest, record?.counter ?? 0)
    }
  }

  /// True when an incarnation of an origin contradicted itself.
  package func isQuarantined(_ other: OriginID, _ incarnation: Incarnation) -> Bool {
    quarantine.contains(other, incarnation)
  }

  /// The bytes of keys and values of the living records of this node that another lacks. Cost: all of them.
  package func ownBytes(missingAt other: Engine) -> UInt64 {
    guard let held = records.replica.replica(slot: ownSlot) else { return 0 }
    let there = other.records.slot(of: origin).flatMap { other.records.replica.replica(slot: $0) }
    var bytes = 0
    for (room, log) in held.logs {
      log.tree.visit { key, value in
        if there?.logs[room]?.tree[Array(key)].map({ $0 == value }) != true {
          bytes += key.count + value.count
        }
      }
    }
    return UInt64(bytes)
  }

  /// The newest beat of an origin that is known here, at a time of this node's clock, before pauses are
  /// granted; of this node, the one whose moment came last. `nil`: the origin is not watched.
  package func newestBeat(of other: OriginID, at now: MonotonicTime) -> BeatStanding? {
    if other == origin {
      let schedule = beats.schedule
      let index = schedule.beat(at: now)
      return BeatStanding(
        schedule: .init(incarnation: incarnation, number: schedule.schedule), chain: schedule.chain,
        index: index, age: now.since(schedule.moment(ofBeat: index)), isTold: false)
    }
    return members.clock(of: other).map { clock in
      BeatStanding(
        schedule: .init(incarnation: clock.incarnation, number: clock.schedule), chain: clock.chain,
        index: clock.newest, age: clock.age(at: now), isTold: clock.takesToldAges)
    }
  }

  /// True when something of an origin is held that its complete checkpoint does not have.
  package func hasUnfinishedWords(of other: OriginID) -> Bool {
    records.slot(of: other).flatMap { records.replica.replica(slot: $0) }?.written.isEmpty == false
  }
}

/// A beat of an origin: where it stands, and how old it is taken to be.
package struct BeatStanding: Hashable, Sendable {
  /// A schedule of beats, over several chains.
  package struct Schedule: Hashable, Sendable {
    package let incarnation: Incarnation
    /// The number of its first chain.
    package let number: UInt64
  }

  package let schedule: Schedule
  package let chain: UInt64
  package let index: UInt64
  package let age: Span
  /// True while ages that others tell count.
  package let isTold: Bool
}
