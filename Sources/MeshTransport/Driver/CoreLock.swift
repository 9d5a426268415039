#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The lock of a ``DriverCore``: the event loop takes it for each step, and whoever performs an
/// operation takes it if it is free.
///
/// `@unchecked Sendable`: its one field is a pointer that is set once. What it points to is made before
/// anybody else has the object, destroyed when nobody has it any more, and between that touched by the
/// system's functions for locks alone, which any thread may call; it never moves. `Mutex` has no way to
/// take the lock in one function and give it back in another.
final class CoreLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init() {
    mutex.initialize(to: pthread_mutex_t())
    let status = pthread_mutex_init(mutex, nil)
    precondition(status == 0, "a lock cannot be made")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deinitialize(count: 1)
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }

  /// Takes the lock if nobody holds it.
  func tryLock() -> Bool { pthread_mutex_trylock(mutex) == 0 }
}
