import Logging
import MeshEngine
import NIOCore
import NIOPosix

extension DriverCore {
  /// Datagrams that one call of the system reads.
  private static let datagramsPerRead = 32
  /// Room for a datagram: more than is allowed, so that one that is too long is seen to be.
  private static let bytesPerDatagram = 1536
  /// The longest time until reading is taken up again after a failure.
  private static let longestResumeDelayMilliseconds = 5000

  /// Lets NIO read from a socket.
  func resumeReading(_ socket: UDPSocket) {
    guard phase == .running, socket.channel == nil else { return }
    guard let descriptor = socket.duplicate() else {
      report(.warning, "no descriptor is left to read from \(socket.address)")
      readingEnded(on: socket)
      return
    }
    let handler = NIOLoopBound(ReceiveHandler(core: self, socket: socket), eventLoop: eventLoop)
    let future = DatagramBootstrap(group: eventLoop)
      .channelOption(.datagramVectorReadMessageCount, value: Self.datagramsPerRead)
      .channelOption(
        .recvAllocator,
        value: FixedSizeRecvByteBufferAllocator(
          capacity: Self.datagramsPerRead * Self.bytesPerDatagram)
      )
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(handler.value)
        }
      }
      .withBoundSocket(descriptor)
    future.assumeIsolated().whenComplete { [self] result in
      turn {
        switch result {
        case .success(let channel) where phase == .running: socket.channel = channel
        case .success(let channel): channel.close(promise: nil)
        case .failure(let error):
          report(.warning, "cannot read from \(socket.address): \(error)")
          readingEnded(on: socket)
        }
      }
    }
  }

  /// An error came out of reading. Most are about one datagram; when NIO gives the socket up, it
  /// says so with ``readingEnded(on:)``.
  func receiveFailed(_ error: any Error, on socket: UDPSocket) {
    counters.receiveErrors += 1
    report(.debug, "reading from \(socket.address): \(error)")
  }

  /// NIO reads no more from a socket: take it up again, the later the more often it failed.
  func readingEnded(on socket: UDPSocket) {
    socket.channel = nil
    guard phase == .running else { return }
    socket.failures += 1
    let delay = min(10 << min(socket.failures, 16), Self.longestResumeDelayMilliseconds)
    eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(delay))) { [self] in
      turn {
        guard phase == .running, socket.channel == nil else { return }
        counters.socketsResumed += 1
        resumeReading(socket)
      }
    }
  }
}
