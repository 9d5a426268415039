import Logging
import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust
import Synchronization

/// A node of a mesh: what a program holds to be present, and to see who is.
///
/// Reading is synchronous: it looks at a view that follows the mesh event by event. Writing is
/// asynchronous, one step on the node's event loop. A write shows in the view and in the events when
/// the batch that carries it has gone, at most 10 ms later (17 ms for cursors): wait for the event
/// instead of reading back.
///
/// ```swift
/// let mesh = try await PresenceMesh.join(.init(identity: .stateDirectory("state")))
/// let session = try await mesh.openSession(Profile(userID: "ann", name: "Ann"))
/// try await session.setStatus(.busy, message: "In a meeting")
/// for await event in mesh.events { print(event) }
/// ```
///
/// A mesh that is released without ``leave()`` says farewell by itself, in the background.
public final class PresenceMesh: Sendable {
  /// The id of this node: its public key.
  public let nodeID: NodeID
  /// True when joining made a new mesh. Then give others an ``invite(addresses:terms:)``.
  public let isNewMesh: Bool

  let configuration: Configuration
  let hub: Hub
  let driver: MeshDriver
  let subscriptions: RoomSubscriptions
  let logger: Logger
  let meshID: MeshID
  /// `nil`: this node lets nobody in.
  let issuer: Issuer?
  let keeper: StateKeeper
  private let chores: Task<Void, Never>
  private let leaving = Mutex<Task<Void, Never>?>(nil)

  /// How often addresses are remembered for the next start.
  private static let rememberPeriod: Duration = .seconds(30)
  /// How often the engine is told what the wall clock says.
  private static let wallPeriod: Duration = .seconds(60)

  private init(
    configuration: Configuration, preparation: Preparation, hub: Hub, driver: MeshDriver,
    keeper: StateKeeper, logger: Logger
  ) {
    self.configuration = configuration
    self.hub = hub
    self.driver = driver
    subscriptions = RoomSubscriptions(driver: driver)
    self.keeper = keeper
    self.logger = logger
    nodeID = preparation.node.origin
    isNewMesh = preparation.isNewMesh
    meshID = preparation.credentials.mesh
    issuer = preparation.issuer
    let node = nodeID
    chores = Task {
      await withTaskGroup { group in
        group.addTask { await Self.rememberAddresses(driver, keeper, logger) }
        group.addTask {
          while (try? await Task.sleep(for: Self.wallPeriod)) != nil {
            await driver.update { $0.setWall(WallClock.now.milliseconds, now: $1) }
          }
        }
        if let period = configuration.metricsPeriod {
          let reporter = MetricsReporter(driver: driver, hub: hub, node: node, period: period)
          group.addTask { await reporter.report(every: period) }
        }
      }
    }
  }

  deinit {
    chores.cancel()
    hub.finish()
  }

  /// Joins a mesh, or makes one: see ``Membership``. Returns when the node listens, not when it has
  /// met others: that is told by ``events``, and a node alone is a mesh too.
  ///
  /// - Throws: ``PresenceError``: nothing is left running. The state directory may have been made or
  ///   touched before that.
  public static func join(
    _ configuration: Configuration
  ) async throws(PresenceError) -> PresenceMesh {
    try configuration.validate()
    var logger = configuration.logger
    let listen = try configuration.listeningAddresses()
    var peers: [PeerAddress] = []
    for peer in configuration.peers {
      let endpoint = try Endpoint(reading: peer)
      do throws(TransportError) {
        peers += try await endpoint.resolve()
      } catch {
        // Names may not be known yet when a machine starts: others may find this node.
        logger.warning("a peer is not tried: \(error)")
      }
    }
    let preparation = try Preparation(configuration)
    logger[metadataKey: LogKeys.node] = "\(preparation.node.origin.short)"
    if !configuration.name.isEmpty { logger[metadataKey: LogKeys.name] = "\(configuration.name)" }
    for warning in preparation.warnings { logger.warning("\(warning)") }

    let hub = Hub(node: preparation.node.origin)
    let keeper = StateKeeper(preparation)
    let log = logger
    let driver: MeshDriver
    do throws(TransportError) {
      driver = try await MeshDriver.start(
        configuration: engineConfiguration(configuration, preparation),
        crypto: SodiumCrypto(node: preparation.node, keyring: preparation.credentials.keyring),
        options: MeshDriver.Options(
          listen: listen, peers: peers + preparation.addresses.filter { !peers.contains($0) },
          multicast: configuration.multicast ? .standard : nil),
        logger: log,
        onEvent: { event in
          hub.handle(event, now: WallClock.now)
          Self.log(event, log)
        },
        onPersist: { state in
          if let error = keeper.store(state) { log.error("\(error)") }
        },
        onKeep: { kept in
          if let error = keeper.store(kept) { log.error("\(error)") }
        })
    } catch {
      keeper.release()
      throw PresenceError(error)
    }
    if let refusal = await driver.read({ engine, _ in engine.refusal }) {
      await driver.shutdown()
      keeper.release()
      throw .expelled(Expulsion(refusal))
    }
    logger.info(
      "joined the mesh",
      metadata: [
        LogKeys.addresses: "\(driver.boundAddresses.map(\.description).joined(separator: " "))"
      ])
    return PresenceMesh(
      configuration: configuration, preparation: preparation, hub: hub, driver: driver,
      keeper: keeper, logger: logger)
  }

