import MeshCRDT
import MeshEngine

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A datagram on its way out.
struct OutgoingDatagram {
  let bytes: [UInt8]
  let address: PeerAddress
}

/// The memory through which datagrams go to the system, many in one call where it takes them so
/// (``BatchedCall``), else one by one.
///
/// Memory: about 90 KiB, taken once. Cost of a datagram: one copy of its bytes.
final class SendBatch {
  /// The most datagrams in one call.
  static let capacity = 64

  /// What became of a call.
  struct Outcome {
    /// So many were sent, from the first on.
    var sent: Int
    /// Why the next one was not sent; 0 when nothing went wrong.
    var errorNumber: CInt
  }

  private let batchedCall: BatchedCall?
  private let names = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: capacity)
  private let payload = UnsafeMutableRawPointer.allocate(
    byteCount: capacity * Limits.datagramBytes, alignment: 16)
  private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: capacity)

  /// - Parameter batchedCall: `nil`: one by one.
  init(batchedCall: BatchedCall?) {
    self.batchedCall = batchedCall
    names.initialize(repeating: sockaddr_storage(), count: Self.capacity)
    vectors.initialize(repeating: iovec(), count: Self.capacity)
    #if !canImport(Darwin)
      headers.initializeMemory(
        as: UInt8.self, repeating: 0, count: Self.capacity * Self.headerStride)
    #endif
  }

  deinit {
    names.deallocate()
    payload.deallocate()
    vectors.deallocate()
    #if !canImport(Darwin)
      headers.deallocate()
    #endif
  }

  /// Sends at most ``capacity`` datagrams, each of at most ``Limits/datagramBytes``.
  func send(_ datagrams: ArraySlice<OutgoingDatagram>, over descriptor: CInt) -> Outcome {
    // One alone needs no copy.
    #if !canImport(Darwin)
      if datagrams.count > 1, let batchedCall, !batchedCall.isRefused {
        let outcome = batchedCall.send(headers, count: fill(datagrams), over: descriptor)
        guard Self.mayBeRefusal(outcome), let first = datagrams.first else { return outcome }
        // The error is about the first datagram or about the call: the datagram alone tells.
        let number = Self.sendOne(first.bytes, to: first.address, over: descriptor)
        guard number == 0 else { return Outcome(sent: 0, errorNumber: number) }
        batchedCall.noteRefusal(outcome.errorNumber)
        return Outcome(sent: 1, errorNumber: 0)
      }
    #endif
    var sent = 0
    for datagram in datagrams.prefix(Self.capacity) {
      let number = Self.sendOne(datagram.bytes, to: datagram.address, over: descriptor)
      guard number == 0 else { return Outcome(sent: sent, errorNumber: number) }
      sent += 1
    }
    return Outcome(sent: sent, errorNumber: 0)
  }

  /// True when nothing was sent, for another reason than that the moment is bad.
  private static func mayBeRefusal(_ outcome: Outcome) -> Bool {
    outcome.sent == 0 && ![0, EAGAIN, EINTR, ENOBUFS, ENOMEM].contains(outcome.errorNumber)
  }

  /// Sends one datagram. Returns 0, or the error number.
  static func sendOne(_ bytes: [UInt8], to address: PeerAddress, over descriptor: CInt) -> CInt {
    address.withSystemAddress { name, length in
      sendto(descriptor, bytes, bytes.count, Platform.withoutWaiting, name, length) >= 0 ? 0 : errno
    }
  }

  #if !canImport(Darwin)
    /// The size of a `struct mmsghdr`: a `msghdr` and an `unsigned int`, padded to the alignment of
    /// the first.
    private static let headerStride: Int = {
      let alignment = MemoryLayout<msghdr>.alignment
      let size = MemoryLayout<msghdr>.size + MemoryLayout<CUnsignedInt>.size
      return (size + alignment - 1) / alignment * alignment
    }()

    private let headers = UnsafeMutableRawPointer.allocate(
      byteCount: capacity * headerStride, alignment: MemoryLayout<msghdr>.alignment)

    /// Writes the headers for a call. Returns their number.
    private func fill(_ datagrams: ArraySlice<OutgoingDatagram>) -> Int {
      var count = 0
      for datagram in datagrams.prefix(Self.capacity) {
        precondition(datagram.bytes.count <= Limits.datagramBytes)
        let bytes = payload + count * Limits.datagramBytes
        datagram.bytes.withUnsafeBytes { source in
          if let start = source.baseAddress {
            bytes.copyMemory(from: start, byteCount: source.count)
          }
        }
        vectors[count] = iovec(iov_base: bytes, iov_len: datagram.bytes.count)
        var header = msghdr()
        header.msg_name = UnsafeMutableRawPointer(names + count)
        header.msg_namelen = datagram.address.store(into: names + count)
        header.msg_iov = vectors + count
        header.msg_iovlen = 1
        (headers + count * Self.headerStride).storeBytes(of: header, as: msghdr.self)
        count += 1
      }
      return count
    }
  #endif
}
