import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Rings of members")
struct OverlayTests {
  static let key = HashKey(1, 2)

  static func origin(_ number: Int) -> OriginID { OriginID(UInt64(number), 0, 0, 1) }

  static func overlay(_ members: some Sequence<Int>, rings: Int = 2) -> Overlay {
    var overlay = Overlay(rings: rings, hashKey: key)
    for member in members { _ = overlay.insert(origin(member)) }
    return overlay
  }

  /// The others on a ring as they are visited.
  static func others(
    _ overlay: Overlay, of member: Int, ring: Int = 0, backwards: Bool = false
  ) -> [OriginID] {
    var result: [OriginID] = []
    overlay.visit(from: origin(member), on: ring, backwards: backwards) {
      result.append($0)
      return true
    }
    return result
  }

  @Test("The rings are the same in whatever order members come, and whoever has gone")
  func order() {
    let one = Self.overlay(0..<50)
    var other = Self.overlay((0..<60).reversed())
    for member in 50..<60 { _ = other.remove(Self.origin(member)) }
    for ring in 0..<2 {
      #expect(Self.others(one, of: 7, ring: ring) == Self.others(other, of: 7, ring: ring))
    }
    #expect(one.count == 50 && other.count == 50)
  }

  @Test("Each other member is visited once, and backwards in the opposite order")
  func visit() {
    let overlay = Self.overlay(0..<20)
    for member in [3, 99] {
      let forwards = Self.others(overlay, of: member)
      #expect(Set(forwards) == Set((0..<20).filter { $0 != member }.map(Self.origin)))
      #expect(forwards.count == Set(forwards).count)
      #expect(Self.others(overlay, of: member, backwards: true) == forwards.reversed())
    }
    #expect(Self.others(Self.overlay([1]), of: 1).isEmpty)
    #expect(Self.others(Self.overlay([]), of: 1).isEmpty)
  }

  @Test("Who stands before a member has it behind itself, on each ring in another order")
  func mutual() throws {
    let overlay = Self.overlay(0..<30)
    for ring in 0..<2 {
      for member in 0..<30 {
        let next = try #require(Self.others(overlay, of: member, ring: ring).first)
        let back = Self.others(overlay, of: Int(next.word0), ring: ring, backwards: true).first
        #expect(back == Self.origin(member))
      }
    }
    #expect(Self.others(overlay, of: 0, ring: 0) != Self.others(overlay, of: 0, ring: 1))
  }

  @Test("A member is there once, and goes once")
  func once() {
    var overlay = Self.overlay([])
    let results = [
      overlay.insert(Self.origin(1)), overlay.insert(Self.origin(1)),
      overlay.remove(Self.origin(1)), overlay.remove(Self.origin(1)),
    ]
    #expect(results == [true, false, true, false])
    #expect(overlay.count == 0)
  }

  @Test("From any member few hops along two rings lead to all", arguments: [100, 1000])
  func hops(count: Int) {
    let overlay = Self.overlay(0..<count)
    var reached: Set = [Self.origin(0)]
    var frontier = reached
    var hops = 0
    while reached.count < count, hops < 100 {
      var next: Set<OriginID> = []
      for member in frontier {
        for (ring, backwards) in [(0, true), (0, false), (1, true), (1, false)] {
          overlay.visit(from: member, on: ring, backwards: backwards) {
            if reached.insert($0).inserted { next.insert($0) }
            return false
          }
        }
      }
      frontier = next
      hops += 1
    }
    #expect(hops <= (count == 100 ? 7 : 10), "\(hops) hops")
  }
}
