import MeshCRDT
import Testing

/// The order of Lamport stamps.
@Suite("Stamps")
struct StampTests {
  static let stamps = [0, 1, Limits.counterBound - 1].flatMap { counter in
    [
      OriginID(0, 0, 0, 0), OriginID(0, 0, 0, 1), OriginID(0, 0, 1, 0), OriginID(0, 1, 0, 0),
      OriginID(1, 0, 0, 0), OriginID(.max, .max, .max, .max),
    ].map { Stamp(counter: counter, origin: $0) }
  }

  /// Exactly one of <, = and > holds for each pair, and < is transitive.
  static func orderViolation() -> String? {
    for left in stamps {
      for right in stamps {
        let relations = [left < right, left == right, right < left].count { $0 }
        if relations != 1 { return "\(relations) relations between \(left) and \(right)" }
        for third in stamps where left < right && right < third && !(left < third) {
          return "not transitive: \(left), \(right), \(third)"
        }
      }
    }
    return nil
  }

  @Test("Stamps have a total order")
  func stampsAreOrdered() { #expect(Self.orderViolation() == nil) }

  @Test("The counter decides before the origin does")
  func counterDecidesFirst() {
    let early = Stamp(counter: 1, origin: OriginID(.max, 0, 0, 0))
    let late = Stamp(counter: 2, origin: OriginID(0, 0, 0, 0))
    #expect(early < late)
  }

  @Test("Origins are ordered as their bytes are")
  func originsAreOrderedByBytes() throws {
    var generator = SplitMix64(seed: 1)
    for _ in 0..<500 {
      // Few values, so that ids share their first bytes.
      let bytes = (0..<2).map { _ in
        (0..<32).map { $0 % 8 == 7 ? UInt8.random(in: 0...1, using: &generator) : 0 }
      }
      let left = try #require(OriginID(bytes: bytes[0]))
      let right = try #require(OriginID(bytes: bytes[1]))
      #expect((left < right) == bytes[0].lexicographicallyPrecedes(bytes[1]))
      #expect(left.bytes == bytes[0])
      #expect(left.description == hexadecimal(bytes[0]))
    }
  }
}
