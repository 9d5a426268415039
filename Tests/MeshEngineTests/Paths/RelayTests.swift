import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

/// A member has the mesh key: it can read what passes by it, and seal what it likes in another node's name.
/// Only signatures are beyond it.
@Suite("Members that pass on, or show again, what others sent")
struct RelayTests {
  /// A member's address.
  private static let elsewhere = PathNetwork.address(9, 9)

  /// Sends a message from the first node to the second. True when it arrives.
  private func reaches(_ network: inout PathNetwork) -> Bool {
    let count = network.sides[1].messages.count
    network.sides[0].context.send(
      .control(.prune([OriginID(1, 2, 3, 4)])), to: network.sides[1].address)
    network.exchange()
    return network.sides[1].messages.count == count + 1
  }

  /// Lets the second node hear a proof of the first by way of another address.
  private func relay(
    by address: PeerAddress, counter: UInt64, _ network: inout PathNetwork
  ) throws {
    let echo = network.sides[1].token(for: address)
    let proof = try network.sides[0].proof(echo: echo)
    network.sides[1].receive(
      network.sides[0].forged([proof], echo: echo, counter: counter), from: address,
      now: network.now)
  }

  @Test("A proof that is passed on from another address uses up no counters, and moves no path")
  func relayedProof() throws {
    var network = try PathNetwork.pair()
    try relay(by: Self.elsewhere, counter: .max, &network)
    #expect(network.sides[1].paths.table.path(at: Self.elsewhere) != nil)
    #expect(network.pathCount(0, 1) == 2)
    let isHeard = reaches(&network)
    #expect(isHeard)
  }

  @Test("Proofs that are passed on from many addresses of a prefix take no path away")
  func relayedOften() throws {
    var network = try PathNetwork.pair()
    for number: UInt32 in 1...40 {
      try relay(by: PathNetwork.address(9, number), counter: UInt64(number), &network)
      network.pass(milliseconds: 1)
    }
    #expect(network.pathCount(0, 1) == 2)
    let isHeard = reaches(&network)
    #expect(isHeard)
  }

  @Test("Waste on a path that another node's proof made bans that address, and not the node")
  func wasteInAnothersName() throws {
    var network = try PathNetwork.pair()
    try relay(by: Self.elsewhere, counter: 1, &network)
    for _ in 0..<16 {
      network.sides[1].charge(.wrongSignature, to: Self.elsewhere)
    }
    #expect(network.sides[1].paths.table.path(at: Self.elsewhere) == nil)
    let isHeard = reaches(&network)
    #expect(isHeard)
  }

  @Test("Whoever used up the counters of a path from its own address cuts it for one time-out")
  func burntCounters() throws {
    var network = try PathNetwork.pair()
    let echo = network.sides[1].token(for: network.sides[0].address)
    network.sides[1].receive(
      network.sides[0].forged([], echo: echo, counter: .max), from: network.sides[0].address,
      now: network.now)
    #expect(network.sides[1][.datagramsAccepted] > 1)
    let isHeardAtOnce = reaches(&network)
    #expect(!isHeardAtOnce)
    network.pass(milliseconds: 45_000)
    let isHeardLater = reaches(&network)
    #expect(isHeardLater)
  }

  @Test("What was captured on a path that is lost makes none again, under whatever counter")
  func oldProofs() throws {
    var network = try PathNetwork.pair()
    let captured = network.carried
    let address = network.sides[0].address
    let echo = network.sides[1].token(for: address)
    let proof = try network.sides[0].proof(echo: echo)
    var victim = network.sides[1]
    network.sides = []
    let later = network.now + .seconds(125)
    victim.tick(now: later)
    #expect(victim.paths.table.isEmpty)
    for datagram in captured { victim.receive(datagram.bytes, from: datagram.from, now: later) }
    let copy = try PathSide(1, at: address, now: later)
    victim.receive(
      copy.forged([proof], echo: echo, counter: .max), from: address, now: later)
    #expect(victim.paths.table.isEmpty)
  }

  @Test("An old proof of a node, shown again under a new counter, does not end its present path")
  func earlierIncarnation() throws {
    var network = try PathNetwork.pair()
    let earlier = network.sides[0]
    let address = earlier.address
    let proof = try earlier.proof(echo: network.sides[1].token(for: address))
    network.sides[0].raiseIncarnation(to: 9)
    network.exchange()
    network.sides[1].receive(
      earlier.forged([proof], echo: network.sides[1].token(for: address), counter: .max),
      from: address, now: network.now)
    #expect(
      network.sides[1].paths.table.path(at: address)?.sender.incarnation
        == network.sides[0].context.incarnation)
    let isHeard = reaches(&network)
    #expect(isHeard)
  }

  @Test("Datagrams in a node's name, under counters that it will use, do not delay its join")
  func usedUpAnswers() throws {
    var network = PathNetwork()
    for number: UInt64 in 1...2 {
      network.sides.append(
        try PathSide(number, at: PathNetwork.address(UInt32(number), 1), now: network.now))
    }
    for counter: UInt64 in 1...20 {
      for _ in 0..<3 {
        network.sides[1].receive(
          network.sides[0].forged([.challenge(token: counter)], echo: 0, counter: counter),
          from: Self.elsewhere, now: network.now)
      }
    }
    network.introduce(0, to: 1)
    network.pass(milliseconds: 5)
    #expect(network.pathCount(0, 1) == 2)
  }
}
