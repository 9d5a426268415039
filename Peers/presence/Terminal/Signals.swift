import Dispatch
import Foundation
import Synchronization

/// The signals that end a node or a view: SIGINT, SIGTERM and SIGHUP.
///
/// The first of them asks for a polite end, and is told by ``signals``. While that goes on, SIGTERM
/// and SIGHUP change nothing: supervisors and closing terminals send several. Another SIGINT is a
/// person who does not want to wait: it ends the process at once. SIGHUP stays ignored where it was
/// when the process started (`nohup`).
///
/// From the making of this on the signals no longer end the process by themselves, as long as it
/// runs.
final class Endings: Sendable {
  /// The first signal.
  let signals: AsyncStream<Int32>

  private struct State {
    var hasBegun = false
    var beforeExit: [@Sendable () -> Void] = []
  }

  private let state: Mutex<State>
  private let continuation: AsyncStream<Int32>.Continuation

  init() {
    (signals, continuation) = AsyncStream.makeStream()
    state = Mutex(State())
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let wasIgnored = Self.ignore(number)
      guard number != SIGHUP || !wasIgnored else { continue }
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The handler keeps its source alive, and this.
      source.setEventHandler { [self, source] in
        _ = source
        receive(number)
      }
      source.resume()
    }
  }

  /// Does something before a SIGINT ends the process at once.
  func beforeExit(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.beforeExit.append(body) }
  }

  /// Takes its effect from a signal. True when it had none before.
  private static func ignore(_ number: Int32) -> Bool {
    // Handlers are addresses; that of SIG_IGN is 1, that of SIG_DFL is 0.
    let before = unsafeBitCast(signal(number, SIG_IGN) as SignalHandler?, to: Int.self)
    return before == unsafeBitCast(SIG_IGN as SignalHandler?, to: Int.self)
  }

  private typealias SignalHandler = @convention(c) (Int32) -> Void

  private func receive(_ number: Int32) {
    let isFirst = state.withLock { state in
      defer { state.hasBegun = true }
      return !state.hasBegun
    }
    if isFirst {
      continuation.yield(number)
    } else if number == SIGINT {
      for body in state.withLock({ $0.beforeExit }) { body() }
      _exit(CommandFailure.interruptedExitCode)
    }
  }
}

/// Signals as sequences. What is begun here goes on as long as the process.
enum Signals {
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
}
