package import MeshCRDT
import MeshWire

extension SessionView {
  /// Looks at sessions that may be another than was reported, at most about so many, and reports those that
  /// are. Sessions whose records changed come first; while origins whose visibility changed wait, they
  /// have a quarter of the budget, and what the others leave.
  ///
  /// Cost: an evaluation for each session, of 1 to 3 µs for a session in one room. ``hasWork`` says whether to call
  /// again.
  package mutating func work(budget: Int, _ records: some RecordReading) -> [MeshEvent] {
    var events: [MeshEvent] = []
    scanned = []
    var left = budget
    let kept = scans.isEmpty ? 0 : budget / 4
    while left > kept, !waiting.isEmpty {
      reportNext(records, &events)
      left -= 1
    }
    while left > 0, let scan = scans.next {
      left -= lookOn(
        scan.slot, after: scan.last, atMost: min(left, Self.scanPage), records, &events)
    }
    while left > 0, !waiting.isEmpty {
      reportNext(records, &events)
      left -= 1
    }
    return events
  }

  /// Looks at a part of an origin's sessions. Returns how many it was, at least 1.
  private mutating func lookOn(
    _ slot: Int, after last: SessionID?, atMost bound: Int, _ records: some RecordReading,
    _ events: inout [MeshEvent]
  ) -> Int {
    let sessions = records.sessions(slot: slot, after: last, atMost: bound)
    guard let end = sessions.last else {
      endScan(slot)
      return 1
    }
    // One that waits is evaluated in its turn.
    for session in sessions where waiting[session] == nil {
      report(session, UnreportedChanges(), records, &events)
    }
    advanceScan(to: end)
    scanned += sessions
    return sessions.count
  }

  mutating func reportNext(_ records: some RecordReading, _ events: inout [MeshEvent]) {
    guard let next = waiting.popFirst() else { return }
    report(next.session, next.changes, records, &events)
  }

  mutating func reportOutOfTurn(
    _ session: SessionID, _ records: some RecordReading, _ events: inout [MeshEvent]
  ) {
    report(session, waiting.remove(session) ?? UnreportedChanges(), records, &events)
  }

  /// Reports what is new of a session, which waits no longer.
  private mutating func report(
    _ session: SessionID, _ changes: UnreportedChanges, _ records: some RecordReading,
    _ events: inout [MeshEvent]
  ) {
    let old = reportedSlot(of: session)
    let evaluation = evaluation(changes)
    let new = evaluation.host(of: session, records)
    guard old != new?.slot || !changes.isEmpty else { return }
    countReport()
    guard let new, let snapshot = evaluation.snapshot(session, new, records) else {
      guard let old else { return }
      if changes.statusCounter > 0,
        let user = evaluation.earlier.user(of: session, slot: old, records)
      {
        noteStatus(changes.statusCounter, of: user)
      }
      // It shares the table of hosts, which changes now.
      _ = consume evaluation
      setReported(session, nil)
      if PlantedBug.isActive(.disappearanceNotTold) { return }
      return events.append(.disappeared(session))
    }
    noteStatus(changes.statusCounter, of: snapshot.value.profile.userID)
    if old == new.slot {
      evaluation.addDifferences(to: snapshot, slot: new.slot, records, &events)
    } else {
      _ = consume evaluation
      noteStatuses(of: snapshot)
      setReported(session, new.slot)
      events.append(old == nil ? .appeared(snapshot) : .changed(snapshot))
    }
  }
}

// MARK: - Reading

extension SessionView {
  /// All sessions as they were reported, in the order of their ids. Cost: an evaluation of each.
  package func snapshot(_ records: some RecordReading) -> [SessionSnapshot] {
    reported.sortedKeys.compactMap { session($0, records) }
  }

  /// A session as it was reported; `nil`: as not visible. Cost: an evaluation.
  package func session(_ session: SessionID, _ records: some RecordReading) -> SessionSnapshot? {
    guard let slot = reportedSlot(of: session) else { return nil }
    return evaluation(waiting[session] ?? UnreportedChanges()).earlier
      .snapshot(session, slot: slot, records)
  }

  /// The slot of the origin that hosts a session now, whether or not that was reported; `nil`: the session
  /// is not visible. Cost: the origins that have records of it.
  package func host(of session: SessionID, _ records: some RecordReading) -> Int? {
    evaluation.host(of: session, records)?.slot
  }

  /// A session as it is now, whether or not that was reported. Cost: an evaluation.
  package func current(_ session: SessionID, _ records: some RecordReading) -> SessionSnapshot? {
    evaluation.host(of: session, records).flatMap { evaluation.snapshot(session, $0, records) }
  }

  /// A session as its last host left it, whether or not that one is visible; `nil`: nothing is held of it,
  /// or it was removed. Cost: an evaluation.
  package func lastKnown(_ session: SessionID, _ records: some RecordReading) -> SessionSnapshot? {
    let host =
      evaluation.host(of: session, records)
      ?? evaluation.host(of: session, records, evenHidden: true)
    return host.flatMap { evaluation.snapshot(session, $0, records) }
  }

  var evaluation: SessionEvaluation { evaluation(UnreportedChanges()) }

  private func evaluation(_ changes: UnreportedChanges) -> SessionEvaluation {
    SessionEvaluation(
      hosts: hosts, revokedUsers: revokedUsers, hashKey: hashKey, changes: changes)
  }
}
