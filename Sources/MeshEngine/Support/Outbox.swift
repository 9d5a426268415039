import MeshCRDT
import MeshWire

/// Messages on their way out, by address, in the order of the addresses' first message.
///
/// The driver drains it after every input, so that it holds what one input caused. Should the
/// messages for one address exceed the bound all the same, the newest are dropped.
struct Outbox: Sendable {
  private static let messagesPerAddress = 1024

  private var queues: [PeerAddress: [[UInt8]]] = [:]
  private var order: [PeerAddress] = []
  private var first = 0
  private(set) var dropped: UInt64 = 0

  /// Messages with an echo of their own, to addresses without a path.
  private var singles: [(address: PeerAddress, echo: UInt64, message: [UInt8])] = []

  /// True when nothing is on its way out.
  var isEmpty: Bool { singles.isEmpty && first == order.count }

  /// Adds an encoded message.
  mutating func append(_ message: [UInt8], to address: PeerAddress) {
    let count = queues[address, default: []].append(message, upTo: Self.messagesPerAddress)
    if count == 1 { order.append(address) }
    if count == nil { dropped &+= 1 }
  }

  mutating func append(single message: [UInt8], echo: UInt64, to address: PeerAddress) {
    guard singles.count < Self.messagesPerAddress else {
      dropped &+= 1
      return
    }
    singles.append((address, echo, message))
  }

  mutating func nextSingle() -> (address: PeerAddress, echo: UInt64, message: [UInt8])? {
    singles.isEmpty ? nil : singles.removeFirst()
  }

  /// The messages of the next datagram: as many for one address as fit.
  mutating func nextDatagram() -> (address: PeerAddress, messages: [[UInt8]])? {
    while first < order.count {
      let address = order[first]
      guard let queue = queues[address], !queue.isEmpty else {
        queues[address] = nil
        first += 1
        continue
      }
      var count = 0
      var bytes = 0
      while count < queue.count, bytes + queue[count].count <= DatagramLayout.messageBytes {
        bytes += queue[count].count
        count += 1
      }
      precondition(count > 0, "a message is longer than a datagram")
      if count == queue.count {
        queues[address] = nil
        first += 1
        return (address, queue)
      }
      queues[address] = Array(queue[count...])
      return (address, Array(queue[0..<count]))
    }
    order.removeAll(keepingCapacity: true)
    first = 0
    return nil
  }
}

extension [[UInt8]] {
  /// Appends a message. Returns the number of messages then; `nil` when there is no room.
  fileprivate mutating func append(_ message: [UInt8], upTo bound: Int) -> Int? {
    guard count < bound else { return nil }
    append(message)
    return count
  }
}
