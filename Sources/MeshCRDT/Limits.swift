/// Every bound of the protocol, in one place.
///
/// A peer that sends more than a bound allows is not heard (a counter rises); a local operation that
/// asks for more is refused with an error that names the bound. All text sizes are UTF-8 bytes.
public enum Limits {
  // MARK: Numbers on the wire

  /// Lamport counters, versions, heartbeats and frame counters are below this.
  public static let counterBound: UInt64 = 1 << 48
  /// Generations are below this.
  public static let generationBound: UInt64 = 1 << 32
  /// How far above its own Lamport counter a node believes a received one. A counter beyond it is
  /// refused, so that one poisoned stamp cannot use up the counters of the whole mesh.
  public static let counterLeap: UInt64 = 1 << 40

  // MARK: Datagrams

  /// The most bytes of UDP payload that a node sends or accepts.
  public static let datagramBytes = 1200
  /// The most bytes that a node sends to an address, as a multiple of what it received from it,
  /// before the address has proven its return path.
  public static let amplificationFactor = 3

  // MARK: Values

  /// A user id.
  public static let userIDBytes = 64
  /// A display name.
  public static let nameBytes = 64
  /// An avatar, usually a URL.
  public static let avatarBytes = 200
  /// The description of a device.
  public static let deviceBytes = 32
  /// Free data in a profile.
  public static let profileDataBytes = 256
  /// The name of a room.
  public static let roomNameBytes = 64
  /// A status message.
  public static let messageBytes = 140
  /// Free data of a session in a room.
  public static let presenceDataBytes = 384
  /// What a cursor is anchored to.
  public static let anchorBytes = 64
  /// A certificate in a head, reserved for admission by certificates.
  public static let certificateBytes = 256

  // MARK: Tables

  /// Origins whose state a node holds.
  public static let origins = 4096
  /// Departed origins that a node remembers, so that old words do not revive them.
  public static let graves = 4096
  /// Sessions of one origin.
  public static let sessionsPerOrigin = 131_072
  /// Rooms that one session is in, the lobby not counted.
  public static let roomsPerSession = 32
  /// Rooms in which one life of an origin has ever said something, the lobby not counted.
  public static let shelvesPerOrigin = 65_536
  /// Tombstones of one origin that wait for a signed hash to cover them.
  public static let tombstonesPerOrigin = 65_536
  /// Orders of one origin to remove sessions, from the mesh or from a room.
  public static let removalsPerOrigin = 4096
  /// The same, with the record of its interest.
  static let noticesPerOrigin = removalsPerOrigin + 1
  /// Rooms that a node follows, when it does not follow all.
  public static let roomsFollowed = 64
  /// Cursors of one origin that moved and have not come to rest.
  public static let movingCursorsPerOrigin = 4096
  /// Departed users that a roster remembers.
  public static let departedUsers = 1024
}
