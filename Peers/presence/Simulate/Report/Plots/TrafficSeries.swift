import MeshSimulator

/// What nodes send, over seeds: bytes per running node and second, by what they are sent for.
struct TrafficSeries {
  /// What several kinds of messages are for.
  struct Purpose {
    let name: String
    /// The numbers of the kinds on the wire.
    let kinds: [Int]
  }

  static let purposes = [
    Purpose(name: "batches of changes", kinds: [3]),
    Purpose(name: "heartbeats (beats, checkpoints)", kinds: [4, 6, 10, 13]),
    Purpose(name: "cursor frames", kinds: [5]),
    Purpose(name: "comparing and repair", kinds: [7, 8, 9, 11]),
    Purpose(name: "paths (proofs, peer exchange)", kinds: [1, 2, 12]),
    Purpose(name: "framing of datagrams", kinds: [0]),
  ]

  /// Milliseconds that a point stands for.
  let span: Double
  /// Bytes per node and second by purpose, over the time since the focus in milliseconds.
  let points: [(time: Double, rates: [Double])]
  /// Mean rates by purpose before the focus and after it.
  let before: [Double]
  let after: [Double]
  /// Bytes per second of the node that sent most, over all of its time; the largest over seeds.
  let busiest: Double

  init?(_ results: [Outcome]) {
    let samples = results.compactMap(\.samples)
    let spans = samples.compactMap { one in
      one.traffic.count > 1 ? one.traffic[1].milliseconds - one.traffic[0].milliseconds : nil
    }
    guard let span = spans.max(), span > 0 else { return nil }
    self.span = span
    var sums: [Int: (bytes: [Double], nodeSeconds: Double, seeds: Int)] = [:]
    for one in samples {
      for traffic in one.traffic {
        let slot = Int(((traffic.milliseconds - one.focusMilliseconds) / span).rounded(.down))
        var sum = sums[slot] ?? (Array(repeating: 0, count: Self.purposes.count), 0, 0)
        for (index, purpose) in Self.purposes.enumerated() {
          sum.bytes[index] += purpose.kinds.reduce(0) { $0 + Double(traffic.bytes[$1]) }
        }
        sum.nodeSeconds += traffic.nodeSeconds
        sum.seeds += 1
        sums[slot] = sum
      }
    }
    func rates(_ slots: [Int]) -> [Double] {
      let seconds = slots.reduce(0) { $0 + (sums[$1]?.nodeSeconds ?? 0) }
      return Self.purposes.indices.map { index in
        let bytes = slots.reduce(0) { $0 + (sums[$1]?.bytes[index] ?? 0) }
        return seconds > 0 ? bytes / seconds : 0
      }
    }
    let slots = sums.keys.sorted()
    // Where only a few seeds were running, one of them would pass for all.
    points = slots.filter { (sums[$0]?.seeds ?? 0) * 2 >= samples.count }.map { slot in
      (Double(slot) * span + span / 2, rates([slot]))
    }
    before = rates(slots.filter { $0 < 0 })
    after = rates(slots.filter { $0 >= 0 })
    busiest =
      samples.map { one in
        let end = one.agreement.last?.milliseconds ?? 0
        return end > 0 ? Double(one.busiestNodeBytes) * 1000 / end : 0
      }.max() ?? 0
  }
}
