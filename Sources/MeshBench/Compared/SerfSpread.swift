import Foundation
import MeshCRDT

/// The time until a change at one of many processes on this machine is known to the last of them,
/// beside agents of serf that do the same.
///
/// Ours: processes with a node each, as users run it; a status change, from the call to its event at
/// the last of the nodes. Serf's: as many agents, a user event, from the first line about it in an
/// agent's log to the line in the log of the last; they gossip every 100 ms (`-profile=local`), twice
/// as often as they do by default.
enum SerfSpread {
  static func measure(
    _ scale: BenchScale, launcher: ChildLauncher
  ) async throws(BenchError) -> [Figure] {
    guard let serf = ChildProcess.installed("serf") else {
      throw .notInstalled("serf", remedy: "Debian: apt-get install serf")
    }
    let ours = Samples(try await spread(scale, launcher: launcher))
    let agents = try await SerfAgents.spread(scale, serf: serf)
    let theirs = Samples(agents.milliseconds)
    let world = "\(scale.processes) processes on this machine"
    return [
      Figure(
        "processes-spread-p50", ours.median, "ms", better: .lower,
        detail: "\(world), a status change to its event at the last, \(ours.count) changes; "
          + "p90 \(brief(ours.percentile(90))) ms"),
      Figure(
        "serf-spread-p50", theirs.median, "ms", better: .lower,
        detail: "\(scale.processes) agents of serf, a user event from the first to the last log, "
          + "\(theirs.count) events, of which \(agents.incomplete) were not everywhere after 3 s and "
          + "count as that; p90 \(brief(theirs.percentile(90))) ms"),
      Figure(
        "processes-vs-serf-ratio", ours.median / theirs.median, "ratio", aim: 0.1, better: .lower,
        detail: "the median of the one / the median of the other"),
    ]
  }

  /// Milliseconds, one for each change.
  private static func spread(
    _ scale: BenchScale, launcher: ChildLauncher
  ) async throws(BenchError) -> [Double] {
    let mesh = try MemberMesh(scale.processes, setup: .random(), launcher: launcher)
    defer { mesh.end() }
    try await mesh.await(nodes: scale.processes, sessions: scale.processes)
    // Until the paths of the overlay stand, too.
    try? await Task.sleep(for: .seconds(2))
    var sent: [UInt64: UInt64] = [:]
    for number in 0..<UInt64(scale.spreads) {
      let speaker = mesh.members[Int(number &* 7) % mesh.members.count]
      sent[number] = try mesh.ask(speaker, .say(number)) as UInt64
      try? await Task.sleep(for: .milliseconds(250))
    }
    try? await Task.sleep(for: .seconds(2))
    var last: [UInt64: UInt64] = [:]
    var heard: [UInt64: Int] = [:]
    for member in mesh.members {
      let arrivals: [UInt64: UInt64] = try mesh.ask(member, .report)
      for (number, time) in arrivals {
        last[number] = max(last[number] ?? 0, time)
        heard[number, default: 0] += 1
      }
    }
    let whole = heard.count { $0.value == scale.processes }
    guard whole == scale.spreads else {
      throw .samplesMissing(arrived: whole, of: scale.spreads)
    }
    return sent.sorted { $0.key < $1.key }.map { Double((last[$0.key] ?? 0) - $0.value) / 1e6 }
  }
}

/// Agents of serf on this machine.
private enum SerfAgents {
  private static let firstPort = 17_000

  /// How long the last agent is waited for; an event that takes longer counts as this long.
  private static let patience = 3.0
  /// Seconds from one event to the next, at least.
  private static let pause = 1.0

  struct Spreads {
    var milliseconds: [Double] = []
    /// Events that did not reach all agents in time.
    var incomplete = 0
  }

