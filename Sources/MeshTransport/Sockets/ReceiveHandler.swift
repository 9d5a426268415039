import MeshEngine
import NIOCore

/// Hands what comes in on one socket to the driver's core. Lives on the core's event loop.
final class ReceiveHandler: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>

  private let core: DriverCore
  private let socket: UDPSocket

  init(core: DriverCore, socket: UDPSocket) {
    self.core = core
    self.socket = socket
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    guard let sender = PeerAddress(envelope.remoteAddress) else { return }
    let datagram = Array(envelope.data.readableBytesView)
    core.turn {
      socket.failures = 0
      core.receive(datagram, from: sender, on: socket)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    core.turn { core.finishInput() }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    core.turn { core.receiveFailed(error, on: socket) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    core.turn { core.readingEnded(on: socket) }
  }
}
