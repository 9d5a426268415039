import MeshCRDT
import MeshWire

/// What came of comparing with others.
enum ComparisonEvent: Sendable {
  /// A peer holds the same.
  case equal(PeerAddress)
  /// A peer holds a later checkpoint of an origin completely.
  case behind(OriginID, Checkpoint.Position, PeerAddress)
  /// A peer lacks the complete checkpoint of an origin that is held here.
  case ahead(OriginID, PeerAddress)
  /// A peer holds something about the membership that is not held here, or not so.
  case learned(key: [UInt8], value: [UInt8], PeerAddress)
  /// A peer lacks something about the membership that is held here.
  case untold(key: [UInt8], PeerAddress)
  /// Everything of a checkpoint is here. These have it, too.
  case fetched(OriginID, FetchedOrigin, Authentic<Checkpoint>, heldBy: Set<PeerAddress>)
  /// A peer sent a node that is not what it must be.
  case wrong(PeerAddress)
  /// Nobody who was asked has the origin.
  case failed(OriginID)
  /// An origin that nobody had may be asked for again.
  case rested(OriginID)
  /// A peer took so long to answer.
  case roundTrip(PeerAddress, Span)
  /// A peer did not answer in time.
  case overdue(PeerAddress)
}

/// Timers of comparisons.
enum ComparisonTimer: Hashable, Sendable {
  /// An answer about the tree of the replica is overdue.
  case walk(PeerAddress)
  /// An answer about an origin is overdue.
  case fetch(OriginID)
}

/// Which messages of an answer have come. They may overtake each other.
private struct AnswerPages: Sendable {
  private var seen = 0
  private var count: Int?

  var isBegun: Bool { seen > 0 }

  /// Notes a message. True when all of the answer are here.
  mutating func note(_ answer: NodesAnswer) -> Bool {
    seen += 1
    if answer.isLast { count = answer.page + 1 }
    return count.map { seen >= $0 } ?? false
  }
}

/// Compares the tree of the replica with those of peers, and fetches the trees of origins where they differ.
///
/// A *walk* goes down the tree of the replica with one peer; it has nothing to remember but what it asks for
/// next. A *fetch* gathers the trees of one origin, from one peer at a time. Bounds: a walk for each path,
/// ``EngineLimits/fetches`` fetches at once, and the origins wait that are behind beyond that.
struct Comparison: Sendable {
  /// Whom an origin may be fetched from: the best ones, and so on.
  typealias Sources = (OriginID) -> [[PeerAddress]]

  private struct Walk: Sendable {
    var request: UInt16
    var askedAt: MonotonicTime
    var timeout: Span
    /// Nodes that differ and were not asked for yet.
    var pending: [CompareRequest.Node] = []
    /// The nodes that were asked for last.
    var asked: [CompareRequest.Node] = []
    /// How often nothing more came of them.
    var silences = 0
    /// The nodes that an answer may bring: the top, and children of those that came.
    var expected: Set<TreePath> = [.top]
    /// What the peer lacks, as far as it was told.
    var pushed: Set<[UInt8]> = []
    /// How many nodes may still be asked for.
    var left = EngineLimits.nodesPerWalk
    var pages = AnswerPages()
  }

  private struct Fetch: Sendable {
    var position: Checkpoint.Position
    /// `nil`: its checkpoint has not come yet.
    var trees: OriginFetch?
    /// The checkpoint whose trees are fetched.
    var checkpoint: Authentic<Checkpoint>?
    /// Those that came lately: an answer may be about one of them.
    var recent: [Authentic<Checkpoint>] = []
    /// What is asked for until its checkpoint has come.
    let first: [OriginFetch.Want]
    var address: PeerAddress
    var request: UInt16 = 0
    var askedAt: MonotonicTime
    /// When something of the answer came last.
    var heardAt: MonotonicTime
    var timeout = EngineLimits.answerTimeout
    var silences = 0
    /// True when something that was missing has come since the last request, or a newer checkpoint.
    var hasProgress = false
    /// True when anything that was missing has come since it began: whoever has it is there, and is asked
    /// again soon.
    var isFruitful = false
    var pages = AnswerPages()
    /// Whom nothing is asked of any more.
    var passed: [PeerAddress] = []
    /// Who sent which checkpoint meanwhile.
    var tellers: [PeerAddress: Checkpoint.Position] = [:]

