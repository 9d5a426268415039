import Foundation
import PresenceMesh

/// Where the control socket of a node is.
enum ControlSocket {
  /// The name of the socket in the state directory.
  private static let name = "control"

  /// The most bytes of a path that every system takes for a socket.
  private static let pathBytes = 103

  /// The path of the socket: in the state directory, or, when that makes the path too long, under a
  /// directory of the user in /tmp, named after the state directory.
  ///
  /// It follows from the path without symbolic links: one place, however the directory is named.
  static func path(state: String) -> String {
    let state = resolved(state)
    let inside = state + "/" + name
    if inside.utf8.count <= pathBytes { return inside }
    return "\(fallbackDirectory)/\(hash(of: state).hexadecimalDigits)"
  }

  private static var fallbackDirectory: String { "/tmp/presence-mesh-\(geteuid())" }

  /// Makes room for the socket. Called by the process that holds the lock of the state directory:
  /// a socket that is there is left over by one that was killed.
  /// - Throws: ``CommandFailure`` when the directory in /tmp belongs to somebody else.
  static func prepare(state: String) throws {
    let path = path(state: state)
    if path.hasPrefix(fallbackDirectory + "/") {
      mkdir(fallbackDirectory, 0o700)
      guard isTrusted(path) else {
        throw CommandFailure(
          """
          the path of the state directory is too long for a socket, and \(fallbackDirectory) does \
          not belong to this user alone: name a state directory with a shorter path
          """)
      }
    }
    unlink(path)
  }

  /// False when the socket is under a directory in /tmp that others may have made.
  static func isTrusted(_ path: String) -> Bool {
    guard path.hasPrefix(fallbackDirectory + "/") else { return true }
    var status = stat()
    return lstat(fallbackDirectory, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      && status.st_uid == geteuid() && status.st_mode & 0o077 == 0
  }

  /// True when there is something where the socket would be.
  static func exists(state: String) -> Bool { access(path(state: state), F_OK) == 0 }

  /// The path without symbolic links: the same however the directory was named.
  private static func resolved(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// FNV-1a: it names a file, and no more.
  private static func hash(of text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
