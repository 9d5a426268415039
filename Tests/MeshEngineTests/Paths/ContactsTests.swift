import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Contacts and the address book")
struct ContactsTests {
  private var side: PathSide

  init() throws {
    side = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start)
  }

  private static func exchange(_ number: UInt64, at address: PeerAddress) -> PeerExchange {
    PeerExchange(
      origin: OriginID(number, 0, 0, 9), addressHigh: address.high, addressLow: address.low,
      port: address.port)
  }

  /// The times of the tries at an address in a span, in milliseconds from its start.
  private static func tries(
    at address: PeerAddress, of side: inout PathSide, milliseconds: UInt64
  ) -> [UInt64] {
    var tries: [UInt64] = []
    for step in 0..<milliseconds {
      let now = PathNetwork.start + .milliseconds(step)
      side.tick(now: now)
      while let datagram = side.nextDatagram(now: now) {
        if datagram.address == address { tries.append(step) }
      }
    }
    return tries
  }

  @Test("A configured address is tried at once, ever more rarely, with jitter, and never given up")
  mutating func backOff() throws {
    let address = PathNetwork.address(2, 1)
    side.addConfigured(address, now: PathNetwork.start)
    let tries = Self.tries(at: address, of: &side, milliseconds: 120_000)
    #expect(tries.first == 0)
    let waits = zip(tries, tries.dropFirst()).map { $1 - $0 }
    let longest: [UInt64] = [500, 1000, 2000, 4000] + Array(repeating: 8000, count: 20)
    for (wait, most) in zip(waits, longest) {
      #expect(wait <= most + 1 && wait >= most * 8 / 10, "\(wait) of \(most)")
    }
    #expect(waits.count > 14)
    #expect(Set(waits.suffix(10)).count > 5)
  }

  @Test(
    "An address whose next try is far off is tried soon when somebody says who is there, and no more often"
  )
  mutating func hintHastens() throws {
    let address = PathNetwork.address(2, 1)
    side.addConfigured(address, now: PathNetwork.start)
    _ = Self.tries(at: address, of: &side, milliseconds: 40_000)
    let later = PathNetwork.start + .milliseconds(40_000)
    var tries: [UInt64] = []
    // Hints come all the time, of several sources.
    for step in 0..<4000 as Range<UInt64> {
      let now = later + .milliseconds(step)
      side.tick(now: now)
      if step >= 100, step.isMultiple(of: 10) {
        try side.receive(
          [Self.exchange(5, at: address)], from: PathNetwork.address(3, UInt32(step % 3 + 1)))
      }
      while let datagram = side.nextDatagram(now: now) {
        if datagram.address == address { tries.append(step) }
      }
    }
    // The one of its own may fall into this span, too.
    #expect(tries.contains { (100...700).contains($0) })
    #expect((6...9).contains(tries.count), "\(tries)")
  }

  @Test("A hinted address is tried few times, and then given up")
  mutating func hintedIsGivenUp() throws {
    let address = PathNetwork.address(2, 1)
    let source = PathNetwork.address(3, 1)
    try side.receive([Self.exchange(5, at: address)], from: source)
    let tries = Self.tries(at: address, of: &side, milliseconds: 120_000)
    #expect((1...EngineLimits.triesOfHinted).contains(tries.count), "\(tries)")
    #expect(side.paths.contacts.kind(of: address) == nil)
  }

  @Test("Configured addresses find room though hints have filled the table, and stay in it")
  mutating func configuredSurvives() throws {
    let before = PathNetwork.address(9, 1)
    side.addConfigured(before, now: PathNetwork.start)
    try flood()
    let after = PathNetwork.address(9, 2)
    side.addConfigured(after, now: PathNetwork.start)
    #expect(side.paths.contacts.isConfigured(before))
    #expect(side.paths.contacts.isConfigured(after))
    #expect(side.paths.contacts.count <= EngineLimits.hintedContacts + 2)
    #expect(side[.contactsRefused] > 10_000)
    let tries = Self.tries(at: after, of: &side, milliseconds: 2)
    #expect(tries.count == 1)
  }

  /// Hints from 100 paths at 160 addresses each.
  private mutating func flood() throws {
    for source in 1...UInt32(100) {
      for number in 0..<UInt32(10) {
        let peers = (0..<UInt32(16)).map { index in
          let value = source * 1000 + number * 16 + index
          return Self.exchange(
            UInt64(value), at: PathNetwork.address(20 + source % 200, value % 250, port: 1))
        }
        try side.receive(peers, from: PathNetwork.address(source, 77))
      }
    }
  }

  @Test("One path, and one prefix, have bounds of their own of hinted addresses that are tried")
  mutating func hintsOfOnePath() throws {
    var contacts = Contacts()
    let (source, other) = (PathNetwork.address(3, 1), PathNetwork.address(4, 1))
    func add(_ address: PeerAddress, by source: PeerAddress) -> Bool {
      contacts.add(
        address, .hinted(OriginID(1, 1, 1, 1), source: source), &side.context)
    }
    let ofSource = (1...UInt32(100)).filter {
      add(PathNetwork.address($0 + 10, 1), by: source)
    }
    #expect(ofSource.count == EngineLimits.hintedContactsPerSource)
    let ofPrefix = (1...UInt32(200)).filter {
      add(PathNetwork.address(200, $0), by: PathNetwork.address(5, $0))
    }
    #expect(ofPrefix.count == EngineLimits.hintedContactsPerPrefix)
    #expect(add(PathNetwork.address(201, 1), by: other))
  }

  @Test(
    "Hints make a node send at most three times their bytes, and a little for those it needs",
    arguments: [false, true])
  func reflection(areWanted: Bool) throws {
    var network = try PathNetwork.pair()
    if !areWanted { network.sides[1].demand.wanted = [] }
    let victims = (1...UInt32(16)).map { PathNetwork.address(77, $0) }
    network.sides[0].context.send(
      .control(
        .peerExchange(
          victims.enumerated().map { Self.exchange(UInt64($0 + 1), at: $1) })),
      to: network.sides[1].address)
    let before = network.carried.count
    network.exchange()
    let received = network.carried[before].bytes.count
    network.pass(milliseconds: 20_000)
    let sent = victims.reduce(0) { $0 + network.sides[1].sent[$1, default: 0] }
    let spare = EngineLimits.spareReflectionBurst + 20 * EngineLimits.spareReflectionPerSecond
    let bound = 3 * received + (areWanted ? Int(spare) : 0)
    #expect(sent >= 16 * 124 && sent <= bound, "\(sent) bytes for \(received)")
    #expect(network.sides[1][.contactsWithheld] > 0)
  }

  // MARK: Address book

  @Test(
    "Addresses that are no node's own, or need an interface, are refused",
    arguments: [
      PeerAddress(ipv4: 0, port: 7900), PeerAddress(ipv4: 0x0001_0203, port: 7900),
      PeerAddress(ipv4: 0xE000_0001, port: 7900), PeerAddress(ipv4: 0xEFFF_FFFA, port: 7900),
      PeerAddress(ipv4: 0xF000_0001, port: 7900), PeerAddress(ipv4: 0xFFFF_FFFF, port: 7900),
      PeerAddress(ipv4: 0x0A01_02FF, port: 7900), PeerAddress(ipv4: 0x0A01_0203, port: 0),
      PeerAddress(high: 0, low: 0, port: 7900), PeerAddress(high: 0, low: 0x0A01_0203, port: 7900),
      PeerAddress(high: 0xFF02 << 48, low: 1, port: 7900),
      PeerAddress(high: 0xFE80 << 48, low: 1, port: 7900),
      PeerAddress(high: 0xFEBF << 48, low: 1, port: 7900),
    ])
  mutating func unusableAddresses(address: PeerAddress) throws {
    try side.receive(
      [Self.exchange(5, at: address)], from: PeerAddress(ipv4: 0x7F00_0001, port: 1))
    #expect(side[.addressesRefused] == 1)
    #expect(side.paths.contacts.count == 0)
    #expect(side.paths.book.addresses(of: OriginID(5, 0, 0, 9)) == [])
  }

  @Test("Nobody tells of addresses that reach less far than the path by which they come")
  mutating func scopes() throws {
    let loopback = PeerAddress(ipv4: 0x7F00_0001, port: 2)
    let loopback6 = PeerAddress(high: 0, low: 1, port: 2)
    let local =
      [
        0x0A01_0203, 0xAC10_0001, 0xC0A8_0101, 0x6440_0001, 0xA9FE_0101,
      ].map { PeerAddress(ipv4: $0, port: 2) } + [PeerAddress(high: 0xFD00 << 48, low: 5, port: 2)]
    let global =
      [0x0808_0808, 0xAC20_0001, 0x6480_0001, 0xC0A9_0101].map {
        PeerAddress(ipv4: $0, port: 2)
      } + [PeerAddress(high: 0x2001_0DB8 << 32, low: 5, port: 2)]
    let link = PeerAddress(high: 0xFE80 << 48, low: 5, port: 2, zone: 3)
    for other in [loopback, loopback6] {
      #expect(loopback.mayTell(of: other))
      for source in local + global + [link] { #expect(!source.mayTell(of: other)) }
    }
    for other in local {
      for source in local + [loopback, loopback6, link] {
        #expect(source.mayTell(of: other), "\(source) of \(other)")
      }
      for source in global { #expect(!source.mayTell(of: other), "\(source) of \(other)") }
    }
    for other in global {
      for source in local + global + [loopback, link] { #expect(source.mayTell(of: other)) }
    }
  }

  @Test("Of one prefix the book has a bounded number of hints: the oldest goes")
  mutating func hintsOfOnePrefix() throws {
    var book = AddressBook()
    let source = PathNetwork.address(3, 1)
    for number in 1...UInt16(300) {
      let origin = OriginID(UInt64(number), 0, 0, 0)
      _ = book.note(
        origin, hintedAt: PathNetwork.address(9, 1, port: number), by: source, &side.context)
    }
    let elsewhere = OriginID(999, 0, 0, 0)
    _ = book.note(
      elsewhere, hintedAt: PathNetwork.address(10, 1), by: source, &side.context)
    #expect(book.count == EngineLimits.hintedAddressesPerPrefix + 1)
    #expect(book.addresses(of: OriginID(44, 0, 0, 0)) == [])
    #expect(book.addresses(of: OriginID(45, 0, 0, 0)).count == 1)
    #expect(book.addresses(of: elsewhere).count == 1)
  }

  @Test("Where an origin was heard stands above hints, and no hint takes the place of it")
  mutating func heardStands() throws {
    var book = AddressBook()
    let (heard, source) = (PathNetwork.address(9, 1), PathNetwork.address(3, 1))
    let count = UInt64(EngineLimits.addresses)
    for number in 1...count {
      book.note(OriginID(number, 0, 0, 0), heardAt: heard, now: side.context.now)
    }
    let isNoted = book.note(
      OriginID(count + 1, 0, 0, 0), hintedAt: PathNetwork.address(4, 1), by: source,
      &side.context)
    #expect(!isNoted)
    #expect(book.note(OriginID(7, 0, 0, 0), hintedAt: source, by: source, &side.context))
    #expect(book.addresses(of: OriginID(7, 0, 0, 0)) == [heard, source])
    #expect(book.count == EngineLimits.addresses)
  }

  @Test("When the book is full, the origin goes that is known by hints alone and was noted first")
  mutating func fullBook() throws {
    var book = AddressBook()
    func note(_ number: UInt64, _ book: inout AddressBook) -> Bool {
      book.note(
        OriginID(number, 0, 0, 0),
        hintedAt: PathNetwork.address(UInt32(number % 240), UInt32(number % 200 + 1)),
        by: PathNetwork.address(3, 1), &side.context)
    }
    for number in 1...UInt64(EngineLimits.addresses) { _ = note(number, &book) }
    book.note(
      OriginID(1, 0, 0, 0), heardAt: PathNetwork.address(9, 1), now: side.context.now)
    #expect(note(2, &book))
    #expect(note(10_000, &book))
    #expect(book.count == EngineLimits.addresses)
    let known = (1...UInt64(4)).map { !book.addresses(of: OriginID($0, 0, 0, 0)).isEmpty }
    #expect(known == [true, true, false, true])
  }

  @Test("A hint stands against those of other paths for a while, unless it was tried in vain")
  mutating func hintStands() throws {
    var book = AddressBook()
    let origin = OriginID(5, 0, 0, 0)
    let (first, second) = (PathNetwork.address(9, 1), PathNetwork.address(9, 2))
    let (source, other) = (PathNetwork.address(3, 1), PathNetwork.address(4, 1))
    #expect(book.note(origin, hintedAt: first, by: source, &side.context))
    #expect(!book.note(origin, hintedAt: second, by: other, &side.context))
    #expect(book.addresses(of: origin) == [first])
    book.noteTriedInVain(origin, at: first)
    #expect(book.note(origin, hintedAt: second, by: other, &side.context))
    #expect(book.addresses(of: origin) == [second])
    side.context.advance(to: side.context.now + EngineLimits.hintStands)
    #expect(book.note(origin, hintedAt: first, by: source, &side.context))
  }
}

extension PathSide {
  /// Receives a peer exchange by a path.
  fileprivate mutating func receive(
    _ peers: [PeerExchange], from source: PeerAddress
  ) throws {
    if paths.table.path(at: source) == nil {
      try meet(1000 + UInt64(source.low & 0xFFFF), at: source, now: context.now)
    }
    paths.receive(peers, from: source, demand, &context)
  }
}
