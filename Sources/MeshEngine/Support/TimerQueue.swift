/// Things to do later, earliest first: a binary heap.
///
/// Each timer is in the queue at most once. One that was set again for earlier is moved; one that
/// was set for later stays, fires early and is set again by whoever finds it not due. Equal times
/// fire in the order of setting.
struct TimerQueue<Timer: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    var time: MonotonicTime
    var order: UInt64
    var timer: Timer

    func precedes(_ other: Entry) -> Bool {
      time == other.time ? order < other.order : time < other.time
    }
  }

  private var heap: [Entry] = []
  /// The time at which each timer stands in the heap; older entries of it are passed over.
  private var times: [Timer: MonotonicTime] = [:]
  private var order: UInt64 = 0

  /// When the next timer fires.
  var deadline: MonotonicTime? { heap.first?.time }

  var count: Int { times.count }

  /// When a timer fires at the earliest; `nil` when it is not set.
  func due(_ timer: Timer) -> MonotonicTime? { times[timer] }

  /// Sets a timer, unless it fires earlier than that already. Cost: logarithmic.
  mutating func set(_ timer: Timer, at time: MonotonicTime) {
    if let known = times[timer], known <= time { return }
    times[timer] = time
    order &+= 1
    heap.append(Entry(time: time, order: order, timer: timer))
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes the earliest timer that is due. Cost: logarithmic.
  mutating func next(due now: MonotonicTime) -> Timer? {
    while let first = heap.first, first.time <= now {
      removeFirst()
      guard times[first.timer] == first.time else { continue }
      times[first.timer] = nil
      return first.timer
    }
    return nil
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].precedes(heap[least]) {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
