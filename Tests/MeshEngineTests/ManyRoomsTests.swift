import MeshCRDT
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("Meshes of many rooms")
struct ManyRoomsTests {
  @Test("Who joins two nodes of 200 rooms each holds all of them within two seconds")
  func joinsMany() throws {
    var wire = try Wire(2)
    wire.pass(milliseconds: 500)
    for index in 0..<2 { try wire.enter(0..<200, at: index) }
    wire.pass(milliseconds: 5000)
    let areEqual = Wire.areEqual(wire.engines)
    try #require(areEqual)
    try wire.join()
    let took = wire.pass(milliseconds: 10_000) { Wire.areEqual($0) }
    #expect(try #require(took) <= 2000)
  }

  @Test("Who joins a node of 5,000 rooms holds all of them within two seconds")
  func joinsThousands() throws {
    var wire = try Wire(1)
    try wire.enter(0..<5000, at: 0)
    wire.pass(milliseconds: 100)
    try wire.join()
    let took = wire.pass(milliseconds: 10_000) { Wire.areEqual($0) }
    #expect(try #require(took) <= 2000)
  }

  @Test("Nodes that were cut off while a few of their many rooms changed are equal soon after")
  func healsFew() throws {
    var wire = try Wire(2)
    try wire.enter(0..<5000, at: 0)
    try #require(wire.pass(milliseconds: 20_000) { Wire.areEqual($0) } != nil)
    wire.sides = [1: 1]
    wire.pass(milliseconds: 3000)
    for number in 0..<100 { try wire.say("changed", in: number * 50, at: 0) }
    wire.pass(milliseconds: 1000)
    wire.sides = [:]
    let took = wire.pass(milliseconds: 20_000) { Wire.areEqual($0) }
    // The next digest may be two seconds away.
    #expect(try #require(took) <= 4000)
  }

  @Test("Three nodes of 400 rooms each join, are cut and heal, and are equal each time")
  func healsThree() throws {
    var wire = try Wire(3)
    for index in 0..<3 { try wire.enter(0..<400, at: index) }
    let joined = wire.pass(milliseconds: 20_000) { Wire.areEqual($0) }
    #expect(try #require(joined) <= 4000)
    wire.sides = [1: 1, 2: 2]
    for number in 0..<100 {
      try wire.say("changed", in: number * 4, at: number % 3)
      wire.pass(milliseconds: 30)
    }
    wire.sides = [:]
    let took = wire.pass(milliseconds: 20_000) { Wire.areEqual($0) }
    #expect(try #require(took) <= 4000)
  }
}
