/// A colour in 24 bits: red, green, blue.
public struct Colour: Hashable, Sendable {
  /// Red in bits 16…23, green in 8…15, blue in 0…7.
  public let rgb: UInt32

  /// Makes a colour from the lowest 24 bits.
  public init(rgb: UInt32) { self.rgb = rgb & 0xFF_FFFF }

  /// Reads `#rrggbb`; `nil` for anything else.
  public init?(_ text: String) {
    guard text.hasPrefix("#"), let bytes = bytes(fromHexadecimal: String(text.dropFirst())),
      bytes.count == 3
    else { return nil }
    self.init(rgb: bytes.reduce(0) { $0 << 8 | UInt32($1) })
  }

  /// The colour of a user who has not chosen one: the same on every node.
  ///
  /// The hue follows a hash of the id; saturation and lightness are fixed, so that dark text and
  /// light text can both be read on it.
  public init(forUser id: String) {
    let hash = SipHash.hash(Array(id.utf8), key: HashKey(0, 0))
    let hue = Int(hash % 1536)
    let ramp = UInt32(hue & 0xFF)
    let (red, green, blue): (UInt32, UInt32, UInt32) =
      switch hue >> 8 {
      case 0: (255, ramp, 0)
      case 1: (255 - ramp, 255, 0)
      case 2: (0, 255, ramp)
      case 3: (0, 255 - ramp, 255)
      case 4: (ramp, 0, 255)
      default: (255, 0, 255 - ramp)
      }
    func soft(_ channel: UInt32) -> UInt32 { 64 + channel * 5 / 9 }
    self.init(rgb: soft(red) << 16 | soft(green) << 8 | soft(blue))
  }
}

extension Colour: CustomStringConvertible {
  /// `#rrggbb`.
  public var description: String { "#" + String(hexadecimal(UInt64(rgb).bigEndianBytes).suffix(6)) }
}

/// Who a user is. Sizes are bounded: see ``Limits``.
public struct Profile: Hashable, Sendable {
  /// The id that tells users apart, 1…64 bytes.
  public var userID: String
  /// The name to show, up to 64 bytes.
  public var name: String
  /// The colour to show.
  public var colour: Colour
  /// The avatar, usually a URL, up to 200 bytes; empty for none.
  public var avatar: String
  /// Free data of the application, up to 256 bytes.
  public var data: [UInt8]

  /// Makes a profile. Without a name the id is shown; without a colour the id gives one.
  public init(
    userID: String, name: String? = nil, colour: Colour? = nil, avatar: String = "",
    data: [UInt8] = []
  ) {
    self.userID = userID
    self.name = name ?? userID
    self.colour = colour ?? Colour(forUser: userID)
    self.avatar = avatar
    self.data = data
  }

  /// Profiles are equal when the bytes of all texts are: no Unicode normalization.
  public static func == (left: Self, right: Self) -> Bool {
    areSame(left.userID, right.userID) && areSame(left.name, right.name)
      && left.colour == right.colour && areSame(left.avatar, right.avatar)
      && left.data == right.data
  }
}
