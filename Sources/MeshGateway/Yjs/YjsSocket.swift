import NIOCore
import PresenceMesh

/// A y-websocket client: the awareness of one room. Documents are not served.
final class YjsSocket: SocketLogic, RoomSubscriber, SessionOwner {
  private struct Owned {
    var session: ClientSession?
    /// The clock of the client's last entry.
    var inClock: UInt64
    /// The newest state while the session opens.
    var next: YjsState?
    var isOpening = false
    /// Somebody ordered it out: it is not opened again for this socket.
    var isRemoved = false
    var told: YjsState?
  }

  private let core: GatewayCore
  private let access: Access
  private let room: RoomName
  private weak var socket: WebSocketConnection?
  private var owned: [UInt64: Owned] = [:]
  /// What this client was told last of each other client id, as JSON.
  private var told: [UInt64: [UInt8]] = [:]
  /// The first clock that this client was told anything with. Its own clocks count from 0, so that
  /// whatever has a higher one is an echo: clients repeat what they are told.
  private var firstClock: UInt64?
  /// The client has said who it is, or has had the time to. Before that it is told nothing, because
  /// what an earlier connection left behind under its id would take the place of its own state.
  private var hasSpoken = false
  /// Entries that claim the id of a socket which may be dead.
  private var claims: [UInt64: YjsEntry] = [:]
  /// Entries for ids that editors at other nodes have, to be heard when those go.
  private var refused: [UInt64: YjsEntry] = [:]
  private var lastTold = NIODeadline.now()
  private var lastCare = NIODeadline.now()

  /// Clients renew their states every 15 s: they may miss one.
  private static let lease = SessionLease.timeToLive(.seconds(32))

  private static let clientBound = 64

  init(core: GatewayCore, access: Access, room: RoomName) {
    self.core = core
    self.access = access
    self.room = room
  }

  func begin(_ socket: WebSocketConnection) {
    self.socket = socket
    // The first step of a sync with an empty document: clients answer, and count as connected.
    socket.send(binary: ByteBuffer(bytes: [0, 0, 1, 0]))
    core.subscribe(self, to: room)
    let box = NIOLoopBound(self, eventLoop: core.eventLoop)
    core.eventLoop.scheduleTask(in: .milliseconds(200)) { box.value.noteSpoken() }
  }

  private func noteSpoken() {
    guard !hasSpoken, socket != nil else { return }
    hasSpoken = true
    tellAll()
  }

  func end() {
    core.unsubscribe(self, from: room)
    for (client, entry) in owned {
      core.yjs.release(YjsClients.Key(room: room, client: client), by: self)
      guard let session = entry.session, session.owner === self else { continue }
      session.owner = nil
      // An editor that is gone is gone: it comes back with all that it has.
      if !session.hasEnded { core.act(.leave, session) }
    }
    owned = [:]
  }

  func receive(text: [UInt8]) { socket?.close(.wrongKind, "messages are binary") }

  func receive(binary: [UInt8]) {
    var reader = YjsReader(binary)
    for entry in owned.values { if let session = entry.session { core.noteLife(of: session) } }
    // A frame may hold several messages; each question in it is answered once.
    var asksForSync = false
    var asksForAll = false
    defer {
      if asksForSync { socket?.send(binary: ByteBuffer(bytes: [0, 1, 2, 0, 0])) }
      if asksForAll { tellAll() }
    }
    while !reader.isAtEnd {
      guard let kind = reader.number() else { return broken() }
      switch kind {
      case 0:
        guard let step = reader.number(), reader.range() != nil else { return broken() }
        if step == 0 { asksForSync = true }
      case 1:
        guard let range = reader.range(), let entries = YjsEntry.entries(binary, range: range)
        else { return broken() }
        for entry in entries { hear(entry) }
        noteSpoken()
      case 2:
        guard reader.number() != nil, reader.text() != nil else { return broken() }
      case 3: asksForAll = true
      default: return broken()
      }
    }
  }

  private func broken() {
    core.counters.count(.messagesRefused)
    socket?.close(.wrongKind, "this is no message of y-protocols")
  }

  // MARK: What the client says

