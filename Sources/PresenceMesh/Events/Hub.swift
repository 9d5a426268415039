import MeshEngine
import Synchronization

/// Where the engine's events become a view, and go to the readers.
///
/// One lock guards the view and the order of delivery: a snapshot is taken and its reader is opened
/// in one step, so that no event is missed or told twice. The lock is held by the event loop for one
/// event at a time, and by readers only while a value is copied.
final class Hub: Sendable {
  /// What a reader sees.
  enum Scope: Hashable, Sendable {
    /// All users and nodes.
    case mesh
    case room(RoomName)
    /// One user, anywhere in the mesh.
    case user(String)

    /// The room whose changes it sees.
    var room: RoomName {
      if case .room(let room) = self { room } else { .lobby }
    }
  }

  private struct Reader {
    let scope: Scope
    let mailbox: Mailbox<PresenceEvent>
  }

  private struct Paced {
    var pace: CursorPace
    var hasAlarm = false
  }

  private struct State {
    var view = MeshView()
    var nodes: [NodeID: NodeHealth]
    var isStale = false
    var isCloned = false
    var expulsion: Expulsion?
    /// Why a member gave this node no key, since another one did.
    var refusal: Expulsion?
    /// Readers by the room whose changes they see.
    var readers: [RoomName: [UInt64: Reader]] = [:]
    var sessionReaders: [SessionID: [UInt64: Mailbox<LocalSession.Event>]] = [:]
    /// The users of the sessions of this node.
    var owners: [SessionID: UserKey] = [:]
    var nextReader: UInt64 = 0
    /// The readers that want to be told of cursors less often.
    var paced: [UInt64: Paced] = [:]
    /// Those among them that are to be called at their deadlines from now on.
    var newAlarms: [(number: UInt64, room: RoomName)] = []
    var isFinished = false
  }

  private let state: Mutex<State>

  init(node: NodeID) { state = Mutex(State(nodes: [node: .online])) }
}

// MARK: - The event loop's side

extension Hub {
  /// Takes an event in. Called on the event loop, in order.
  func handle(_ event: MeshEvent, now: WallTime) {
    let alarms = state.withLock { state in
      switch event {
      case .appeared(let snapshot), .changed(let snapshot):
        Self.tell(state.view.upsert(snapshot, now: now), &state)
      case .disappeared(let session): Self.tell(state.view.remove(session, now: now), &state)
      case .cursor(let session, let room, let cursor):
        Self.tell(state.view.move(session, in: room, to: cursor), &state)
      case .node(let node, let health):
        state.nodes[node] = health
        // The sessions of a node that is hidden go by events of their own.
        Self.tell(state.view.setSuspect(node, health != .online, now: now), &state)
        Self.tellMesh(.node(node, health), &state)
      case .forgotten(let node):
        state.nodes[node] = nil
        Self.tell(state.view.setSuspect(node, false, now: now), &state)
        Self.tellMesh(.nodeForgotten(node), &state)
      case .stale(let isStale):
        state.isStale = isStale
        for reader in state.readers.values.flatMap(\.values) {
          reader.mailbox.put([.stale(isStale)])
        }
      case .cloned:
        state.isCloned = true
        Self.tellMesh(.cloned, &state)
      case .expelled(let refusal): Self.expel(Expulsion(refusal), &state)
      case .admitted: (state.refusal, state.expulsion) = (nil, nil)
      case .admissionRefused(let reason, _):
        if state.refusal == nil { settleLater() }
        state.refusal = Expulsion(reason)
      case .contradicted(let node, _): Self.tellMesh(.contradicted(node), &state)
      case .restored(let session): Self.tell(session, .restored, &state)
      case .moved(let session, let node):
        Self.tell(session, .moved(to: node), &state)
        Self.finish(session, &state)
      case .leaseEnded(let session):
        Self.tell(session, .leaseEnded, &state)
        Self.finish(session, &state)
      case .removed(let session, let room):
        Self.tell(session, .removed(from: room), &state)
        if room.isLobby { Self.finish(session, &state) }
      }
      defer { state.newAlarms = [] }
      return state.newAlarms
    }
    for (number, room) in alarms { setAlarm(number, room) }
  }

