import MeshCRDT
import MeshEngine

/// How long status changes took until they were everywhere.
package struct SpreadResult: Sendable {
  package let nodes: Int
  package let changes: Int
  /// Virtual milliseconds from the change at its node until the last node told it, over changes.
  package let p50Milliseconds: Double
  package let p99Milliseconds: Double
  package let maxMilliseconds: Double
  /// Changes that were not everywhere within 30 s.
  package let unfinished: Int
  /// What was simulated in all, joining included.
  package let virtualSeconds: Double
  package let datagrams: UInt64
}

/// A status change on its way to everybody.
package struct SpreadChange: Sendable {
  /// Virtual milliseconds until each node told it, lowest first. Nodes that never did are left out.
  package let arrivalMilliseconds: [Double]
  /// Virtual milliseconds until the last node told it; `nil`: not all did within 30 s.
  package let milliseconds: Double?
}

/// Measures in a mesh without faults but loss: nodes join, then one status at a time changes.
///
/// - Parameters:
///   - loss: the chance of a datagram to be lost, 0…1.
///   - delayMilliseconds: the bounds of the one-way delay.
package func measureSpread(
  nodes: Int, loss: Double, delayMilliseconds: ClosedRange<UInt64>, changes: Int, seed: UInt64
) -> SpreadResult {
  var options = SimulationOptions(seed: seed)
  options.nodes = nodes
  options.faults = []
  // Not drawn by the seed: there is no end of faults.
  options.faultMilliseconds = .max / 2_000_000
  options.links.loss = loss
  options.links.delayMicroseconds =
    delayMilliseconds.lowerBound * 1000...delayMilliseconds.upperBound * 1000
  options.changes = changes
  let result = simulate(options)
  let spans = result.changes.compactMap(\.milliseconds).sorted()
  func percentile(_ share: Double) -> Double {
    guard let last = spans.last else { return .infinity }
    return share >= 1 ? last : spans[min(Int(Double(spans.count) * share), spans.count - 1)]
  }
  return SpreadResult(
    nodes: nodes, changes: changes, p50Milliseconds: percentile(0.5),
    p99Milliseconds: percentile(0.99), maxMilliseconds: percentile(1),
    unfinished: changes - spans.count,
    virtualSeconds: Double(result.virtualMilliseconds) / 1000, datagrams: result.datagrams)
}

extension World {
  /// Within this a change must be everywhere, in nanoseconds.
  private static var spreadBound: UInt64 { 30 * second }

  /// Lets all nodes join over links that lose nothing, then times one status change after another
  /// over the links of the options.
  mutating func runSpread(changes count: Int) -> SimulationResult {
    let links = weather
    weather = .calm(links.delay)
    if options.isSampled { sampler = Sampler(for: self, until: 0) }
    let sessions = join()
    weather = links
    let begin = time
    var changes: [SpreadChange] = []
    for number in 0..<count where failure == nil {
      let index = random.below(nodes.count)
      changes.append(spread(number, of: sessions[index][number % sessions[index].count], at: index))
      // Changes do not come at the same phase of the timers.
      run(until: time + UInt64(300 + random.below(700)) * Self.millisecond)
    }
    let slowest = changes.compactMap(\.milliseconds).max().map { UInt64($0.rounded()) }
    return SimulationResult(
      seed: options.seed, nodes: nodes.count, faults: [], failure: failure,
      trace: failure == nil ? [] : trace.lines,
      convergenceMilliseconds: failure == nil ? slowest : nil, traceHash: trace.hash,
      virtualMilliseconds: time / Self.millisecond, datagrams: datagrams,
      operations: nodes.count * (sessions.first?.count ?? 0) + changes.count, changes: changes,
      samples: finishedSamples(focus: begin))
  }

  /// Starts all nodes and opens their sessions. Returns the sessions of each node, at least one.
  private mutating func join() -> [[SessionID]] {
    // Large meshes start within 4 s.
    let interval = min(20 * Self.millisecond, 4 * Self.second / UInt64(max(1, nodes.count)))
    for index in nodes.indices { queue.add(.start(node: index), at: UInt64(index) * interval) }
    run(until: UInt64(nodes.count) * interval + 10 * Self.second)
    var sessions: [[SessionID]] = []
    for index in nodes.indices {
      var own: [SessionID] = []
      for number in 0..<max(1, options.sessionsPerNode) {
        let id = SessionID(random.next(), random.next())
        own.append(id)
        let user = number == 0 ? "user-\(index)" : "user-\(index)-\(number)"
        drive(index) { engine, now in
          try? engine.perform(
            .open(id, Profile(userID: user), device: "", .attached, at: WallTime(milliseconds: 0)),
            now: now)
        }
      }
      sessions.append(own)
    }
    run(until: time + 10 * Self.second)
    return sessions
  }

  /// Changes a status and waits until every node has told it.
  private mutating func spread(
    _ number: Int, of session: SessionID, at index: Int
  ) -> SpreadChange {
    let status = Status.allCases[number % Status.allCases.count]
    let begin = time
    watched = Watch(session: session, status: status, missing: Set(nodes.indices))
    drive(index) { engine, now in
      try? engine.perform(
        .setStatus(
          session, .lobby, status, message: "change \(number)", at: WallTime(milliseconds: 1)),
        now: now)
    }
    run(until: begin + Self.spreadBound) { $0.watched?.missing.isEmpty ?? true }
    let missing = watched?.missing ?? []
    let arrivals = (watched?.arrivals ?? []).map { Sampler.milliseconds($0 - begin) }
    watched = nil
    if !missing.isEmpty {
      let names = missing.sorted().prefix(5).map(String.init).joined(separator: ", ")
      fail(
        "change \(number), made at node \(index), is not everywhere after "
          + "\(Self.spreadBound / Self.millisecond) ms: \(missing.count) nodes did not tell it, "
          + "among them \(names)")
    }
    return SpreadChange(
      arrivalMilliseconds: arrivals,
      milliseconds: missing.isEmpty ? Sampler.milliseconds(time - begin) : nil)
  }
}

/// A change that is on its way to everybody.
struct Watch {
  let session: SessionID
  let status: Status
  var missing: Set<Int>
  /// When nodes told it, in nanoseconds, lowest first.
  var arrivals: [UInt64] = []

  /// Takes in what a node tells.
  mutating func note(_ event: MeshEvent, at index: Int, time: UInt64) {
    switch event {
    case .changed(let snapshot), .appeared(let snapshot):
      guard snapshot.id == session,
        snapshot.place(in: .lobby)?.presence.status?.status == status
      else { return }
      if missing.remove(index) != nil { arrivals.append(time) }
    default: break
    }
  }
}
