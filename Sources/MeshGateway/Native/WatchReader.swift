import NIOCore
import PresenceMesh

/// Tells of one user's coming and going.
final class WatchReader {
  private let core: GatewayCore
  private var reader: Task<Void, Never>?

  init(user: String, core: GatewayCore, tell: @escaping (ByteBuffer) -> Void) {
    self.core = core
    core.watchCount += 1
    let events = core.mesh.watch(user: user)
    let tell = core.hop { (seen: User?) in tell(NativeWords.watch(user, seen)) }
    reader = Task {
      var told: [String?]?
      var snapshot: PresenceSnapshot?
      for await event in events {
        if case .snapshot(let first) = event {
          snapshot = first
        } else {
          snapshot?.apply(event)
        }
        let seen = snapshot?.user(user)
        let words = [
          "\(seen?.isOnline ?? false)", "\(seen?.devices ?? 0)", seen?.status.name,
        ]
        guard told != words else { continue }
        told = words
        tell(seen)
      }
    }
  }

  deinit { reader?.cancel() }

  /// Ends it; must be called.
  func stop() {
    guard let reader else { return }
    self.reader = nil
    core.watchCount -= 1
    reader.cancel()
  }
}
