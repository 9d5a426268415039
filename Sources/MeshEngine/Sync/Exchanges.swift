import MeshCRDT
import MeshWire

/// What was asked of a peer about one shelf, and not answered completely yet.
struct PullState: Sendable {
  enum Step: Sendable {
    /// Batches above a version were asked for.
    case batches
    /// All batches were answered, but for what is late.
    case ended
    /// The list of live records was asked for.
    case manifest
    /// The last try did not lead to a settled log: wait a little.
    case resting
  }

  var address: PeerAddress
  var step: Step
  var deadline: MonotonicTime
  /// What was held when it began.
  var held: Cut?
  /// How often in a row it was answered, brought nothing and led nowhere.
  var failures = 0
  /// How often in a row there was no answer.
  var silences = 0
  /// True when another word about the version held was asked for.
  var isOfOtherWord = false

  /// True when an answer is waited for.
  var isUnderWay: Bool {
    if case .resting = step { return false }
    return true
  }
}

/// A list of a peer that gave cause to pull, or was longer than an exchange.
struct ListToGoOn: Sendable {
  let address: PeerAddress
  /// How many messages of it came that had more behind them.
  var messages = 0
  /// True when it was as long as an exchange can be: where it goes round, one of its messages has
  /// nothing behind it.
  var isLong: Bool { messages >= SyncLimits.entriesPages - 1 }
  /// True when something came that was pulled since.
  var hasNews = false
}

/// A manifest that is being read.
struct ManifestState: Sendable {
  struct Held: Sendable {
    let version: UInt64
    let hash: UInt64
    let key: RecordKey
  }

  let generation: UInt64
  /// The live records when it began, in the order of their versions.
  let held: [Held]
  /// How many of them were compared.
  var compared = 0
  /// The version up to which parts were read.
  var through: UInt64 = 0
  /// Records that the manifest does not list.
  var dead: [(key: RecordKey, version: UInt64)] = []
  /// How many parts were read.
  var parts = 0
  /// Parts that came before the one that they follow, by where they begin.
  var early: [UInt64: Manifest] = [:]
  /// How often it was asked for again from where it had got to.
  var repeats = 0
}

/// The sorted list of live records of one shelf, kept while it is asked for part by part.
struct ManifestCache: Sendable {
  let shelf: ShelfID
  let generation: UInt64
  let cut: Cut
  let items: [Manifest.Item]
}

/// All of a room was asked of a peer, and is not here yet.
struct FetchState: Sendable {
  let nonce: UInt64
  let address: PeerAddress
  /// How often it was asked for.
  let tries: Int
  let deadline: MonotonicTime
}

enum SyncLimits {
  /// Bytes of batches that one pull is answered with.
  static let answerBytes = 24_000
  /// Parts of a manifest that one request is answered with.
  static let manifestParts = 16
  /// How often a manifest that stands still is asked for again.
  static let manifestRepeats = 6
  /// Datagrams of entries that one digest is answered with.
  static let entriesPages = 8
  /// Bytes of batches that a room is answered with at once. The rest is listed.
  static let fetchBytes = 24_000
  /// How many hosts that do not follow a room themselves are asked for what they said there.
  static let fetchHosts = 16
  /// How often a room is asked for before the digests have to find it.
  static let fetchTries = 4
  /// Long lists in a row that are asked for at once though nothing came of the last one: enough to
  /// go round some thousands of room logs. Further ones come with the next digest.
  static let fruitlessLists = 64
  /// Peers that are asked for more, one after the other.
  static let peersToAsk = 16
  /// How long another word about the same version is not asked for when it did not come.
  static let vainTime = Span.seconds(10)
  /// How many of them are remembered.
  static let vainBound = 4096
  /// Shelves that are pulled from one peer after one list of entries.
  static let pullsAtOnce = 64
  /// So many shelves that were pulled together are many: digests go four times as often for a while.
  static let manyPulls = 8
  static let busyTime = Span.seconds(3)
  /// How long what was pulled waits for company before it is offered.
  static let offerDelay = Span.milliseconds(20)
  /// How long the answer to a digest may take, before another neighbour is asked.
  static let digestTimeout = Span.milliseconds(250)
  /// How long an answer may take.
  static let answerTimeout = Span.milliseconds(400)
  /// How long the parts of an answer may come after its end.
  static let stragglers = Span.milliseconds(30)
  /// After so many tries without an answer, the next comes after a rest.
  static let silences = 4
  /// The first rest after a try that led nowhere; it doubles up to 2^5 times that, and up to 2^2 where
  /// there was no answer.
  static let rest = Span.milliseconds(150)
}
