/// Every bound of the protocol, in one place.
///
/// A peer that sends more than a bound allows is not heard (a counter rises); a local operation that
/// asks for more is refused with an error that names the bound. All text sizes are UTF-8 bytes.
public enum Limits {
  // MARK: Numbers on the wire

  /// Lamport counters, versions and sequences are below this.
  public static let counterBound: UInt64 = 1 << 48
  /// Counters of incarnations are below this.
  public static let incarnationBound: UInt64 = 1 << 32

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

  // MARK: Tables

  /// Origins whose state a node holds.
  public static let origins = 4096
  /// Sessions of one origin.
  public static let sessionsPerOrigin = 131_072
  /// Rooms that one session is in, the lobby not counted.
  public static let roomsPerSession = 32
  /// Rooms in which an origin says something, the lobby not counted.
  public static let roomsPerOrigin = 65_536
  /// Removals of one origin: of sessions from the mesh or from a room.
  public static let removalsPerOrigin = 4096
  /// Rooms that a node subscribes to, when it does not subscribe to all.
  public static let roomsSubscribed = 64
  /// Cursors of one origin that moved and have not come to rest.
  public static let movingCursorsPerOrigin = 4096
  /// Departed users that a roster remembers.
  public static let departedUsers = 1024
}
