import MeshCRDT
import MeshEngine
import MeshTrust
import NIOCore
import Testing

@testable import MeshTransport

@Suite("The driver")
struct DriverTests {
  /// A driver's count of what came in.
  private static func receivedCount(_ driver: MeshDriver) async -> UInt64 {
    await driver.read { engine, _ in engine.counters[.datagramsReceived] }
  }

  @Test("A flood of malformed datagrams is counted, and the driver goes on")
  func floodIsSurvived() async throws {
    let driver = try await TestMesh().driver()
    let address = try #require(driver.boundAddresses.first)
    let attacker = try RawSocket()
    var generator = SystemRandomNumberGenerator()
    let lengths = [0, 1, 13, 36, 37, 64, 120, 1199, 1200, 1201, 1536, 1537, 9000, 65_507]
    for round in 0..<40 {
      for length in lengths {
        let bytes = (0..<min(length, 2000)).map { _ in UInt8.random(in: 0...255, using: &generator)
        }
        let tail = [UInt8](repeating: UInt8(round), count: length - bytes.count)
        attacker.send(bytes + tail, to: address)
      }
    }
    let before = await Self.receivedCount(driver)
    // Some of the flood may have found the buffers full; what comes after it must arrive.
    let goesOn = await eventually {
      attacker.send([1, 2, 3], to: address)
      return await Self.receivedCount(driver) > before + 1
    }
    #expect(goesOn)
    #expect(await driver.read { engine, _ in engine.counters[.datagramsMalformed] } > 0)
    #expect(await driver.read { engine, _ in engine.counters[.datagramsSent] } == 0)
    await driver.shutdown()
  }

  @Test("Datagrams of nodes that speak version 1 are counted as such, and not answered")
  func olderVersionIsCounted() async throws {
    let mesh = try TestMesh()
    let driver = try await mesh.driver()
    let address = try #require(driver.boundAddresses.first)
    let older = try RawSocket()
    let isCounted = await eventually {
      older.send([1] + mesh.id.tag.bigEndianBytes + [UInt8](repeating: 7, count: 120), to: address)
      return await driver.read { engine, _ in engine.counters[.datagramsOfProtocol1] } > 0
    }
    #expect(isCounted)
    #expect(await driver.read { engine, _ in engine.counters[.datagramsSent] } == 0)
    await driver.shutdown()
  }

  @Test("Addresses that cannot be reached do not end the driver")
  func unreachableAddressesAreSurvived() async throws {
    let closed = try RawSocket().socket.address
    let driver = try await TestMesh().driver(peers: [
      closed, PeerAddress(ipv4: 0x7F00_0001, port: 0), PeerAddress(ipv4: 0xFFFF_FFFF, port: 9),
      PeerAddress(ipv4: 0xC633_6401, port: 9),
      PeerAddress(high: 0x2001_0DB8 << 32, low: 1, port: 9),
    ])
    #expect(await eventually { await driver.transportCounters().sendErrors >= 3 })
    let address = try #require(driver.boundAddresses.first)
    let sender = try RawSocket()
    let goesOn = await eventually {
      sender.send([1, 2, 3], to: address)
      return await Self.receivedCount(driver) > 0
    }
    #expect(goesOn)
    await driver.shutdown()
  }

  @Test("Reading is taken up again when it ended, on the same port")
  func readingIsTakenUpAgain() async throws {
    let driver = try await TestMesh().driver()
    let address = try #require(driver.boundAddresses.first)
    #expect(await eventually { await driver.onCore { $0.sockets.first?.reader != nil } })
    await driver.onCore { core in
      guard let socket = core.sockets.first else { return }
      socket.reader?.stop()
      core.readingEnded(on: socket)
    }
    let sender = try RawSocket()
    let goesOn = await eventually {
      sender.send([1, 2, 3], to: address)
      return await driver.onCore {
        $0.counters.socketsResumed == 1 && $0.engine.counters[.datagramsReceived] > 0
      }
    }
    #expect(goesOn)
    await driver.shutdown()
  }

  @Test("A closed driver frees its port, refuses operations and can be closed again")
  func closedDriverFreesItsPort() async throws {
    let mesh = try TestMesh()
    let driver = try await mesh.driver()
    let address = try #require(driver.boundAddresses.first)
    await driver.shutdown()
    await driver.shutdown()
    await #expect(throws: OperationError.meshLeft) {
      try await driver.perform(.heartbeat(SessionID(1, 2)))
    }
    let next = try await mesh.driver(listen: [
      MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: address.port))
    ])
    await next.shutdown()
  }

  @Test("A driver that is let go frees its port")
  func releasedDriverFreesItsPort() async throws {
    let mesh = try TestMesh()
    var driver: MeshDriver? = try await mesh.driver()
    let address = try #require(driver?.boundAddresses.first)
    driver = nil
    let isFree = await eventually {
      (try? UDPSocket(bindingTo: address, host: "127.0.0.1")) != nil
    }
    #expect(driver == nil && isFree)
  }

  @Test("A node that is cut off sends and hears nothing until it is healed")
  func cutNodeHearsNothing() async throws {
    let sender = try RawSocket()
    let peer = sender.socket.address
    let driver = try await TestMesh().driver()
    let address = try #require(driver.boundAddresses.first)
    for filter in [LinkFilter.everyone, .blocking([peer])] {
      await driver.setLinkFilter(filter)
      let before = await Self.receivedCount(driver)
      let blockedBefore = await driver.transportCounters().datagramsBlocked
      let isBlocked = await eventually {
        sender.send([1], to: address)
        return await driver.transportCounters().datagramsBlocked > blockedBefore + 3
      }
      #expect(isBlocked)
      #expect(await Self.receivedCount(driver) == before)
    }
    await driver.addPeers([peer])
    #expect(sender.receive() == nil)
    await driver.setBlocked([])
    let isHealed = await eventually {
      sender.send([1], to: address)
      return await Self.receivedCount(driver) > 0
    }
    #expect(isHealed)
    await driver.shutdown()
  }
}
