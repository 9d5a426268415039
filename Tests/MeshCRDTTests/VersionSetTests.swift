import MeshCRDT
import Testing

@Suite("Sets of versions")
struct VersionSetTests {
  @Test("A set of ranges says the same as a set of numbers", arguments: 1...200)
  func model(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var set = VersionSet()
    var model: Set<UInt64> = []
    for _ in 0..<60 {
      let first = UInt64(1 + random.below(120))
      let range = first...(first + UInt64(random.below(6)))
      #expect(set.contains(range) == range.allSatisfy(model.contains))
      let isIn = set.insert(range)
      #expect(isIn)
      model.formUnion(range)
      #expect(set.highest == model.max())
      let through = (1...200).first { !model.contains($0) }.map { $0 - 1 } ?? 0
      #expect(set.through == through)
      #expect(set.isContiguous == (model.count == Int(through)))
      let bound = UInt64(1 + random.below(130))
      #expect(
        set.missing(through: bound).flatMap(Array.init)
          == (1...bound).filter { !model.contains($0) })
    }
  }

  @Test("What would need too many ranges is refused, and nothing changes")
  func bound() {
    var set = VersionSet()
    for index in 1...UInt64(VersionSet.rangeBound) { _ = set.insert(3 * index...3 * index) }
    let before = set
    let results = [10_000...10_000, 4...5, 1...2].map { set.insert($0) }
    // What joins ranges needs none more.
    #expect(results == [false, true, true])
    #expect(before.highest == set.highest && set.through == 6)
  }
}
