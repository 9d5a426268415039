/// The events of a room, of a user or of the whole mesh: a snapshot first, then every change.
///
/// Each iteration is a reader of its own, with a mailbox of a bounded number of events. When a
/// reader is too slow and its mailbox is full, the mailbox is emptied, and the reader gets
/// ``PresenceEvent/lagged`` and a fresh ``PresenceEvent/snapshot(_:)``: it may miss steps, never
/// the latest state, and memory does not grow with its slowness. Heartbeats cause no events.
///
/// The sequence ends when the mesh is left or the reading task is cancelled; it never throws.
public struct PresenceEvents: AsyncSequence, Sendable {
  /// A snapshot or a change.
  public typealias Element = PresenceEvent
  /// There are no errors.
  public typealias Failure = Never

  private let hub: Hub
  private let scope: Hub.Scope
  private let capacity: Int
  private let pace: CursorPace?
  /// Kept alive for as long as somebody may read.
  private let mesh: PresenceMesh?

  init(
    hub: Hub, scope: Hub.Scope, capacity: Int, pace: CursorPace? = nil, mesh: PresenceMesh?
  ) {
    self.hub = hub
    self.scope = scope
    self.capacity = capacity
    self.pace = pace
    self.mesh = mesh
  }

  /// Begins to read. The snapshot is taken when the first event is asked for.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(
      hub: hub, scope: scope,
      subscription: hub.subscribe(scope, capacity: capacity, pace: pace),
      reading: scope.room.isLobby ? nil : mesh?.subscriptions.read(scope.room), mesh: mesh)
  }

  /// A reader.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let hub: Hub
    private let scope: Hub.Scope
    private let subscription: Subscription<PresenceEvent>
    /// Makes the node subscribe to the room meanwhile.
    private let reading: RoomSubscriptions.Reading?
    private let mesh: PresenceMesh?
    private var hasBegun = false
    private var isLagging = false

    fileprivate init(
      hub: Hub, scope: Hub.Scope, subscription: Subscription<PresenceEvent>,
      reading: RoomSubscriptions.Reading?, mesh: PresenceMesh?
    ) {
      self.hub = hub
      self.scope = scope
      self.subscription = subscription
      self.reading = reading
      self.mesh = mesh
    }

    /// The next event; `nil` when the mesh was left or the task is cancelled.
    public mutating func next() async -> PresenceEvent? {
      await next(isolation: nil)
    }

    /// The next event; `nil` when the mesh was left or the task is cancelled.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> PresenceEvent? {
      switch await subscription.mailbox.take() {
      case .element(let event): return event
      case .finished: return nil
      case .resynchronize:
        guard hasBegun, !isLagging else {
          hasBegun = true
          isLagging = false
          return .snapshot(hub.open(subscription.mailbox, for: scope))
        }
        isLagging = true
        return .lagged
      }
    }
  }
}
