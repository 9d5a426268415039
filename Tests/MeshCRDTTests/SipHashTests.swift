import MeshCRDT
import Testing

/// SipHash-2-4 against the vectors that its authors published.
@Suite("SipHash-2-4")
struct SipHashTests {
  /// Key 00 01 … 0f, as two words with the least significant byte first.
  static let key = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)

  /// The first entries of the reference implementation's table: entry n hashes 00 01 … (n − 1). The
  /// results are written least significant byte first.
  static let table = [
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785",
    "b7877127e09427cf", "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
    "6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
  ]

  @Test("The reference implementation's table", arguments: table.indices)
  func referenceTable(length: Int) {
    let hash = SipHash.hash((0..<UInt8(length)).map { $0 }, key: Self.key)
    #expect(hexadecimal(hash.bigEndianBytes.reversed()) == Self.table[length])
  }

  @Test("The example of the paper")
  func exampleOfThePaper() {
    #expect(SipHash.hash((0...14).map { $0 }, key: Self.key) == 0xa129_ca61_49be_45e5)
  }

  @Test("Words and bytes can be mixed in any order")
  func wordsAndBytesMix() {
    var generator = SplitMix64(seed: 1)
    for _ in 0..<300 {
      var hasher = SipHash(key: Self.key)
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0...12, using: &generator) {
        let word = generator.next()
        if Bool.random(using: &generator) {
          hasher.combine(word)
          bytes += word.bigEndianBytes.reversed()
        } else {
          hasher.combine(UInt8(truncatingIfNeeded: word))
          bytes.append(UInt8(truncatingIfNeeded: word))
        }
      }
      #expect(hasher.finalize() == SipHash.hash(bytes, key: Self.key))
    }
  }
}
