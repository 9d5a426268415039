import Foundation

/// What comes in on the standard input, in pieces as they come.
///
/// A thread of its own reads it, because reading a file or a terminal blocks. It reads the next
/// piece when the last one was taken, so that no more than two wait.
enum StandardInput {
  static let descriptor = STDIN_FILENO
  private static let pieceBytes = 4096

  /// The pieces, until the end of the input.
  static func pieces() -> AsyncStream<[UInt8]> {
    // Dispatch traps when a semaphore goes with a lower count than it was made with, and the reader
    // may stop at any time: it is made with none.
    let room = DispatchSemaphore(value: 0)
    room.signal()
    let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
    let thread = Thread {
      var buffer = [UInt8](repeating: 0, count: pieceBytes)
      while true {
        room.wait()
        let count = readPiece(&buffer)
        guard count > 0 else { break }
        continuation.yield(Array(buffer[..<count]))
      }
      continuation.finish()
    }
    thread.start()
    return AsyncStream(unfolding: {
      var iterator = stream.makeAsyncIterator()
      let piece = await iterator.next()
      room.signal()
      return piece
    })
  }

  /// Reads what is there, and waits until something is. Returns how many bytes came; 0 or less at
  /// the end.
  private static func readPiece(_ buffer: inout [UInt8]) -> Int {
    while true {
      let count = read(STDIN_FILENO, &buffer, buffer.count)
      guard count < 0 else { return count }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        // Another process made the input non-blocking.
        var ready = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        _ = poll(&ready, 1, -1)
      default: return count
      }
    }
  }

  /// A line of the input.
  enum Line {
    /// The text, without its end. What is no UTF-8 became a replacement character.
    case text(String)
    /// It had more bytes than ``lineBound``.
    case tooLong
  }

  /// The most bytes of a line that is taken.
  static let lineBound = 4096

  /// Gives the lines to `body`, one after the other, until the input ends or `body` returns false.
  /// Returns true when the input ended.
  static func forEachLine(_ body: (Line) async throws -> Bool) async rethrows -> Bool {
    var line: [UInt8] = []
    func taken() -> Line {
      line.count > lineBound ? .tooLong : .text(String(decoding: line, as: UTF8.self))
    }
    for await piece in pieces() {
      for byte in piece {
        guard byte == UInt8(ascii: "\n") else {
          if line.count <= lineBound { line.append(byte) }
          continue
        }
        defer { line.removeAll(keepingCapacity: true) }
        guard try await body(taken()) else { return false }
      }
    }
    return line.isEmpty ? true : try await body(taken())
  }
}