  private func hear(_ entry: YjsEntry) {
    let key = YjsClients.Key(room: room, client: entry.client)
    if let firstClock, entry.clock >= firstClock, owned[entry.client] == nil { return }
    if let owner = core.yjs.owner(key), owner !== self {
      guard entry.state != nil else { return }
      return claim(entry, from: owner)
    }
    if owned[entry.client] == nil {
      guard entry.state != nil else { return }
      guard access.allows(.publish, in: room), owned.count < Self.clientBound else {
        return core.counters.count(.yjsClaimsRefused)
      }
      guard !belongsToAnother(entry.client) else {
        core.counters.count(.yjsClaimsRefused)
        if refused.count < Self.clientBound { refused[entry.client] = entry }
        return
      }
      refused[entry.client] = nil
      core.yjs.setOwner(key, self)
      owned[entry.client] = Owned(inClock: 0)
    } else if let known = owned[entry.client], entry.clock < known.inClock {
      return
    }
    owned[entry.client]?.inClock = entry.clock
    guard let bytes = entry.state else { return leave(entry.client) }
    guard let json = try? JSONReader.value(of: bytes), json.members != nil else {
      core.counters.count(.messagesRefused)
      return
    }
    let state = YjsState(json, client: entry.client, user: access.user)
    if state.isTruncated { core.counters.count(.yjsStatesTruncated) }
    say(state, for: entry.client)
  }

  /// True when an editor at another node has the id, and that node is heard of. An editor that has
  /// come here from there gets it when its old session goes, or at once if a token says who it is.
  private func belongsToAnother(_ client: UInt64) -> Bool {
    guard let snapshot = core.feed(room)?.snapshot else { return false }
    for user in snapshot.users where !access.isUser(user.id) {
      for session in user.sessions where YjsClients.client(of: session) == client {
        return session.host != core.mesh.nodeID && !session.isSuspect
      }
    }
    return false
  }

  private func say(
    _ state: YjsState, for client: UInt64, after first: [SessionAction] = []
  ) {
    guard var entry = owned[client], !entry.isRemoved else { return }
    guard !entry.isOpening else {
      owned[client]?.next = state
      return
    }
    if let session = entry.session, !session.hasEnded,
      UserKey(session.profile.userID) == UserKey(state.profile.userID)
    {
      var actions = first
      if entry.told?.profile != state.profile {
        session.profile = state.profile
        actions.append(.setProfile(state.profile))
      }
      if entry.told?.data != state.data { actions.append(.setData(state.data, in: room)) }
      if let cursor = state.cursor, entry.told?.cursor != cursor {
        actions.append(.moveCursor(cursor, in: room))
      }
      if !actions.isEmpty { core.act(.all(actions), session) }
      entry.told = state
      owned[client] = entry
      return
    }
    if let session = entry.session, !session.hasEnded { core.act(.leave, session) }
    entry.session = nil
    entry.told = nil
    entry.isOpening = true
    entry.next = state
    owned[client] = entry
    let id = core.mesh.sessionID(
      of: state.profile.userID, named: "yjs/\(room.text)/\(client)")
    core.open(
      id, state.profile, device: "yjs:\(client)", lease: Self.lease, owner: self
    ) { [weak self] result in
      self?.opened(client, result.map(\.session))
    }
  }

  private func opened(_ client: UInt64, _ result: Result<ClientSession, GatewayError>) {
    guard case .success(let session) = result else {
      owned[client] = nil
      core.yjs.release(YjsClients.Key(room: room, client: client), by: self)
      return
    }
    guard owned[client] != nil, socket != nil else { return core.act(.leave, session) }
    owned[client]?.session = session
    owned[client]?.isOpening = false
    guard let next = owned[client]?.next else { return core.act(.enter(room), session) }
    owned[client]?.next = nil
    say(next, for: client, after: [.enter(room)])
  }

  private func leave(_ client: UInt64) {
    guard let entry = owned.removeValue(forKey: client) else { return }
    core.yjs.release(YjsClients.Key(room: room, client: client), by: self)
    if let session = entry.session, !session.hasEnded { core.act(.leave, session) }
  }

  // MARK: Claims

  /// Another socket speaks for the id: if it answers, the claim is false; if not, it is dead, and
  /// its client has come back here.
  private func claim(_ entry: YjsEntry, from owner: YjsSocket) {
    guard claims.count < Self.clientBound else { return }
    let isFirst = claims[entry.client] == nil
    claims[entry.client] = entry
    guard isFirst else { return }
    let asked = NIODeadline.now()
    owner.socket?.ping()
    let box = NIOLoopBound((self, owner), eventLoop: core.eventLoop)
    core.eventLoop.scheduleTask(in: .milliseconds(1500)) {
      let (claimant, owner) = box.value
      guard let entry = claimant.claims.removeValue(forKey: entry.client),
        claimant.socket != nil
      else { return }
      if let heard = owner.socket?.lastHeard, heard > asked {
        claimant.core.counters.count(.yjsClaimsRefused)
        return
      }
      claimant.core.counters.count(.socketsTakenOver)
      owner.handOver(entry.client)
      claimant.hear(entry)
    }
  }

