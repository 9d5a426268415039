import Logging
import MeshCrypto
import MeshEngine
import MeshWire
import NIOCore

/// The engine, the sockets and the timer. The event loop works on it, step by step, each inside of
/// ``turn(_:)``; an operation may also be performed on the thread that asks for it, under the same
/// lock, through a ``CoreEntrance``.
///
/// The order of work: an input (a datagram, an operation, the timer), then all outputs of the
/// engine, then, once for each batch of inputs, the sockets are flushed and the timer is set.
///
/// `@unchecked Sendable`: after its making, which is on the loop and before anybody else has it, all
/// that changes is touched under ``lock`` alone, but for ``isInTurn``, which the loop alone touches. There
/// are three ways in, and each takes the lock: ``turn(_:)`` on the loop, also for what is scheduled there,
/// ``CoreEntrance/performAtOnce(_:)``, and the thread of a ``SocketReader``. The
/// sockets and the engine are reached through it, and never leave it. The lock is not in the types, since
/// the loop keeps it over steps inside of steps; the thread sanitizer watches that (`make test-sanitized`).
final class DriverCore: @unchecked Sendable {
  enum Phase {
    case running
    case closing
    case closed
  }

  let eventLoop: any EventLoop
  let lock = CoreLock()
  /// True while the event loop holds the lock. Belongs to the loop.
  var isInTurn = false
  let options: MeshDriver.Options
  let logger: Logger
  var engine: Engine
  var counters = TransportCounters()
  var filter = LinkFilter.open
  var phase = Phase.running
  /// Sockets that send and receive, in the order of the addresses to listen on.
  var sockets: [UDPSocket]
  /// Sockets that receive announcements.
  var groupSockets: [UDPSocket] = []
  var interfaces: [NetworkInterface] = []
  /// What was told to the log before, so that a lasting trouble is told once.
  var reported: Set<String> = []
  var refreshTask: Scheduled<Void>?
  /// Threads that read, or are about to end.
  var readerCount = 0
  let whenClosed: EventLoopPromise<Void>

  private var events: [MeshEvent] = []
  private let onEvent: @Sendable (MeshEvent) -> Void
  private let onPersist: @Sendable (DurableState) -> Void
  private let onKeep: @Sendable (MeshDriver.Kept) -> Void
  private var timer: (task: Scheduled<Void>, deadline: MonotonicTime)?
  private var isRetryScheduled = false

  /// Called on the loop.
  init(
    engine: Engine, sockets: [UDPSocket], options: MeshDriver.Options, logger: Logger,
    eventLoop: any EventLoop, onEvent: @escaping @Sendable (MeshEvent) -> Void,
    onPersist: @escaping @Sendable (DurableState) -> Void,
    onKeep: @escaping @Sendable (MeshDriver.Kept) -> Void
  ) {
    self.engine = engine
    self.sockets = sockets
    self.options = options
    self.logger = logger
    self.eventLoop = eventLoop
    self.onEvent = onEvent
    self.onPersist = onPersist
    self.onKeep = onKeep
    whenClosed = eventLoop.makePromise()
  }

  /// The reading of the clock that all of this goes by: NIO's, which is monotonic.
  static var now: MonotonicTime {
    MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
  }

  /// Begins to read, to announce and to keep time.
  func start() {
    for socket in sockets { resumeReading(socket) }
    refreshInterfaces()
    engine.addPeers(options.peers, now: Self.now)
    drain()
    finishInput()
  }

  // MARK: Inputs

  /// A datagram came in. The caller says with ``finishInput()`` when a batch of them is through.
  func receive(_ datagram: [UInt8], from sender: PeerAddress, on socket: UDPSocket) {
    guard phase == .running else { return }
    guard !filter.blocks(sender) else {
      counters.datagramsBlocked += 1
      return
    }
    if socket.isGroup { counters.announcementsReceived += 1 }
    engine.receive(datagram, from: sender, now: Self.now)
    drain()
  }

