import MeshCRDT
import MeshSimulator
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// A member of the mesh whose words a test writes by hand: it may contradict itself.
struct Member {
  let origin: OriginID
  private let verifier: Verifier
  private let hashKey: HashKey

  init(secret: UInt64) throws {
    let crypto = StandInCrypto(secret: secret, meshSecret: 2, life: 3)
    let mesh = try #require(Wire.mesh)
    origin = crypto.origin
    verifier = Verifier(mesh: mesh, crypto: crypto)
    hashKey = mesh.hashKey
  }

  /// A session of this member.
  func session(_ number: UInt64, counter: UInt64 = 1) -> Record {
    Record(
      session: SessionID(99, number), lane: .session, room: .lobby, counter: counter,
      value: .session(
        SessionValue(
          profile: Profile(userID: "u\(number)"), device: "", joinedAt: WallTime(milliseconds: 1))))
  }

  /// A session of this member in a room.
  func presence(_ number: UInt64, in room: RoomName, message: String = "") -> Record {
    Record(
      session: SessionID(99, number), lane: .presence, room: room, counter: 1,
      value: .presence(PresenceValue(enteredCounter: 1, message: message)))
  }

  /// What is claimed after some live records.
  func claim(_ version: UInt64, _ live: [(version: UInt64, record: Record)]) -> Cut {
    let hash = live.reduce(UInt64(0)) { $0 &+ self.hash(of: $1.record, version: $1.version) }
    return Cut(version: version, count: UInt64(live.count), hash: hash)
  }

  private func hash(of record: Record, version: UInt64) -> UInt64 {
    var writer = ByteWriter()
    record.value?.write(to: &writer)
    let room = record.lane == .session ? RoomID.lobby : RoomID(record.room, key: hashKey)
    return Cell(
      key: RecordKey(session: record.session, lane: record.lane, room: room), version: version,
      counter: record.counter, isTombstone: record.value == nil, storage: writer.bytes,
      range: 0..<writer.count, hashKey: hashKey
    ).hash
  }

  /// A signed batch of one record, after which its records alone live unless something else is claimed.
  func batch(
    _ version: UInt64, _ record: Record, in room: RoomName = .lobby, claim: Cut? = nil
  ) throws -> Envelope {
    let claim = claim ?? self.claim(version, [(version, record)])
    var writer = ByteWriter()
    _ = BatchBody.write(
      generation: 1, room: room, first: version, records: [record], liveCount: claim.count,
      liveHash: claim.hash, to: &writer)
    var reader = ByteReader(writer.bytes)
    return verifier.sign(try BatchBody.read(&reader), bytes: writer.bytes).envelope
  }

  /// A signed head.
  func head(
    _ heartbeat: UInt64, claim: Cut = .empty, counter: UInt64 = 1, period: UInt64 = 2000
  ) -> Envelope {
    let body = HeadBody(
      generation: 1, heartbeat: heartbeat, claim: claim, counter: counter,
      periodMilliseconds: period, isLeaving: false)
    var writer = ByteWriter()
    body.write(to: &writer)
    return verifier.sign(body, bytes: writer.bytes).envelope
  }
}
