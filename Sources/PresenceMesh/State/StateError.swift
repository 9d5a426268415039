/// Why a state directory cannot be used. But for `notSynced`, nothing in it was changed.
package enum StateError: Error, Hashable, Sendable {
  /// What is wrong with a file's content.
  package enum Damage: Hashable, Sendable {
    case empty
    case tooLong(limit: Int)
    /// The last line, which holds the checksum, is missing.
    case truncated
    case checksumWrong
    /// The first line is not that of a file of this kind.
    case foreign
    /// A line that is not what it should be. Lines count from 1.
    case malformedLine(number: Int, expected: String)
  }

  /// There is no place for the directory: neither of the variables that name one is set.
  case noDefaultPath
  case cannotCreate(path: String, reason: String)
  case cannotOpen(path: String, reason: String)
  /// Something that should be a plain file or a directory is something else.
  case wrongKind(path: String, expected: String)
  /// Others than the owner may read or write it. Modes are the lowest nine bits.
  case tooOpen(path: String, mode: UInt32, allowed: UInt32)
  case notOwned(path: String, owner: UInt32, user: UInt32)
  /// Another process uses the directory; its id, when it could be read.
  case locked(path: String, process: Int32?)
  case cannotRead(path: String, reason: String)
  case cannotWrite(path: String, reason: String)
  /// It was written, and is perhaps not on the disk.
  case notSynced(path: String, reason: String)
  case damaged(path: String, Damage)
  case unknownVersion(path: String, version: String)
  /// A file is gone that was made together with another that is there.
  case missing(path: String, besides: String)
  /// The directory belongs to another mesh already.
  case otherMesh(path: String)
  /// The incarnations of this identity are used up.
  case incarnationsExhausted(path: String)
}

extension StateError: CustomStringConvertible {
  /// What is wrong, and what to do about it.
  package var description: String {
    switch self {
    case .noDefaultPath:
      "there is no place for the state of this node: set PRESENCE_STATE to a directory, or HOME"
    case .cannotCreate(let path, let reason):
      "cannot make the state directory \(path): \(reason); name another with PRESENCE_STATE"
    case .cannotOpen(let path, let reason): "cannot open \(path): \(reason)"
    case .wrongKind(let path, let expected):
      "\(path) is not \(expected): move it away, or name another"
    case .tooOpen(let path, let mode, let allowed):
      """
      \(path) is open to other users (mode \(octal(mode))), and it holds secrets: \
      run chmod \(octal(allowed)) \(shellQuoted(path))
      """
    case .notOwned(let path, let owner, let user):
      """
      \(path) belongs to user \(owner), and this process runs as user \(user): run it as its \
      owner, or name another
      """
    case .locked(let path, let process):
      """
      the state directory \(path) is in use by \
      \(process.map { "process \($0)" } ?? "another process"): stop that first, or name another \
      state directory for a second node
      """
    case .cannotRead(let path, let reason): "cannot read \(path): \(reason)"
    case .cannotWrite(let path, let reason):
      "cannot write \(path): \(reason); the file is as it was before"
    case .notSynced(let path, let reason):
      "cannot bring \(path) to the disk: \(reason); it is new, and may be the old one after a crash"
    case .damaged(let path, let damage):
      """
      \(path) is damaged: \(damage). Restore it from a backup, or move the whole directory away \
      to begin as a new node
      """
    case .unknownVersion(let path, let version):
      """
      \(path) has version '\(version)', which this version of PresenceMesh does not know: it was \
      written by a newer one; use that, or name another state directory
      """
    case .missing(let path, let besides):
      """
      \(path) is missing, though \(besides) is there. Restore it from a backup, or move the whole \
      directory away to begin as a new node
      """
    case .otherMesh(let path):
      "\(path) holds another mesh: name another state directory, or move that file away"
    case .incarnationsExhausted(let path):
      "\(path) has no incarnation left: move the whole directory away to begin as a new node"
    }
  }
}

extension StateError.Damage: CustomStringConvertible {
  package var description: String {
    switch self {
    case .empty: "it is empty"
    case .tooLong(let limit): "it has more than \(limit) bytes"
    case .truncated: "its end is missing"
    case .checksumWrong: "its checksum is wrong"
    case .foreign: "it is not a file of this kind"
    case .malformedLine(let number, let expected): "line \(number) is not \(expected)"
    }
  }
}

private func octal(_ mode: UInt32) -> String {
  let digits = String(mode, radix: 8)
  return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

/// A path that a shell takes as one word.
private func shellQuoted(_ path: String) -> String {
  let isPlain = path.utf8.allSatisfy { byte in
    switch UInt8(byte) {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
  let quote = "'\\''"
  return isPlain
    ? path
    : "'"
      + path.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: quote) + "'"
}
