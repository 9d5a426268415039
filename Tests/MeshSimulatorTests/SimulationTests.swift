import Foundation
import MeshCRDT
import MeshSimulator
import Testing

@Suite("Simulated meshes")
struct SimulationTests {
  @Test("With half of all faults everybody agrees on the truth afterwards", arguments: 1...10)
  func faultsHeal(seed: UInt64) async {
    var options = SimulationOptions(seed: seed)
    options.faultMilliseconds = 10_000
    let result = await simulateAside(options)
    #expect(
      result.failure == nil,
      "presence simulate --seed \(seed) --seeds 1 --seconds 10\n\(result.trace.suffix(20).joined(separator: "\n"))"
    )
  }

  @Test("Each fault alone heals", arguments: Fault.allCases)
  func faultHeals(fault: Fault) async {
    var options = SimulationOptions(seed: 7)
    options.faults = [fault]
    options.isExact = true
    options.faultMilliseconds = 8000
    let result = await simulateAside(options)
    #expect(
      result.failure == nil,
      "presence simulate --seed 7 --seeds 1 --faults \(fault.rawValue) --exact --seconds 8")
  }

  @Test("The same seed gives the same trace, and another seed another one")
  func seedsDecide() async {
    var options = SimulationOptions(seed: 3)
    options.faultMilliseconds = 8000
    let first = await simulateAside(options)
    let second = await simulateAside(options)
    #expect(first.traceHash == second.traceHash)
    options.seed = 4
    #expect(await simulateAside(options).traceHash != first.traceHash)
  }

  @Test("A trace has the hash that every build gives it")
  func traceHashIsKnown() async throws {
    var options = SimulationOptions(seed: 11)
    options.nodes = 5
    options.faultMilliseconds = 8000
    // The release build is compared with the same file by the CI script.
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "trace-hash")
    let known = try String(contentsOf: file, encoding: .utf8)
    var hasher = SipHash(key: HashKey(0, 0))
    hasher.combine(await simulateAside(options).traceHash)
    let digits = String(hasher.finalize(), radix: 16)
    #expect(known.contains(String(repeating: "0", count: 16 - digits.count) + digits))
  }

  @Test("A mesh that is asked to agree at once fails, and says how")
  func boundIsChecked() async {
    var options = SimulationOptions(seed: 2)
    options.faults = [.partition]
    options.isExact = true
    options.boundMilliseconds = 0
    let result = await simulateAside(options)
    #expect(result.failure?.contains("not converged after 0 ms") == true)
    #expect(!result.trace.isEmpty)
    #expect(result.convergenceMilliseconds == nil)
  }

  @Test("A status change spreads to every node, also when a fifth of the datagrams is lost")
  func changesSpread() async {
    let result = await aside {
      measureSpread(nodes: 20, loss: 0.2, delayMilliseconds: 1...10, changes: 5, seed: 1)
    }
    #expect(result.unfinished == 0)
    #expect(result.p50Milliseconds >= 1 && result.p50Milliseconds <= result.maxMilliseconds)
  }
}
