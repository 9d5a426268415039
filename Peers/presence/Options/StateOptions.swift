public import ArgumentParser
import Foundation
public import PresenceMesh

/// Which node a command is about.
struct StateOptions: ParsableArguments {
  @Option(
    name: .customLong("state"),
    help: ArgumentHelp(
      "The state directory of the node.",
      discussion: "Default: PRESENCE_STATE, else presence-mesh in the user's state directory.",
      valueName: "dir"),
    completion: .directory)
  var directory: String?

  /// The directory as an absolute path.
  /// - Throws: ``CommandFailure`` when none was named and there is no default.
  func path() throws -> String {
    let path: String
    if let directory {
      guard !directory.isEmpty else { throw ValidationError("--state needs a directory.") }
      path = directory
    } else {
      do {
        path = try StateDirectory.defaultPath()
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    return URL(filePath: path).standardizedFileURL.path(percentEncoded: false)
      .droppingTrailingSlashes
  }
}

extension String {
  /// The path without slashes at its end; the root stays.
  fileprivate var droppingTrailingSlashes: String {
    var path = self
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }
}

/// The form of a listing.
struct FormatOptions: ParsableArguments {
  @Flag(name: .customLong("json"), help: "Print one JSON document.")
  var isJSON = false
}

extension RoomName: ExpressibleByArgument {
  /// Reads the name of a room; the empty text is the lobby.
  public init?(argument: String) { self.init(argument) }
}

extension Status: ExpressibleByArgument {
  /// Reads a status by its name.
  public init?(argument: String) { self.init(argument) }

  /// The names of all statuses.
  public static var allValueStrings: [String] { allCases.map(\.name) }
}

extension SessionID: ExpressibleByArgument {
  /// Reads 32 hexadecimal digits.
  public init?(argument: String) { self.init(argument) }
}
