import NIOCore
import PresenceMesh

/// A client of Phoenix channels: several topics over one socket. `room:<name>` is the room of that
/// name, `room:lobby` the room that every session is in; `realtime:<name>` is a room in Supabase's
/// profile.
final class PhoenixSocket: SocketLogic {
  let core: GatewayCore
  let access: Access
  let version: PhoenixFrame.Version
  private weak var socket: WebSocketConnection?
  /// By the bytes of the topic: those of rooms are not normalized.
  private var channels: [[UInt8]: PhoenixChannel] = [:]
  private var lastCare = NIODeadline.now()

  static let channelBound = 100

  init(core: GatewayCore, access: Access, version: PhoenixFrame.Version) {
    self.core = core
    self.access = access
    self.version = version
  }

  func begin(_ socket: WebSocketConnection) { self.socket = socket }

  func end() {
    for channel in channels.values { channel.close() }
    channels = [:]
  }

  func care(_ now: NIODeadline) {
    // The answer to a ping is a sign of life too.
    guard let socket, socket.lastHeard > lastCare else { return }
    lastCare = now
    for channel in channels.values { channel.noteLife() }
  }

  func resynchronize() { for channel in channels.values { channel.resynchronize() } }

  func receive(binary: [UInt8]) { socket?.close(.wrongKind, "messages are text") }

  func receive(text: [UInt8]) {
    guard let frame = PhoenixFrame(text, version: version) else {
      core.counters.count(.messagesRefused)
      socket?.close(.wrongKind, "this is no message of Phoenix channels")
      return
    }
    for channel in channels.values { channel.noteLife() }
    if frame.topic == "phoenix" {
      if frame.event == "heartbeat" { reply(to: frame, ok: []) }
      return
    }
    if frame.event == "phx_join" { return join(frame) }
    guard let channel = channels[Array(frame.topic.utf8)] else {
      return reply(to: frame, error: "unmatched topic")
    }
    // Words of an earlier join of the same topic.
    if !frame.joinRef.isNull, frame.joinRef != channel.joinRef { return }
    if frame.event == "phx_leave" {
      channels[Array(frame.topic.utf8)] = nil
      channel.close()
      reply(to: frame, ok: [], joinRef: channel.joinRef)
      send(
        joinRef: channel.joinRef, ref: channel.joinRef, topic: frame.topic, event: "phx_close",
        payload: Array("{}".utf8))
      return
    }
    channel.receive(frame)
  }

  private func join(_ frame: PhoenixFrame) {
    let joinRef = frame.joinRef.isNull ? frame.ref : frame.joinRef
    if let old = channels.removeValue(forKey: Array(frame.topic.utf8)) {
      old.close()
      send(
        joinRef: old.joinRef, ref: old.joinRef, topic: frame.topic, event: "phx_close",
        payload: Array("{}".utf8))
    }
    guard channels.count < Self.channelBound else {
      core.counters.count(.limitsHit)
      return reply(to: frame, error: "too many channels")
    }
    guard let (room, isSupabase) = Self.room(of: frame.topic), access.allows(.read, in: room)
    else { return reply(to: frame, error: "unmatched topic") }
    let channel = PhoenixChannel(
      socket: self, topic: frame.topic, room: room, joinRef: joinRef, isSupabase: isSupabase)
    channels[Array(frame.topic.utf8)] = channel
    channel.join(frame)
  }

  private static func room(of topic: String) -> (RoomName, isSupabase: Bool)? {
    for (prefix, isSupabase) in [("room:", false), ("realtime:", true)]
    where topic.hasPrefix(prefix) {
      let name = String(topic.dropFirst(prefix.count))
      guard !name.isEmpty else { return nil }
      return RoomName(name == "lobby" ? "" : name).map { ($0, isSupabase) }
    }
    return nil
  }

  // MARK: Writing

  func send(
    joinRef: JSONValue, ref: JSONValue, topic: String, event: String, payload: [UInt8]
  ) {
    socket?.send(
      text: PhoenixFrame.bytes(
        version, joinRef: joinRef, ref: ref, topic: topic, event: event, payload: payload))
  }

  /// False: there is no room; the channel is told when there is.
  func sendUpdate(joinRef: JSONValue, topic: String, event: String, payload: [UInt8]) -> Bool {
    socket?.sendUpdate(text: [
      PhoenixFrame.bytes(
        version, joinRef: joinRef, ref: .null, topic: topic, event: event, payload: payload)
    ]) ?? false
  }

  func reply(
    to frame: PhoenixFrame, status: String = "ok", response: JSONValue, joinRef: JSONValue? = nil
  ) {
    send(
      joinRef: joinRef ?? frame.joinRef, ref: frame.ref, topic: frame.topic, event: "phx_reply",
      payload: JSONValue.pairs(["status": .string(status), "response": response]).bytes)
  }

  func reply(to frame: PhoenixFrame, ok response: [JSONValue.Member], joinRef: JSONValue? = nil) {
    reply(to: frame, response: .object(response), joinRef: joinRef)
  }

  func reply(to frame: PhoenixFrame, error reason: String) {
    core.counters.count(.messagesRefused)
    reply(to: frame, status: "error", response: .pairs(["reason": .string(reason)]))
  }

  /// A channel ended by itself: its client joins again.
  func fail(_ channel: PhoenixChannel) { end(channel, event: "phx_error") }

  /// A channel was ended by order: its client does not join again by itself.
  func expel(_ channel: PhoenixChannel) { end(channel, event: "phx_close") }

  private func end(_ channel: PhoenixChannel, event: String) {
    guard channels[Array(channel.topic.utf8)] === channel else { return }
    channels[Array(channel.topic.utf8)] = nil
    channel.close()
    send(
      joinRef: channel.joinRef, ref: channel.joinRef, topic: channel.topic, event: event,
      payload: Array("{}".utf8))
  }
}
