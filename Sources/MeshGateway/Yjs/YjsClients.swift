import PresenceMesh

/// The client ids of Yjs that sockets of this node speak for, and the clocks that they are told with.
///
/// A client takes an entry only if its clock is higher than the one it knows; it may have known it
/// from another node. So the clocks told are milliseconds since 1970, or one more than the last.
final class YjsClients {
  struct Key: Hashable {
    let room: RoomName
    let client: UInt64
  }

  private var owners: [Key: YjsSocket] = [:]
  private var lastClock: UInt64 = 0

  func owner(_ key: Key) -> YjsSocket? { owners[key] }
  func setOwner(_ key: Key, _ socket: YjsSocket) { owners[key] = socket }
  func release(_ key: Key, by socket: YjsSocket) {
    if owners[key] === socket { owners[key] = nil }
  }

  func nextClock() -> UInt64 {
    lastClock = max(lastClock + 1, WallTime.now.milliseconds)
    return lastClock
  }

  /// The client id by which editors know a session: its own, if it is one of an editor.
  static func client(of session: Session) -> UInt64 {
    if session.device.hasPrefix("yjs:"), let client = UInt64(session.device.dropFirst(4)),
      client < 1 << 53
    {
      return client
    }
    return session.id.low & 0x7FFF_FFFF | 0x8000_0000
  }
}