  private func handOver(_ client: UInt64) {
    owned[client] = nil
    core.yjs.release(YjsClients.Key(room: room, client: client), by: self)
    if owned.isEmpty { socket?.close(.takenOver, "another socket speaks for this client") }
  }

  // MARK: What the client is told

  func synchronize(_ feed: RoomFeed) { tellAll() }

  func resynchronize() { tellAll() }

  /// Tells all that is there, and that the rest is gone.
  private func tellAll() {
    guard hasSpoken, let snapshot = core.feed(room)?.snapshot else { return }
    var seen: [UInt64: [UInt8]] = [:]
    for user in snapshot.users {
      for session in user.sessions {
        seen[YjsClients.client(of: session)] = YjsState.json(of: session, user: user)
      }
    }
    seen = seen.filter { !isMine($0.key) }
    var entries = seen.map { client, state in
      YjsEntry(client: client, clock: core.yjs.nextClock(), state: state)
    }
    for client in told.keys where seen[client] == nil && !isMine(client) {
      entries.append(YjsEntry(client: client, clock: core.yjs.nextClock(), state: nil))
    }
    told = seen
    send(entries)
  }

  func update(_ feed: RoomFeed, _ update: RoomUpdate) {
    guard hasSpoken, let snapshot = feed.snapshot else { return }
    var users = update.users
    var known = Set(users.map { UserKey($0) })
    for (user, _, _) in update.cursors where known.insert(UserKey(user)).inserted {
      users.append(user)
    }
    var entries: [YjsEntry] = []
    for id in users {
      let before = update.before.user(id)?.sessions ?? []
      let user = snapshot.user(id)
      let after = user?.sessions ?? []
      for session in before where !after.contains(where: { $0.id == session.id }) {
        let client = YjsClients.client(of: session)
        guard !isMine(client), told.removeValue(forKey: client) != nil else { continue }
        entries.append(YjsEntry(client: client, clock: core.yjs.nextClock(), state: nil))
      }
      guard let user else { continue }
      for session in after {
        let client = YjsClients.client(of: session)
        guard !isMine(client) else { continue }
        let state = YjsState.json(of: session, user: user)
        guard told[client] != state else { continue }
        told[client] = state
        entries.append(YjsEntry(client: client, clock: core.yjs.nextClock(), state: state))
      }
    }
    send(entries)
    guard !refused.isEmpty else { return }
    for entry in refused.values where !belongsToAnother(entry.client) {
      refused[entry.client] = nil
      hear(entry)
    }
  }

  /// True for an id that this client speaks for, or says it does: nobody tells it of itself.
  private func isMine(_ client: UInt64) -> Bool {
    owned[client] != nil || claims[client] != nil || refused[client] != nil
  }

  private func send(_ entries: [YjsEntry]) {
    guard let first = entries.map(\.clock).min() else { return }
    firstClock = min(firstClock ?? first, first)
    lastTold = .now()
    // An update of many states goes in parts that clients take without a pause.
    for start in stride(from: 0, to: entries.count, by: 256) {
      let part = Array(entries[start..<min(start + 256, entries.count)])
      guard socket?.sendUpdate(binary: ByteBuffer(bytes: YjsEntry.message(part))) == true else {
        return
      }
    }
  }

  /// Clients forget others after 30 s without a word, and close a silent socket after 45 s: all is
  /// told anew before that.
  func care(_ now: NIODeadline) {
    // The answer to a ping is a sign of life too.
    if let socket, socket.lastHeard > lastCare {
      lastCare = now
      for entry in owned.values { if let session = entry.session { core.noteLife(of: session) } }
    }
    guard now - lastTold > .seconds(12) else { return }
    lastTold = now
    if told.isEmpty {
      _ = socket?.sendUpdate(binary: ByteBuffer(bytes: YjsEntry.message([])))
    } else {
      tellAll()
    }
  }

  // MARK: Sessions

  func sessionWasTaken() {}

  func sessionMoved(to node: NodeID) { dropEnded() }

  func sessionEnded() { dropEnded() }

  func sessionRemoved() {
    for (client, entry) in owned where entry.session?.hasEnded == true {
      owned[client]?.isRemoved = true
    }
    dropEnded()
  }

  /// The session of an editor is in no other room.
  func sessionRemoved(from room: RoomName) {
    for (client, entry) in owned {
      guard let session = entry.session, !session.hasEnded, session.rooms.isEmpty else { continue }
      owned[client]?.isRemoved = true
      owned[client]?.session = nil
      core.act(.leave, session)
    }
  }

  /// The client's next renewal opens its session again.
  private func dropEnded() {
    for (client, entry) in owned where entry.session?.hasEnded == true {
      owned[client]?.session = nil
      owned[client]?.told = nil
    }
  }
}
