import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTrust

/// What one cursor update costs at least: a datagram of its size, and the cryptography of it, each
/// step once.
struct CryptoFloor {
  private let crypto: SodiumCrypto
  private let work: CryptoWork
  private let signed: [UInt8]
  private(set) var sign: [Double] = []
  private(set) var seal: [Double] = []
  private(set) var open: [Double] = []
  private(set) var verify: [Double] = []

  /// Takes a datagram with one cursor from an engine.
  init(room: RoomName, session: SessionID) throws(BenchError) {
    let keyring = MeshKeyring(key: .random(count: MeshKeyring.keyBytes))
    crypto = SodiumCrypto(node: .random(), keyring: keyring)
    var pair = try StationPair(
      writer: Station(crypto: SodiumCrypto(node: .random(), keyring: keyring), port: 1),
      reader: Station(crypto: crypto, port: 2))
    let profile = Crowd.profile(1)
    try pair.perform(
      .open(session, profile, device: "bench", .attached, at: WallTime(milliseconds: 1)))
    try pair.perform(.enter(session, room))
    pair.advance(milliseconds: 100)
    pair.exchange()
    try pair.perform(.moveCursor(session, room, UpdateLatency.cursor(1)))
    guard let datagram = pair.takeWritten().first, let work = CryptoWork(datagram, crypto: crypto),
      let signature = work.signatures.first
    else { throw .workMissing("no frame was sent") }
    self.work = work
    signed = signature.signed
  }

  /// A datagram of the size of an update.
  var datagram: [UInt8] { work.datagram }

  /// The four steps, timed one by one.
  mutating func sample() throws(BenchError) {
    guard let item = work.signatures.first else { throw .workMissing("no signature") }
    var inner = Array(work.datagram.dropLast(16))
    inner.reserveCapacity(work.datagram.count)
    var times = [Clock.monotonic]
    times.reserveCapacity(5)
    let signature = crypto.sign(signed)
    times.append(Clock.monotonic)
    crypto.seal(&inner)
    times.append(Clock.monotonic)
    let opened = crypto.open(work.datagram, epoch: work.epoch)
    times.append(Clock.monotonic)
    let isGood = crypto.verify(item.signed, signature: item.signature, by: item.origin)
    times.append(Clock.monotonic)
    guard opened != nil, isGood, signature.count == 64, inner.count == work.datagram.count else {
      throw .workMissing("the cryptography failed")
    }
    func step(_ index: Int) -> Double { Double(times[index + 1] - times[index]) / 1000 }
    sign.append(step(0))
    seal.append(step(1))
    open.append(step(2))
    verify.append(step(3))
  }
}