  func perform(_ operation: LocalOperation) -> Result<Void, OperationError> {
    let result: Result<Void, OperationError>
    do {
      try engine.perform(operation, now: Self.now)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    drain()
    finishInput()
    return result
  }

  /// Performs an operation on whatever thread: the same, but for what only the event loop can do.
  /// What there is to send goes out before anything else is done.
  func performApart(_ operation: LocalOperation) -> Result<Void, OperationError> {
    let result: Result<Void, OperationError>
    do {
      try engine.perform(operation, now: Self.now)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    while engine.hasDatagram, let output = engine.nextOutput() { handle(output) }
    flushSockets()
    drain()
    flushSockets()
    tellEvents()
    return result
  }

  /// True when the event loop has something to do after ``performApart(_:)``: to send what the
  /// system did not take, or to set the timer for earlier.
  var needsLoop: Bool {
    if sockets.contains(where: \.hasWaiting) { return true }
    guard let deadline = engine.deadline else { return false }
    return timer.map { deadline < $0.deadline } ?? true
  }

  func addPeers(_ addresses: [PeerAddress]) {
    guard phase == .running else { return }
    update { $0.addPeers(addresses, now: $1) }
  }

  /// Does something with the engine, and what follows from it.
  func update<Value>(_ body: (inout Engine, MonotonicTime) -> Value) -> Value {
    let value = body(&engine, Self.now)
    drain()
    finishInput()
    return value
  }

  /// Sends what the inputs brought about, tells this process of it, and sets the timer.
  func finishInput() {
    flush()
    tellEvents()
    arm()
  }

  /// The same on whatever thread: the event loop is called for what only it can do.
  func finishInputApart() {
    flushSockets()
    tellEvents()
    if needsLoop { callLoop() }
  }

  /// Lets the event loop send what the system did not take, and set the timer.
  func callLoop() { eventLoop.execute { [self] in turn { finishInput() } } }

  private func tellEvents() {
    guard !events.isEmpty else { return }
    for event in events { onEvent(event) }
    events.removeAll(keepingCapacity: true)
  }

  // MARK: Outputs

  /// Takes all outputs from the engine. Datagrams and events wait for ``finishInput()``.
  func drain() {
    while let output = engine.nextOutput() { handle(output) }
  }

  private func handle(_ output: Output) {
    switch output {
    case .send(let bytes, let address): send(bytes, to: address)
    case .announce(let bytes): announce(bytes)
    case .event(let event): events.append(event)
    case .persist(let state): onPersist(state)
    case .keep(let decrees): onKeep(.decrees(decrees))
    case .keepKeys:
      if let crypto = engine.crypto as? SodiumCrypto { onKeep(.keys(crypto.keyring)) }
    }
  }

  private func send(_ bytes: [UInt8], to address: PeerAddress) {
    guard !filter.blocks(address) else {
      counters.datagramsBlocked += 1
      return
    }
    guard let socket = socket(for: address) else {
      counters.sendErrors += 1
      return
    }
    socket.enqueue(OutgoingDatagram(bytes: bytes, address: address), counting: &counters)
  }

  /// The socket to send from: of the same family, on loopback exactly when the address is, or on
  /// all interfaces; else any of the family.
  func socket(for address: PeerAddress) -> UDPSocket? {
    let isIPv4 = address.ipv4 != nil
    if sockets.count == 1 { return sockets.first { $0.isIPv4 == isIPv4 } }
    var best: (socket: UDPSocket, rank: Int)?
    for socket in sockets where socket.isIPv4 == isIPv4 {
      let bound = socket.address
      let rank = bound.isWildcard ? 1 : bound.isLoopback == address.isLoopback ? 2 : 0
      if rank > best?.rank ?? -1 { best = (socket, rank) }
    }
    return best?.socket
  }

  private func flush() {
    flushSockets()
    if sockets.contains(where: \.hasWaiting) { scheduleRetry() }
  }

  private func flushSockets() {
    guard phase != .closed else { return }
    for socket in sockets where socket.hasWaiting {
      let number = socket.flush(counting: &counters)
      if number != 0 {
        report(.debug, "datagrams are not sent from \(socket.address): \(Platform.message(number))")
      }
    }
    if let number = BatchedCall.ofProcess?.takeReason(), number != 0 {
      report(
        .notice,
        """
        the system refuses to take several datagrams in one call (sendmmsg: \
        \(Platform.message(number))): they go one by one, which takes more processor time
        """)
    }
  }

  /// Tries again soon to send what the system did not take. Sockets of datagrams fill rarely, and
  /// for microseconds.
  private func scheduleRetry() {
    guard !isRetryScheduled else { return }
    isRetryScheduled = true
    eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(1)) { [self] in
      turn {
        isRetryScheduled = false
        flush()
      }
    }
  }

  // MARK: The timer

  /// Sets the timer to the engine's deadline. A timer that fires earlier than that only sets itself
  /// anew, so that a deadline that moves back costs nothing.
  private func arm() {
    guard phase == .running, let deadline = engine.deadline else { return }
    if let timer {
      if timer.deadline <= deadline { return }
      timer.task.cancel()
    }
    let task = eventLoop.assumeIsolated().scheduleTask(
      deadline: .uptimeNanoseconds(deadline.nanoseconds)
    ) { [self] in turn { fire() } }
    timer = (task, deadline)
  }

  private func fire() {
    timer = nil
    guard phase == .running else { return }
    let now = Self.now
    if let deadline = engine.deadline, deadline <= now {
      engine.tick(now: now)
      drain()
    }
    finishInput()
  }

  // MARK: The end

  /// Says farewell, sends what there is to send and closes. Once is enough; ``whenClosed`` tells
  /// when it is done.
  func shutdown() {
    guard phase == .running else { return }
    // Refused only when the mesh was left before.
    _ = perform(.leaveMesh)
    phase = .closing
    timer?.task.cancel()
    timer = nil
    refreshTask?.cancel()
    finishClosing(attemptsLeft: 50)
  }

  private func finishClosing(attemptsLeft: Int) {
    flush()
    if attemptsLeft > 0, sockets.contains(where: \.hasWaiting) {
      eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(1)) { [self] in
        turn { finishClosing(attemptsLeft: attemptsLeft - 1) }
      }
      return
    }
    phase = .closed
    for socket in sockets + groupSockets { socket.close() }
    sockets = []
    groupSockets = []
    // The ports are free when the readers have let go of them, too.
    if readerCount == 0 { whenClosed.succeed() }
  }

  /// Tells the log something once.
  func report(_ level: Logger.Level, _ message: String) {
    guard reported.count < 256, reported.insert(message).inserted else { return }
    logger.log(level: level, "\(message)")
  }
}