  /// Leaves the mesh: says farewell for the node and all its sessions, ends all event sequences,
  /// closes the sockets and releases the state directory. Returns when that is done, however often
  /// it is called.
  public func leave() async {
    let task = leaving.withLock { leaving in
      if let leaving { return leaving }
      let task = Task { [driver, hub, keeper, chores, logger] in
        chores.cancel()
        await Self.remember(driver, keeper, logger)
        await driver.shutdown()
        hub.finish()
        await chores.value
        keeper.release()
        logger.info("left the mesh")
      }
      leaving = task
      return task
    }
    await task.value
  }
}

// MARK: - Parts of joining

extension PresenceMesh {
  private static func engineConfiguration(
    _ configuration: Configuration, _ preparation: Preparation
  ) -> EngineConfiguration {
    var random = SystemRandomNumberGenerator()
    let counter = preparation.life.incarnationCounter
    guard let incarnation = Incarnation(counter: counter, nonce: random.next()) else {
      preconditionFailure("a state directory begins no life beyond the last")
    }
    var result = EngineConfiguration(
      mesh: preparation.credentials.mesh, incarnation: incarnation,
      seed: (random.next(), random.next(), random.next(), random.next()))
    result.beatPeriod = Span(configuration.beatPeriod)
    result.sendRate = configuration.sendRate.map { UInt64($0) }
    result.peerRate = configuration.peerRate.map { UInt64($0) }
    result.announcePeriod = configuration.multicast ? .seconds(2) : nil
    result.trust = preparation.credentials.membership.map {
      TrustConfiguration(
        authority: $0.authority, certificate: $0.certificate, decrees: preparation.decrees,
        admission: $0.admission.map { ($0.epoch, $0.key) },
        wallMilliseconds: WallClock.now.milliseconds)
    }
    return result
  }

  private static func rememberAddresses(
    _ driver: MeshDriver, _ keeper: StateKeeper, _ logger: Logger
  ) async {
    // Soon after the start, and ever more rarely: a process may be killed at any time.
    var wait = Duration.seconds(1)
    while (try? await Task.sleep(for: wait)) != nil {
      await remember(driver, keeper, logger)
      wait = min(wait * 2, rememberPeriod)
    }
  }

  private static func remember(
    _ driver: MeshDriver, _ keeper: StateKeeper, _ logger: Logger
  ) async {
    let addresses = await driver.read { engine, _ in engine.knownAddresses }
    // A node that met nobody keeps what it knew.
    guard !addresses.isEmpty, let error = keeper.remember(addresses) else { return }
    logger.warning("\(error)")
  }

  private static func log(_ event: MeshEvent, _ logger: Logger) {
    switch event {
    case .node(let node, let health):
      logger.debug("node \(node.short) is \(health.rawValue)", metadata: [LogKeys.peer: "\(node)"])
    case .forgotten(let node):
      logger.debug("node \(node.short) is forgotten", metadata: [LogKeys.peer: "\(node)"])
    case .moved(let session, let node):
      logger.debug(
        "a session goes on at another node",
        metadata: [LogKeys.session: "\(session)", LogKeys.peer: "\(node)"])
    case .leaseEnded(let session):
      logger.debug("the lease of a session ended", metadata: [LogKeys.session: "\(session)"])
    case .removed(let session, let room):
      logger.debug(
        "a session was removed from \(room) by order",
        metadata: [LogKeys.session: "\(session)"])
    case .stale(true): logger.notice("no other node is heard: what is shown may be old")
    case .stale(false): logger.notice("other nodes are heard again")
    case .cloned:
      logger.error(
        """
        another process speaks with the key of this node: its state directory was copied; give \
        one of the two a state directory of its own
        """)
    case .contradicted(let node, _):
      logger.error(
        """
        node \(node.short) has signed two statements that contradict each other, and is hidden until \
        it starts anew
        """,
        metadata: [LogKeys.peer: "\(node)"])
    case .expelled(let refusal): logger.error("\(Expulsion(refusal))")
    case .admitted(let epoch): logger.info("the mesh key of epoch \(epoch) has come")
    case .admissionRefused(let reason, let address):
      logger.warning(
        "a member does not admit this node: \(Expulsion(reason))",
        metadata: [LogKeys.addresses: "\(address)"])
    case .appeared, .changed, .disappeared, .cursor, .restored: break
    }
  }
}

/// The keys of what is logged beside a message.
enum LogKeys {
  static let node = "presence_mesh.node"
  static let name = "presence_mesh.name"
  static let peer = "presence_mesh.peer"
  static let session = "presence_mesh.session"
  static let addresses = "presence_mesh.addresses"
}

extension Span {
  /// A span of the engine's clock; none for a negative duration, the longest for a longer one.
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else {
      self.init(nanoseconds: 0)
      return
    }
    self =
      Span.seconds(UInt64(clamping: seconds))
      + Span(nanoseconds: UInt64(clamping: attoseconds) / 1_000_000_000)
  }
}