  private static func expel(_ reason: Expulsion, _ state: inout State) {
    state.expulsion = reason
    tellMesh(.expelled(reason), &state)
  }

  /// A newcomer that one member refuses is out, unless another one gives it the key soon.
  private func settleLater() {
    Task { [weak self] in
      try? await Task.sleep(for: .seconds(3))
      self?.state.withLock { state in
        if let reason = state.refusal { Self.expel(reason, &state) }
      }
    }
  }

  /// Tells a reader the moves that waited, when they are due, until none waits.
  private func setAlarm(_ number: UInt64, _ room: RoomName) {
    Task { [weak self] in
      while let deadline = self?.deadline(of: number) {
        try? await Task.sleep(until: deadline, clock: .continuous)
        self?.tellMoves(to: number, in: room)
      }
    }
  }

  /// When moves of a reader are due next; `nil` ends its alarm.
  private func deadline(of number: UInt64) -> CursorPace.Time? {
    state.withLock { state in
      let deadline = state.paced[number]?.pace.deadline
      if deadline == nil { state.paced[number]?.hasAlarm = false }
      return deadline
    }
  }

  private func tellMoves(to number: UInt64, in room: RoomName) {
    state.withLock { state in
      guard let mailbox = state.readers[room]?[number]?.mailbox else { return }
      let moves = state.paced[number]?.pace.takeDue(space: mailbox.spaceForMoves, now: .now)
      mailbox.put(moves ?? [])
    }
  }

  private static func tell(_ changes: [RoomChanges], _ state: inout State) {
    for change in changes {
      guard let readers = state.readers[change.room] else { continue }
      let events = change.changes.map { PresenceEvent($0) }
      for (number, reader) in readers {
        guard case .user(let user) = reader.scope else {
          let passing = state.paced[number]?.pace.passing(
            events, space: reader.mailbox.spaceForMoves, now: .now)
          reader.mailbox.put(passing ?? events)
          if let paced = state.paced[number], paced.pace.deadline != nil, !paced.hasAlarm {
            state.paced[number]?.hasAlarm = true
            state.newAlarms.append((number, change.room))
          }
          continue
        }
        let key = UserKey(user)
        reader.mailbox.put(
          zip(change.changes, events).filter { UserKey($0.0.userID) == key }.map(\.1))
      }
    }
  }

  private static func tellMesh(_ event: PresenceEvent, _ state: inout State) {
    for reader in (state.readers[.lobby] ?? [:]).values where reader.scope == .mesh {
      reader.mailbox.put([event])
    }
  }

  private static func tell(
    _ session: SessionID, _ event: LocalSession.Event, _ state: inout State
  ) {
    for mailbox in (state.sessionReaders[session] ?? [:]).values { mailbox.put([event]) }
  }

  private static func finish(_ session: SessionID, _ state: inout State) {
    state.owners[session] = nil
    for mailbox in (state.sessionReaders.removeValue(forKey: session) ?? [:]).values {
      mailbox.finish()
    }
  }

  /// Ends the events of a session that left.
  func finish(_ session: SessionID) { state.withLock { Self.finish(session, &$0) } }

  /// Ends the events of all readers, now and later.
  func finish() {
    state.withLock { state in
      state.isFinished = true
      for reader in state.readers.values.flatMap(\.values) { reader.mailbox.finish() }
      state.readers = [:]
      state.paced = [:]
      for session in Array(state.sessionReaders.keys) { Self.finish(session, &state) }
      state.owners = [:]
    }
  }
}

// MARK: - The readers' side

extension Hub {
  /// Makes a closed mailbox that gets events once it is opened with ``open(_:)``.
  ///
  /// - Parameter pace: Holds back moves of cursors.
  func subscribe(
    _ scope: Scope, capacity: Int, pace: CursorPace? = nil
  ) -> Subscription<PresenceEvent> {
    let mailbox = Mailbox<PresenceEvent>(capacity: capacity, overflow: .resynchronize)
    let number = state.withLock { state in
      state.nextReader += 1
      if state.isFinished {
        mailbox.finish()
      } else {
        let reader = Reader(scope: scope, mailbox: mailbox)
        state.readers[scope.room, default: [:]][state.nextReader] = reader
        state.paced[state.nextReader] = pace.map { Paced(pace: $0) }
      }
      return state.nextReader
    }
    return Subscription(mailbox: mailbox) { [weak self] in self?.remove(number, from: scope.room) }
  }

