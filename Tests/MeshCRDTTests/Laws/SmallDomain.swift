import MeshCRDT

/// Everything that can be known of one shelf of an origin with two keys, three versions and two generations,
/// when the origin contradicts itself at each version and signs words about its log, some of them
/// true and some not.
enum SmallDomain {
  static let first = Sample.key(1)
  static let second = Sample.key(1, .presence, room: 0)

  /// The records of generation 1. For version 1 there are two bodies of one key; for the other
  /// versions, bodies of both keys.
  static let one = Sample.written(first, version: 1, [1])
  static let otherOne = Sample.written(first, version: 1, [2])
  static let buriedTwo = Sample.written(first, version: 2, nil)
  static let two = Sample.written(second, version: 2, [3])
  static let buriedThree = Sample.written(second, version: 3, nil)
  static let three = Sample.written(first, version: 3, [4])

  static let records = [one, otherOne, buriedTwo, two, buriedThree, three]

  /// What the origin says of generation 1.
  static let claims = [
    Sample.claim(1, live: [one]),
    Sample.claim(1, live: [otherOne]),
    Sample.claim(2, live: [one, two]),
    Sample.claim(2, live: []),
    Sample.claim(3, live: [three, two]),
    // The second record was removed.
    Sample.claim(3, live: [one]),
    // Lists what no sequence of its writes leaves.
    Sample.claim(3, live: [otherOne, two]),
    // Hashes nothing that exists.
    Cut(version: 2, count: 1, hash: 77),
  ]

  static let laterRecords = [
    Sample.written(first, version: 1, [5]), Sample.written(second, version: 2, nil),
  ]
  static let laterClaims = [Sample.claim(1, live: [laterRecords[0]])]

  /// Logs of two shelves: each subset of two versions on each, with words about one, both or none of
  /// them.
  static func logsOfTwoShelves() -> [OriginLog] {
    let room = Sample.room(1)
    let key = Sample.key(1, .presence, room: 1)
    let shelves: [(room: RoomID, records: [Written])] = [
      (.lobby, [one, otherOne, buriedTwo]),
      (
        room,
        [
          Sample.written(key, version: 1, [1]), Sample.written(key, version: 1, [2]),
          Sample.written(key, version: 2, nil),
        ]
      ),
    ]
    func parts(_ room: RoomID, _ records: [Written]) -> [(RoomID, [Written], Cut?)] {
      let claims = [nil, Sample.claim(1, live: [records[0]]), Sample.claim(2, live: [])]
      return (0..<1 << records.count).flatMap { subset in
        let heard = records.indices.filter { subset & 1 << $0 != 0 }.map { records[$0] }
        return claims.map { (room, heard, $0) }
      }
    }
    let lobby = parts(shelves[0].room, shelves[0].records)
    let other = parts(shelves[1].room, shelves[1].records)
    return lobby.flatMap { left in
      other.map { right in
        var log = OriginLog(generation: 1)
        for (room, records, claim) in [left, right] {
          log.join(each: records)
          if let claim { log.witness(claim, of: room) }
        }
        return log
      }
    }
  }

  /// Logs of each subset of the records, with no claim and with each claim.
  static func logs() -> [OriginLog] {
    logs(generation: 1, records: records, claims: claims)
      + logs(generation: 2, records: laterRecords, claims: laterClaims)
  }

  private static func logs(
    generation: UInt64, records: [Written], claims: [Cut]
  ) -> [OriginLog] {
    (0..<1 << records.count).flatMap { subset in
      var bare = OriginLog(generation: generation)
      bare.join(each: records.indices.filter { subset & 1 << $0 != 0 }.map { records[$0] })
      return [bare]
        + claims.map { claim in
          var log = bare
          log.witness(claim)
          return log
        }
    }
  }
}
