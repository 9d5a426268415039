/// The name of a room: at most ``Limits/roomNameBytes`` bytes of UTF-8 without control characters.
///
/// The empty name is the lobby, the one room that every session is in.
public struct RoomName: Hashable, Comparable, Sendable {
  /// The name as text.
  public let text: String

  /// The mesh-wide room.
  public static let lobby = RoomName(unchecked: "")

  /// Makes a name of text that is known to be short and plain.
  package init(unchecked text: String) { self.text = text }

  /// Makes a name; `nil` when it is longer than the bound or has control characters.
  public init?(_ text: String) {
    guard text.utf8.count <= Limits.roomNameBytes, isPlain(text) else { return nil }
    self.text = text
  }

  /// True for the mesh-wide room.
  public var isLobby: Bool { text.isEmpty }

  /// Orders by the bytes of the name, the same way on every node.
  public static func < (left: Self, right: Self) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  /// Two names are equal when their bytes are: no Unicode normalization.
  public static func == (left: Self, right: Self) -> Bool {
    areSame(left.text, right.text)
  }

  /// Hashes the bytes of the name.
  public func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension RoomName: DenseKey {
  @inlinable package var spread: UInt64 {
    var text = text
    return text.withUTF8 { text in
      let bytes = UnsafeRawBufferPointer(text)
      var spread = UInt64(bytes.count)
      var offset = 0
      while offset < bytes.count {
        var word: UInt64 = 0
        if offset + 8 <= bytes.count {
          word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        } else {
          for byte in bytes[offset...] { word = word << 8 | UInt64(byte) }
        }
        spread = DenseSeed.spread(spread, word)
        offset += 8
      }
      return spread
    }
  }
}

extension RoomName: CustomStringConvertible {
  /// The name, or `lobby` for the mesh-wide room.
  public var description: String { isLobby ? "lobby" : text }
}

/// True when the text holds no control character (U+0000…U+001F, U+007F…U+009F).
package func isPlain(_ text: String) -> Bool {
  text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
}

/// True when two texts have the same bytes. `==` of `String` asks whether they look the same.
package func areSame(_ left: String, _ right: String) -> Bool {
  let count = left.utf8.count
  guard count == right.utf8.count else { return false }
  guard count > 0 else { return true }
  var (left, right) = (left, right)
  return left.withUTF8 { left in
    right.withUTF8 { right in
      // Eight bytes at a time.
      let (left, right) = (UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
      var offset = 0
      while offset + 8 <= count {
        guard
          left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            == right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        else { return false }
        offset += 8
      }
      while offset < count {
        guard left[offset] == right[offset] else { return false }
        offset += 1
      }
      return true
    }
  }
}

/// What the state knows a room by: 61 bits of the keyed hash of its name; 0 is the lobby.
///
/// The three lowest bits are 0.
package struct RoomID: Hashable, Comparable, Sendable {
  package let bits: UInt64

  /// The mesh-wide room.
  package static let lobby = RoomID(bits: 0)

  package init(_ name: RoomName, key: HashKey) {
    guard !name.isLobby else {
      bits = 0
      return
    }
    var hasher = SipHash(key: key)
    var text = name.text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    // No other room has the id of the lobby.
    bits = max(hasher.finalize() & ~7, 8)
  }

  package init(bits: UInt64) { self.bits = bits & ~7 }

  package var isLobby: Bool { bits == 0 }

  package static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
}

extension RoomID: DenseKey {
  package var spread: UInt64 { DenseSeed.spread(bits, ~bits) }
}
