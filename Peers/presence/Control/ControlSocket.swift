import Foundation
import PresenceMesh

/// Where the control socket of a node is, and whether it is to be trusted.
///
/// It is `control` in the state directory. Where that path is too long for a socket, `control` is a
/// symbolic link to a socket in a folder that is this user's alone. Only the owner of the state
/// directory can have put it there, so the place follows from the state directory, whatever the
/// environment of a client, and however the directory is named.
enum ControlSocket {
  /// The name of the socket in the state directory.
  private static let name = "control"

  /// The most bytes of a path that every system takes for a socket.
  private static let pathBytes = 103

  /// A socket that a client may connect to.
  struct Place {
    let path: String
    /// The user of the node.
    let owner: uid_t
  }

  /// The socket of the node of a state directory, checked; `nil` when there is none.
  /// - Throws: ``CommandFailure`` when others could have made it, or could listen in its place.
  static func find(state: String) throws -> Place? {
    let directory = resolved(state)
    guard let owner = try owner(ofFolder: directory) else { return nil }
    guard owner == geteuid() || geteuid() == 0 else {
      throw CommandFailure(
        "\(directory) belongs to user \(owner): run this as its owner, or as root")
    }
    var path = directory + "/" + name
    if let target = destination(ofLink: path) {
      path = target
      guard let other = try Self.owner(ofFolder: parent(of: target)) else { return nil }
      guard other == owner else { throw foreign(parent(of: target), other) }
    }
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    guard status.st_uid == owner else { throw foreign(path, status.st_uid) }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw CommandFailure("\(path) is not a socket: move it away, and start the node again")
    }
    guard status.st_mode & 0o077 == 0 else { throw open(path, status, "0600") }
    return Place(path: path, owner: owner)
  }

  /// Makes room for the socket, and returns its path. Called by the process that holds the lock of
  /// the state directory: a socket that is there is left over by one that was killed.
  /// - Throws: ``CommandFailure`` when the path is too long, and no folder is this user's alone.
  static func prepare(state: String) throws -> String {
    remove(state: state)
    let inside = resolved(state) + "/" + name
    if inside.utf8.count <= pathBytes { return inside }
    let path = "\(try shortFolder(for: inside))/\(hash(of: inside).hexadecimalDigits)"
    unlink(path)
    guard symlink(path, inside) == 0 else {
      throw CommandFailure("cannot make \(inside): \(SystemError.message())")
    }
    return path
  }

  /// Removes the socket.
  static func remove(state: String) {
    let inside = resolved(state) + "/" + name
    if let target = destination(ofLink: inside), isOwn(parent(of: target)) { unlink(target) }
    unlink(inside)
  }

  /// True when there is something where the socket would be.
  static func exists(state: String) -> Bool {
    var status = stat()
    return lstat(resolved(state) + "/" + name, &status) == 0
  }
}

// MARK: - Folders

extension ControlSocket {
  /// The folder of a socket whose path in the state directory is too long: the first that can be
  /// this user's alone.
  private static func shortFolder(for inside: String) throws -> String {
    let runtime = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"] ?? ""
    let folders =
      [runtime, "/run/user/\(geteuid())"].filter { $0.hasPrefix("/") && isOwn($0) }
      .map { $0 + "/presence-mesh" } + ["/tmp/presence-mesh-\(geteuid())"]
    for folder in folders where folder.utf8.count + 17 <= pathBytes {
      mkdir(folder, 0o700)
      // It may have been there, made by anybody.
      if isOwn(folder) { return folder }
    }
    throw CommandFailure(
      """
      \(inside) has \(inside.utf8.count) bytes, and the path of a socket \(pathBytes) at most; and \
      none of \(folders.joined(separator: ", ")) is a folder of user \(geteuid()) alone (mode 0700): \
      name a state directory with a shorter path, or set XDG_RUNTIME_DIR
      """)
  }

  /// True for a real directory of this user that others may neither read nor write.
  private static func isOwn(_ folder: String) -> Bool {
    var status = stat()
    return lstat(folder, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      && status.st_uid == geteuid() && status.st_mode & 0o077 == 0
  }

  /// Who owns a folder that is closed to others; `nil` when there is none.
  private static func owner(ofFolder folder: String) throws -> uid_t? {
    var status = stat()
    guard lstat(folder, &status) == 0 else {
      guard errno == EACCES else { return nil }
      throw CommandFailure("\(folder) is closed to this user: run this as its owner, or as root")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return nil }
    guard status.st_mode & 0o077 == 0 else { throw open(folder, status, "0700") }
    return status.st_uid
  }

  private static func foreign(_ path: String, _ owner: uid_t) -> CommandFailure {
    CommandFailure("\(path) belongs to user \(owner), not to the owner of the state directory")
  }

  private static func open(_ path: String, _ status: stat, _ mode: String) -> CommandFailure {
    let found = String(status.st_mode & 0o777, radix: 8)
    return CommandFailure(
      "\(path) is open to other users (mode 0\(found)), who could speak for the node: "
        + "run chmod \(mode) on it")
  }
}

// MARK: - Paths

extension ControlSocket {
  /// The path without symbolic links, as far as it leads to something: the same however the
  /// directory is named, and before it is made.
  static func resolved(_ path: String) -> String {
    var (head, tail) = (path[...], "")
    while true {
      if let real = realpath(head.isEmpty ? "/" : String(head), nil) {
        defer { free(real) }
        let base = String(cString: real)
        return tail.isEmpty ? base : (base == "/" ? "" : base) + tail
      }
      guard let slash = head.lastIndex(of: "/") else { return path }
      tail = head[slash...] + tail
      head = head[..<slash]
    }
  }

  private static func parent(of path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }

  private static func destination(ofLink path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = bytes.withUnsafeMutableBytes { buffer -> Int in
      guard let start = buffer.baseAddress else { return -1 }
      return readlink(path, start.assumingMemoryBound(to: CChar.self), buffer.count)
    }
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// FNV-1a: it names a file, and no more.
  private static func hash(of text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
