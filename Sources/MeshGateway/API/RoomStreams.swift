import NIOCore
import PresenceMesh

/// The messages of a room as server-sent events.
final class RoomStream: EventStream, RoomSubscriber {
  private let core: GatewayCore
  private let room: RoomName
  private var writer: EventStreamWriter?

  init(core: GatewayCore, room: RoomName) {
    self.core = core
    self.room = room
  }

  func begin(_ writer: EventStreamWriter) {
    self.writer = writer
    core.subscribe(self, to: room)
  }

  func end() {
    writer = nil
    core.unsubscribe(self, from: room)
  }

  func resynchronize() { if let feed = core.feed(room) { synchronize(feed) } }

  func synchronize(_ feed: RoomFeed) {
    guard let snapshot = feed.snapshot else { return }
    _ = writer?.send("presence.sync", NativeWords.sync(snapshot, resume: feed.resume))
  }

  func update(_ feed: RoomFeed, _ update: RoomUpdate) {
    for message in update.native {
      guard writer?.send(Self.type(of: message), message) == true else { return }
    }
  }

  /// The `type` of a message: its first member.
  private static func type(of message: ByteBuffer) -> String {
    let bytes = message.readableBytesView.dropFirst(9)
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
  }
}

/// The coming and going of one user as server-sent events.
final class WatchStream: EventStream {
  private let core: GatewayCore
  private let user: String
  private var reader: WatchReader?
  private var writer: EventStreamWriter?
  private var last: ByteBuffer?

  init(core: GatewayCore, user: String) {
    self.core = core
    self.user = user
  }

  func begin(_ writer: EventStreamWriter) {
    self.writer = writer
    reader = WatchReader(user: user, core: core) { [weak self] message in
      self?.last = message
      _ = self?.writer?.send("presence.watch", message)
    }
  }

  func end() {
    writer = nil
    reader?.stop()
    reader = nil
  }

  func resynchronize() { if let last { _ = writer?.send("presence.watch", last) } }
}
