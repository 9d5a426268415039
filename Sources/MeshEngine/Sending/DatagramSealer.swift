import MeshCRDT
import MeshTrust
import MeshWire

/// Seals messages into datagrams, and opens datagrams.
///
/// Its nonces never repeat: 16 bytes of the process, drawn from 32 random ones so that nothing of these
/// can be found from them, and the datagram counter.
struct DatagramSealer: Sendable {
  private let tag: UInt64
  private let processNonce: (UInt64, UInt64)
  /// The number of datagrams that were sealed. It goes on when the incarnation rises.
  private(set) var counter: UInt64 = 0

  init(configuration: EngineConfiguration) {
    tag = configuration.mesh.tag
    let seed = configuration.seed
    func word(_ index: UInt64) -> UInt64 {
      SipHash.hash(
        seed.2.bigEndianBytes + seed.3.bigEndianBytes + index.bigEndianBytes,
        key: HashKey(seed.0, seed.1))
    }
    processNonce = (word(0), word(1))
  }

  /// A datagram of encoded messages, at most ``DatagramHeader/messageBytes`` of them together.
  mutating func seal(
    _ messages: [[UInt8]], echo: UInt64, _ context: inout EngineContext
  ) -> [UInt8] {
    counter &+= 1
    var datagram = DatagramHeader.assembled(
      DatagramHeader.Clear(tag: tag, epoch: context.sealingEpoch),
      processNonce: processNonce,
      DatagramHeader.Inner(
        sender: context.origin, incarnation: context.incarnation, counter: counter, echo: echo),
      messages: messages.count == 1 ? messages[0] : Array(messages.joined()))
    context.crypto.seal(&datagram, epoch: context.sealingEpoch)
    context.counters.count(.datagramsSent)
    context.counters.count(.bytesSent, datagram.count)
    return datagram
  }

  /// A datagram that was opened.
  struct Opened: Sendable {
    let header: DatagramHeader.Inner
    var messages: MessageReader
    /// The datagram as it came.
    fileprivate let datagram: [UInt8]

    var byteCount: Int { datagram.count }
    /// The last bytes of the datagram: no other one that opens has them.
    var authenticator: [UInt8] { Array(datagram.suffix(DatagramHeader.authenticatorBytes)) }

    var sender: Sender { Sender(origin: header.sender, incarnation: header.incarnation) }
  }

  /// Opens a datagram of this mesh. `nil`, and counted, when it is none, or one of this node itself.
  ///
  /// - Parameter unknownEpoch: set to the epoch of a datagram whose mesh key is not held.
  func open(
    _ datagram: [UInt8], unknownEpoch: inout UInt32?, _ context: inout EngineContext
  ) -> Opened? {
    context.counters.count(.datagramsReceived)
    context.counters.count(.bytesReceived, datagram.count)
    func refuse(_ counter: Counters.Name) -> Opened? {
      context.counters.count(counter)
      return nil
    }
    guard !DatagramHeader.isProtocol1(datagram, tag: tag) else {
      return refuse(.datagramsOfProtocol1)
    }
    guard let clear = try? DatagramHeader.Clear.read(datagram) else {
      return refuse(.datagramsMalformed)
    }
    guard clear.tag == tag else { return refuse(.datagramsForeign) }
    guard let inner = context.crypto.open(datagram, epoch: clear.epoch) else {
      if !context.crypto.epochs.contains(clear.epoch) { unknownEpoch = clear.epoch }
      return refuse(.datagramsForged)
    }
    guard let (header, messages) = try? DatagramHeader.Inner.read(opened: inner) else {
      return refuse(.datagramsMalformed)
    }
    // What this node said itself, by way of multicast or an echo, is no news to it.
    guard header.sender != context.origin || header.incarnation != context.incarnation else {
      return refuse(.datagramsOwn)
    }
    return Opened(header: header, messages: messages, datagram: datagram)
  }
}
