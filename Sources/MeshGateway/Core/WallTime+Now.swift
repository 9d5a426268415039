import Foundation
import PresenceMesh

extension WallTime {
  /// The time by the system's clock.
  static var now: WallTime {
    WallTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
  }
}
