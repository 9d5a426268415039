import Logging
import MeshEngine
import NIOCore

extension DriverCore {
  /// The longest time until reading is taken up again after a failure.
  private static let longestResumeDelayMilliseconds = 5000

  /// Lets a thread read from a socket.
  func resumeReading(_ socket: UDPSocket) {
    guard phase == .running, socket.reader == nil else { return }
    guard let descriptor = socket.duplicate() else {
      report(.warning, "no descriptor is left to read from \(socket.address)")
      return readingEnded(on: socket)
    }
    let reader = SocketReader(descriptor, of: socket, core: self)
    socket.reader = reader
    readerCount += 1
    reader.start()
  }

  /// A reader has closed its descriptor.
  func readerEnded() {
    readerCount -= 1
    if phase == .closed && readerCount == 0 { whenClosed.succeed() }
  }

  /// The system refused to read; what it says is an error number.
  func receiveFailed(_ number: CInt, on socket: UDPSocket) {
    counters.receiveErrors += 1
    report(.debug, "reading from \(socket.address): \(Platform.message(number))")
  }

  /// Nobody reads from a socket any more: take it up again, the later the more often it failed.
  func readingEnded(on socket: UDPSocket) {
    socket.reader = nil
    guard phase == .running else { return }
    socket.failures += 1
    let delay = min(10 << min(socket.failures, 16), Self.longestResumeDelayMilliseconds)
    eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(delay))) { [self] in
      turn {
        guard phase == .running, socket.reader == nil else { return }
        counters.socketsResumed += 1
        resumeReading(socket)
      }
    }
  }
}
