import MeshEngine
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Reads a socket on a thread of its own, which sleeps in the system until a datagram comes.
///
/// An event loop would read as well, but wakes up later: by a quarter of the time that a datagram
/// takes from process to process on one machine. The thread works on the core under its lock, and
/// leaves to the event loop what only that can do.
///
/// `@unchecked Sendable`: all fields are set once, and ``UDPSocket`` alone is not `Sendable`. What it points
/// to changes, and is touched under the core's lock: here by the thread that reads (``run()``) and on the
/// loop in a turn (``end(_:)``). The descriptor is a number. The thread alone reads from it and closes it, as
/// its last act; whoever stops the reader sets an atomic and shuts the socket down through a descriptor of
/// its own.
final class SocketReader: @unchecked Sendable {
  /// Room for a datagram: more than is allowed, so that one that is too long is seen to be.
  private static let bytesPerDatagram = 1536
  /// Datagrams that are heard before what they brought about is sent.
  private static let datagramsAtOnce = 32

  private let descriptor: CInt
  private let core: DriverCore
  private let socket: UDPSocket
  private let isStopping = Atomic(false)
  private let thread = NIOThreadPool(numberOfThreads: 1)

  /// What a call of the system brought.
  private enum Reading {
    case datagram([UInt8], sender: PeerAddress)
    /// Nothing waits, or what came is of no use.
    case nothing
    case failure(CInt)
  }

  /// Takes a descriptor of a socket over.
  init(_ descriptor: CInt, of socket: UDPSocket, core: DriverCore) {
    self.descriptor = descriptor
    self.core = core
    self.socket = socket
  }

  /// Begins to read. Once.
  func start() {
    thread.start()
    thread.submit { [self] _ in
      run()
      Platform.closeDescriptor(descriptor)
      core.eventLoop.execute { [self] in core.turn { core.readerEnded() } }
      // A thread does not wait for itself: another one lets go of it.
      thread.shutdownGracefully { _ in }
    }
  }

  /// Ends the reading without a word to the core, when the thread wakes up: at once when the socket
  /// is shut down, else within ``UDPSocket/longestSleepSeconds``.
  func stop() { isStopping.store(true, ordering: .relaxed) }

  private func run() {
    var buffer = [UInt8](repeating: 0, count: Self.bytesPerDatagram)
    while !isStopping.load(ordering: .relaxed) {
      var reading = read(&buffer, flags: 0)
      var count = 0
      while case .datagram(let bytes, let sender) = reading {
        core.lock.lock()
        socket.failures = 0
        core.receive(bytes, from: sender, on: socket)
        count += 1
        // Mostly one comes alone. Of several, what the others bring about goes together.
        if count == 1 { core.finishInputApart() }
        let isEnough = count == Self.datagramsAtOnce
        core.lock.unlock()
        reading = isEnough ? .nothing : read(&buffer, flags: Platform.withoutWaiting)
      }
      if count > 1 {
        core.lock.lock()
        core.finishInputApart()
        core.lock.unlock()
      }
      if case .failure(let number) = reading { return end(number) }
    }
  }

  private func read(_ buffer: inout [UInt8], flags: CInt) -> Reading {
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        let count = recvfrom(descriptor, &buffer, buffer.count, flags, name, &length)
        guard count >= 0 else {
          return [EAGAIN, EWOULDBLOCK, EINTR].contains(errno) ? .nothing : .failure(errno)
        }
        // The end of a socket that is shut down has no sender.
        guard let sender = PeerAddress(UnsafePointer(name)) else { return .nothing }
        return .datagram(Array(buffer[0..<count]), sender: sender)
      }
    }
  }

  /// Tells the core that the system refused to read.
  private func end(_ number: CInt) {
    core.eventLoop.execute { [self] in
      core.turn {
        guard socket.reader === self else { return }
        core.receiveFailed(number, on: socket)
        core.readingEnded(on: socket)
      }
    }
  }
}
