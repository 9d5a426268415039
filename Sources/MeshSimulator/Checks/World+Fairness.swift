import MeshCRDT
import MeshEngine

extension World {
  /// Where nodes may send little, one of them has more to say than that: crowds of cursors move, many
  /// join, and one session changes its status. All of that must get through: nobody sees a status or
  /// a cursor that is much older than the host's.
  mutating func checkFairness() {
    guard peerRate != nil, weather.loss == 0, failure == nil, !nodes.contains(where: \.isClone),
      let room = RoomName("rush")
    else { return }
    // Until addresses that changed are known.
    run(until: time + 20 * Self.second)
    let up = nodes.indices.filter { nodes[$0].isUp && nodes[$0].pausedUntil == nil }
    guard up.count > 1 else { return }
    let host = up[random.below(up.count)]
    let crowd = (0..<Self.crowd).map { _ in SessionID(random.next(), random.next()) }
    for session in crowd { join(session, room, at: host) }
    run(until: time + 5 * Self.second)
    for step in 0..<Self.rushSteps {
      let cursor = Cursor(x: Double(step) / 1024, y: 0)
      for session in crowd { ask(host, .moveCursor(session, room, cursor)) }
      ask(
        host,
        .setStatus(
          crowd[0], room, .busy, message: "\(step)", at: WallTime(milliseconds: UInt64(step))))
      join(SessionID(random.next(), random.next()), room, at: host)
      run(until: time + Self.rushStep)
      if step >= Self.rushSteps / 2, step.isMultiple(of: 20) {
        checkRush(crowd[0], room, host, up, step: step, bound: Self.rushLag)
      }
    }
    run(until: time + 5 * Self.second)
    checkRush(crowd[0], room, host, up, step: Self.rushSteps - 1, bound: 0)
  }

  private static let crowd = 60
  /// 120 moves a second, for three seconds.
  private static let rushSteps = 360
  private static let rushStep = second / 120
  /// So many steps old may be what is seen: a second.
  private static let rushLag = 120

  private mutating func join(_ session: SessionID, _ room: RoomName, at host: Int) {
    let profile = Profile(userID: "\(session)")
    ask(
      host,
      .open(session, profile, device: "", .attached, at: WallTime(milliseconds: 0)))
    ask(host, .enter(session, room))
  }

  private mutating func ask(_ index: Int, _ operation: LocalOperation) {
    drive(index) { engine, now in
      do throws(OperationError) { try engine.perform(operation, now: now) } catch {
        preconditionFailure("refused: \(error)")
      }
    }
  }

  private mutating func checkRush(
    _ session: SessionID, _ room: RoomName, _ host: Int, _ up: [Int], step: Int, bound: Int
  ) {
    for index in up {
      guard let engine = nodes[index].engine, engine.follows(room),
        nodes[host].engine?.reaches(engine.origin) ?? false
      else { continue }
      let place = engine.session(session)?.place(in: room)
      let moved = place?.cursor.map { step - Int(($0.x * 1024).rounded()) } ?? step
      let said = Int(place?.presence.message ?? "").map { step - $0 } ?? step
      guard moved > bound || said > bound else { continue }
      fail(
        "fairness: node \(index) sees a cursor \(moved) and a status \(said) steps old, of which a "
          + "second has 120")
    }
  }
}
