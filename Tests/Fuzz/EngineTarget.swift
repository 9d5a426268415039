import Foundation

/// A node, a neighbour of it, and a member of the mesh that says whatever the input says.
///
/// The member has a proven path to the node; its words are well sealed, and most of them well signed.
/// Nothing it says may stop the node, make it say what a user was not told, or come between it and its
/// neighbour.
enum EngineTarget {
  private static let start = EngineWorld.started()
  /// True: what happens is printed, for a find that is looked at.
  static let isTracing = ProcessInfo.processInfo.environment["FUZZ_TRACE"] != nil

  /// True: with the member silent, the node and its neighbour must come to agree.
  private static let comparesNodes =
    ProcessInfo.processInfo.environment["FUZZ_AGREEMENT"] != nil

  static func test(_ bytes: [UInt8]) {
    guard var world = start else { return check(false, "the node and the member do not meet") }
    var input = FuzzInput(bytes)
    let ending = input.byte()
    var steps = 0
    while !input.isAtEnd, steps < 200, !world.isTired {
      world.act(&input)
      steps += 1
    }
    world.checkTables()
    world.checkEvents()
    if comparesNodes, ending & 15 == 7 { world.checkAgreement() }
  }
}
