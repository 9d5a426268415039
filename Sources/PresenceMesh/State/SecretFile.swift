package import MeshCrypto

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file with secrets that somebody else made: an invite, keys for tokens.
package enum SecretFile {
  /// Reads a file that belongs to this user alone (mode 0600 at most), or to root and is read by a
  /// group at most (0640), as a system hands it to a service; or a pipe, as a shell makes one.
  ///
  /// Symbolic links are followed: what they lead to is what is checked.
  package static func read(_ path: String, bound: Int) throws(StateError) -> SecretBytes {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard file >= 0 else { throw .cannotRead(path: path, reason: SystemText.message(errno)) }
    defer { close(file) }
    try OwnerOnly.check(
      file, path: path, kinds: [S_IFREG, S_IFIFO], mode: StateFolder.fileMode, allowsRoot: true)
    let (content, number) = SecretBytes.read(from: file, bound: bound)
    guard number == 0 else { throw .cannotRead(path: path, reason: SystemText.message(number)) }
    guard let content else {
      throw .cannotRead(path: path, reason: "it has more than \(bound) bytes")
    }
    return content
  }
}

extension SecretBytes {
  /// Writes everything to a descriptor, without a copy. Returns 0, or the number of the error.
  package func write(to descriptor: CInt) -> CInt {
    withBytes { start in
      var end = 0
      while end < count {
        let written = systemWrite(descriptor, start + end, count - end)
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { return written < 0 ? errno : EIO }
        end += written
      }
      return 0
    }
  }

  /// Reads from a descriptor until its end, or until a byte that ends it, which is not part of the
  /// result.
  /// - Returns: What was read; `nil` when it has more than `bound` bytes, or the number of the error.
  package static func read(
    from descriptor: CInt, bound: Int, until last: UInt8? = nil
  ) -> (content: SecretBytes?, error: CInt) {
    var (end, number): (Int, CInt) = (0, 0)
    let all = SecretBytes(count: bound + 1) { memory in
      guard let start = memory.baseAddress else { return }
      // Byte by byte where something may follow that is for another reader.
      let step = last == nil ? memory.count : 1
      while end < memory.count {
        let count = systemRead(descriptor, start + end, min(step, memory.count - end))
        if count < 0 {
          if errno == EINTR { continue }
          if errno == EAGAIN {
            // Another process made the input non-blocking.
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&ready, 1, -1)
            continue
          }
          number = errno
        }
        guard count > 0 else { return }
        if let last, memory[end] == last { return }
        end += count
      }
    }
    guard number == 0, end <= bound else { return (nil, number) }
    return (all.withBytes { SecretBytes(UnsafeBufferPointer(start: $0, count: end)) }, 0)
  }
}

/// The system's words for its error numbers.
enum SystemText {
  static func message(_ number: CInt) -> String {
    strerror(number).map { String(cString: $0) } ?? "error \(number)"
  }
}

/// The system's calls, where methods of these names are nearer.
private func systemWrite(_ file: CInt, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  #if canImport(Darwin)
    Darwin.write(file, bytes, count)
  #elseif canImport(Glibc)
    Glibc.write(file, bytes, count)
  #elseif canImport(Musl)
    Musl.write(file, bytes, count)
  #endif
}

private func systemRead(_ file: CInt, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
  #if canImport(Darwin)
    Darwin.read(file, bytes, count)
  #elseif canImport(Glibc)
    Glibc.read(file, bytes, count)
  #elseif canImport(Musl)
    Musl.read(file, bytes, count)
  #endif
}
