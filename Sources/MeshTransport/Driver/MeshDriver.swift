package import Logging
package import MeshCrypto
package import MeshEngine
package import MeshTrust
package import MeshWire
import NIOCore
import NIOPosix

/// A node on real sockets: an engine, the event loop that drives it, and what connects both to the
/// network.
///
/// All methods may be called from anywhere; each is one step on the loop, but for ``perform(_:)``,
/// which needs no loop while nobody else is at work. A driver that is released
/// without ``shutdown()`` shuts down by itself.
package final class MeshDriver: Sendable {
  let core: NIOLoopBound<DriverCore>
  private let entrance: CoreEntrance
  private let eventLoop: any EventLoop
  private let closed: EventLoopFuture<Void>
  /// The addresses of the sockets, with the ports that the system gave; wildcards are not expanded.
  package let boundAddresses: [PeerAddress]

  private init(core: DriverCore) {
    self.core = NIOLoopBound(core, eventLoop: core.eventLoop)
    entrance = CoreEntrance(core)
    eventLoop = core.eventLoop
    closed = core.whenClosed.futureResult
    boundAddresses = core.sockets.map(\.address)
  }

  deinit {
    let core = core
    eventLoop.execute { core.value.turn { core.value.shutdown() } }
  }

  /// What is to be known after a restart, and can be learnt again.
  package enum Kept: Sendable {
    /// What is known of the membership.
    case decrees([Decree])
    case keys(MeshKeyring)
  }

  /// Binds the sockets and starts the engine.
  ///
  /// - Parameters:
  ///   - onEvent: Is called in the order of the events, one at a time, on the event loop or on the
  ///     thread that performs an operation, the first perhaps before this returns. It must not block.
  ///   - onPersist: Is called in order, in the same way. The state must be on the disk before the
  ///     process ends.
  ///   - onKeep: The same with what is to be kept in the place of what was kept before.
  /// - Throws: A ``TransportError`` when an address that is not optional cannot be listened on.
  ///   Nothing is left open then.
  package static func start(
    configuration: EngineConfiguration, crypto: any Crypto, options: Options, logger: Logger,
    onEvent: @escaping @Sendable (MeshEvent) -> Void,
    onPersist: @escaping @Sendable (DurableState) -> Void,
    onKeep: @escaping @Sendable (Kept) -> Void = { _ in }
  ) async throws(TransportError) -> MeshDriver {
    let wanted = try await resolve(options.listen)
    let eventLoop = options.eventLoop ?? MultiThreadedEventLoopGroup.singleton.next()
    let result = await onLoop(eventLoop) { () -> Result<MeshDriver, TransportError> in
      let sockets: [UDPSocket]
      do throws(TransportError) {
        sockets = try bind(wanted, logger: logger)
      } catch {
        return .failure(error)
      }
      let core = DriverCore(
        engine: engine(configuration, crypto, now: DriverCore.now),
        sockets: sockets, options: options, logger: logger, eventLoop: eventLoop,
        onEvent: onEvent, onPersist: onPersist, onKeep: onKeep)
      core.turn { core.start() }
      return .success(MeshDriver(core: core))
    }
    return try result.get()
  }

  /// An engine as drivers make it.
  package static func engine(
    _ configuration: EngineConfiguration, _ crypto: any Crypto, now: MonotonicTime
  ) -> Engine {
    Engine(configuration: configuration, crypto: crypto, treeHash: SodiumTreeHash(), now: now)
  }

  /// Does what a user of this node wants done. What there is to tell others has gone to the system
  /// when this returns. It is done on this thread if nobody else works on the engine, else on the
  /// event loop: waking that up takes longer than the work.
  /// - Throws: An `OperationError` when the engine refuses; no state changed then.
  package func perform(_ operation: LocalOperation) async throws(OperationError) {
    if let result = entrance.performAtOnce(operation) { return try result.get() }
    try await onCore { $0.perform(operation) }.get()
  }

  /// Does what a user of this node wants done, without waiting for it. Operations are done in the
  /// order of the calls; `completion` is called on the event loop.
  package func submit(
    _ operation: LocalOperation,
    completion: @escaping @Sendable (Result<Void, OperationError>) -> Void
  ) {
    submit(operation, reading: { _ in }, completion: completion)
  }

  /// The same; `completion` gets what is read from the engine in the step of the operation.
  package func submit<Value: Sendable>(
    _ operation: LocalOperation, reading: @escaping @Sendable (Engine) -> Value,
    completion: @escaping @Sendable (Result<Value, OperationError>) -> Void
  ) {
    let (core, entrance) = (core, entrance)
    entrance.noteQueued()
    eventLoop.execute {
      let result = core.value.turn {
        core.value.perform(operation).map { reading(core.value.engine) }
      }
      entrance.noteDone()
      completion(result)
    }
  }

  /// Reads from the engine on the event loop: no event comes between what is read.
  package func read<Value: Sendable>(
    _ body: @escaping @Sendable (inout Engine, MonotonicTime) -> Value
  ) async -> Value {
    await onCore { body(&$0.engine, DriverCore.now) }
  }

  /// Does something with the engine on the event loop, and what follows from it.
  package func update<Value: Sendable>(
    _ body: @escaping @Sendable (inout Engine, MonotonicTime) -> Value
  ) async -> Value {
    await onCore { $0.update(body) }
  }

  /// Tries to reach these addresses from now on.
  package func addPeers(_ addresses: [PeerAddress]) async {
    await onCore { $0.addPeers(addresses) }
  }

  /// The addresses that others can reach this node by, as far as the machine knows: the bound ones,
  /// with wildcards expanded to those of the interfaces as they are now. Loopback comes last.
  package var localAddresses: [PeerAddress] {
    let interfaces = NetworkInterface.all()
    var addresses: [PeerAddress] = []
    for address in boundAddresses.flatMap({ $0.expanded(over: interfaces) })
    where !addresses.contains(address) {
      addresses.append(address)
    }
    return addresses.filter { !$0.isLoopback } + addresses.filter(\.isLoopback)
  }

  /// What the sockets counted.
  package func transportCounters() async -> TransportCounters {
    await onCore { $0.counters }
  }

  /// Cuts this node off from others, or heals the cut.
  package func setLinkFilter(_ filter: LinkFilter) async {
    await onCore { $0.filter = filter }
  }

  /// Drops all datagrams to and from these addresses, and no others; none: heals the cut.
  package func setBlocked(_ addresses: [PeerAddress]) async {
    await setLinkFilter(addresses.isEmpty ? .open : .blocking(Set(addresses)))
  }

  /// Leaves the mesh if that was not done, sends what there is to send and closes the sockets.
  /// Returns when that is done, however often it is called.
  package func shutdown() async {
    await onCore { $0.shutdown() }
    // The promise is never failed.
    try? await closed.get()
  }
}

