import Foundation
import MeshCrypto
import PresenceMesh
import Synchronization

/// The invites that the process was given by its arguments and its environment, in guarded memory.
///
/// They are taken before anything else looks at either, and overwritten where they stood: what is
/// left over shows neither in a list of processes nor to a child nor in an error message. For a
/// moment after the start, and in the history of a shell, an argument shows all the same.
enum GivenSecrets {
  private static let taken = Mutex<[SecretBytes]>([])
  private static let inEnvironment = Mutex<SecretBytes?>(nil)

  static let variable = "PRESENCE_INVITE"
  private static let option = "--invite"
  /// What an invite begins with.
  private static let scheme = "presence-mesh:"
  /// What a name begins with. No room, user or file is called so.
  private static let hidden = "presence-mesh:hidden\u{1}"

  /// Takes the invites of the process, and returns its arguments with a name in the place of each.
  static func take() -> [String] {
    takeEnvironment()
    var arguments: [String] = []
    let words = CommandLine.unsafeArgv
    for index in 1..<max(Int(CommandLine.argc), 1) {
      guard let word = words[index] else { break }
      let length = strlen(word)
      guard let start = secretStart(in: word, after: arguments) else {
        arguments.append(String(cString: word))
        continue
      }
      let secret = UnsafeMutableRawBufferPointer(start: word + start, count: length - start)
      let name = keep(SecretBytes(secret))
      let prefix = String(
        decoding: UnsafeRawBufferPointer(start: word, count: start), as: UTF8.self)
      arguments.append(prefix + name)
      Sodium.wipe(secret)
    }
    return arguments
  }

  private static func takeEnvironment() {
    guard let value = getenv(variable) else { return }
    let bytes = UnsafeMutableRawBufferPointer(start: value, count: strlen(value))
    let secret = bytes.isEmpty ? nil : SecretBytes(bytes)
    Sodium.wipe(bytes)
    unsetenv(variable)
    inEnvironment.withLock { $0 = secret }
  }

  /// The commands that take one. In others, what begins like one may be the text of somebody.
  private static let commands: Set = ["mesh", "up", "join"]

  /// Where in a word an invite begins; `nil` when it holds none. What follows `--invite` is one, and
  /// what begins like one, also where it is out of place: errors repeat their arguments.
  private static func secretStart(
    in word: UnsafePointer<CChar>, after arguments: [String]
  ) -> Int? {
    let assigned = option + "="
    // `-` asks for the standard input.
    if strncmp(word, assigned, assigned.utf8.count) == 0 {
      return strcmp(word + assigned.utf8.count, "-") == 0 ? nil : assigned.utf8.count
    }
    if arguments.last == option { return strcmp(word, "-") == 0 ? nil : 0 }
    let around = strspn(word, " \t\r\n\"'")
    guard !commands.isDisjoint(with: arguments),
      strncmp(word + around, scheme, scheme.utf8.count) == 0
    else { return nil }
    return 0
  }

  private static func keep(_ secret: SecretBytes) -> String {
    taken.withLock { taken in
      taken.append(secret)
      return "\(hidden)\(taken.count)"
    }
  }

  /// The invite with a name that ``take()`` gave.
  static func named(_ name: String) -> SecretBytes? {
    guard name.hasPrefix(hidden), let number = Int(name.dropFirst(hidden.count))
    else { return nil }
    return taken.withLock { taken in
      taken.indices.contains(number - 1) ? taken[number - 1] : nil
    }
  }

  /// The invite of the environment, if it held one.
  static var ofEnvironment: SecretBytes? { inEnvironment.withLock { $0 } }
}

/// What keeps the secrets of this process in it.
enum ProcessProtection {
  /// Set to anything, it lets developers attach a debugger, and the system write core dumps.
  static let variable = "PRESENCE_DEBUGGABLE"

  static var isWanted: Bool { getenv(variable).map { $0.pointee == 0 } ?? true }

  /// Commands that hold no keys, and that are run under profilers.
  private static let laboratory: Set = ["simulate", "measure", "bench"]

  /// Forbids core dumps. Called before any secret is read.
  static func begin() {
    let words = CommandLine.unsafeArgv
    let command = CommandLine.argc > 1 ? words[1].map { String(cString: $0) } : nil
    guard isWanted, !laboratory.contains(command ?? "") else { return }
    if !ProcessMemory.forbidDumps() {
      Output.note("presence: the system refuses to forbid core dumps: \(SystemError.message())")
    }
  }
}
