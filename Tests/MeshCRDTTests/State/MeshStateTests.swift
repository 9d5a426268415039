import MeshCRDT
import Testing

/// The joined state of all origins, and what it keeps incrementally.
@Suite("The state of a mesh")
struct MeshStateTests {
  static func open(
    _ state: inout MeshState, _ origin: OriginID, generation: UInt64 = 1
  ) -> (slot: Int?, dropped: [SessionID]) {
    var dropped: [SessionID] = []
    let slot = state.open(origin, generation: generation, dropped: &dropped)
    return (slot, dropped)
  }

  static func join(_ state: inout MeshState, _ origin: OriginID, _ delta: Delta) {
    guard let slot = open(&state, origin, generation: delta.generation).slot else { return }
    for record in delta.records { _ = state.join(slot: slot, record.key, record.cell) }
    state.settle(slot: slot, claim: delta.claim)
  }

  @Test("After any operations, what is kept equals what it is made from")
  func anyOperationsKeepTheInvariants() {
    var operations = 0
    for seed in seeds(60) {
      var generator = SplitMix64(seed: seed)
      var state = MeshState(hashKey: Sample.hashKey)
      var writers = (0..<4).map { Writer(seed: seed &* 10 + $0, restartPercent: 10) }
      var deltas: [(OriginID, Delta)] = []
      for step in 0..<60 {
        let number = Int.random(in: 0..<4, using: &generator)
        let origin = Sample.origin(UInt64(number))
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<6:
          let delta = writers[number].write()
          deltas.append((origin, delta))
          if generator.chance(70) { Self.join(&state, origin, delta) }
        case 6..<8:
          if let (origin, delta) = deltas.randomElement(using: &generator) {
            Self.join(&state, origin, delta)
          }
        case 8:
          if let slot = state.slot(of: origin) {
            // A manifest of what the origin has now.
            let live = Set(writers[number].log.records)
            let dead = state.logs[slot].records.filter { !live.contains($0) }
            _ = state.settle(slot: slot, removing: dead.map { ($0.key, $0.cell.version) })
          }
        default:
          guard let slot = state.slot(of: origin) else { continue }
          if generator.chance(50) {
            #expect(state.forget(slot: slot) == state.forgotten(slot: slot))
          } else {
            state.reopen(slot: slot)
          }
        }
        operations += 1
        if let violation = state.invariantViolation() {
          Issue.record("seed \(seed), step \(step): \(violation)")
          return
        }
      }
    }
    print("checked \(operations) operations on states")
  }
}
