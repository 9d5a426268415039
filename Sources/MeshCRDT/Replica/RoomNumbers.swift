/// Small numbers for the rooms that are in use, so that indexes need not hold names.
struct RoomNumbers: Sendable {
  private var numbers: [RoomName: Int32] = [:]
  private var names: [RoomName?] = []
  private var uses: [Int32] = []
  private var free: [Int32] = []

  /// The number of rooms.
  var count: Int { numbers.count }

  /// The room with a number.
  func name(_ number: Int32) -> RoomName? {
    names.indices.contains(Int(number)) ? names[Int(number)] : nil
  }

  /// The number of a room in use.
  func number(_ room: RoomName) -> Int32? { numbers[room] }

  /// The number of a room, which is in use once more from now on.
  mutating func retain(_ room: RoomName) -> Int32 {
    if let number = numbers[room] {
      uses[Int(number)] += 1
      return number
    }
    let number = free.popLast() ?? Int32(names.count)
    if Int(number) == names.count {
      names.append(room)
      uses.append(1)
    } else {
      names[Int(number)] = room
      uses[Int(number)] = 1
    }
    numbers[room] = number
    return number
  }

  /// A room is in use once less.
  mutating func release(_ number: Int32) {
    guard let name = name(number) else { return }
    uses[Int(number)] -= 1
    guard uses[Int(number)] == 0 else { return }
    numbers[name] = nil
    names[Int(number)] = nil
    free.append(number)
  }
}
