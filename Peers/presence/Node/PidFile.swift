import CoreFoundation
import Foundation
import Synchronization

/// A file that holds the id of this process for as long as it runs.
///
/// The process holds a lock on it meanwhile: another that is given the same file is refused, and
/// leaves it as it is. A file that a killed process left behind is taken over. Nothing but such a
/// file is ever written to or removed, and no symbolic link is followed to one.
final class PidFile: Sendable {
  private let path: String
  private let file: Int32
  private let isHeld = Mutex(true)

  /// The most bytes of a process id and the end of its line.
  private static let byteBound = 16

  /// Writes the file.
  /// - Throws: ``CommandFailure`` when another process holds it, or what is there is no such file.
  init(path: String) throws {
    self.path = path
    file = try Self.openLocked(path)
    do {
      try Self.check(file, path: path)
      guard ftruncate(file, 0) == 0 else {
        throw CommandFailure("cannot write \(path): \(SystemError.message())")
      }
      try Output.write("\(getpid())\n", to: file)
    } catch {
      close(file)
      throw error
    }
  }

  /// Removes the file, if it is still this one.
  func remove() {
    isHeld.withLock { isHeld in
      guard isHeld else { return }
      isHeld = false
      // Before the lock goes: who takes it looks again whether the file is still there.
      if Self.isSame(file, path) { unlink(path) }
      close(file)
    }
  }

  /// Opens the file, made where it was missing, and locks it.
  private static func openLocked(_ path: String) throws -> Int32 {
    for _ in 0..<100 {
      let file = open(
        path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0o644)
      guard file >= 0 else {
        if errno == ELOOP {
          throw CommandFailure(
            "\(path) is a symbolic link, which is not followed: name the file itself with --pid-file"
          )
        }
        throw CommandFailure(
          "cannot write \(path): \(SystemError.message()); name another file with --pid-file")
      }
      // Some file systems have no locks: there the file has to do without.
      if flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        let holder = (try? content(file)).flatMap { Int32($0) }
        close(file)
        throw CommandFailure(
          "\(path) belongs to \(holder.map { "process \($0)" } ?? "another process"), which is "
            + "running: end that first, or name another file with --pid-file")
      }
      // Its holder may have removed it in between.
      if isSame(file, path) { return file }
      close(file)
    }
    throw CommandFailure(
      "\(path) is replaced again and again; name another file with --pid-file")
  }

  /// True when the path is still that of the open file.
  private static func isSame(_ file: Int32, _ path: String) -> Bool {
    var (opened, named) = (stat(), stat())
    return fstat(file, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev
      && opened.st_ino == named.st_ino
  }

  /// Refuses what is no file of a process id: a device, or something that somebody wrote.
  private static func check(_ file: Int32, path: String) throws {
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw CommandFailure("\(path) is no plain file: name another with --pid-file")
    }
    // Who reads it may be root, and send signals to the process that it names.
    guard status.st_uid == geteuid(), status.st_nlink <= 1, status.st_mode & 0o022 == 0 else {
      throw CommandFailure(
        "\(path) can be written to by others, or has another name too: name another with --pid-file"
      )
    }
    let text = try content(file)
    guard status.st_size <= byteBound, text.allSatisfy({ $0.isASCII && $0.isNumber }) else {
      throw CommandFailure(
        "\(path) holds something else than a process id, and is left as it is: name another file "
          + "with --pid-file")
    }
  }

  /// What the file holds, without white space around it.
  private static func content(_ file: Int32) throws -> String {
    var bytes = [UInt8](repeating: 0, count: byteBound)
    let count = pread(file, &bytes, bytes.count, 0)
    guard count >= 0 else {
      throw CommandFailure("cannot read the file of the process id: \(SystemError.message())")
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
