import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Routes")
struct RouterTests {
  private static let room = RoomName("design") ?? .lobby
  private static func origin(_ number: Int) -> OriginID { OverlayTests.origin(number) }
  private static func address(_ number: Int) -> PeerAddress {
    PeerAddress(high: 1, low: UInt64(number), port: 1)
  }

  private static func peers(_ numbers: some Sequence<Int>) -> [Router.Peer] {
    numbers.sorted().map { (origin($0), address($0)) }
  }

  /// The router of node 0.
  private static func router(members: Int, directPeers: Int = 4) -> Router {
    var router = Router(
      origin: origin(0), directPeers: directPeers, rings: 2, hashKey: OverlayTests.key)
    for member in 1..<members { router.setMember(origin(member), isVisible: true) }
    return router
  }

  /// Who stands beside node 0 on the rings of some members.
  private static func beside(_ members: some Sequence<Int>) -> Set<Int> {
    let overlay = OverlayTests.overlay(members)
    var result: Set<Int> = []
    for ring in 0..<2 {
      for backwards in [true, false] {
        let first = OverlayTests.others(overlay, of: 0, ring: ring, backwards: backwards).first
        if let first { result.insert(Int(first.word0)) }
      }
    }
    return result
  }

  private static func numbers(_ addresses: [PeerAddress]) -> Set<Int> {
    Set(addresses.map { Int($0.low) })
  }

  @Test("In a small mesh things go to all peers, those of a room to its subscribers")
  func small() {
    var router = Self.router(members: 5)
    router.setPeers(Self.peers(1..<5), revision: 1)
    #expect(!router.isLarge)
    let all = router.addresses()
    let some = router.addresses(in: Self.room) { $0 != Self.origin(3) }
    #expect(Self.numbers(all) == [1, 2, 3, 4])
    #expect(Self.numbers(some) == [1, 2, 4])
    let wanted = router.wanted()
    let isConnected = router.isConnected()
    #expect(wanted == nil && !isConnected)
  }

  @Test("A mesh is large while it has more members than direct peers and this node")
  func size() {
    var router = Self.router(members: 5)
    var sizes = [router.isLarge]
    router.setMember(Self.origin(9), isVisible: true)
    sizes.append(router.isLarge)
    router.setMember(Self.origin(9), isVisible: false)
    sizes.append(router.isLarge)
    #expect(sizes == [false, true, false])
  }

  @Test("In a large mesh things go to those beside this node, to whom paths are wanted")
  func large() {
    var router = Self.router(members: 100)
    router.setPeers(Self.peers(1..<100), revision: 1)
    let (addresses, wanted) = (router.addresses(), router.wanted())
    #expect(Self.numbers(addresses) == Self.beside(0..<100))
    #expect(wanted == Set(Self.beside(0..<100).map(Self.origin)))
    let (missing, isConnected) = (router.missing(), router.isConnected())
    #expect(missing.isEmpty && isConnected)
  }

  @Test("The next member on the ring takes the place of one to whom there is no path")
  func next() throws {
    let beside = Self.beside(0..<100)
    let lost = try #require(beside.min())
    var router = Self.router(members: 100)
    router.setPeers(Self.peers((1..<100).filter { $0 != lost }), revision: 1)
    let addresses = router.addresses()
    let missing = router.missing()
    #expect(Self.numbers(addresses) == Self.beside((0..<100).filter { $0 != lost }))
    #expect(missing == [Self.origin(lost)])
  }

  @Test("A node that has just come sends to whom it knows, and is not connected")
  func newcomer() {
    var router = Self.router(members: 1000)
    let beside = Self.beside(0..<1000)
    let known = (1..<1000).first { !beside.contains($0) } ?? 1
    router.setPeers(Self.peers([known]), revision: 1)
    let addresses = router.addresses()
    let isConnected = router.isConnected()
    #expect(Self.numbers(addresses) == [known])
    #expect(!isConnected)
  }

  @Test("What is said in a room goes to those beside this node among its subscribers")
  func rooms() {
    var router = Self.router(members: 100)
    router.setPeers(Self.peers(1..<100), revision: 1)
    let subscribers = (1..<100).filter { $0 % 7 == 0 }
    let set = Set(subscribers.map(Self.origin))
    let addresses = router.addresses(in: Self.room) { set.contains($0) }
    #expect(Self.numbers(addresses) == Self.beside([0] + subscribers))
    let wanted = router.wanted() ?? []
    #expect(wanted.isSuperset(of: Self.beside([0] + subscribers).map(Self.origin)))
  }

  @Test("A route is kept until a member, a path or a subscription changes")
  func kept() {
    var router = Self.router(members: 100)
    router.setPeers(Self.peers(1..<100), revision: 1)
    var asked = 0
    func route(_ router: inout Router) -> Set<Int> {
      var isAsked = false
      let addresses = router.addresses(in: Self.room) { _ in
        isAsked = true
        return true
      }
      if isAsked { asked += 1 }
      return Self.numbers(addresses)
    }
    let first = route(&router)
    let again = route(&router)
    router.setPeers(Self.peers(1..<50), revision: 1)
    let unchanged = route(&router)
    #expect(again == first && unchanged == first && asked == 1)
    router.setPeers(Self.peers((1..<100).filter { !first.contains($0) }), revision: 2)
    let other = route(&router)
    #expect(other.isDisjoint(with: first) && asked == 2)
    router.setMember(Self.origin(200), isVisible: true)
    _ = route(&router)
    router.noteSubscriptions()
    _ = route(&router)
    #expect(asked == 4)
  }

  @Test("A node on a new path is told of those who stand beside it, whether it is a member or not")
  func introductions() {
    let router = Self.router(members: 100)
    for other in [5, 500] {
      let overlay = OverlayTests.overlay(Array(1..<100))
      let told = Set(router.beside(Self.origin(other)))
      for ring in 0..<2 {
        for backwards in [true, false] {
          let first = OverlayTests.others(overlay, of: other, ring: ring, backwards: backwards)
            .first
          #expect(first.map { told.contains($0) } == true)
        }
      }
      #expect(!told.contains(Self.origin(0)) && told.count <= 4)
    }
  }

  @Test("Whoever misses beats asks whom they came from, and somebody else")
  func sources() {
    var router = Self.router(members: 100)
    router.setPeers(Self.peers(1..<100), revision: 1)
    var random = RandomSource(seed: (1, 2, 3, 4))
    let neighbours = router.addresses()
    let now = MonotonicTime(nanoseconds: 1)
    _ = router.add(beatOf: Self.origin(50), from: neighbours[1], now: now)
    let asked = router.sources(
      ofMissed: Self.origin(50), period: .seconds(2), now: now, &random)
    #expect(asked.first == neighbours[1] && asked.count == 2)
    let unknown = router.sources(
      ofMissed: Self.origin(51), period: .seconds(2), now: now, &random)
    #expect(Set(unknown).count == 2 && Set(unknown).isSubset(of: neighbours))
  }
}
