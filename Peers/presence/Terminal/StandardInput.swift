import Foundation

/// What comes in on the standard input, in pieces as they come.
///
/// A thread of its own reads it, because reading a file or a terminal blocks. It reads the next
/// piece when the last one was taken, so that no more than two wait.
enum StandardInput {
  private static let pieceBytes = 4096

  /// The pieces, until the end of the input.
  static func pieces() -> AsyncStream<[UInt8]> {
    let room = DispatchSemaphore(value: 1)
    let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
    let thread = Thread {
      var buffer = [UInt8](repeating: 0, count: pieceBytes)
      while true {
        room.wait()
        var count = 0
        repeat {
          count = read(STDIN_FILENO, &buffer, pieceBytes)
        } while count < 0 && errno == EINTR
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

  /// Gives the lines to `body`, one after the other, without their ends, until the input ends or
  /// `body` returns false. A line of more than `bound` bytes is passed over.
  static func forEachLine(bound: Int = 4096, _ body: (String) async throws -> Bool) async rethrows {
    var line: [UInt8] = []
    for await piece in pieces() {
      for byte in piece {
        guard byte == UInt8(ascii: "\n") else {
          if line.count <= bound { line.append(byte) }
          continue
        }
        defer { line.removeAll(keepingCapacity: true) }
        guard line.count <= bound else { continue }
        guard try await body(String(decoding: line, as: UTF8.self)) else { return }
      }
    }
    if !line.isEmpty, line.count <= bound {
      _ = try await body(String(decoding: line, as: UTF8.self))
    }
  }
}
