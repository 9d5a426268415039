import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Floods and replays against a node's doors")
struct FloodTests {
  private static func world() throws -> PathNetwork {
    var network = PathNetwork()
    network.sides = [
      try PathSide(1, at: PathNetwork.address(1, 1), now: network.now),
      try PathSide(2, at: PathNetwork.address(2, 1), now: network.now),
    ]
    return network
  }

  /// Another address in each millisecond.
  private static func spoofed(_ number: Int, _ now: MonotonicTime) -> PeerAddress {
    PathNetwork.address(UInt32(now.nanoseconds / 1_000_000 % 250), UInt32(number + 1))
  }

  @Test("What answers an address without a path has at most three times the bytes that came")
  func amplification() throws {
    let source = PathNetwork.address(9, 9)
    let member = try PathSide(5, at: source, now: PathNetwork.start)
    let first: [[MeshMessage]] = [
      [], [.challenge(token: 0)], [.challenge(token: 7)], [.prune([member.origin])],
    ]
    for (number, messages) in first.enumerated() {
      var node = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start)
      let datagram = member.forged(messages, echo: 0, counter: UInt64(number + 1))
      node.receive(datagram, from: source, now: PathNetwork.start)
      node.discardDatagrams(now: PathNetwork.start)
      let sent = node.sent[source, default: 0]
      #expect(sent > 0 && sent <= 3 * datagram.count, "\(sent) bytes for \(datagram.count)")
    }
  }

  @Test("One datagram that is replayed 2,000 times a second is answered twice a second")
  func replayIsRecognised() throws {
    var network = try Self.world()
    let member = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
    let captured = member.forged([.challenge(token: 7)], echo: 0)
    // From one address, and from ever new ones.
    for isSpoofed in [false, true] {
      let before = network.sides[0][.challengesSent]
      network.pass(milliseconds: 3000) { network in
        for number in 0..<2 {
          let from =
            isSpoofed
            ? Self.spoofed(number, network.now) : member.address
          network.sides[0].receive(captured, from: from, now: network.now)
        }
      }
      let answers = network.sides[0][.challengesSent] - before
      #expect((4...8).contains(answers), "\(answers) answers")
    }
  }

  @Test("One token of one address is answered twice a second, in whatever datagrams it comes")
  func tokenIsRecognised() throws {
    var network = try Self.world()
    let member = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
    var counter: UInt64 = 0
    network.pass(milliseconds: 3000) { network in
      counter += 1
      network.sides[0].receive(
        member.forged([.challenge(token: 7)], echo: 0, counter: counter), from: member.address,
        now: network.now)
    }
    let answers = network.sides[0][.challengesSent]
    #expect((4...8).contains(answers), "\(answers) answers")
    #expect(network.sides[0][.challengesRepeated] == 3000 - answers)
    #expect(network.sides[0][.challengesWithheld] == 0)
  }

  @Test("While one datagram is replayed 2,000 times a second, others join as ever")
  func replayDelaysNobody() throws {
    var network = try Self.world()
    let captured = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
      .forged([.challenge(token: 7)], echo: 0)
    let flood: (inout PathNetwork) -> Void = { network in
      for number in 1...2 {
        network.sides[0].receive(
          captured,
          from: Self.spoofed(number, network.now), now: network.now)
      }
    }
    network.pass(milliseconds: 2000, each: flood)
    network.introduce(1, to: 0)
    network.pass(milliseconds: 5, each: flood)
    #expect(network.pathCount(0, 1) == 2)
  }

  @Test(
    "A flood of challenges from one prefix, or from one host, does not keep others from joining",
    arguments: [false, true])
  func floodDelaysNobody(isOneHost: Bool) throws {
    var network = try Self.world()
    // Beside the flooder: in its prefix, on another host.
    if isOneHost { network.sides[1].address = PathNetwork.address(9, 200) }
    let member = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
    var counter: UInt64 = 0
    let flood: (inout PathNetwork) -> Void = { network in
      for _ in 0..<2 {
        counter += 1
        let port = UInt16(counter % 60_000 + 1)
        let host = isOneHost ? 9 : UInt32(counter % 250)
        network.sides[0].receive(
          member.forged([.challenge(token: counter)], echo: 0, counter: counter),
          from: PathNetwork.address(9, host, port: port), now: network.now)
      }
    }
    network.pass(milliseconds: 2000, each: flood)
    let answers = network.sides[0][.challengesSent]
    #expect(answers > 200)
    #expect(network.sides[0][.challengesWithheld] > 3000)
    network.introduce(1, to: 0)
    network.pass(milliseconds: 20, each: flood)
    #expect(network.pathCount(0, 1) == 2)
  }

  @Test("All together get at most 200 answers in a second, after a first burst of as many")
  func rateOfAnswers() throws {
    var network = try Self.world()
    let member = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
    var counter: UInt64 = 0
    for second in 1...3 {
      let before = network.sides[0][.challengesSent]
      network.pass(milliseconds: 1000) { network in
        counter += 1
        network.sides[0].receive(
          member.forged([.challenge(token: counter)], echo: 0, counter: counter),
          from: PathNetwork.address(UInt32(counter % 256), 1), now: network.now)
      }
      let answers = network.sides[0][.challengesSent] - before
      #expect(answers <= (second == 1 ? 400 : 201), "\(answers) answers in second \(second)")
      #expect(answers >= 150)
    }
  }

  @Test("Of an address that sends wrong proofs few are verified, and another one still joins")
  func wrongProofs() throws {
    var network = try Self.world()
    let member = try PathSide(5, at: PathNetwork.address(9, 9), now: network.now)
    let token = network.sides[0].token(for: member.address)
    guard case .pathProof(let right) = try member.proof(echo: token) else { return }
    var bytes = right.bytes
    bytes[40] ^= 1
    let wrong = MeshMessage.pathProof(try SignedMessage(kind: .pathProof, bytes: bytes))
    var counter: UInt64 = 0
    let flood: (inout PathNetwork) -> Void = { network in
      for _ in 0..<2 {
        counter += 1
        network.sides[0].receive(
          member.forged([wrong], echo: token, counter: counter), from: member.address,
          now: network.now)
      }
    }
    network.pass(milliseconds: 2000, each: flood)
    let verified = network.sides[0][.signaturesVerified]
    #expect((4...12).contains(verified), "\(verified) verified")
    network.introduce(1, to: 0)
    network.pass(milliseconds: 5, each: flood)
    #expect(network.pathCount(0, 1) >= 1)
  }
}
