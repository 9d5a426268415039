import MeshCRDT
import MeshTrust
import MeshWire

/// Cryptography that checks nothing and costs nothing, with the sizes of the real one: what is
/// left is the work of the engine.
final class NoCrypto: Crypto {
  let origin: OriginID
  let epochs: [UInt32] = [1]

  /// The crypto of a node that is told from others by a number.
  init(node: UInt64) {
    let key = HashKey(node, 0x62_656e_6368)
    let words = (0..<4).map { (word: UInt64) in SipHash.hash(word.bigEndianBytes, key: key) }
    origin = OriginID(words[0], words[1], words[2], words[3])
  }

  func sign(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](repeating: 0, count: SignedMessage.signatureBytes)
  }

  func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool { true }

  func seal(_ datagram: inout [UInt8], epoch: UInt32) {
    datagram.append(contentsOf: repeatElement(0, count: DatagramHeader.authenticatorBytes))
  }

  func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let end = datagram.count - DatagramHeader.authenticatorBytes
    guard end > DatagramHeader.clearBytes else { return nil }
    return Array(datagram[DatagramHeader.clearBytes..<end])
  }

  func token(forAddress bytes: [UInt8]) -> UInt64 {
    var token: UInt64 = 1
    for byte in bytes.suffix(2) { token = token << 8 | UInt64(byte) }
    return token
  }
}
