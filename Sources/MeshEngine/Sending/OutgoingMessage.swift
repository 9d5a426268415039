import MeshCRDT
import MeshWire

/// The class of a message: what it shares the bytes with when there are too few of them.
enum MessageClass: Int, CaseIterable, Sendable {
  /// Requests, probes, proofs: short, and others wait for them.
  case control
  case cursorFrames
  /// Beats and checkpoints.
  case lifeSigns
  /// Batches that were just signed, or are sent on.
  case batches
  /// Answers to comparisons and repairs. They keep their order.
  case answers

  /// What the class gets of the bytes, in parts, while all of them wait.
  var share: UInt64 {
    switch self {
    case .control, .batches, .cursorFrames: 4
    case .lifeSigns, .answers: 2
    }
  }
}

/// What a waiting message is about. A newer message with the same key takes its place.
enum MessageKey: Hashable, Sendable {
  case checkpoint(OriginID)
  case cursors(OriginID, RoomName)
  /// Beats of any origins.
  case beats
  /// A comparison that starts at the top of the tree of the replica.
  case comparison
  /// A comparison in the trees of an origin.
  case fetch(OriginID)
  /// A repair; `nil`: of all rooms.
  case repair(OriginID, RoomName?)
}

/// A part of a message that a newer one can replace by itself: one session's cursor in a frame, one
/// origin's beat among others.
struct MessagePart: Hashable, Sendable {
  enum Subject: Hashable, Sendable {
    case session(SessionID)
    /// An origin, by the first 8 bytes of its id.
    case origin(UInt64)
    /// The message as a whole.
    case whole
  }

  let subject: Subject
  /// Tells a newer part from an older one; the last of two equal ones wins.
  let rank: UInt64
}

/// A message of this node on its way out, with what the queues need to know of it.
struct OutgoingMessage: Sendable {
  private enum Content: Sendable {
    case encoded([UInt8])
    case cursorFrame([UInt8], [CursorUpdate])
    case beats([UInt8], [Beat])
    /// Has an age that grows while it waits.
    case checkpoint(ageMilliseconds: UInt64, SignedMessage)
  }

  let messageClass: MessageClass
  let key: MessageKey?
  let byteCount: Int
  private let content: Content

  private init(
    _ content: Content, bytes: Int, _ messageClass: MessageClass, key: MessageKey? = nil
  ) {
    self.content = content
    byteCount = bytes
    self.messageClass = messageClass
    self.key = key
  }

  private init(_ message: MeshMessage, _ messageClass: MessageClass, key: MessageKey? = nil) {
    let bytes = message.encoded()
    self.init(.encoded(bytes), bytes: bytes.count, messageClass, key: key)
  }

  /// With a key, what it says: it is superseded when newer messages say all of it. Asked for when the message
  /// has to wait.
  var parts: [MessagePart] {
    switch content {
    case .cursorFrame(_, let updates):
      updates.map { MessagePart(subject: .session($0.session), rank: $0.counter) }
    case .beats(_, let beats):
      beats.map { MessagePart(subject: .origin($0.originPrefix), rank: 0) }
    case .encoded, .checkpoint: key == nil ? [] : [MessagePart(subject: .whole, rank: 0)]
    }
  }

  /// A request, or another short message that others wait for.
  static func control(_ message: MeshMessage, key: MessageKey? = nil) -> Self {
    Self(message, .control, key: key)
  }

  /// A part of an answer.
  static func answer(_ message: MeshMessage) -> Self { Self(message, .answers) }

  static func batch(_ signed: SignedMessage) -> Self { Self(.batch(signed), .batches) }

  /// A frame of an origin's cursors in a room.
  static func cursorFrame(_ frame: Authentic<CursorFrame>) -> Self {
    let bytes = MeshMessage.cursorFrame(frame.message).encoded()
    return Self(
      .cursorFrame(bytes, frame.body.updates), bytes: bytes.count, .cursorFrames,
      key: .cursors(frame.origin, frame.body.room))
  }

  /// Beats, at most ``Beat/bound``. Of two beats of one origin the one that was added later wins: an
  /// index does not rise when a new chain begins.
  static func beats(_ beats: [Beat]) -> Self {
    let bytes = MeshMessage.beats(beats).encoded()
    return Self(.beats(bytes, beats), bytes: bytes.count, .lifeSigns, key: .beats)
  }

  /// A checkpoint, with the age that it has now. The age grows while the message waits.
  static func checkpoint(_ signed: SignedMessage, ageMilliseconds: UInt64) -> Self {
    let message = MeshMessage.checkpoint(ageMilliseconds: ageMilliseconds, signed)
    return Self(
      .checkpoint(ageMilliseconds: ageMilliseconds, signed), bytes: message.encoded().count,
      .lifeSigns, key: .checkpoint(signed.origin))
  }

  /// The bytes of the message when it has waited for a span.
  func encoded(waited span: Span) -> [UInt8] {
    switch content {
    case .encoded(let bytes), .cursorFrame(let bytes, _), .beats(let bytes, _): bytes
    case .checkpoint(let age, let signed):
      MeshMessage.checkpoint(
        ageMilliseconds: min(age, MeshMessage.ageBound - 1) + span.milliseconds, signed
      ).encoded()
    }
  }
}