    /// Goes on with a checkpoint. What is here and equal is kept.
    mutating func aim(
      at checkpoint: Authentic<Checkpoint>, _ source: inout some ComparisonSource,
      _ context: EngineContext
    ) {
      let facts = checkpoint.body.facts
      if trees?.target.incarnation == facts.incarnation {
        trees?.retarget(facts, context.treeHash)
      } else {
        trees = source.fetch(of: checkpoint)
      }
      guard let position = trees?.target.position else { return }
      (self.position, self.checkpoint) = (position, checkpoint)
      hasProgress = true
    }
  }

  private var walks: [PeerAddress: Walk] = [:]
  private var fetches: [OriginID: Fetch] = [:]
  private var waiting: [OriginID: (position: Checkpoint.Position, address: PeerAddress)] = [:]
  /// The origins that wait, and some that do not any more.
  private var order: [OriginID] = []
  /// Until when origins that nobody had are not asked for.
  private var resting: [OriginID: (until: MonotonicTime, failures: Int)] = [:]
  private var lastRequest: UInt16 = 0

  /// The origins that are being fetched, or wait for that.
  var fetchCount: Int { fetches.count + waiting.count }

  func isFetching(_ origin: OriginID) -> Bool {
    fetches[origin] != nil || waiting[origin] != nil
  }

  /// True when a peer is asked for an origin.
  func isFetching(_ origin: OriginID, from address: PeerAddress) -> Bool {
    fetches[origin]?.address == address
  }

  /// True when an origin is fetched from a peer, and the checkpoint of its answers has not come.
  func lacks(_ position: Checkpoint.Position, of origin: OriginID, from address: PeerAddress)
    -> Bool
  {
    guard let fetch = fetches[origin], fetch.address == address, fetch.position <= position else {
      return false
    }
    return !fetch.recent.contains { $0.body.position == position }
  }

  private mutating func nextRequest() -> UInt16 {
    lastRequest &+= 1
    return lastRequest
  }

  /// Drops what is under way with a peer whose path was lost. Fetches go on with others.
  mutating func forget(
    _ address: PeerAddress, peers: Sources, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    walks[address] = nil
    for index in fetches.values.indices { fetches.values[index].tellers[address] = nil }
    var events: [ComparisonEvent] = []
    for origin in fetches.filter({ $0.value.address == address }).map(\.key).sorted() {
      events += move(origin, peers: peers, &context)
    }
    return events
  }

  /// Drops what is fetched of an origin.
  mutating func forget(_ origin: OriginID) {
    fetches[origin] = nil
    waiting[origin] = nil
    resting[origin] = nil
  }
}

// MARK: - Walks

extension Comparison {
  /// Compares with a peer, unless that is under way.
  mutating func begin(
    with address: PeerAddress, timeout: Span, _ source: inout some ComparisonSource,
    _ context: inout EngineContext
  ) {
    if let walk = walks[address], context.now.since(walk.askedAt) < walk.timeout { return }
    let top = CompareRequest.Node(
      tree: .rooms, path: .top, hash: source.summaries().hash(at: .top))
    walks[address] = Walk(request: 0, askedAt: context.now, timeout: timeout, pending: [top])
    askOn(address, &context)
    context.setTimer(.comparison(.walk(address)), after: timeout)
  }

