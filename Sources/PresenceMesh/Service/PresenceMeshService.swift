public import ServiceLifecycle
import Synchronization

/// A node as a service of a server: joins when the service group starts it, and leaves politely when
/// the group shuts down.
///
/// ```swift
/// let presence = PresenceMeshService(.init(identity: .stateDirectory("state")))
/// let group = ServiceGroup(services: [presence], gracefulShutdownSignals: [.sigterm], logger: log)
/// ```
/// Others get the node from ``mesh()``.
public final class PresenceMeshService: Service {
  private enum Phase {
    case waiting([UInt64: CheckedContinuation<PresenceMesh?, Never>])
    case joined(PresenceMesh)
    case failed(PresenceError)
    case ended
  }

  private struct State {
    var phase = Phase.waiting([:])
    var nextWaiter: UInt64 = 0
  }

  private let configuration: PresenceMesh.Configuration
  private let state = Mutex(State())

  /// Makes a service that joins by this configuration when it runs.
  public init(_ configuration: PresenceMesh.Configuration) { self.configuration = configuration }

  /// Joins, waits for a graceful shutdown or a cancellation, and leaves. A service runs once.
  /// - Throws: ``PresenceError`` when joining failed, and when the node is put out of the mesh.
  public func run() async throws {
    do throws(PresenceError) {
      let mesh = try await PresenceMesh.join(configuration)
      settle(.joined(mesh))
      await withTaskGroup { group in
        // Ends by an error when the task is cancelled: that is a reason to leave too.
        group.addTask { try? await gracefulShutdown() }
        group.addTask { await mesh.untilExpelled() }
        await group.next()
        group.cancelAll()
      }
      await mesh.leave()
      if let reason = mesh.expulsion { throw .expelled(reason) }
      settle(.ended)
    } catch {
      settle(.failed(error))
      throw error
    }
  }

  /// The node. Waits until it has joined.
  /// - Throws: The ``PresenceError`` that joining failed with; ``PresenceError/meshLeft`` when the
  ///   service has ended or the task is cancelled.
  public func mesh() async throws(PresenceError) -> PresenceMesh {
    let number = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let mesh = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isWaiting = state.withLock { state in
          guard case .waiting(var waiters) = state.phase, !Task.isCancelled else { return false }
          waiters[number] = continuation
          state.phase = .waiting(waiters)
          return true
        }
        if !isWaiting { continuation.resume(returning: nil) }
      }
    } onCancel: {
      let waiter = state.withLock { state -> CheckedContinuation<PresenceMesh?, Never>? in
        guard case .waiting(var waiters) = state.phase else { return nil }
        let waiter = waiters.removeValue(forKey: number)
        state.phase = .waiting(waiters)
        return waiter
      }
      waiter?.resume(returning: nil)
    }
    if let mesh { return mesh }
    switch state.withLock({ $0.phase }) {
    case .joined(let mesh): return mesh
    case .failed(let error): throw error
    case .waiting, .ended: throw .meshLeft
    }
  }

  private func settle(_ phase: Phase) {
    let waiters = state.withLock { state in
      defer { state.phase = phase }
      if case .waiting(let waiters) = state.phase { return Array(waiters.values) }
      return []
    }
    var joined: PresenceMesh?
    if case .joined(let mesh) = phase { joined = mesh }
    for waiter in waiters { waiter.resume(returning: joined) }
  }
}
