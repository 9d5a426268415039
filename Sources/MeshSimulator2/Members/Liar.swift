import MeshCRDT
import MeshCRDT2
import MeshEngine2
import MeshTrust
import MeshWire2

/// A way in which a member lies.
package enum Lie: String, CaseIterable, Hashable, Sendable {
  /// It does not say some of its words to some nodes.
  case withhold
}

/// A member that lies: what it does to the datagrams that its engine sends.
final class Liar {
  let lies: [Lie]

  init(lies: [Lie]) { self.lies = lies }

  func overhear(_ bytes: [UInt8], from source: PeerAddress) {}
}

extension World {
  func prepareMembers() {
    if faults.contains(.outsider) {
      outsider = Outsider(address: newAddress(), victims: (0..<3).map { _ in newAddress() })
    }
  }
  func startLiar(_ index: Int) {}
  func distort(_ bytes: [UInt8], from node: SimulatedNode, to address: PeerAddress) {
    transmitOwn(bytes, from: node, to: address)
  }
  func actLiar(_ index: Int) {}
}
