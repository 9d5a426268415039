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
    let times = try await run(scale.updates, bystanders: 0, launcher: launcher)
    let parts = [
      ("datagram", times.datagrams.median), ("sign", Samples(times.floor.sign).median),
      ("seal", Samples(times.floor.seal).median), ("open", Samples(times.floor.open).median),
      ("verify", Samples(times.floor.verify).median),
    ]
    let sum = parts.reduce(0) { $0 + $1.1 }
    let words = parts.map { "\($0.0) \(brief($0.1))" }.joined(separator: " + ")
    return [
      Figure(
        "cursor-p50", times.updates.median, "us", better: .lower,
        detail: "moveCursor called to its event in the other process, \(times.updates.count) "
          + "samples of \(times.floor.datagram.count) bytes, one way"),
      Figure(
        "cursor-p99", times.updates.percentile(99), "us", better: .lower,
        detail: "the plain datagram alone has a p99 of "
          + "\(brief(times.datagrams.percentile(99))) us"),
      Figure("cursor-floor", sum, "us", better: .lower, detail: "medians in us: \(words)"),
      Figure(
        "cursor-p50-ratio", times.updates.median / sum, "ratio", aim: 1.5, better: .lower,
        detail: "p50 / floor"),
    ]
  }

  /// The same in a mesh of eight processes, of which the others do nothing but to hear.
  static func measureMesh(
    _ scale: BenchScale, launcher: ChildLauncher
  ) async throws(BenchError) -> [Figure] {
    let times = try await run(scale.updates / 2, bystanders: 6, launcher: launcher)
    let (median, slow) = (times.updates.median, times.updates.percentile(99))
    let plain = times.datagrams
    return [
      Figure(
        "cursor-mesh-p50", median, "us", better: .lower,
        detail: "in a mesh of 8 processes, otherwise idle, to one of them; "
          + "\(times.updates.count) samples"),
      Figure(
        "cursor-mesh-p99", slow, "us", better: .lower,
        detail: "the plain datagram alone has a p99 of \(brief(plain.percentile(99))) us"),
      Figure(
        "cursor-p99-ratio", slow / median, "ratio", aim: 3, better: .lower,
        detail: "p99 / p50 in the mesh of 8; of the plain datagram alone "
          + "\(brief(plain.percentile(99) / plain.median))"),
    ]
  }

  /// What one run brought, in microseconds.
  private struct Times {
    let updates: Samples
    let datagrams: Samples
    let floor: CryptoFloor
  }

  /// Measures between this process and another one, with `bystanders` more in their mesh.
  private static func run(
    _ count: Int, bystanders: Int, launcher: ChildLauncher
  ) async throws(BenchError) -> Times {
    let room = try Crowd.room(1)
    let session = Crowd.session(1)
    let floor = try CryptoFloor(room: room, session: session)
    let child = try ChildProcess(.listener, launcher: launcher)
    defer { child.end() }
    let setup = MeshSetup.random()
    try child.link.send(json: setup, expecting: "its ports")
    let ports = try child.link.receive(json: ListenerPorts.self, "its ports")
    let driver = try await setup.start(
      peers: [PeerAddress(ipv4: 0x7F00_0001, port: ports.mesh)], onEvent: { _ in })
    var mesh: MemberMesh?
    defer { mesh?.end() }
    let outcome: Result<Times, BenchError>
    do throws(BenchError) {
      if bystanders > 0 {
        let members = try MemberMesh(
          bystanders, setup: setup, peers: [ports.mesh], launcher: launcher)
        mesh = members
        try await members.await(nodes: bystanders + 2, sessions: bystanders)
        try? await Task.sleep(for: .seconds(1))
      }
      outcome = .success(
        try await sample(min(count, most), driver, child.link, ports, room, session, floor))
    } catch {
      outcome = .failure(error)
    }
    await driver.shutdown()
    return try outcome.get()
  }

  private static func sample(
    _ count: Int, _ driver: MeshDriver, _ link: PacketLink, _ ports: ListenerPorts,
    _ room: RoomName, _ session: SessionID, _ floor: CryptoFloor
  ) async throws(BenchError) -> Times {
    var floor = floor
    try await Member.perform(Crowd.open(1), on: driver)
    try await Member.perform(.enter(session, room), on: driver)
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
      try await Member.perform(.moveCursor(session, room, cursor(number)), on: driver)
    }
    await pause()
    await pause()
    try link.send([], expecting: "its samples")
    let arrivals = try link.receive(json: Arrivals.self, "its samples")
    for index in 0..<8 { plain[index] = 0xFF }
    _ = socket.send(plain, toPort: ports.plain)
    return Times(
      updates: try spans(from: updatesSent, to: arrivals.updates),
      datagrams: try spans(from: plainSent, to: arrivals.plain), floor: floor)
  }

  private static func pause() async { try? await Task.sleep(for: .milliseconds(8)) }

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
}
