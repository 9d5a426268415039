import Dispatch
import MeshSimulator

/// Simulates on a thread that is kept for it, one seed at a time.
///
/// A simulation computes for seconds. On the threads that all tests share it would make those wait that
/// talk over sockets, for longer than their peers are patient.
func runAside(_ scenario: Scenario) async -> Outcome {
  await aside { scenario.run() }
}

/// Computes something long on the same thread.
func aside<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
  await withCheckedContinuation { continuation in
    queue.async { continuation.resume(returning: body()) }
  }
}

private let queue = DispatchQueue(label: "simulations")
