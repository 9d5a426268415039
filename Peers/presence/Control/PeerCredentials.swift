import Foundation
import NIOCore

/// Who is at the other end of a connection on this machine, as the system says.
struct PeerCredentials: Sendable {
  let user: uid_t
  /// Its process, where the system tells.
  let process: pid_t?

  #if canImport(Darwin)
    private static let level = SocketOptionLevel(0)  // SOL_LOCAL
    private static let option = SocketOptionName(LOCAL_PEERCRED)
    private typealias Answer = xucred
  #else
    private static let level = SocketOptionLevel(SOL_SOCKET)
    private static let option = SocketOptionName(SO_PEERCRED)
    /// `struct ucred`, which some headers hide.
    private struct Answer: Sendable {
      var process: pid_t
      var user: uid_t
      var group: gid_t
    }
  #endif

  /// Asks the system.
  /// - Throws: When it does not know.
  init(of channel: any Channel) async throws {
    guard let options = channel as? any SocketOptionProvider else {
      throw CommandFailure("the system does not tell who is at the other end")
    }
    let answer: Answer = try await options.unsafeGetSocketOption(
      level: Self.level, name: Self.option
    ).get()
    #if canImport(Darwin)
      (user, process) = (answer.cr_uid, nil)
    #else
      (user, process) = (answer.user, answer.process)
    #endif
  }

  /// True for whom a node of this user obeys: the user and root.
  static func mayControl(_ user: uid_t, node: uid_t = geteuid()) -> Bool {
    user == node || user == 0
  }
}
