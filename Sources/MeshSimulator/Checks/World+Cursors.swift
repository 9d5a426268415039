import MeshCRDT
import MeshEngine

extension World {
  /// When all agree, heads come by themselves. And F8, and interest: a cursor that moves is seen by all
  /// nodes that follow its room, while it moves.
  mutating func checkCursors() {
    // A lost move is repaired when the cursor rests. Not in every world: it costs time.
    guard weather.loss == 0, failure == nil, random.chance(0.3) else { return }
    // Until addresses that changed are known, and paths that ended are dropped.
    run(until: time + 20 * Self.second)
    // A neighbour may have changed just now; mostly heads come by themselves.
    let doubts = nodes.reduce(0) { $0 + ($1.engine?.doubtedCount ?? 0) }
    let pairs = nodes.count * nodes.count
    guard doubts * 20 <= pairs else {
      return fail("\(doubts) of \(pairs) times a node has to ask for heads, though nothing is lost")
    }
    checkFollowing()
    guard failure == nil else { return }
    let able = sessions.indices.filter { index in
      let session = sessions[index]
      return !session.isEnded && !session.isLost && !session.isContested
        && session.silentSince == nil && session.orderedOutBy == nil
        && nodes[session.node].engine?.session(session.id)?.host
          == nodes[session.node].engine?.origin
    }
    let bound = 200 * Self.millisecond + 8 * weather.longestDelay
    for _ in 0..<3 where !able.isEmpty {
      let session = sessions[able[random.below(able.count)]]
      guard let room = session.places.keys.sorted().first(where: { !$0.isLobby }) else { continue }
      let begin = time
      var last = Cursor(x: 0, y: 0)
      for step in 0..<4 {
        last = Cursor(x: random.unit(), y: random.unit(), anchor: "move \(step)")
        let cursor = last
        cursors.note(cursor, of: session.id, in: room)
        drive(session.node) { engine, now in
          try? engine.perform(.moveCursor(session.id, room, cursor), now: now)
        }
        run(until: time + 40 * Self.millisecond)
      }
      run(until: time + bound)
      for index in nodes.indices {
        // While the members are few, a frame comes from its host or not at all.
        guard let engine = nodes[index].engine, engine.follows(room),
          nodes[session.node].engine?.reaches(engine.origin) ?? false,
          engine.session(session.id)?.place(in: room)?.cursor != last
        else { continue }
        fail(
          "F8: node \(index) follows \(room), and does not see the cursor of session \(session.id) "
            + "move, \((time - begin) / Self.millisecond) ms after the first move")
        return
      }
    }
  }
}
