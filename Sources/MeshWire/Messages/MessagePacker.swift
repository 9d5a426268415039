/// Packs messages into as few datagrams as their order allows.
///
/// A datagram takes ``DatagramHeader/messageBytes`` bytes of messages. A path proof begins a new
/// one, as it counts only as the first message.
package struct MessagePacker: Sendable {
  /// The messages of each full datagram.
  private var full: [[UInt8]] = []
  private var current: [UInt8] = []

  package init() {}

  package var isEmpty: Bool { full.isEmpty && current.isEmpty }

  /// Adds a message. False, and nothing changed, when it does not fit into a datagram.
  @discardableResult
  package mutating func add(_ message: MeshMessage) -> Bool { add(encoded: message.encoded()) }

  /// Adds a message that was encoded before.
  @discardableResult
  package mutating func add(encoded message: [UInt8]) -> Bool {
    guard !message.isEmpty, message.count <= DatagramHeader.messageBytes else { return false }
    let isFirst = message.first == StatementKind.pathProof.rawValue
    if isFirst || current.count + message.count > DatagramHeader.messageBytes { close() }
    current += message
    return true
  }

  /// Adds beats, probes, peers or origins to prune in as many messages as their bounds ask for.
  package mutating func add<Item>(
    _ items: [Item], atMost bound: Int, _ message: ([Item]) -> MeshMessage
  ) {
    var start = 0
    while start < items.count {
      let end = min(items.count, start + max(1, bound))
      add(message(Array(items[start..<end])))
      start = end
    }
  }

  /// Gives the messages of each datagram, in the order in which they were added; empty then.
  package mutating func finish() -> [[UInt8]] {
    close()
    defer { full = [] }
    return full
  }

  private mutating func close() {
    guard !current.isEmpty else { return }
    full.append(current)
    current = []
  }
}
