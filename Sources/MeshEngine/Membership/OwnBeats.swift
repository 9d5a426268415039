import MeshCRDT
import MeshWire

/// This node's own heartbeats: its chain, its schedule, and which beat was sent last.
struct OwnBeats: Sendable {
  private var period: BeatPeriod
  private var chain: HeartbeatChain
  private(set) var schedule: BeatSchedule
  /// The beat that others have, by a checkpoint or by itself.
  private(set) var sent: UInt64 = 0
  /// The beat that the last checkpoint said.
  private var signed: UInt64 = 0

  init(_ context: inout EngineContext) {
    period = BeatPeriod(
      configured: context.configuration.beatPeriod,
      bytesPerSecond: context.configuration.lifeSignRate)
    schedule = BeatSchedule(startingAt: context.now, period: period.current)
    chain = Self.makeChain(&context)
    context.timers.set(.beat, at: schedule.nextMoment(after: context.now))
  }

  private static func makeChain(_ context: inout EngineContext) -> HeartbeatChain {
    let seed = Hash128(context.random.next(), context.random.next())
    return HeartbeatChain(
      seed: seed, origin: context.origin, incarnation: context.incarnation,
      hash: context.treeHash)
  }

  /// The beat whose moment has come, with its value. A checkpoint says it.
  func current(_ context: EngineContext) -> Beat {
    let index = schedule.beat(at: context.now)
    let value = chain.value(ofBeat: index, hash: context.treeHash) ?? chain.anchor
    return Beat(of: context.origin, index: index, value: value)
  }

  /// Others have a beat by the checkpoint that says it.
  mutating func noteSigned(_ beat: Beat) {
    sent = max(sent, beat.index)
    signed = max(signed, beat.index)
  }

  /// What is due of the own beats.
  enum Due: Sendable {
    case nothing
    case beat(Beat)
    /// A checkpoint is to say that a new chain begins, or what the beat is by now: whoever has the last
    /// one could not verify it.
    case checkpoint
  }

  /// Finds what is due, and sets the next time.
  mutating func handle(
    members: Int, clockStoodStill: Bool = false, _ context: inout EngineContext
  ) -> Due {
    let isOver = schedule.renewal(
      at: context.now, period: schedule.period, clockStoodStill: clockStoodStill)
    _ = period.update(members: members, beginsChain: isOver != nil)
    let renewal =
      isOver
      ?? schedule.renewal(
        at: context.now, period: period.current, clockStoodStill: false)
    if let renewal {
      begin(schedule.next(after: renewal, at: context.now, period: period.current), &context)
      return .checkpoint
    }
    context.timers.set(.beat, at: schedule.nextMoment(after: context.now))
    let beat = current(context)
    guard beat.index > sent else { return .nothing }
    if beat.index - signed >= MembershipLimits.beatsPerCheckpoint { return .checkpoint }
    sent = beat.index
    return .beat(beat)
  }

  /// Begins a chain of a new incarnation.
  mutating func restart(_ context: inout EngineContext) {
    begin(BeatSchedule(startingAt: context.now, period: period.current), &context)
  }

  private mutating func begin(_ schedule: BeatSchedule, _ context: inout EngineContext) {
    self.schedule = schedule
    chain = Self.makeChain(&context)
    (sent, signed) = (0, 0)
    context.timers.set(.beat, at: schedule.nextMoment(after: context.now))
  }
}
