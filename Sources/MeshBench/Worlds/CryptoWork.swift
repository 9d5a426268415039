import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// The cryptography of one received datagram, laid out so that it can be done alone.
struct CryptoWork {
  let datagram: [UInt8]
  let epoch: UInt32
  let signatures: [Signature]

  typealias Signature = (origin: OriginID, signed: [UInt8], signature: ArraySlice<UInt8>)

  /// `nil` when the datagram cannot be read.
  init?(_ datagram: [UInt8], crypto: any Crypto) {
    guard let clear = try? DatagramHeader.Clear.read(datagram),
      let opened = crypto.open(datagram, epoch: clear.epoch),
      let inner = try? DatagramHeader.Inner.read(opened: opened)
    else { return nil }
    let epoch = clear.epoch
    var messages = inner.messages
    var signatures: [Signature] = []
    while !messages.isAtEnd {
      switch try? messages.next() {
      case .batch(let message), .cursorFrame(let message), .checkpoint(_, let message):
        let mesh = Station.mesh.bytes
        guard let signed = try? message.signedBytes(mesh: mesh, hash: SodiumTreeHash()) else {
          return nil
        }
        signatures.append((message.origin, signed, message.signature))
      default: return nil
      }
    }
    self.datagram = datagram
    self.epoch = epoch
    self.signatures = signatures
  }

  /// Opens and verifies. True when all is right.
  func isDone(by crypto: SodiumCrypto) -> Bool {
    guard crypto.open(datagram, epoch: epoch) != nil else { return false }
    for item in signatures
    where !crypto.verify(item.signed, signature: item.signature, by: item.origin) {
      return false
    }
    return true
  }
}
