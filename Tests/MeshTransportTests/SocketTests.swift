import MeshCRDT
import MeshEngine
import Synchronization
import Testing

@testable import MeshTransport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite("Sockets")
struct SocketTests {
  /// All that came to a socket, as soon as so many datagrams did.
  private func received(_ count: Int, on socket: RawSocket) async -> [[UInt8]] {
    var datagrams: [[UInt8]] = []
    for _ in 0..<10_000 where datagrams.count < count {
      if let datagram = socket.receive() {
        datagrams.append(datagram)
      } else {
        try? await Task.sleep(for: .milliseconds(1))
      }
    }
    return datagrams
  }

  @Test("Many datagrams go out in order, in more than one batch")
  func manyDatagramsGoOut() async throws {
    let sender = try RawSocket()
    let receiver = try RawSocket()
    var counters = TransportCounters()
    let sent = (0..<150).map { [UInt8](repeating: UInt8($0), count: $0 * 8) }
    for bytes in sent {
      sender.socket.enqueue(outgoing(bytes, receiver.socket.address), counting: &counters)
    }
    sender.socket.flush(counting: &counters)
    #expect(!sender.socket.hasWaiting)
    #expect(await received(sent.count, on: receiver) == sent)
    #expect(counters == TransportCounters())
  }

  @Test("A datagram that the system refuses is lost alone")
  func refusedDatagramIsLostAlone() async throws {
    let sender = try RawSocket()
    let receiver = try RawSocket()
    var counters = TransportCounters()
    let refused = [
      // Port 0, broadcast without leave, and a machine that loopback does not reach.
      PeerAddress(ipv4: 0x7F00_0001, port: 0), PeerAddress(ipv4: 0xFFFF_FFFF, port: 9),
      PeerAddress(ipv4: 0xC633_6401, port: 9),
    ]
    for (index, address) in refused.enumerated() {
      sender.socket.enqueue(outgoing([UInt8(index)], receiver.socket.address), counting: &counters)
      sender.socket.enqueue(outgoing([99], address), counting: &counters)
    }
    sender.socket.enqueue(outgoing([3], receiver.socket.address), counting: &counters)
    #expect(sender.socket.flush(counting: &counters) != 0)
    #expect(await received(4, on: receiver) == [[0], [1], [2], [3]])
    #expect(counters.sendErrors == 3)
  }

  #if !canImport(Darwin)
    /// Sends 150 datagrams through a call of the test's own, and returns what the sockets counted.
    private func send(through call: BatchedCall) async throws -> TransportCounters {
      let sender = try RawSocket(batchedCall: call)
      let receiver = try RawSocket()
      var counters = TransportCounters()
      let sent = (0..<150).map { [UInt8](repeating: UInt8($0), count: 1 + $0) }
      for bytes in sent {
        sender.socket.enqueue(outgoing(bytes, receiver.socket.address), counting: &counters)
      }
      sender.socket.flush(counting: &counters)
      #expect(!sender.socket.hasWaiting)
      #expect(await received(sent.count, on: receiver) == sent)
      return counters
    }

