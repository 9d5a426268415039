import MeshCrypto

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An open directory whose files belong to this user alone, and a lock on it.
///
/// Files are found relative to the open directory, so that nobody can put another one in its place
/// between a check and a use.
final class StateFolder: Sendable {
  static let directoryMode: mode_t = 0o700
  static let fileMode: mode_t = 0o600

  let path: String
  private let descriptor: CInt
  private let lock: CInt

  /// Opens the directory, made before where it was missing, checks its permissions and locks it.
  init(path: String) throws(StateError) {
    try Self.makeDirectories(path)
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw errno == ENOTDIR
        ? .wrongKind(path: path, expected: "a directory")
        : .cannotOpen(path: path, reason: Self.message(errno))
    }
    do throws(StateError) {
      try Self.check(descriptor, path: path, kind: S_IFDIR, mode: Self.directoryMode)
      lock = try Self.takeLock(in: descriptor, path: path)
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit {
    // Closing the lock's file releases it. The file stays: to remove it would let two in.
    ftruncate(lock, 0)
    close(lock)
    close(descriptor)
  }

  /// The path of a file in the directory.
  func path(of name: String) -> String { path.hasSuffix("/") ? path + name : path + "/" + name }

  private static func message(_ number: CInt) -> String { SystemText.message(number) }

  private static func makeDirectories(_ path: String) throws(StateError) {
    var prefix = ""
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    for (index, part) in parts.enumerated() {
      prefix += index == 0 && !path.hasPrefix("/") ? "\(part)" : "/\(part)"
      guard mkdir(prefix, directoryMode) != 0 else {
        syncParent(of: prefix)
        continue
      }
      // What is there is looked at when it is opened. A read-only parent that is there is fine.
      let number = errno
      var status = stat()
      guard stat(prefix, &status) == 0 else {
        throw .cannotCreate(path: path, reason: "\(prefix): \(message(number))")
      }
    }
  }

  private static func check(
    _ descriptor: CInt, path: String, kind: mode_t, mode: mode_t
  ) throws(StateError) {
    try OwnerOnly.check(descriptor, path: path, kinds: [kind], mode: mode)
  }
}

/// The one rule for what holds secrets: it belongs to the user of this process, and to nobody else.
package enum OwnerOnly {
  /// Refuses what is of another kind, of another user, or open to others. With `allowsRoot`, what
  /// belongs to root and may be read by a group is taken: so a system hands secrets to a service.
  /// Returns what the system says of it.
  @discardableResult
  static func check(
    _ descriptor: CInt, path: String, kinds: [mode_t], mode: mode_t, allowsRoot: Bool = false
  ) throws(StateError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .cannotOpen(path: path, reason: SystemText.message(errno))
    }
    guard kinds.contains(status.st_mode & S_IFMT) else {
      throw .wrongKind(
        path: path, expected: kinds.contains(S_IFDIR) ? "a directory" : "a plain file")
    }
    let isRoots = allowsRoot && status.st_uid == 0 && geteuid() != 0
    guard status.st_uid == geteuid() || isRoots else {
      throw .notOwned(path: path, owner: status.st_uid, user: geteuid())
    }
    let allowed = isRoots ? mode | S_IRGRP : mode
    let permissions = status.st_mode & 0o777
    guard permissions & ~allowed == 0 else {
      throw .tooOpen(path: path, mode: UInt32(permissions), allowed: UInt32(allowed))
    }
    return status
  }
}

// MARK: - The lock

extension StateFolder {
  private static let lockName = "lock"

  /// Locks the directory for this process, and writes its id where others find it.
  private static func takeLock(in folder: CInt, path: String) throws(StateError) -> CInt {
    let lockPath = path + "/" + lockName
    let lock = openat(
      folder, lockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, fileMode)
    guard lock >= 0 else {
      throw errno == ELOOP
        ? .wrongKind(path: lockPath, expected: "a plain file")
        : .cannotOpen(path: lockPath, reason: message(errno))
    }
    do throws(StateError) {
      try check(lock, path: lockPath, kind: S_IFREG, mode: fileMode)
      guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
        throw errno == EWOULDBLOCK
          ? .locked(path: path, process: holder(lock))
          : .cannotOpen(path: lockPath, reason: message(errno))
      }
    } catch {
      close(lock)
      throw error
    }
    // The id is for people; the lock holds without it.
    let text = Array("\(getpid())\n".utf8)
    ftruncate(lock, 0)
    _ = pwrite(lock, text, text.count, 0)
    return lock
  }

  private static func holder(_ lock: CInt) -> Int32? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = pread(lock, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    return Int32(
      String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
  }
}

// MARK: - Files

extension StateFolder {
  /// The content of a file; `nil` when there is none.
  func read(
    _ name: String, bound: Int = StateText.byteBound
  ) throws(StateError) -> SecretBytes? {
    let path = path(of: name)
    let file = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      switch errno {
      case ENOENT: return nil
      case ELOOP: throw .wrongKind(path: path, expected: "a plain file")
      default: throw .cannotRead(path: path, reason: Self.message(errno))
      }
    }
    defer { close(file) }
    let status = try OwnerOnly.check(file, path: path, kinds: [S_IFREG], mode: Self.fileMode)
    // Guarded memory is dear: no more of it than the file has bytes.
    let (content, number) = SecretBytes.read(from: file, bound: min(bound, Int(status.st_size)))
    guard number == 0 else { throw .cannotRead(path: path, reason: Self.message(number)) }
    guard let content else { throw .damaged(path: path, .tooLong(limit: bound)) }
    guard content.count > 0 else { throw .damaged(path: path, .empty) }
    return content
  }

  /// Writes a file whole: to a new file that is then put in the place of the old one, so that a
  /// crash at any moment leaves the one or the other.
  func write(_ content: SecretBytes, to name: String) throws(StateError) {
    let path = path(of: name)
    let draft = ".\(name).new"
    // Left over by a crash; the lock keeps others from writing one now.
    unlinkat(descriptor, draft, 0)
    let file = openat(
      descriptor, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, Self.fileMode)
    guard file >= 0 else { throw .cannotWrite(path: path, reason: Self.message(errno)) }
    var number = content.write(to: file)
    if number == 0, fsync(file) != 0 { number = errno }
    if close(file) != 0, number == 0 { number = errno }
    if number == 0, renameat(descriptor, draft, descriptor, name) != 0 { number = errno }
    guard number == 0 else {
      unlinkat(descriptor, draft, 0)
      throw .cannotWrite(path: path, reason: Self.message(number))
    }
    // The new name is on the disk when the directory is.
    guard let number = Self.sync(descriptor) else { return }
    throw .notSynced(path: path, reason: Self.message(number))
  }

  /// Brings a directory to the disk. Returns the number of the error. Some file systems refuse this,
  /// and need it not.
  private static func sync(_ directory: CInt) -> CInt? {
    guard fsync(directory) != 0 else { return nil }
    return [EINVAL, ENOSYS, EOPNOTSUPP].contains(errno) ? nil : errno
  }

  /// A directory that was made is there after a power failure as well.
  private static func syncParent(of path: String) {
    let end = path.lastIndex(of: "/")
    let parent = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { return }
    _ = sync(directory)
    close(directory)
  }

  /// Gives a file another name, in the place of what has that name.
  func rename(_ name: String, to other: String) throws(StateError) {
    guard renameat(descriptor, name, descriptor, other) == 0 else {
      throw .cannotWrite(path: path(of: other), reason: Self.message(errno))
    }
  }

  /// True when there is something of that name.
  func has(_ name: String) -> Bool { faccessat(descriptor, name, F_OK, 0) == 0 }
}
