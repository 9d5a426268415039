import MeshCRDT
import MeshEngine
import MeshTransport

/// The time of one cursor update from one process to another on loopback, and the floor under it.
///
/// The update is timed from the call that moves the cursor in this process to its event in the
/// other, by the machine's monotonic clock. Between any two of them lie a plain datagram of the
/// same size from a blocking socket of this process to one of the other, timed the same way, and
/// one round of the cryptography: noise of the machine hits all three alike. Moves are more than
/// 20 ms apart, so that their merging to 60 a second plays no part, and everybody wakes up from
/// sleep each time.
enum UpdateLatency {
  /// Samples by the number that the cursor's column carries.
  private static let most = 60_000

  static func cursor(_ number: UInt64) -> Cursor {
    Cursor(column: UInt16(truncatingIfNeeded: number), row: 77, isVisible: true, anchor: nil)
  }

  static func measure(
    _ scale: BenchScale, launcher: ChildLauncher
  ) async throws(BenchError) -> [Figure] {
    let room = try Crowd.room(1)
    let session = Crowd.session(1)
    var floor = try CryptoFloor(room: room, session: session)
    let child = try ChildProcess(.listener, launcher: launcher)
    defer { child.end() }
    let setup = MeshSetup.random()
    try child.link.send(json: setup, expecting: "its ports")
    let ports = try child.link.receive(json: ListenerPorts.self, "its ports")
    let driver = try await setup.start(
      peers: [PeerAddress(ipv4: 0x7F00_0001, port: ports.mesh)], onEvent: { _ in })
    let outcome = await measure(
      min(scale.updates, most), driver, child.link, ports, room, session, &floor)
    await driver.shutdown()
    return try outcome.get()
  }

  private static func measure(
    _ count: Int, _ driver: MeshDriver, _ link: PacketLink, _ ports: ListenerPorts,
    _ room: RoomName, _ session: SessionID, _ floor: inout CryptoFloor
  ) async -> Result<[Figure], BenchError> {
    do throws(BenchError) {
      try await perform(Crowd.open(1), on: driver)
      try await perform(.enter(session, room), on: driver)
      _ = try link.receive("it had seen the session")
      let socket = try PlainSocket()
      var plain = floor.datagram
      var updatesSent: [UInt64] = []
      var plainSent: [UInt64] = []
      for number in 0..<UInt64(count) {
        await pause()
        for index in 0..<8 { plain[index] = UInt8(truncatingIfNeeded: number >> (56 - 8 * index)) }
        plainSent.append(Clock.monotonic)
        guard socket.send(plain, toPort: ports.plain) else {
          throw .socketFailed("a datagram was not taken")
        }
        await pause()
        try floor.sample()
        await pause()
        updatesSent.append(Clock.monotonic)
        try await perform(.moveCursor(session, room, cursor(number)), on: driver)
      }
      await pause()
      await pause()
      try link.send([], expecting: "its samples")
      let arrivals = try link.receive(json: Arrivals.self, "its samples")
      for index in 0..<8 { plain[index] = 0xFF }
      _ = socket.send(plain, toPort: ports.plain)
      let updates = try spans(from: updatesSent, to: arrivals.updates)
      let datagrams = try spans(from: plainSent, to: arrivals.plain)
      return .success(figures(updates, datagrams, floor))
    } catch { return .failure(error) }
  }

  private static func pause() async { try? await Task.sleep(for: .milliseconds(8)) }

  private static func perform(
    _ operation: LocalOperation, on driver: MeshDriver
  ) async throws(BenchError) {
    do throws(OperationError) { try await driver.perform(operation) } catch {
      throw .refused("\(error)")
    }
  }

  /// Microseconds from sending to arriving. A few may be lost.
  private static func spans(
    from sent: [UInt64], to arrived: [UInt64: UInt64]
  ) throws(BenchError) -> Samples {
    var values: [Double] = []
    for (number, time) in sent.enumerated() {
      guard let arrival = arrived[UInt64(number)], arrival >= time else { continue }
      values.append(Double(arrival - time) / 1000)
    }
    guard values.count * 100 >= sent.count * 95 else {
      throw .samplesMissing(arrived: values.count, of: sent.count)
    }
    return Samples(values)
  }

  private static func figures(
    _ updates: Samples, _ datagrams: Samples, _ floor: CryptoFloor
  ) -> [Figure] {
    let parts = [
      ("datagram", datagrams.median), ("sign", Samples(floor.sign).median),
      ("seal", Samples(floor.seal).median), ("open", Samples(floor.open).median),
      ("verify", Samples(floor.verify).median),
    ]
    let sum = parts.reduce(0) { $0 + $1.1 }
    let words = parts.map { "\($0.0) \(brief($0.1))" }.joined(separator: " + ")
    let size = floor.datagram.count
    return [
      Figure(
        "update-latency-p50", updates.median, "us", better: .lower,
        detail: "moveCursor called to its event in the other process, \(updates.count) samples of "
          + "\(size) bytes, one way"),
      Figure(
        "update-latency-p99", updates.percentile(99), "us", better: .lower,
        detail: "the plain datagram alone has a p99 of \(brief(datagrams.percentile(99))) us"),
      Figure(
        "update-latency-floor", sum, "us", better: .lower,
        detail: "medians in us: \(words)"),
      Figure(
        "update-latency-ratio", updates.median / sum, "ratio", aim: 2, better: .lower,
        detail: "p50 / floor"),
    ]
  }
}
