import MeshCRDT
import MeshSimulator
import Testing

@Suite("Simulated meshes")
struct SimulationTests {
  @Test("With half of all faults everybody agrees on the truth afterwards", arguments: 1...24)
  func faultsHeal(seed: UInt64) {
    let result = simulate(SimulationOptions(seed: seed))
    #expect(
      result.failure == nil,
      "presence simulate --seed \(seed) --seeds 1\n\(result.trace.suffix(20).joined(separator: "\n"))")
  }

  @Test("Each fault alone heals", arguments: Fault.allCases)
  func faultHeals(fault: Fault) {
    var options = SimulationOptions(seed: 7)
    options.faults = [fault]
    options.isExact = true
    options.faultMilliseconds = 12_000
    let result = simulate(options)
    #expect(
      result.failure == nil,
      "presence simulate --seed 7 --seeds 1 --faults \(fault.rawValue) --exact --seconds 12")
  }

  @Test("The same seed gives the same trace, and another seed another one")
  func seedsDecide() {
    var options = SimulationOptions(seed: 3)
    options.faultMilliseconds = 8000
    let first = simulate(options)
    let second = simulate(options)
    #expect(first.traceHash == second.traceHash)
    options.seed = 4
    #expect(simulate(options).traceHash != first.traceHash)
  }

  @Test("A trace has the hash that every build gives it")
  func traceHashIsKnown() {
    var options = SimulationOptions(seed: 11)
    options.nodes = 5
    options.faultMilliseconds = 8000
    #expect(simulate(options).traceHash == KnownTrace.hashOfSeed11)
  }

  @Test("A mesh that is asked to agree at once fails, and says how")
  func boundIsChecked() {
    var options = SimulationOptions(seed: 2)
    options.faults = [.partition]
    options.isExact = true
    options.boundMilliseconds = 0
    let result = simulate(options)
    #expect(result.failure?.contains("not converged after 0 ms") == true)
    #expect(!result.trace.isEmpty)
    #expect(result.convergenceMilliseconds == nil)
  }

  @Test("A status change spreads to every node, also when a fifth of the datagrams is lost")
  func changesSpread() {
    let result = measureSpread(
      nodes: 20, loss: 0.2, delayMilliseconds: 1...10, changes: 5, seed: 1)
    #expect(result.unfinished == 0)
    #expect(result.p50Milliseconds >= 1 && result.p50Milliseconds <= result.maxMilliseconds)
  }
}

/// Hashes that debug and release builds must both give.
enum KnownTrace {
  static let hashOfSeed11: UInt64 = 0
}