    @Test(
      "Where the call for many datagrams is refused, all go one by one, and that is told once",
      arguments: [ENOSYS, EPERM, EACCES, EINVAL, EOPNOTSUPP])
    func refusedCallIsDoneWithout(number: CInt) async throws {
      let call = BatchedCall { _, _, _ in SendBatch.Outcome(sent: 0, errorNumber: number) }
      // Enough to be sure.
      for _ in 0..<4 { #expect(try await send(through: call) == TransportCounters()) }
      #expect(call.isRefused)
      #expect(call.takeReason() == number)
      #expect(call.takeReason() == 0)
    }

    @Test("Of a batch that goes out in part, the rest follows; full buffers are no refusal")
    func partOfABatchGoesOut() async throws {
      let system = try #require(BatchedCall.system)
      let calls = Atomic<Int>(0)
      let call = BatchedCall { descriptor, headers, count in
        switch calls.add(1, ordering: .relaxed).oldValue % 4 {
        case 0: SendBatch.Outcome(sent: 0, errorNumber: EINTR)
        case 1: SendBatch.Outcome(sent: 0, errorNumber: EPERM)
        default: system(descriptor, headers, min(count, 7))
        }
      }
      #expect(try await send(through: call) == TransportCounters())
      #expect(!call.isRefused)
      #expect(call.takeReason() == 0)
    }

    @Test("A datagram that a firewall refuses does not give the call up")
    func firewallIsNoRefusal() throws {
      let call = BatchedCall(try #require(BatchedCall.system))
      let sender = try RawSocket(batchedCall: call)
      var counters = TransportCounters()
      for _ in 0..<100 {
        sender.socket.enqueue(
          outgoing([1], PeerAddress(ipv4: 0xFFFF_FFFF, port: 9)), counting: &counters)
      }
      sender.socket.flush(counting: &counters)
      #expect(counters.sendErrors == 100)
      #expect(!call.isRefused)
    }
  #endif

  @Test("A datagram to a closed port disturbs nothing")
  func closedPortDisturbsNothing() async throws {
    let sender = try RawSocket()
    let receiver = try RawSocket()
    let gone = try RawSocket().socket.address
    var counters = TransportCounters()
    for index in 0..<20 {
      sender.socket.enqueue(outgoing([0], gone), counting: &counters)
      sender.socket.enqueue(outgoing([UInt8(index)], receiver.socket.address), counting: &counters)
      sender.socket.flush(counting: &counters)
    }
    #expect(await received(20, on: receiver).count == 20)
  }

  @Test("A datagram above the bound is not sent, and counted")
  func longDatagramIsNotSent() throws {
    let sender = try RawSocket()
    var counters = TransportCounters()
    let bytes = [UInt8](repeating: 0, count: Limits.datagramBytes + 1)
    sender.socket.enqueue(outgoing(bytes, sender.socket.address), counting: &counters)
    #expect(!sender.socket.hasWaiting)
    #expect(counters.sendErrors == 1)
  }

  @Test("Port 0 becomes a port that the socket tells")
  func freePortIsTold() throws {
    let socket = try RawSocket().socket
    #expect(socket.address.port > 0)
    #expect(socket.address.isLoopback)
  }

  @Test("An address that the machine does not have is a clear error")
  func foreignAddressIsAnError() async throws {
    let mesh = try TestMesh()
    let listen = [MeshDriver.Listen(Endpoint(host: "198.51.100.1", port: 0))]
    await #expect(throws: TransportError.addressNotHere(host: "198.51.100.1", port: 0)) {
      _ = try await mesh.driver(listen: listen)
    }
  }

  @Test("A port in use is a clear error that says what to do")
  func portInUseIsAnError() async throws {
    let mesh = try TestMesh()
    let holder = try RawSocket()
    let port = holder.socket.address.port
    let listen = [MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: port))]
    await #expect {
      _ = try await mesh.driver(listen: listen)
    } throws: { error in
      error as? TransportError == .portInUse(host: "127.0.0.1", port: port)
        && "\(error)".contains("\(port) on 127.0.0.1 is in use")
        && "\(error)".contains("choose another")
    }
  }

  @Test("An optional address that cannot be had is done without")
  func optionalAddressIsDoneWithout() async throws {
    let mesh = try TestMesh()
    let must = MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: 0))
    let may = MeshDriver.Listen(Endpoint(host: "198.51.100.1", port: 0), isOptional: true)
    let driver = try await mesh.driver(listen: [must, may])
    #expect(driver.boundAddresses.count == 1)
    await driver.shutdown()
    await #expect(throws: TransportError.nothingToListenOn) {
      _ = try await mesh.driver(listen: [may])
    }
  }

  @Test("All interfaces share a port of both families", .enabled(if: hasIPv6Loopback))
  func allInterfacesShareAPort() async throws {
    let mesh = try TestMesh()
    // The port that IPv4 was given may be taken in IPv6, though hardly three times.
    var shared = 0
    for _ in 0..<3 {
      let driver = try await mesh.driver(listen: MeshDriver.Options.allInterfaces(port: 0))
      #expect(driver.boundAddresses.count == 2)
      #expect(driver.boundAddresses.allSatisfy { $0.isWildcard })
      if Set(driver.boundAddresses.map(\.port)).count == 1 { shared += 1 }
      await driver.shutdown()
    }
    #expect(shared > 0)
  }

  @Test("All interfaces are shown by their addresses, loopback last")
  func allInterfacesAreShown() async throws {
    let driver = try await TestMesh().driver(listen: MeshDriver.Options.allInterfaces(port: 0))
    let addresses = driver.localAddresses
    #expect(!addresses.contains { $0.isWildcard || $0.port == 0 })
    let firstLoopback = try #require(addresses.firstIndex { $0.isLoopback })
    #expect(addresses[firstLoopback...].allSatisfy { $0.isLoopback })
    await driver.shutdown()
  }

  @Test("What goes to loopback is sent from loopback, what goes elsewhere from elsewhere")
  func senderFitsTheReceiver() async throws {
    let driver = try await TestMesh().driver(listen: [
      MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: 0)),
      MeshDriver.Listen(Endpoint(host: "0.0.0.0", port: 0)),
    ])
    func sender(for address: PeerAddress) async -> PeerAddress? {
      await driver.onCore { $0.socket(for: address)?.address }
    }
    #expect(await sender(for: PeerAddress(ipv4: 0x7F00_0001, port: 9)) == driver.boundAddresses[0])
    #expect(await sender(for: PeerAddress(ipv4: 0xC000_0201, port: 9)) == driver.boundAddresses[1])
    #expect(await sender(for: PeerAddress(high: 0, low: 1, port: 9)) == nil)
    await driver.shutdown()
  }
}