  /// Asks for the next nodes of a walk; one that has none left ends.
  private mutating func askOn(_ address: PeerAddress, _ context: inout EngineContext) {
    guard var walk = walks[address] else { return }
    // What came with the nodes above it is not asked for.
    walk.pending.removeAll { !walk.expected.contains($0.path) }
    let count = min(walk.left, CompareRequest.prefix(of: walk.pending, at: .replica))
    guard count > 0 else {
      walks[address] = nil
      return
    }
    let nodes = Array(walk.pending.prefix(count))
    walk.asked = nodes
    walk.pending.removeFirst(count)
    walk.left -= count
    walk.request = nextRequest()
    walk.askedAt = context.now
    walk.pages = AnswerPages()
    walks[address] = walk
    context.counters.count(.comparisonsSent)
    context.send(
      .control(
        .compare(
          CompareRequest(
            place: .replica, request: walk.request, budget: EngineLimits.walkBudget, nodes: nodes)),
        key: .comparison), to: address)
  }

  private mutating func receiveSummaries(
    _ answer: NodesAnswer, from address: PeerAddress, _ source: inout some ComparisonSource,
    _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    guard var walk = walks[address], walk.request == answer.request else { return [] }
    var events: [ComparisonEvent] = []
    let tree = source.summaries()
    if answer.nodes.isEmpty && walk.left == EngineLimits.nodesPerWalk - 1 {
      context.counters.count(.comparisonsEqual)
      events.append(.equal(address))
    }
    for node in answer.nodes where walk.expected.remove(node.path) != nil {
      if let children = HashTree.branch(node.bytes, at: node.path) {
        for child in children {
          let own = tree.hash(at: child.path)
          guard own != child.hash else { continue }
          if child.hash == .empty {
            events += Self.ahead(tree, below: child.path, address)
          } else if walk.expected.count < EngineLimits.nodesPerWalk {
            walk.expected.insert(child.path)
            walk.pending.append(CompareRequest.Node(tree: .rooms, path: child.path, hash: own))
          }
        }
      } else {
        events += Self.compare(node, with: tree, address)
      }
    }
    events = events.filter { event in
      switch event {
      case .ahead(let origin, _): walk.pushed.insert(origin.bytes).inserted
      case .untold(let key, _): walk.pushed.insert(key).inserted
      default: true
      }
    }
    let isWhole = walk.pages.note(answer)
    if isWhole {
      walk.silences = 0
      events.append(.roundTrip(address, context.now.since(walk.askedAt)))
    }
    walks[address] = walk
    if PlantedBug.isActive(.walkStopsAtTop) {
      walks[address] = nil
    } else if isWhole {
      askOn(address, &context)
    }
    return events
  }

  /// Compares the entries of a bucket with those that are held in its place.
  private static func compare(
    _ node: NodesAnswer.Node, with tree: HashTree, _ address: PeerAddress
  ) -> [ComparisonEvent] {
    var own: [OriginID: OriginSummary] = [:]
    var ownTrust: [[UInt8]: [UInt8]] = [:]
    tree.visit(below: node.path) { key, value in
      if let origin = OriginID(bytes: key) {
        if let summary = OriginSummary(bytes: value) { own[origin] = summary }
      } else {
        ownTrust[Array(key)] = Array(value)
      }
    }
    var events: [ComparisonEvent] = []
    let isBucket = tree.forEachEntry(ofNode: node.bytes, at: node.path) { key, value in
      guard let origin = OriginID(bytes: key) else {
        let (key, value) = (Array(key), Array(value))
        let mine = ownTrust.removeValue(forKey: key)
        guard mine != value else { return }
        events.append(.learned(key: key, value: value, address))
        if mine != nil { events.append(.untold(key: key, address)) }
        return
      }
      guard let theirs = OriginSummary(bytes: value) else { return }
      guard let mine = own.removeValue(forKey: origin) else {
        return events.append(.behind(origin, theirs.position, address))
      }
      guard mine != theirs else { return }
      if mine.position < theirs.position {
        events.append(.behind(origin, theirs.position, address))
      } else {
        // Of equal positions with other roots, too: the peer will see the contradiction.
        events.append(.ahead(origin, address))
      }
    }
    guard isBucket || node.bytes.isEmpty else { return [.wrong(address)] }
    let untold = ownTrust.keys.sorted { $0.lexicographicallyPrecedes($1) }
    // Who is heard of is known first.
    return untold.map { .untold(key: $0, address) } + events
      + own.keys.sorted().map { .ahead($0, address) }
  }

