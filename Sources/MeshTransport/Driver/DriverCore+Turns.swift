import MeshEngine
import NIOCore
import Synchronization

extension DriverCore {
  /// Does a step on the event loop, while nobody else works on the core. A step inside of a step is a
  /// part of it.
  func turn<Result>(_ body: () -> Result) -> Result {
    guard !isInTurn else { return body() }
    lock.lock()
    isInTurn = true
    defer {
      isInTurn = false
      lock.unlock()
    }
    return body()
  }
}

/// The way into a core from any thread, without a wait for the event loop to wake up: that takes
/// longer than all the work of the engine.
///
/// It touches the core under its lock alone; the event loop, which it calls, never changes.
final class CoreEntrance: Sendable {
  private let core: DriverCore
  /// Operations that wait for the event loop. Nothing may overtake them.
  private let queued = Atomic<Int>(0)

  init(_ core: DriverCore) { self.core = core }

  /// Notes that an operation was handed to the event loop.
  func noteQueued() { queued.add(1, ordering: .relaxed) }

  /// Notes that it is done.
  func noteDone() { queued.subtract(1, ordering: .relaxed) }

  /// Performs an operation on this thread, up to the system's call that sends it. `nil`: not now,
  /// because somebody else works on the core or operations wait; nothing was done.
  func performAtOnce(_ operation: LocalOperation) -> Result<Void, OperationError>? {
    guard core.lock.tryLock() else { return nil }
    defer { core.lock.unlock() }
    guard core.phase == .running, queued.load(ordering: .relaxed) == 0 else { return nil }
    let result = core.performApart(operation)
    if core.needsLoop { core.callLoop() }
    return result
  }
}
