import ArgumentParser
import Foundation
import Logging
import PresenceMesh

/// How a node is run.
struct NodeOptions: ParsableArguments {
  @OptionGroup var invite: InviteOptions

  @Option(
    help: ArgumentHelp(
      "Listen here; may be repeated. Port 0 takes any free one.",
      discussion: """
        Default: port 7946 on all interfaces, or any free port when that is taken.
        """,
      valueName: "host:port"))
  var listen: [String] = []

  @Option(
    help: ArgumentHelp("The address of another node; may be repeated.", valueName: "host:port"))
  var peer: [String] = []

  @Flag(name: .customLong("no-multicast"), help: "Announce nothing on the LAN.")
  var isMulticastOff = false

  @Option(
    help: ArgumentHelp(
      "Send no more than this in a second, such as 500kB or 2MB.",
      discussion: "Default: 64MB. What is more waits, the newest of each kind.",
      valueName: "bytes"))
  var sendRate: ByteRate?

  @Option(
    help: ArgumentHelp(
      "Send no more than this to one address in a second.", discussion: "Default: 32MB.",
      valueName: "bytes"))
  var peerRate: ByteRate?

  @Option(
    help: ArgumentHelp(
      "What the log on the standard error tells at least.", valueName: "level"))
  var logLevel = LogLevel.warning

  mutating func validate() throws {
    for text in listen { try Self.checkAddress(text, option: "--listen") }
    for text in peer { try Self.checkAddress(text, option: "--peer") }
  }

  /// Refuses what cannot be an address, before anything is begun.
  static func checkAddress(_ text: String, option: String) throws {
    let colon = text.lastIndex(of: ":")
    let port = colon.map { text[text.index(after: $0)...] } ?? ""
    guard let colon, colon != text.startIndex, port.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
      UInt16(port) != nil
    else { throw ValidationError("\(option) needs host:port, not '\(PlainText.safe(text))'.") }
  }
}

/// Bytes a second: a number, or one with kB or MB behind it.
struct ByteRate: ExpressibleByArgument {
  let bytes: Int

  private static let units = [("kB", 1000), ("MB", 1_000_000), ("", 1)]
  private static let bounds = 10_000...4_000_000_000

  init?(argument: String) {
    guard let (unit, factor) = Self.units.first(where: { argument.hasSuffix($0.0) }),
      let number = Int(argument.dropLast(unit.count)), number >= 0
    else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
    guard !overflow, Self.bounds.contains(bytes) else { return nil }
    self.bytes = bytes
  }
}

/// What the log tells at least.
enum LogLevel: String, CaseIterable, ExpressibleByArgument {
  case trace, debug, info, notice, warning, error, critical

  /// The same level in the words of the log.
  var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .warning }
}