  private static func ahead(
    _ tree: HashTree, below path: TreePath, _ address: PeerAddress
  ) -> [ComparisonEvent] {
    var origins: [ComparisonEvent] = []
    var trust: [ComparisonEvent] = []
    tree.visit(below: path) { key, _ in
      if let origin = OriginID(bytes: key) {
        origins.append(.ahead(origin, address))
      } else {
        trust.append(.untold(key: Array(key), address))
      }
    }
    return trust + origins
  }
}

// MARK: - Fetches

extension Comparison {
  /// An origin is behind what a peer holds: its trees are fetched from there, now or when others are done.
  mutating func want(
    _ origin: OriginID, _ position: Checkpoint.Position, from address: PeerAddress,
    timeout: Span, first: [OriginFetch.Want], newest: Authentic<Checkpoint>?,
    _ source: inout some ComparisonSource, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    if let rest = resting[origin], rest.until > context.now { return [] }
    // Positions are believed when they are signed: see ``note(_:)``.
    guard fetches[origin] == nil else { return [] }
    guard hasRoom(for: address) else {
      guard waiting.count < Limits.origins || waiting[origin] != nil else { return [] }
      if order.count > 2 * waiting.count + 64 { order.removeAll { waiting[$0] == nil } }
      if waiting.updateValue((position, address), forKey: origin) == nil { order.append(origin) }
      return []
    }
    var fetch = Fetch(
      position: position, trees: nil, first: first, address: address, askedAt: context.now,
      heardAt: context.now)
    if let newest, newest.body.position == position { fetch.aim(at: newest, &source, context) }
    fetch.timeout = timeout
    fetches[origin] = fetch
    return ask(origin, &context)
  }

  /// A checkpoint of an origin has come. A fetch goes on with it when an answer is about it: while an origin
  /// writes on, there are newer ones than that of any answer.
  mutating func note(_ checkpoint: Authentic<Checkpoint>, from address: PeerAddress) {
    let position = checkpoint.body.position
    fetches[checkpoint.origin]?.tellers.merge([address: position]) { max($0, $1) }
    guard let recent = fetches[checkpoint.origin]?.recent,
      !recent.contains(where: { $0.body.position == position })
    else { return }
    let others = recent.suffix(EngineLimits.recentCheckpoints - 1)
    fetches[checkpoint.origin]?.recent = others + [checkpoint]
  }

  /// An origin became complete by other means.
  mutating func complete(_ origin: OriginID, _ position: Checkpoint.Position) {
    resting[origin] = nil
    if let fetch = fetches[origin], fetch.position <= position { fetches[origin] = nil }
    if let wait = waiting[origin], wait.position <= position { waiting[origin] = nil }
  }

  /// The origins that may be fetched now, with whom to ask. Each is to be wanted again.
  mutating func nextWaiting() -> (OriginID, Checkpoint.Position, PeerAddress)? {
    guard fetches.count < EngineLimits.fetches, !waiting.isEmpty else { return nil }
    order.removeAll { waiting[$0] == nil }
    guard let index = order.firstIndex(where: { hasRoom(for: waiting[$0]?.address) }) else {
      return nil
    }
    let origin = order.remove(at: index)
    guard let wait = waiting.removeValue(forKey: origin) else { return nil }
    return (origin, wait.position, wait.address)
  }

  /// True when one more origin may be fetched from a peer.
  private func hasRoom(for address: PeerAddress?) -> Bool {
    let share = fetches.values.reduce(0) { $0 + ($1.address == address ? 1 : 0) }
    return fetches.count < EngineLimits.fetches && share < EngineLimits.fetchesPerPeer
  }

