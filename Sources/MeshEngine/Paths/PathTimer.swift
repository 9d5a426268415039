/// What the parts of the paths do by time.
enum PathTimer: Hashable, Sendable {
  /// A path may have been silent too long.
  case silence(PeerAddress)
  /// An address without a path is tried again.
  case contact(PeerAddress)
  case announce
}