// MARK: - The event loop

extension MeshDriver {
  func onCore<Value: Sendable>(
    _ body: @escaping @Sendable (DriverCore) -> Value
  ) async -> Value {
    let core = core
    return await Self.onLoop(eventLoop) { core.value.turn { body(core.value) } }
  }

  private static func onLoop<Value: Sendable>(
    _ eventLoop: any EventLoop, _ body: @escaping @Sendable () -> Value
  ) async -> Value {
    await withCheckedContinuation { continuation in
      eventLoop.execute { continuation.resume(returning: body()) }
    }
  }
}

// MARK: - Binding

extension MeshDriver {
  /// An address to bind, and how people call it.
  private struct Binding: Sendable {
    let address: PeerAddress
    let host: String
    let isOptional: Bool
  }

  private static func resolve(_ listen: [Listen]) async throws(TransportError) -> [Binding] {
    var bindings: [Binding] = []
    for item in listen {
      do {
        // A name may stand for an address of each family: only the first of a name is a must.
        for (index, address) in try await item.endpoint.resolve().enumerated() {
          bindings.append(
            Binding(
              address: address, host: item.endpoint.host,
              isOptional: item.isOptional || index > 0))
        }
      } catch {
        if !item.isOptional { throw error }
      }
    }
    return bindings
  }

  private static func bind(
    _ bindings: [Binding], logger: Logger
  ) throws(TransportError) -> [UDPSocket] {
    var sockets: [UDPSocket] = []
    for binding in bindings {
      do throws(TransportError) {
        sockets.append(try bind(binding, besides: sockets))
      } catch {
        if !binding.isOptional { throw error }
        logger.notice("going on without \(binding.host): \(error)")
      }
    }
    guard !sockets.isEmpty else { throw .nothingToListenOn }
    return sockets
  }

  private static func bind(
    _ binding: Binding, besides sockets: [UDPSocket]
  ) throws(TransportError) -> UDPSocket {
    let wanted = binding.address
    if wanted.port == 0, let port = sockets.first?.address.port,
      let socket = try? UDPSocket(bindingTo: wanted.withPort(port), host: binding.host)
    {
      return socket
    }
    return try UDPSocket(bindingTo: wanted, host: binding.host)
  }
}
