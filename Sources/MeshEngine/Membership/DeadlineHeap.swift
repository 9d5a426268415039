/// The deadlines of a table's rows, earliest first: a binary heap that knows where each row stands.
///
/// Each row has at most one deadline. Equal times come in the order of the rows.
/// Cost: logarithmic for each change, constant for the first.
struct DeadlineHeap: Sendable {
  private struct Entry: Sendable {
    let time: MonotonicTime
    let row: Int

    func precedes(_ other: Entry) -> Bool {
      time == other.time ? row < other.row : time < other.time
    }
  }

  private var heap: [Entry] = []
  /// The place of a row in the heap; −1: it has no deadline.
  private var places: [Int] = []

  var count: Int { heap.count }

  /// The earliest deadline and its row.
  var first: (time: MonotonicTime, row: Int)? { heap.first.map { ($0.time, $0.row) } }

  /// Sets the deadline of a row, 0 or higher, in place of the one before.
  mutating func set(_ row: Int, at time: MonotonicTime) {
    while places.count <= row { places.append(-1) }
    let entry = Entry(time: time, row: row)
    if places[row] < 0 {
      heap.append(entry)
      rise(entry, from: heap.count - 1)
    } else {
      settle(entry, at: places[row])
    }
  }

  /// Ends the deadline of a row.
  mutating func remove(_ row: Int) {
    guard places.indices.contains(row), places[row] >= 0 else { return }
    let place = places[row]
    places[row] = -1
    let last = heap.removeLast()
    if last.row != row { settle(last, at: place) }
  }

  private mutating func settle(_ entry: Entry, at place: Int) {
    if place > 0, entry.precedes(heap[(place - 1) / 2]) {
      rise(entry, from: place)
    } else {
      sink(entry, from: place)
    }
  }

  private mutating func rise(_ entry: Entry, from place: Int) {
    var place = place
    while place > 0, entry.precedes(heap[(place - 1) / 2]) {
      put(heap[(place - 1) / 2], at: place)
      place = (place - 1) / 2
    }
    put(entry, at: place)
  }

  private mutating func sink(_ entry: Entry, from place: Int) {
    var place = place
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
      guard heap[child].precedes(entry) else { break }
      put(heap[child], at: place)
      place = child
    }
    put(entry, at: place)
  }

  private mutating func put(_ entry: Entry, at place: Int) {
    heap[place] = entry
    places[entry.row] = place
  }
}
