import Foundation

/// What the running node tells about itself and the others.
enum NodeChecks {
  /// What it was asked.
  struct Facts: Sendable {
    var peers: PeersRecord
    var counters: CountersRecord
    var roster: RosterRecord
    var membership: MembershipRecord
  }

  /// Counters that tell of trouble, and what they tell.
  private static let troubles: [(name: String, meaning: String, advice: String)] = [
    (
      "datagramsForeign", "datagrams of another mesh came in",
      "a node with another invite sends here: see its --peer, or ignore it"
    ),
    (
      "datagramsForged", "datagrams were not sealed with the key of the mesh",
      "a node with another key, or somebody who tries"
    ),
    (
      "datagramsOfProtocol1", "nodes of an older version send here, and are not heard",
      "bring all nodes of the mesh to this version"
    ),
    (
      "pathsBanned", "nodes were not heard any more for a while: what they sent was waste",
      "a member of the mesh is faulty, or tries to keep the others busy"
    ),
    (
      "signaturesWrong", "signatures were wrong",
      "a member of the mesh is faulty, or tries to speak for others"
    ),
    (
      "checkpointsExcessive", "nodes say more than one may",
      "a member of the mesh is faulty, or has more sessions or rooms than the bounds in Limits"
    ),
    (
      "controlClientsRefused", "clients of other users asked at the control socket",
      "who may reach it? See the mode of the state directory, and who runs what here"
    ),
    (
      "originsRefused", "nodes were refused: the table is full",
      "the mesh has more nodes than one can be told of"
    ),
  ]

  static func all(_ facts: Facts) -> [Check] {
    [addresses(facts.peers), identity(facts.peers), peers(facts.peers), agreement(facts.peers)]
      .compactMap(\.self) + MembershipChecks.all(facts.membership) + counters(facts.counters)
  }

  private static func identity(_ node: PeersRecord) -> Check? {
    guard node.cloned else { return nil }
    return Check(
      "identity", .fail,
      "another process speaks with the key of this node, which has stopped writing",
      advice:
        "its state directory was copied: stop both, give the copy a directory of its own with "
        + "--state, and start again")
  }

  private static func addresses(_ node: PeersRecord) -> Check {
    let abroad = node.addresses.filter {
      !$0.hasPrefix("127.") && !$0.hasPrefix("[0:0:0:0:0:0:0:1]")
    }
    guard abroad.isEmpty else {
      return Check("addresses", .ok, node.addresses.joined(separator: ", "))
    }
    return Check(
      "addresses", .warn,
      "the node listens on loopback alone: "
        + node.addresses.joined(separator: ", "),
      advice: "for other machines, start it without --listen or on an address of the network")
  }

  private static func peers(_ node: PeersRecord) -> Check {
    let others = node.peers.filter { $0.health != "left" }
    guard !others.isEmpty else {
      return Check(
        "peers", .warn, "no other node is known",
        advice: "give others the line of `presence mesh invite`")
    }
    let silent = others.filter { $0.health != "online" }
    let heard = "\(others.count - silent.count) of \(Count.text(others.count, "node")) heard"
    guard silent.isEmpty, !node.stale else {
      let names = silent.map {
        "\(RecordText.shortened($0.node)) (\($0.health)\($0.unverified ? ", unverified" : ""))"
      }
      return Check(
        "peers", .warn, ([heard] + names).joined(separator: ", "),
        advice: "are they running, and does a packet filter let UDP through both ways?")
    }
    return Check("peers", .ok, heard)
  }

  private static func agreement(_ node: PeersRecord) -> Check {
    let online = node.peers.filter { $0.health == "online" }
    let differing = online.filter { $0.lastingDifferenceMs != nil }
    if let longest = differing.compactMap(\.lastingDifferenceMs).max() {
      let nodes = Count.text(differing.count, "node")
      let span = ClockText.span(milliseconds: UInt64(clamping: longest))
      return Check(
        "agreement", .warn, "what is held here and at \(nodes) has differed for \(span)",
        advice: "a great deal may be on its way, or one of them holds what the other refuses: "
          + "compare `presence peers` and `presence counters` on both")
    }
    let behind = online.filter { !$0.complete }
    guard !behind.isEmpty else {
      return Check("agreement", .ok, "everything that is known is here, state \(node.stateHash)")
    }
    return Check(
      "agreement", .warn, "something of \(Count.text(behind.count, "node")) is still missing here",
      advice: "that takes moments; when it lasts, datagrams are lost: see `presence counters`")
  }

  private static func counters(_ record: CountersRecord) -> [Check] {
    let values = Dictionary(record.counters.map { ($0.name, $0.value) }) { first, _ in first }
    let found = troubles.compactMap { trouble -> Check? in
      guard let value = values[trouble.name], value > 0 else { return nil }
      return Check(
        "counters", .warn, "\(trouble.name) is \(value): \(trouble.meaning)", advice: trouble.advice
      )
    }
    return found.isEmpty ? [Check("counters", .ok, "nothing was refused")] : found
  }
}

/// What can be wrong with the clock. People read what it says, and certificates end by it.
enum ClockChecks {
  /// How far another clock may be ahead.
  private static let toleranceMilliseconds: UInt64 = 60_000
  /// 2025-01-01: a clock before that was never set.
  private static let earliestMilliseconds: UInt64 = 1_735_689_600_000

  static func all(_ facts: NodeChecks.Facts?) async -> [Check] {
    let now = ClockText.nowMilliseconds
    guard now > earliestMilliseconds else {
      return [
        Check(
          "clock", .warn, "the clock of this machine was never set",
          advice: "set it: others read times that are written here")
      ]
    }
    let jump = await jumpMilliseconds()
    guard jump < 20 else {
      return [
        Check(
          "clock", .warn, "the clock jumped by \(jump) ms while it was looked at",
          advice: "something sets it over and over: see the time service of this machine")
      ]
    }
    let limit = now + toleranceMilliseconds
    let ahead = Set(
      (facts?.roster.users ?? []).flatMap(\.sessions).filter { $0.joinedAtMs > limit }.map(\.node))
    guard ahead.isEmpty else {
      let names = ahead.sorted().map { RecordText.shortened($0) }.joined(separator: ", ")
      return [
        Check(
          "clock", .warn, "sessions of \(names) begin in the future",
          advice:
            "the clock of this machine or of theirs is wrong: shown times suffer, and in a closed mesh "
            + "certificates are judged by it, ten minutes more or less")
      ]
    }
    return [Check("clock", .ok, "is set and steady")]
  }

  /// How much the clock on the wall and the monotonic one come apart in a quarter of a second.
  private static func jumpMilliseconds() async -> Int64 {
    let wall = Date()
    let start = ContinuousClock.now
    try? await Task.sleep(for: .milliseconds(250))
    let passed = start.duration(to: .now).wholeMicroseconds
    return abs(Int64(Date().timeIntervalSince(wall) * 1_000_000) - passed) / 1000
  }
}
