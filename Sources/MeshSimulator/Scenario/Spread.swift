import MeshCRDT
import MeshEngine

/// A status change that is waited for.
struct SpreadWatch {
  let session: SessionID
  let message: String
  var missing: Set<Int>
  /// When nodes told it, lowest first.
  var arrivals: [UInt64] = []

  mutating func note(_ event: MeshEvent, at node: Int, time: UInt64) {
    switch event {
    case .appeared(let snapshot), .changed(let snapshot):
      guard snapshot.id == session, snapshot.place(in: .lobby)?.presence.message == message,
        missing.remove(node) != nil
      else { return }
      arrivals.append(time)
    default: break
    }
  }
}

extension World {
  /// Nodes join over links that lose nothing; then one status after another changes, and is timed on its way
  /// to all nodes.
  func runSpread(changes: Int) -> Outcome {
    let links = weather
    weather.loss = 0
    if scenario.isSampled { sampler = Sampler(for: self, until: 0) }
    prepare()
    run(until: 14 * Self.second)
    for node in nodes { open(at: node.index) }
    run(until: time + 10 * Self.second)
    weather = links
    let first = time
    var spread: [SpreadChange] = []
    for change in 0..<changes where failure == nil {
      let index = random.below(nodes.count)
      let client = clients[clients.count - nodes.count + index]
      let message = "change \(change)"
      watched = SpreadWatch(session: client.id, message: message, missing: Set(nodes.indices))
      let begin = time
      _ = perform(index, .setStatus(client.id, .lobby, .busy, message: message, at: wall))
      run(until: begin + 30 * Self.second) { watched?.missing.isEmpty ?? true }
      let missing = watched?.missing.count ?? 0
      if missing > 0 {
        fail("spread", "change \(change) of node \(index) is not at \(missing) nodes after 30 s")
      }
      let arrivals = (watched?.arrivals ?? []).map { Sampler.milliseconds($0 - begin) }
      spread.append(
        SpreadChange(
          arrivalMilliseconds: arrivals, milliseconds: missing > 0 ? nil : arrivals.last ?? 0))
      watched = nil
      run(until: time + UInt64(300 + random.below(700)) * Self.millisecond)
    }
    let slowest = spread.compactMap(\.milliseconds).max().map { UInt64($0.rounded()) }
    var outcome = outcome(slowest, focus: first)
    outcome.changes = spread
    return outcome
  }
}
