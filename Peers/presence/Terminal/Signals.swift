import Dispatch
import Foundation
import Synchronization

/// Signals as sequences. What is begun here goes on as long as the process.
enum Signals {
  /// SIGINT, SIGTERM and SIGHUP as they come; they no longer end the process by themselves. The
  /// second one does, at once, after `beforeExit`.
  static func endings(beforeExit: @escaping @Sendable () -> Void = {}) -> AsyncStream<Int32> {
    let (stream, continuation) = AsyncStream<Int32>.makeStream()
    let count = Counter()
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The handler keeps its source alive.
      source.setEventHandler { [source] in
        if count.raised(by: Int(source.data)) > 1 {
          beforeExit()
          _exit(CommandFailure.interruptedExitCode)
        }
        continuation.yield(number)
      }
      source.resume()
    }
    return stream
  }

  /// Changes of the terminal's size.
  static func resizes() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let source = DispatchSource.makeSignalSource(signal: SIGWINCH, queue: .global())
    source.setEventHandler { [source] in
      _ = source
      continuation.yield()
    }
    source.resume()
    return stream
  }

  /// Counts up.
  private final class Counter: Sendable {
    private let count = Mutex(0)

    func raised(by amount: Int) -> Int {
      count.withLock { count in
        count += amount
        return count
      }
    }
  }
}
