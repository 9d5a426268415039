import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Proving a path")
struct PathProvingTests {
  @Test("Two nodes meet by one challenge and two proofs")
  func threeDatagrams() throws {
    let network = try PathNetwork.pair()
    #expect(network.carried.map(\.from) == [0, 1, 0].map { network.sides[$0].address })
    #expect(network.sides.map { $0.newPaths.count } == [1, 1])
    #expect(network.sides.map { $0[.signaturesVerified] } == [1, 1])
    #expect(network.sides[0][.challengesSent] == 1)
  }

  @Test("Messages on a path arrive, and those sent before it was proven do not")
  func messagesArrive() throws {
    var network = try PathNetwork.pair()
    let query = MeshMessage.prune([OriginID(1, 2, 3, 4)])
    network.sides[1].receive(
      network.sides[0].forged([query], echo: 5), from: network.sides[0].address,
      now: network.now)
    #expect(network.sides[1].messages == [])
    network.sides[0].context.send(.control(query), to: network.sides[1].address)
    network.exchange()
    #expect(network.sides[1].messages == [query])
  }

  @Test("A proof with a wrong echo makes no path")
  func wrongEcho() throws {
    var victim = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start)
    let other = try PathSide(2, at: PathNetwork.address(2, 1), now: PathNetwork.start)
    let token = victim.token(for: other.address)
    // The header has it, the signed body does not.
    victim.receive(
      other.forged([try other.proof(echo: token &+ 1)], echo: token), from: other.address,
      now: PathNetwork.start)
    // The signed body has it, the header does not.
    victim.receive(
      other.forged([try other.proof(echo: token)], echo: token &+ 1, counter: 2_000_000),
      from: other.address, now: PathNetwork.start)
    #expect(victim.paths.table.isEmpty)
    #expect(victim[.proofsRefused] == 1)
    victim.receive(
      other.forged([try other.proof(echo: token)], echo: token, counter: 3_000_000),
      from: other.address, now: PathNetwork.start)
    #expect(victim.paths.table.count == 1)
  }

  @Test("A proof that was heard for one address makes no path to another one")
  func proofOfAnotherAddress() throws {
    var network = try PathNetwork.pair()
    let proof = try #require(network.carried.last)
    let elsewhere = PathNetwork.address(9, 9)
    network.sides[1].receive(proof.bytes, from: elsewhere, now: network.now)
    var fresh = try PathSide(
      2, at: network.sides[1].address, nonce: 77, now: network.now)
    fresh.receive(proof.bytes, from: proof.from, now: network.now)
    #expect(network.sides[1].paths.table.path(at: elsewhere) == nil)
    #expect(fresh.paths.table.isEmpty)
  }

  @Test("A proof signed by another key than its datagram's sender has makes no path")
  func proofOfAnotherKey() throws {
    var victim = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start)
    let honest = try PathSide(2, at: PathNetwork.address(2, 1), now: PathNetwork.start)
    // In the same incarnation, so that the key alone tells them apart.
    let thief = try PathSide(3, at: PathNetwork.address(3, 1), nonce: 2, now: PathNetwork.start)
    let token = victim.token(for: thief.address)
    victim.receive(
      thief.forged([try honest.proof(echo: token)], echo: token), from: thief.address,
      now: PathNetwork.start)
    #expect(victim.paths.table.isEmpty)
    #expect(victim[.proofsRefused] == 1)
  }

  @Test("A datagram that comes again is replayed on its path, and unproven elsewhere")
  func replaysAreRefused() throws {
    var network = try PathNetwork.pair()
    network.sides[0].context.send(
      .control(.prune([OriginID(1, 2, 3, 4)])), to: network.sides[1].address)
    network.exchange()
    #expect(network.sides[1].messages.count == 1)
    let old = network.carried.filter { $0.from == network.sides[0].address }.suffix(2)
    for datagram in old {
      network.sides[1].receive(datagram.bytes, from: datagram.from, now: network.now)
      network.sides[1].receive(
        datagram.bytes, from: PathNetwork.address(8, 8), now: network.now)
    }
    network.sides[1].discardDatagrams(now: network.now)
    #expect(network.sides[1].messages.count == 1)
    #expect(network.sides[1][.datagramsReplayed] == 2)
    #expect(network.sides[1][.datagramsUnproven] == 3)
    #expect(network.sides[1].paths.table.count == 1)
  }

  @Test("Datagrams of version 1, of other meshes, forged ones and own ones are counted, no more")
  func foreignDatagrams() throws {
    var network = try PathNetwork.pair()
    let from = network.sides[0].address
    let good = network.sides[0].forged([], echo: 0)
    var version1 = good
    version1[0] = 1
    var forged = good
    forged[50] ^= 1
    let foreigner = try PathSide(3, at: from, mesh: 8, now: network.now)
    // Whatever begins with a 1 by chance is no node of an older version.
    var stray = version1
    stray[5] ^= 1
    let datagrams = [
      version1, stray, [1], forged, foreigner.forged([], echo: 0),
      network.sides[1].forged([], echo: 0),
      Array(good.prefix(112)), [],
    ]
    for datagram in datagrams {
      network.sides[1].receive(datagram, from: from, now: network.now)
    }
    let counters: [Counters.Name] = [
      .datagramsOfProtocol1, .datagramsForged, .datagramsForeign, .datagramsOwn,
    ]
    #expect(counters.map { network.sides[1][$0] } == [1, 1, 1, 1])
    #expect(network.sides[1][.datagramsMalformed] == 4)
    #expect(network.sides[1][.datagramsUnproven] == 1)
    #expect(network.sides[1].nextDatagram(now: network.now) == nil)
  }

  @Test("Two processes with one key find out about each other, and make no path")
  func ownKey() throws {
    var network = try PathNetwork.pair()
    let clone = try PathSide(
      2, at: PathNetwork.address(5, 1), counter: 4, nonce: 99, now: network.now)
    network.sides.append(clone)
    network.introduce(2, to: 1)
    network.pass(milliseconds: 50)
    #expect(network.sides[1].ownKeys == [clone.context.incarnation])
    #expect(network.sides[2].ownKeys == [network.sides[1].context.incarnation])
    #expect(network.sides.map { $0.paths.table.count } == [1, 1, 0])
  }

  @Test("After the incarnation has risen, all paths are proven anew")
  func incarnationRises() throws {
    var network = try PathNetwork.pair()
    network.sides[0].raiseIncarnation(to: 9)
    network.sides[0].context.send(
      .control(.prune([OriginID(1, 2, 3, 4)])), to: network.sides[1].address)
    network.exchange()
    let path = network.sides[1].paths.table.path(at: network.sides[0].address)
    #expect(path?.sender.incarnation == network.sides[0].context.incarnation)
    #expect(path?.sender.incarnation.counter == 9)
    #expect(network.sides[1].messages.count == 1)
  }

  @Test("A path that is silent is lost, its address is tried again, and is found")
  func silence() throws {
    var network = try PathNetwork.pair()
    let away = network.sides.removeLast()
    network.pass(milliseconds: 29_000)
    #expect(network.sides[0].lost == [])
    network.pass(milliseconds: 2000)
    #expect(network.sides[0].lost.map(\.reason) == [.silent])
    #expect(network.sides[0].paths.table.isEmpty)
    network.sides.append(away)
    network.pass(milliseconds: 8100)
    #expect(network.pathCount(0, 1) == 2)
  }

  @Test(
    "The address of a lost path is tried again, unless its origin is not needed any more",
    arguments: [false, true])
  func lostPathIsTriedAgain(isNeeded: Bool) throws {
    var network = try PathNetwork.pair()
    // The node that was met: nobody gave it the other's address.
    let (met, away) = (network.sides[1], network.sides[0])
    network.sides = [met]
    if !isNeeded {
      network.sides[0].demand = PathDemand(wanted: [], enough: 1, isMet: true, meshSize: 99)
    }
    network.pass(milliseconds: 31_000)
    #expect(network.sides[0].lost.map(\.reason) == [.silent])
    // It comes back as another process that tries nobody.
    network.sides.append(
      try PathSide(1, at: away.address, counter: 2, nonce: 50, now: network.now))
    network.pass(milliseconds: 9000)
    #expect(network.pathCount(0, 1) == (isNeeded ? 2 : 0))
  }

  @Test("An announcement is answered by those alone who do not know the node yet")
  func announcement() throws {
    var network = try PathNetwork.pair { $0.announcePeriod = .seconds(5) }
    network.sides.append(
      try PathSide(3, at: PathNetwork.address(3, 1), now: network.now))
    let before = network.carried.count
    let announcement = network.sides[0].forged([.challenge(token: 0)], echo: 0)
    network.sides[1].receive(announcement, from: network.sides[0].address, now: network.now)
    network.exchange()
    #expect(network.carried.count == before)
    network.sides[2].receive(announcement, from: network.sides[0].address, now: network.now)
    network.exchange()
    #expect(network.pathCount(0, 2) == 2)
  }
}