  /// Asks for what is missing of an origin; when nothing is, that is what comes of it.
  private mutating func ask(
    _ origin: OriginID, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    guard var fetch = fetches[origin] else { return [] }
    if let result = fetch.trees?.result, let checkpoint = fetch.checkpoint {
      fetches[origin] = nil
      resting[origin] = nil
      let holders = fetch.tellers.filter { $0.value >= fetch.position }.keys
      return [
        .fetched(origin, result, checkpoint, heldBy: Set(holders).union([fetch.address]))
      ]
    }
    let place = ComparisonPlace.origin(
      origin, fetch.position.incarnation, sequence: fetch.position.sequence)
    let nodes = (fetch.trees?.wants(atMost: CompareRequest.bound) ?? fetch.first).map {
      CompareRequest.Node(tree: $0.tree, path: $0.path, hash: $0.held)
    }
    let count = CompareRequest.prefix(of: nodes, at: place)
    fetch.request = nextRequest()
    fetch.pages = AnswerPages()
    fetch.hasProgress = false
    fetch.askedAt = context.now
    fetch.heardAt = context.now
    fetches[origin] = fetch
    context.counters.count(.comparisonsSent)
    context.send(
      .control(
        .compare(
          CompareRequest(
            place: place, request: fetch.request, budget: EngineLimits.fetchBudget,
            nodes: Array(nodes.prefix(count)))),
        key: .fetch(origin)), to: fetch.address)
    context.setTimer(.comparison(.fetch(origin)), after: fetch.timeout)
    return []
  }

  private mutating func receiveTrees(
    _ answer: NodesAnswer, of origin: OriginID, at position: Checkpoint.Position,
    from address: PeerAddress, peers: Sources, _ source: inout some ComparisonSource,
    _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    guard var fetch = fetches[origin], fetch.address == address else { return [] }
    // What an earlier request brings late is as good.
    let isPresent = fetch.request == answer.request
    if fetch.trees.map({ $0.target.position < position }) ?? true,
      let checkpoint = fetch.recent.first(where: { $0.body.position == position })
    {
      fetch.aim(at: checkpoint, &source, context)
    }
    let isWhole = isPresent && fetch.pages.note(answer)
    var isDone = false
    if var trees = fetch.trees, trees.target.position == position {
      fetch.trees = nil
      for node in answer.nodes {
        let bytes = node.bytes.isEmpty ? nil : node.bytes
        switch trees.accept(node.tree, node.path, bytes, context.treeHash) {
        case .notWanted: break
        case .progress:
          fetch.hasProgress = true
          fetch.isFruitful = true
        case .wrong:
          fetch.trees = trees
          fetches[origin] = fetch
          context.counters.count(.nodesWrong)
          return [.wrong(address)] + move(origin, peers: peers, &context)
        }
      }
      isDone = trees.isDone
      fetch.trees = trees
    }
    if fetch.hasProgress {
      fetch.heardAt = context.now
      fetch.silences = 0
    } else if isWhole {
      // An answer that brings nothing is as good as none.
      fetch.silences += 1
    }
    fetches[origin] = fetch
    guard isWhole || isDone else { return [] }
    let span = context.now.since(fetch.askedAt)
    let roundTrip = isPresent ? [ComparisonEvent.roundTrip(address, span)] : []
    if isPresent {
      fetches[origin]?.timeout = min(fetch.timeout, EngineLimits.patience(roundTrip: span))
    }
    let isBehind = position < fetch.position
    guard fetch.silences < 2, !isBehind || fetch.hasProgress else {
      return roundTrip + move(origin, peers: peers, &context)
    }
    return roundTrip + ask(origin, &context)
  }

