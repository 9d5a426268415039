/// What happens when: a binary heap by virtual time; equal times in the order of adding.
///
/// The heap holds times and places; the events stay where they were put, so that moving up and down
/// the heap copies no event.
struct EventQueue<Event> {
  private struct Entry {
    var time: UInt64
    var order: UInt64
    var place: Int

    func precedes(_ other: Entry) -> Bool {
      time == other.time ? order < other.order : time < other.time
    }
  }

  private var heap: [Entry] = []
  private var events: [Event?] = []
  private var free: [Int] = []
  private var order: UInt64 = 0

  var nextTime: UInt64? { heap.first?.time }

  mutating func add(_ event: Event, at time: UInt64) {
    order += 1
    let place: Int
    if let reused = free.popLast() {
      place = reused
      events[place] = event
    } else {
      place = events.count
      events.append(event)
    }
    heap.append(Entry(time: time, order: order, place: place))
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> (time: UInt64, event: Event)? {
    guard let first = heap.first, let event = events[first.place] else { return nil }
    events[first.place] = nil
    free.append(first.place)
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = parent
        for child in [2 * parent + 1, 2 * parent + 2]
        where child < heap.count && heap[child].precedes(heap[least]) {
          least = child
        }
        if least == parent { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    return (first.time, event)
  }
}
