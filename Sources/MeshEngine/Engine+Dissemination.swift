import MeshCRDT
import MeshWire

// Who is told what: the one place that chooses receivers.

extension Engine {
  /// The addresses of all peers, one for each, in the order of their ids.
  mutating func receivers() -> [PeerAddress] {
    if let sortedReceivers { return sortedReceivers }
    let receivers = pathOf.sorted { $0.key < $1.key }.map(\.value)
    sortedReceivers = receivers
    return receivers
  }

  /// Tells something of this node: to everybody while they are few, else to some who send it on.
  mutating func disseminate(_ message: Message) {
    let all = receivers()
    let encoded = message.encoded()
    let chosen =
      all.count <= configuration.directPeers ? all : random.sample(all, configuration.fanout)
    for address in chosen { outbox.append(encoded, to: address) }
  }

  /// Sends on what was news here, while the mesh is too big for its origin to tell everybody.
  mutating func forward(_ message: Message, from sender: PeerAddress) {
    guard pathOf.count > configuration.directPeers else { return }
    let others = receivers().filter { $0 != sender }
    let encoded = message.encoded()
    for address in random.sample(others, configuration.fanout) {
      outbox.append(encoded, to: address)
    }
  }
}