  private func remove(_ number: UInt64, from room: RoomName) {
    state.withLock { state in
      state.readers[room]?[number] = nil
      state.paced[number] = nil
      if state.readers[room]?.isEmpty == true { state.readers[room] = nil }
    }
  }

  /// Takes a snapshot and opens a mailbox in the same moment.
  func open(_ mailbox: Mailbox<PresenceEvent>, for scope: Scope) -> PresenceSnapshot {
    let (roster, nodes, isStale) = state.withLock { state in
      mailbox.open()
      return (state.view.roster(scope.room), state.nodes, state.isStale)
    }
    // Deriving the users takes longer; the event loop does not wait for it.
    let users = roster.snapshot
    return switch scope {
    case .mesh: PresenceSnapshot(roster: users, nodes: nodes, isStale: isStale)
    case .room: PresenceSnapshot(roster: users, nodes: [:], isStale: isStale)
    case .user(let user):
      PresenceSnapshot(roster: users.only(user), nodes: [:], isStale: isStale)
    }
  }

  /// Makes a mailbox for what happens to a session of this node.
  func subscribe(
    session: SessionID, capacity: Int
  ) -> Subscription<LocalSession.Event> {
    let mailbox = Mailbox<LocalSession.Event>(capacity: capacity, overflow: .dropOldest)
    let number = state.withLock { state in
      state.nextReader += 1
      if state.isFinished {
        mailbox.finish()
      } else {
        state.sessionReaders[session, default: [:]][state.nextReader] = mailbox
      }
      return state.nextReader
    }
    return Subscription(mailbox: mailbox) { [weak self] in
      self?.remove(number, from: session)
    }
  }

  private func remove(_ number: UInt64, from session: SessionID) {
    state.withLock { state in
      state.sessionReaders[session]?[number] = nil
      if state.sessionReaders[session]?.isEmpty == true { state.sessionReaders[session] = nil }
    }
  }

  /// Notes whose session of this node it is, until it ends.
  func own(_ session: SessionID, user: String) {
    state.withLock { $0.owners[session] = UserKey(user) }
  }

  /// The sessions of a user on this node, in the order of their ids.
  func ownSessions(of user: String) -> [SessionID] {
    let key = UserKey(user)
    return state.withLock { $0.owners.filter { $0.value == key }.keys.sorted() }
  }

  /// The number of readers, of sessions and of presence.
  var readerCount: Int {
    state.withLock { state in
      state.readers.values.reduce(0) { $0 + $1.count }
        + state.sessionReaders.values.reduce(0) { $0 + $1.count }
    }
  }

  /// The number of readers with a pace of their own.
  var pacedCount: Int { state.withLock { $0.paced.count } }

  /// The roster of a room as it is now. Cost: none; the event loop copies what it changes next.
  func roster(_ room: RoomName) -> Roster { state.withLock { $0.view.roster(room) } }

  /// Looks something up, while the event loop waits: for what takes little time.
  func look<Value: Sendable>(_ body: (MeshView) -> Value) -> Value {
    state.withLock { body($0.view) }
  }

  /// The rosters of all rooms as they are now.
  var view: MeshView { state.withLock { $0.view } }

  var isStale: Bool { state.withLock { $0.isStale } }
  var isCloned: Bool { state.withLock { $0.isCloned } }
  var expulsion: Expulsion? { state.withLock { $0.expulsion } }
}

/// A reader's hold on its mailbox; letting go of it ends the deliveries.
final class Subscription<Element: Sendable>: Sendable {
  let mailbox: Mailbox<Element>
  private let end: @Sendable () -> Void

  init(mailbox: Mailbox<Element>, end: @escaping @Sendable () -> Void) {
    self.mailbox = mailbox
    self.end = end
  }

  deinit { end() }
}
