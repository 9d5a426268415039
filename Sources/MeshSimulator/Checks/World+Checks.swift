import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

extension World {
  // MARK: As it runs

  /// Takes in an event of a node.
  mutating func observe(_ event: MeshEvent, at index: Int) {
    watched?.note(event, at: index, time: time)
    if let wrong = nodes[index].replayed.apply(event) { fail("F4: node \(index): \(wrong)") }
    switch event {
    case .stale: nodes[index].freshAt = time
    case .cursor(let id, let room, let cursor): noteTold(cursor, of: id, in: room, at: index)
    case .node(let origin, .offline):
      if nodes[index].box?.engine.holds(origin) == false {
        fail("I5: node \(index) forgot \(origin.short) when hiding it")
      }
      checkPatience(origin, at: index)
    case .moved(let id, let host):
      note("node \(index) gave session \(id) up to \(host.short)")
      if let session = sessions.firstIndex(where: { $0.id == id }) {
        sessions[session].isContested = true
      }
    case .removed(let id, let room):
      guard let session = sessions.firstIndex(where: { $0.id == id }) else { return }
      note("node \(index) takes session \(session) out of \(room) by order")
      if !room.isLobby {
        sessions[session].places[room] = nil
      } else if sessions[session].node == index {
        sessions[session].isEnded = true
      }
    case .leaseEnded(let id):
      guard let session = sessions.firstIndex(where: { $0.id == id }) else { return }
      note("the lease of session \(session) ends at node \(index)")
      let client = sessions[session]
      if client.node == index && client.silentSince == nil && !client.isContested
        && !client.isLost
      {
        fail("F18: the lease of session \(session) ended while its client sent heartbeats")
      }
    default: break
    }
  }

  /// A cursor that moves never goes back to where it was before.
  private mutating func noteTold(
    _ cursor: Cursor, of id: SessionID, in room: RoomName, at index: Int
  ) {
    guard !isMeasuring, !nodes.contains(where: \.isClone),
      let wrong = cursors.note(cursor, of: id, in: room, toldTo: index),
      sessions.contains(where: { $0.id == id && !$0.isContested })
    else { return }
    fail("F8: node \(index) is told \(wrong)")
  }

  /// F21: who just woke gives the others time.
  private mutating func checkPatience(_ origin: OriginID, at index: Int) {
    let woke = nodes[index].wokeAt
    // Who shares his key with another process is heard as either of them.
    guard woke > 0, !nodes.contains(where: \.isClone), time < woke + Self.second,
      time > 8 * Self.second, deaths[origin] == nil,
      let other = nodes.first(where: { $0.engine?.origin == origin }), other.isUp,
      other.pausedUntil == nil, other.graceAt + 8 * Self.second < time,
      // Who was cut off itself is offline for all.
      other.freshAt + 8 * Self.second < time,
      nodes[index].wasOnline.contains(origin)
    else { return }
    let words = nodes[index].engine?.describe(origin) ?? ""
    fail("F21: node \(index) declared \(origin.short) offline right after it woke: \(words)")
  }

  /// The cheap part of the checks, for one node at a time.
  mutating func checkSome() {
    let index = random.below(nodes.count)
    guard let engine = nodes[index].engine, nodes[index].pausedUntil == nil else { return }
    check(engine, index)
  }

  mutating func checkEverything() {
    for index in nodes.indices {
      guard let engine = nodes[index].engine else { continue }
      check(engine, index)
      if let forged = engine.unverifiedBatch() { fail("I4: node \(index) holds \(forged)") }
    }
  }

  private mutating func check(_ engine: Engine, _ index: Int) {
    if let forged = engine.unverifiedBatch(newest: 3) { fail("I4: node \(index) holds \(forged)") }
    if let violation = engine.invariantViolation() { fail("I3: node \(index): \(violation)") }
    if let difference = nodes[index].replayed.difference(from: engine.snapshot()) {
      fail("F4: node \(index): events and snapshot differ: \(difference)")
    }
  }

  /// Remembers whom a node sees and has heard since it last gave the others time, just before it
  /// cannot hear for a while: it gives each of them time once until it hears them again.
  mutating func noteSeen(_ index: Int) {
    guard let engine = nodes[index].engine else { return }
    let node = nodes[index]
    let since = time - min(time, max(node.wokeAt, node.freshAt, node.graceAt))
    nodes[index].wasOnline = Set(
      engine.peers(now: node.local(time)).filter {
        ($0.health == .online || $0.health == .suspect)
          && $0.ageMilliseconds * Self.millisecond < since * 98 / 100
      }.map(\.origin))
  }

  /// F19: an origin that died is hidden everywhere after its time to live, whoever retells it.
  mutating func checkDead(_ origin: OriginID, diedAt: UInt64) {
    guard deaths[origin] == diedAt else { return }
    let patience = patience(with: origin)
    if time < diedAt + patience {
      // The network has become slower since.
      return queue.add(.checkDead(origin: origin, diedAt: diedAt), at: diedAt + patience)
    }
    let liars = traitor != nil
    for index in nodes.indices {
      guard let engine = nodes[index].engine, nodes[index].pausedUntil == nil,
        nodes[index].wokeAt < diedAt, nodes[index].freshAt < diedAt, !engine.isStale, !liars
      else { continue }
      let health = engine.snapshot().nodes[origin]
      if health == .online || health == .suspect {
        fail(
          "F19: node \(index) sees \(origin.short), which died \((time - diedAt) / Self.millisecond) ms ago: \(engine.describe(origin))"
        )
      }
    }
  }

  // MARK: I6

  /// Bytes that an address without a proven path has sent to a node.
  mutating func received(_ bytes: [UInt8], at index: Int, from source: PeerAddress) {
    outsider?.note(received: bytes.count, by: index, from: source)
  }

  mutating func watch(_ bytes: [UInt8], from index: Int, to address: PeerAddress) {
    guard let wrong = outsider?.note(sent: bytes.count, by: index, to: address) else { return }
    fail("I6: node \(index): \(wrong)")
  }

  // MARK: After the faults
}
