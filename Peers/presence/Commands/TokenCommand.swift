import ArgumentParser
import Foundation
import MeshGateway
import PresenceMesh

/// `presence token`: mints tokens for clients of the gateway.
struct TokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token",
    abstract: "Mint a token for a client of the gateway, or make a file of keys.",
    discussion: """
      A token says which user a client speaks for, and what it may do in which rooms. Give the \
      same file of keys to the nodes (presence up --http-keys FILE). Docs/Gateway.md tells what is \
      in both.

        presence token --new-key keys.json
        presence token --keys keys.json --user ada --room design
      """)

  @Option(
    help: ArgumentHelp("Make a file with a new key, readable by you alone.", valueName: "file"),
    completion: .file())
  var newKey: String?

  @Option(
    help: ArgumentHelp("The file of keys to sign with.", valueName: "file"), completion: .file())
  var keys: String?

  @Option(help: "The id of the user that the client speaks for.")
  var user: String?

  @Option(
    help: ArgumentHelp(
      "A room that the token is good for; may be repeated. A * at the end stands for any rest.",
      valueName: "room"))
  var room: [String] = []

  @Option(
    help: ArgumentHelp("read, publish, moderate: with commas between.", valueName: "list"))
  var rights = "read,publish"

  @Option(help: ArgumentHelp("How long it holds: such as 30m, 8h, 7d.", valueName: "time"))
  var expires = "8h"

  mutating func validate() throws {
    if newKey != nil {
      guard keys == nil, user == nil, room.isEmpty else {
        throw ValidationError("--new-key makes a file and mints nothing: give it alone.")
      }
      return
    }
    guard keys != nil else { throw ValidationError("--keys names the file of keys to sign with.") }
    guard let user, !user.isEmpty, user.utf8.count <= Limits.userIDBytes else {
      throw ValidationError("--user needs an id of 1 to \(Limits.userIDBytes) bytes.")
    }
    guard !room.isEmpty else {
      throw ValidationError("--room needs at least one room; '*' stands for all.")
    }
    _ = try Self.rights(rights)
    _ = try Self.duration(expires)
  }

  func run() async throws {
    if let newKey { return try Self.makeFile(newKey) }
    guard let keys, let user else { return }
    let token: String
    do {
      token = try await GatewayOptions.keys(keys).token(
        user: user, rooms: room, rights: try Self.rights(rights),
        expiresIn: try Self.duration(expires))
    } catch let error as TokenError {
      throw CommandFailure("\(keys) cannot be used: \(error)")
    }
    try Output.print(token)
  }

  private static func makeFile(_ path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else {
      throw CommandFailure("cannot make \(path): \(SystemError.message())")
    }
    defer { close(file) }
    try Output.write(TokenKeys.newFile(), to: file)
  }

  private static func rights(_ text: String) throws -> Set<AccessRight> {
    var rights: Set<AccessRight> = []
    for name in text.split(separator: ",") {
      guard let right = AccessRight(rawValue: String(name)) else {
        throw ValidationError("--rights knows read, publish and moderate.")
      }
      rights.insert(right)
    }
    guard !rights.isEmpty else { throw ValidationError("--rights needs at least one right.") }
    return rights
  }

  private static func duration(_ text: String) throws -> Duration {
    guard let span = Span(argument: text)
    else { throw ValidationError("--expires needs a time such as 30m, 8h or 7d.") }
    return span.duration
  }
}
