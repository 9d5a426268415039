import MeshCRDT
import MeshEngine

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A bound UDP socket of one family.
///
/// A ``SocketReader`` reads from it, through a duplicate of the descriptor, and this type writes to
/// it. A datagram channel of NIO would not do: it closes itself when the system refuses a datagram
/// for any reason other than its size or an unreachable host, so that a firewall (`EPERM`), an
/// interface without a route (`ENETUNREACH`) or full buffers (`ENOBUFS`) would take the socket from
/// everybody. As the descriptor is ours, the port also stays ours if the reader should fail.
final class UDPSocket {
  /// The most datagrams that wait for the system to take them.
  static let waitingBound = 4096
  /// What is asked of the system for each buffer; it may give less.
  private static let bufferBytes: CInt = 4 << 20

  /// How long a reader sleeps at once.
  static let longestSleepSeconds = 1

  let descriptor: CInt
  /// The address that it is bound to, with the port that the system gave.
  let address: PeerAddress
  /// True when the socket receives announcements and sends nothing.
  let isGroup: Bool
  /// What reads from it; `nil` while reading is being taken up.
  var reader: SocketReader?
  /// Failures to read in a row.
  var failures = 0

  private var waiting: [OutgoingDatagram] = []
  private let batch: SendBatch?
  private var isClosed = false

  var isIPv4: Bool { address.ipv4 != nil }

  /// Binds a socket to an address; port 0 is any free one.
  /// With `group`, others may bind the same port, and nothing is sent from it.
  init(
    bindingTo wanted: PeerAddress, host: String, group: Bool = false,
    batchedCall: BatchedCall? = .ofProcess
  ) throws(TransportError) {
    let family = wanted.ipv4 == nil ? AF_INET6 : AF_INET
    let descriptor = socket(family, Platform.datagramSocket, 0)
    guard descriptor >= 0 else { throw Self.failure(errno, host: host, port: wanted.port) }
    do throws(TransportError) {
      let number = Self.prepare(descriptor, family: family, group: group)
      guard number == 0 else { throw Self.failure(number, host: host, port: wanted.port) }
      let status = wanted.withSystemAddress { bind(descriptor, $0, $1) }
      guard status == 0 else { throw Self.failure(errno, host: host, port: wanted.port) }
      guard let bound = Self.boundAddress(descriptor) else {
        throw .bindFailed(host: host, port: wanted.port, reason: Platform.message(errno))
      }
      address = bound.withZone(wanted.zone)
    } catch {
      Platform.closeDescriptor(descriptor)
      throw error
    }
    self.descriptor = descriptor
    isGroup = group
    batch = group ? nil : SendBatch(batchedCall: batchedCall)
  }

  deinit { closeDescriptor() }

  /// Sets what must be set before binding. Returns 0, or the error number.
  private static func prepare(_ descriptor: CInt, family: CInt, group: Bool) -> CInt {
    guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { return errno }
    // Readers sleep in the system; what is sent never waits.
    let sleep = timeval(tv_sec: longestSleepSeconds, tv_usec: 0)
    let number = setOption(descriptor, level: SOL_SOCKET, name: SO_RCVTIMEO, to: sleep)
    if number != 0 { return number }
    let yes: CInt = 1
    if family == AF_INET6 {
      let number = setOption(descriptor, level: Platform.ipv6Level, name: IPV6_V6ONLY, to: yes)
      if number != 0 { return number }
    }
    if group {
      // Linux hands a multicast datagram to every socket that reuses the address, also those of
      // other users; the BSDs want the port to be reused by name.
      let number = setOption(descriptor, level: SOL_SOCKET, name: SO_REUSEADDR, to: yes)
      if number != 0 { return number }
      #if canImport(Darwin)
        return setOption(descriptor, level: SOL_SOCKET, name: SO_REUSEPORT, to: yes)
      #endif
    } else {
      // Larger buffers help against bursts, and nothing depends on them.
      _ = setOption(descriptor, level: SOL_SOCKET, name: SO_RCVBUF, to: bufferBytes)
      _ = setOption(descriptor, level: SOL_SOCKET, name: SO_SNDBUF, to: bufferBytes)
    }
    return 0
  }

