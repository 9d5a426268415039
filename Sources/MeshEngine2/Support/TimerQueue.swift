/// Things to do later, earliest first: a binary heap.
///
/// Each timer is in the queue at most once. One that was set again for earlier is moved; one that
/// was set for later stays, fires early and is set again by whoever finds it not due. Equal times
/// fire in the order of setting.
///
/// The heap holds numbers in place of timers: moving them up and down copies nothing that counts
/// references.
struct TimerQueue<Timer: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    let time: MonotonicTime
    let order: UInt64
    let number: Int

    func precedes(_ other: Entry) -> Bool {
      time == other.time ? order < other.order : time < other.time
    }
  }

  private struct Known: Sendable {
    var timer: Timer
    /// The time at which it stands in the heap; other entries of it are passed over. `nil`: it is
    /// not set.
    var time: MonotonicTime?
  }

  private var heap: [Entry] = []
  private var known: [Known] = []
  /// Timers that fired keep their numbers for a while: most are set again at once.
  private var numbers: [Timer: Int] = [:]
  private var free: [Int] = []
  private var order: UInt64 = 0
  private(set) var count = 0

  /// When the next timer fires.
  var deadline: MonotonicTime? { heap.first?.time }

  /// When a timer fires at the earliest; `nil` when it is not set.
  func due(_ timer: Timer) -> MonotonicTime? { numbers[timer].flatMap { known[$0].time } }

  /// Sets a timer, unless it fires earlier than that already. Cost: logarithmic.
  mutating func set(_ timer: Timer, at time: MonotonicTime) {
    let number = number(of: timer)
    if let due = known[number].time {
      guard time < due else { return }
    } else {
      count += 1
    }
    known[number].time = time
    order &+= 1
    raise(Entry(time: time, order: order, number: number))
  }

  /// Takes the earliest timer that is due. Cost: logarithmic.
  mutating func next(due now: MonotonicTime) -> Timer? {
    while let first = heap.first, first.time <= now {
      removeFirst()
      guard known[first.number].time == first.time else { continue }
      known[first.number].time = nil
      count -= 1
      let timer = known[first.number].timer
      sweep()
      return timer
    }
    return nil
  }

  private mutating func number(of timer: Timer) -> Int {
    if let number = numbers[timer] { return number }
    let number = free.popLast() ?? known.count
    if number == known.count {
      known.append(Known(timer: timer))
    } else {
      known[number].timer = timer
    }
    numbers[timer] = number
    return number
  }

  /// Gives numbers of timers that are not set to others, when half of all are such. An entry of the
  /// one before in the heap is then one of the next, and does no harm: it counts only at its time.
  private mutating func sweep() {
    guard numbers.count > 2 * count + 64 else { return }
    free += numbers.values.filter { known[$0].time == nil }
    free.sort(by: >)
    numbers = numbers.filter { known[$0.value].time != nil }
  }

  private mutating func raise(_ entry: Entry) {
    heap.append(entry)
    heap.withUnsafeMutableBufferPointer { heap in
      var child = heap.count - 1
      while child > 0 {
        let parent = (child - 1) / 2
        guard entry.precedes(heap[parent]) else { break }
        heap[child] = heap[parent]
        child = parent
      }
      heap[child] = entry
    }
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap.withUnsafeMutableBufferPointer { heap in
      var parent = 0
      while true {
        var least = 2 * parent + 1
        guard least < heap.count else { break }
        if least + 1 < heap.count, heap[least + 1].precedes(heap[least]) { least += 1 }
        guard heap[least].precedes(last) else { break }
        heap[parent] = heap[least]
        parent = least
      }
      heap[parent] = last
    }
  }
}
