import Foundation
import PresenceMesh

/// What can be wrong with a state directory.
enum StateChecks {
  static func all(_ directory: String, isRunning: Bool) -> [Check] {
    var status = stat()
    guard stat(directory, &status) == 0 else {
      guard errno == ENOENT else {
        return [
          Check(
            "state directory", .fail, "\(directory): \(SystemError.message())",
            advice: "name another with --state")
        ]
      }
      return [
        Check(
          "state directory", .ok, "\(directory) is not there yet", advice: "`presence up` makes it")
      ]
    }
    let permissions = permissions(directory, status)
    guard permissions.allSatisfy({ $0.result == .ok }) else { return permissions }
    return permissions + [isRunning ? running(directory) : content(directory)]
  }

  /// The directory and its files belong to this user alone.
  private static func permissions(_ directory: String, _ status: stat) -> [Check] {
    func check(_ path: String, _ status: stat, allowed: mode_t) -> Check? {
      let mode = status.st_mode & 0o777
      if status.st_uid != geteuid() {
        return Check(
          "permissions", .fail, "\(path) belongs to user \(status.st_uid)",
          advice: "run as its owner, or name another directory with --state")
      }
      guard mode & ~allowed != 0 else { return nil }
      let (now, right) = (String(mode, radix: 8), String(allowed, radix: 8))
      return Check(
        "permissions", .fail, "\(path) is open to others (mode 0\(now)), and holds secrets",
        advice: "run chmod 0\(right) on it")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      return [
        Check(
          "state directory", .fail, "\(directory) is no directory",
          advice: "name another with --state")
      ]
    }
    var found = [check(directory, status, allowed: 0o700)].compactMap { $0 }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    for name in names.sorted() {
      var status = stat()
      let path = directory + "/" + name
      guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFLNK else { continue }
      found += [check(path, status, allowed: 0o700)].compactMap { $0 }
    }
    if !found.isEmpty { return found }
    return [Check("state directory", .ok, "\(directory), for its owner alone")]
  }

  private static func running(_ directory: String) -> Check {
    Check("node", .ok, "is running and answers")
  }

  /// No node answers: whether one could start.
  private static func content(_ directory: String) -> Check {
    do {
      let state = try StateDirectory(path: directory)
      let hasIdentity = access(directory + "/identity", F_OK) == 0
      if hasIdentity { _ = try state.identity() }
      guard try state.mesh() != nil else {
        return Check(
          "node", .warn, "no mesh is known",
          advice: "`presence up` makes one, `presence mesh join` takes one from an invite")
      }
      let leftover =
        ControlSocket.exists(state: directory) ? "; a killed one left its socket behind" : ""
      return Check(
        "node", .warn, "no node is running" + leftover, advice: "`presence up` starts one")
    } catch StateError.locked(_, let process) {
      return Check(
        "node", .fail,
        "process \(process.map(String.init) ?? "?") has the directory, and does not answer",
        advice: "it may be paused (continue it), starting (wait), or hung (end it)")
    } catch {
      return Check("node", .fail, "\(error)")
    }
  }
}

/// The cryptographic library.
enum CryptoChecks {
  static func library() -> Check {
    typealias Version = @convention(c) () -> UnsafePointer<CChar>?
    #if canImport(Darwin)
      let everywhere = UnsafeMutableRawPointer(bitPattern: -2)
    #else
      let everywhere: UnsafeMutableRawPointer? = nil
    #endif
    guard let symbol = dlsym(everywhere, "sodium_version_string"),
      let text = unsafeBitCast(symbol, to: Version.self)()
    else { return Check("libsodium", .ok, "is part of this program") }
    let version = String(cString: text)
    let isKnown = version.compare("1.0.18", options: .numeric) != .orderedAscending
    return Check(
      "libsodium", isKnown ? .ok : .warn, "version \(version)",
      advice: isKnown ? nil : "1.0.18 or later is what this was tested with")
  }
}