  static func spread(_ scale: BenchScale, serf: String) async throws(BenchError) -> Spreads {
    var agents: [ChildProcess] = []
    defer { for agent in agents { agent.end() } }
    for number in 0..<scale.processes {
      var arguments = [
        serf, "agent", "-node=bench-\(number)", "-profile=local",
        "-bind=127.0.0.1:\(firstPort + 2 * number)",
        "-rpc-addr=127.0.0.1:\(firstPort + 2 * number + 1)", "-log-level=info",
      ]
      if number > 0 { arguments.append("-retry-join=127.0.0.1:\(firstPort)") }
      agents.append(try ChildProcess(arguments, isQuiet: true))
      try? await Task.sleep(for: .milliseconds(number == 0 ? 500 : 50))
    }
    let log = SerfLog(agents.map(\.said))
    try await awaitAll(scale.processes, serf, log)
    var result = Spreads()
    for number in 0..<max(1, scale.spreads / 3) {
      let port = firstPort + 2 * ((number * 7) % scale.processes) + 1
      let name = "bench-event-\(number)-"
      let command = try ChildProcess(
        [serf, "event", "-coalesce=false", "-rpc-addr=127.0.0.1:\(port)", name], isQuiet: true)
      defer { command.end() }
      let start = Clock.monotonic
      let times = log.read(seconds: patience) { $0.times(of: name).count == scale.processes }
        .times(of: name)
      guard let first = times.min(), let last = times.max() else { throw .notConnected }
      let isWhole = times.count == scale.processes
      result.milliseconds.append(Double((isWhole ? last : Clock.monotonic) - first) / 1e6)
      if !isWhole { result.incomplete += 1 }
      // What is still under way does not weigh on the next one.
      let rest = Double(Clock.monotonic - start) / 1e9
      if rest < pause { _ = log.read(seconds: pause - rest) { _ in false } }
    }
    return result
  }

  /// Waits until the first agent knows all as alive, and then until it is quiet.
  private static func awaitAll(
    _ count: Int, _ serf: String, _ log: SerfLog
  ) async throws(BenchError) {
    for _ in 0..<60 {
      _ = log.read(seconds: 0.5) { _ in false }
      let members = try ChildProcess(
        [serf, "members", "-status=alive", "-rpc-addr=127.0.0.1:\(firstPort + 2 * count - 1)"],
        isQuiet: true)
      defer { members.end() }
      guard members.readAll().split(separator: "\n").count == count else { continue }
      _ = log.read(seconds: 3) { _ in false }
      return
    }
    throw .notConnected
  }
}

/// What the agents write, with the time of reading.
private final class SerfLog {
  private let descriptors: [CInt]
  private var rests: [[UInt8]]
  /// Lines about user events.
  private var lines: [(agent: Int, text: String, time: UInt64)] = []

  init(_ descriptors: [CInt]) {
    self.descriptors = descriptors
    rests = descriptors.map { _ in [] }
  }

  /// When which agent first wrote of an event.
  func times(of name: String) -> [UInt64] {
    var first: [Int: UInt64] = [:]
    for line in lines where line.text.contains(name) && first[line.agent] == nil {
      first[line.agent] = line.time
    }
    return Array(first.values)
  }

  /// Reads what comes, until it is enough or the time is up.
  func read(seconds: Double, until isEnough: (SerfLog) -> Bool) -> SerfLog {
    let end = Clock.monotonic + UInt64(seconds * 1e9)
    var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while !isEnough(self) {
      let now = Clock.monotonic
      guard now < end else { break }
      guard poll(&polled, nfds_t(polled.count), CInt((end - now) / 1_000_000 + 1)) > 0 else {
        continue
      }
      let time = Clock.monotonic
      for (agent, entry) in polled.enumerated() where entry.revents & Int16(POLLIN) != 0 {
        let count = Foundation.read(entry.fd, &buffer, buffer.count)
        if count > 0 { take(buffer[..<count], of: agent, time) }
      }
      for index in polled.indices where polled[index].revents & Int16(POLLIN) == 0 {
        // An agent that ended is not asked any more.
        if polled[index].revents != 0 { polled[index].fd = -1 }
      }
    }
    return self
  }

  private func take(_ bytes: ArraySlice<UInt8>, of agent: Int, _ time: UInt64) {
    rests[agent] += bytes
    while let end = rests[agent].firstIndex(of: UInt8(ascii: "\n")) {
      let text = String(decoding: rests[agent][..<end], as: UTF8.self)
      rests[agent].removeSubrange(...end)
      if text.contains("bench-event-") { lines.append((agent, text, time)) }
    }
  }
}
