import ArgumentParser
import PresenceMesh

/// `presence doctor`: what is wrong with the network, the keys, the clock or the ports.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Find what is wrong with the network, the keys, the clock or the ports.",
    discussion: "Exit code 1 when a check fails. Nothing is changed, and nothing leaves the machine"
      + " but one datagram to a multicast group of the LAN.")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  func run() async throws {
    let directory = try state.path()
    let running = await Self.lookAtNode(directory)
    var checks = StateChecks.all(directory, isRunning: running != nil)
    checks.append(MemoryChecks.coreDumps(directory, isRunning: running != nil))
    checks += await NetworkChecks.all(isRunning: running != nil)
    checks += await ClockChecks.all(running)
    if let running { checks += NodeChecks.all(running) }
    checks.append(CryptoChecks.library())
    let report = DoctorReport(checks: checks)
    if format.isJSON {
      try Output.print(json: report)
    } else {
      for check in checks { try Output.print(check.lines(colours: Output.hasColours)) }
    }
    if !report.ok { throw ExitCode(CommandFailure.failedExitCode) }
  }

  /// What the running node says; `nil` when none answers.
  private static func lookAtNode(_ directory: String) async -> NodeChecks.Facts? {
    try? await ControlClient.with(state: directory) { client in
      guard case .peers(let peers) = try await client.ask(.peers),
        case .counters(let counters) = try await client.ask(.counters),
        case .who(let roster) = try await client.ask(
          .who(room: "", onlineOnly: true, limit: 1000, offset: 0)),
        case .membership(let membership) = try await client.ask(.membership)
      else { throw ControlResponse.mismatch }
      return NodeChecks.Facts(
        peers: peers, counters: counters, roster: roster, membership: membership)
    }
  }
}

/// `presence doctor --json`.
struct DoctorReport: Codable, Hashable, Sendable {
  /// False when a check failed.
  var ok: Bool
  var checks: [Check]

  init(checks: [Check]) {
    self.checks = checks
    ok = !checks.contains { $0.result == .fail }
  }
}

/// One thing that was looked at.
struct Check: Codable, Hashable, Sendable {
  /// How it is.
  enum Result: String, Codable, Sendable {
    case ok
    /// It works, with less than one might expect.
    case warn
    /// A node cannot work so.
    case fail
  }

  var name: String
  var result: Result
  var detail: String
  /// What to do about it; `null` when there is nothing to do.
  @Nullable var advice: String?

  init(_ name: String, _ result: Result, _ detail: String, advice: String? = nil) {
    self.name = name
    self.result = result
    self.detail = detail
    _advice = Nullable(wrappedValue: advice)
  }

  /// The check in one line or two.
  func lines(colours: Bool) -> [String] {
    let style: Style =
      switch result {
      case .ok: .good
      case .warn: .warning
      case .fail: .bad
      }
    let word = style.applied(to: DisplayWidth.fitted(result.rawValue, to: 5), colours: colours)
    let first = "\(word) \(DisplayWidth.fitted(name, to: 16)) \(PlainText.safe(detail))"
    let indent = String(repeating: " ", count: 23)
    return [first] + (advice.map { [indent + PlainText.safe($0)] } ?? [])
  }
}