  private static func boundAddress(_ descriptor: CInt) -> PeerAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        getsockname(descriptor, name, &length) == 0 ? PeerAddress(UnsafePointer(name)) : nil
      }
    }
  }

  /// The error that tells what an error number of opening or binding means.
  private static func failure(_ number: CInt, host: String, port: UInt16) -> TransportError {
    switch number {
    case EADDRINUSE: .portInUse(host: host, port: port)
    case EACCES, EPERM: .portForbidden(host: host, port: port)
    case EADDRNOTAVAIL, ENODEV: .addressNotHere(host: host, port: port)
    case EAFNOSUPPORT, EPROTONOSUPPORT: .familyUnavailable(host: host, port: port)
    default: .bindFailed(host: host, port: port, reason: Platform.message(number))
    }
  }

  /// A second descriptor of the same socket, for a reader to read from and to close; `nil` when the
  /// process has no descriptor left.
  func duplicate() -> CInt? {
    guard !isClosed else { return nil }
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    return copy >= 0 ? copy : nil
  }

  /// Closes the socket and stops reading. What waits is dropped.
  func close() {
    reader?.stop()
    reader = nil
    // Wakes the reader up, where the system does so for a socket without a peer.
    if !isClosed { _ = shutdown(descriptor, Platform.endOfReading) }
    waiting = []
    closeDescriptor()
  }

  private func closeDescriptor() {
    guard !isClosed else { return }
    isClosed = true
    Platform.closeDescriptor(descriptor)
  }
}

// MARK: - Sending

extension UDPSocket {
  /// True when datagrams wait for the system to take them.
  var hasWaiting: Bool { !waiting.isEmpty }

  /// Puts a datagram in line. It goes out with the next flush, or at once when a batch is full.
  func enqueue(_ datagram: OutgoingDatagram, counting counters: inout TransportCounters) {
    guard datagram.bytes.count <= Limits.datagramBytes else {
      counters.sendErrors += 1
      return
    }
    waiting.append(datagram)
    if waiting.count == SendBatch.capacity { flush(counting: &counters) }
    if waiting.count > Self.waitingBound {
      // The oldest are the likeliest to be out of date.
      let surplus = Self.waitingBound / 8
      waiting.removeFirst(surplus)
      counters.sendsDropped += UInt64(surplus)
    }
  }

  /// Sends what waits, as far as the system takes it. What it refuses counts as lost.
  /// Returns the last error number that was not about full buffers; 0 when there was none.
  @discardableResult
  func flush(counting counters: inout TransportCounters) -> CInt {
    guard !isClosed, let batch, !waiting.isEmpty else { return 0 }
    var next = 0
    var lastNumber: CInt = 0
    sending: while next < waiting.count {
      let outcome = batch.send(waiting[next...], over: descriptor)
      next += outcome.sent
      switch outcome.errorNumber {
      case 0 where outcome.sent > 0, EINTR: continue sending
      case EAGAIN: break sending
      default:
        // The error is about the first one that was not sent. Error 0 with nothing sent must not
        // loop.
        counters.sendErrors += 1
        lastNumber = outcome.errorNumber
        next += 1
      }
    }
    if next == waiting.count {
      waiting.removeAll(keepingCapacity: true)
    } else {
      waiting.removeFirst(next)
    }
    return lastNumber
  }

  /// Sends one datagram to a group over one interface, past the line.
  /// Returns 0, or the error number.
  func sendToGroup(_ bytes: [UInt8], group: PeerAddress, interface index: UInt32) -> CInt {
    guard !isClosed else { return EBADF }
    guard isIPv4 else {
      return SendBatch.sendOne(bytes, to: group.withZone(index), over: descriptor)
    }
    var request = ip_mreqn()
    request.imr_ifindex = CInt(truncatingIfNeeded: index)
    let number = setOption(
      descriptor, level: Platform.ipLevel, name: IP_MULTICAST_IF, to: request)
    guard number == 0 else { return number }
    return SendBatch.sendOne(bytes, to: group, over: descriptor)
  }

  /// Joins a group on an interface. Returns 0, also when it was joined before, or the error number.
  func join(_ group: PeerAddress, interface index: UInt32) -> CInt {
    let number: CInt
    if let ipv4 = group.ipv4 {
      var request = ip_mreqn()
      request.imr_multiaddr.s_addr = ipv4.bigEndian
      request.imr_ifindex = CInt(truncatingIfNeeded: index)
      number = setOption(
        descriptor, level: Platform.ipLevel, name: IP_ADD_MEMBERSHIP, to: request)
    } else {
      var request = ipv6_mreq()
      request.ipv6mr_multiaddr = group.in6Address
      request.ipv6mr_interface = numericCast(index)
      number = setOption(
        descriptor, level: Platform.ipv6Level, name: Platform.joinIPv6Group, to: request)
    }
    return number == EADDRINUSE ? 0 : number
  }
}
