import Synchronization

/// A queue between the event loop and one reader, which never holds more than its bound.
///
/// Elements are put in without waiting. When the reader is too slow, either the oldest go, or the
/// mailbox empties itself, closes, and asks the reader to begin anew from a snapshot: then the
/// memory it takes does not depend on how slow the reader is, and nothing old is ever read.
final class Mailbox<Element: Sendable>: Sendable {
  /// What is dropped when the mailbox is full.
  enum Overflow: Sendable {
    /// Everything: the reader is told to take a snapshot.
    case resynchronize
    /// The oldest element.
    case dropOldest
  }

  /// What a reader gets.
  enum Delivery: Sendable {
    case element(Element)
    /// The mailbox is closed: open it, together with taking a snapshot.
    case resynchronize
    /// There will be no more, or the reader's task was cancelled.
    case finished
  }

  private struct State {
    /// A ring: `count` elements from `head` on.
    var ring: [Element?] = []
    var head = 0
    var count = 0
    var isOpen: Bool
    var isFinished = false
    var waiter: CheckedContinuation<Delivery, Never>?
  }

  let capacity: Int
  private let overflow: Overflow
  private let state: Mutex<State>

  /// - Parameter capacity: The most elements that wait, at least 1.
  init(capacity: Int, overflow: Overflow) {
    self.capacity = max(1, capacity)
    self.overflow = overflow
    state = Mutex(State(isOpen: overflow == .dropOldest))
  }

  /// The number of elements that wait.
  var count: Int { state.withLock { $0.count } }

  /// How many more moves of cursors it takes from a pace: they fill at most half of it, so that they
  /// alone never make a reader lag.
  var spaceForMoves: Int { state.withLock { (capacity + 1) / 2 - $0.count } }

  /// True while a reader waits.
  var isAwaited: Bool { state.withLock { $0.waiter != nil } }

  /// Puts elements in, in order. While the mailbox is closed they are passed over. Never waits.
  func put(_ elements: some Sequence<Element>) {
    for element in elements {
      let waiter = state.withLock { state -> CheckedContinuation<Delivery, Never>? in
        guard state.isOpen, !state.isFinished else { return nil }
        if let waiter = state.waiter {
          state.waiter = nil
          return waiter
        }
        append(element, to: &state)
        return nil
      }
      waiter?.resume(returning: .element(element))
    }
  }

  private func append(_ element: Element, to state: inout State) {
    if state.count == capacity {
      switch overflow {
      case .resynchronize:
        state.ring = []
        state.head = 0
        state.count = 0
        state.isOpen = false
        return
      case .dropOldest: _ = removeFirst(from: &state)
      }
    }
    if state.count == state.ring.count { grow(&state) }
    state.ring[(state.head + state.count) % state.ring.count] = element
    state.count += 1
  }

  /// Doubles the ring, up to the capacity.
  private func grow(_ state: inout State) {
    let size = min(capacity, max(4, state.ring.count * 2))
    var ring: [Element?] = []
    ring.reserveCapacity(size)
    for offset in 0..<state.count {
      ring.append(state.ring[(state.head + offset) % state.ring.count])
    }
    ring += repeatElement(nil, count: size - ring.count)
    state.ring = ring
    state.head = 0
  }

  private func removeFirst(from state: inout State) -> Element? {
    guard state.count > 0 else { return nil }
    let element = state.ring[state.head]
    state.ring[state.head] = nil
    state.head = (state.head + 1) % state.ring.count
    state.count -= 1
    return element
  }

  /// Opens a closed mailbox: from here on, nothing is missed. The caller takes the snapshot under
  /// the same lock under which elements are put in.
  func open() { state.withLock { $0.isOpen = true } }

  /// Ends it: what waits can still be read.
  func finish() {
    let waiter = state.withLock { state in
      state.isFinished = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: .finished)
  }

  /// All elements that wait, without waiting for more.
  func takeAll() -> [Element] {
    state.withLock { state in
      var elements: [Element] = []
      while let element = removeFirst(from: &state) { elements.append(element) }
      return elements
    }
  }

  /// The next element. Waits for one when there is none. For one reader at a time.
  func take() async -> Delivery {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (delivery, earlier) = state.withLock {
          state -> (Delivery?, CheckedContinuation<Delivery, Never>?) in
          // A task is marked as cancelled before its handlers run: either this sees the mark, or
          // the handler sees the continuation.
          if Task.isCancelled { return (.finished, nil) }
          if let element = removeFirst(from: &state) { return (.element(element), nil) }
          if state.isFinished { return (.finished, nil) }
          guard state.isOpen else { return (.resynchronize, nil) }
          defer { state.waiter = continuation }
          return (nil, state.waiter)
        }
        earlier?.resume(returning: .finished)
        if let delivery { continuation.resume(returning: delivery) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(returning: .finished)
    }
  }
}
