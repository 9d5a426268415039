import NIOCore

/// Cuts a stream of bytes into lines. The bound on their length is that of the handler around it.
struct LineDecoder: NIOSingleStepByteToMessageDecoder {
  typealias InboundOut = ByteBuffer

  /// How many bytes were searched before.
  private var searched = 0

  mutating func decode(buffer: inout ByteBuffer) throws -> ByteBuffer? {
    let view = buffer.readableBytesView
    let start = view.index(view.startIndex, offsetBy: min(searched, view.count))
    guard let end = view[start...].firstIndex(of: UInt8(ascii: "\n")) else {
      searched = view.count
      return nil
    }
    searched = 0
    let length = view.distance(from: view.startIndex, to: end)
    let line = buffer.readSlice(length: length)
    buffer.moveReaderIndex(forwardBy: 1)
    return line
  }

  /// A last line without its end is none.
  mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> ByteBuffer? {
    let line = try decode(buffer: &buffer)
    if line == nil { buffer.clear() }
    return line
  }
}

/// A connection that carries lines both ways.
typealias LineChannel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

extension LineChannel where Inbound == ByteBuffer, Outbound == ByteBuffer {
  /// Sets up a channel on its event loop.
  static func lines(on channel: any Channel, bound: Int) -> EventLoopFuture<LineChannel> {
    channel.eventLoop.makeCompletedFuture {
      try channel.pipeline.syncOperations.addHandler(
        ByteToMessageHandler(LineDecoder(), maximumBufferSize: bound))
      return try LineChannel(wrappingChannelSynchronously: channel)
    }
  }
}
