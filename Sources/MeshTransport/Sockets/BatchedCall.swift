import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The call of the system that takes many datagrams at once (`sendmmsg`), and whether it may be used.
///
/// A system may have the call and refuse it: filters of containers and sandboxes answer it with
/// `ENOSYS` or `EPERM`, and let `sendto` through. An error of the call may also be about its first
/// datagram alone, as a firewall's is. So it is given up when that datagram goes out alone: at once
/// for `ENOSYS`, else after ``refusalBound`` times in a row. It is given up for the process, as such
/// filters do not go.
final class BatchedCall: Sendable {
  typealias Function = @Sendable (CInt, UnsafeMutableRawPointer, Int) -> SendBatch.Outcome

  /// The call of this process; `nil` where the system has none.
  static let ofProcess: BatchedCall? = system.map { BatchedCall($0) }

  /// So many refusals in a row are taken for a rule.
  private static let refusalBound = 4

  private let function: Function
  private let refusals = Atomic<Int>(0)
  /// Why the call was given up, until that is told; 0 before and after.
  private let untold = Atomic<CInt>(0)

  init(_ function: @escaping Function) { self.function = function }

  /// True when the call is given up.
  var isRefused: Bool { refusals.load(ordering: .relaxed) >= Self.refusalBound }

  /// Sends datagrams, of which `headers` has the system's structures.
  func send(
    _ headers: UnsafeMutableRawPointer, count: Int, over descriptor: CInt
  ) -> SendBatch.Outcome {
    let outcome = function(descriptor, headers, count)
    if outcome.sent > 0 { noteSuccess() }
    return outcome
  }

  private func noteSuccess() {
    let count = refusals.load(ordering: .relaxed)
    guard count > 0, count < Self.refusalBound else { return }
    _ = refusals.compareExchange(expected: count, desired: 0, ordering: .relaxed)
  }

  /// The call failed with this error, and its first datagram went out alone.
  func noteRefusal(_ number: CInt) {
    let amount = number == ENOSYS ? Self.refusalBound : 1
    let (before, after) = refusals.add(amount, ordering: .relaxed)
    if before < Self.refusalBound, after >= Self.refusalBound {
      untold.store(number, ordering: .relaxed)
    }
  }

  /// Why the call was given up, for the first who asks after that; else 0.
  func takeReason() -> CInt {
    guard untold.load(ordering: .relaxed) != 0 else { return 0 }
    return untold.exchange(0, ordering: .relaxed)
  }
}

extension BatchedCall {
  #if canImport(Darwin)
    private static let system: Function? = nil
  #else
    private typealias SendMany =
      @convention(c) (CInt, UnsafeMutableRawPointer?, CUnsignedInt, CInt) -> CInt

    /// `sendmmsg`, which the C library's Swift module leaves out.
    static let system: Function? = dlsym(nil, "sendmmsg").map { symbol in
      let sendMany = unsafeBitCast(symbol, to: SendMany.self)
      return { descriptor, headers, count in
        let sent = sendMany(descriptor, headers, CUnsignedInt(count), Platform.withoutWaiting)
        return sent >= 0
          ? SendBatch.Outcome(sent: Int(sent), errorNumber: 0)
          : SendBatch.Outcome(sent: 0, errorNumber: errno)
      }
    }
  #endif
}