  /// Goes on with another peer, or gives up for a while when there is none.
  private mutating func move(
    _ origin: OriginID, peers: Sources, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    guard var fetch = fetches[origin] else { return [] }
    fetch.passed.append(fetch.address)
    let others = peers(origin).lazy.map { $0.filter { !fetch.passed.contains($0) } }
    guard fetch.passed.count <= EngineLimits.peersOfFetch,
      let other = others.first(where: { !$0.isEmpty }).flatMap({
        context.random.sample($0, 1).first
      })
    else {
      fetches[origin] = nil
      let failures = fetch.isFruitful ? 1 : min((resting[origin]?.failures ?? 0) + 1, 6)
      if resting.count >= Limits.origins {
        resting = resting.filter { $0.value.until > context.now }
      }
      if resting.count < Limits.origins {
        let rest = PlantedBug.isActive(.fetchGivesUp) ? 40 : UInt64(failures)
        let span = Span.milliseconds(500 << rest)
        resting[origin] = (context.now + span, failures)
        context.setTimer(.comparison(.fetch(origin)), after: span)
      }
      return [.failed(origin)]
    }
    context.counters.count(.fetchesMoved)
    fetch.address = other
    fetch.silences = 0
    fetch.timeout = EngineLimits.movedTimeout
    fetches[origin] = fetch
    return ask(origin, &context)
  }
}

// MARK: - Answers and timers

extension Comparison {
  /// Takes an answer in.
  mutating func receive(
    _ answer: NodesAnswer, from address: PeerAddress, peers: Sources,
    _ source: inout some ComparisonSource, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    context.counters.count(.nodesReceived, answer.nodes.count)
    switch answer.place {
    case .replica: return receiveSummaries(answer, from: address, &source, &context)
    case .origin(let origin, let incarnation, let sequence):
      return receiveTrees(
        answer, of: origin, at: .init(incarnation: incarnation, sequence: sequence),
        from: address, peers: peers, &source, &context)
    }
  }

  /// Asks again, or somebody else, where an answer is overdue.
  mutating func handle(
    _ timer: ComparisonTimer, peers: Sources, _ context: inout EngineContext
  ) -> [ComparisonEvent] {
    switch timer {
    case .walk(let address):
      guard var walk = walks[address] else { return [] }
      let due = walk.askedAt + walk.timeout
      guard due <= context.now else {
        context.timers.set(.comparison(.walk(address)), at: due)
        return []
      }
      // What is missed for good is found by the next comparison.
      guard walk.silences < EngineLimits.silencesOfWalk else {
        walks[address] = nil
        return [.overdue(address)]
      }
      walk.silences += 1
      walk.timeout = min(walk.timeout.scaled(2, over: 1), EngineLimits.longestPatience)
      walk.left += walk.asked.count
      walk.pending = walk.asked + walk.pending
      walks[address] = walk
      askOn(address, &context)
      context.timers.set(.comparison(.walk(address)), at: context.now + walk.timeout)
      return [.overdue(address)]
    case .fetch(let origin):
      guard var fetch = fetches[origin] else {
        return resting[origin].map { $0.until <= context.now } ?? false ? [.rested(origin)] : []
      }
      let due = fetch.heardAt + fetch.timeout
      guard due <= context.now else {
        context.timers.set(.comparison(.fetch(origin)), at: due)
        return []
      }
      var events: [ComparisonEvent] = []
      if !fetch.hasProgress {
        fetch.silences += 1
        fetch.timeout = min(fetch.timeout.scaled(2, over: 1), EngineLimits.longestPatience)
        events = [.overdue(fetch.address)]
      } else if fetch.pages.isBegun {
        // The rest of an answer was lost: that is no silence, and says how soon to ask on.
        let roundTrip = fetch.heardAt.since(fetch.askedAt)
        fetch.timeout = min(fetch.timeout, EngineLimits.patience(roundTrip: roundTrip))
        events = [.roundTrip(fetch.address, roundTrip)]
      }
      fetches[origin] = fetch
      guard fetch.silences < 2 else { return events + move(origin, peers: peers, &context) }
      return events + ask(origin, &context)
    }
  }
}

extension OriginSummary {
  var position: Checkpoint.Position { .init(incarnation: incarnation, sequence: sequence) }
}

extension CheckpointFacts {
  var position: Checkpoint.Position { .init(incarnation: incarnation, sequence: sequence) }
}
