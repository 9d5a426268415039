import CoreFoundation
import Foundation
import MeshCrypto
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
    let permissions =
      permissions(directory, status) + [above(directory), socket(directory)].compactMap(\.self)
    guard permissions.allSatisfy({ $0.result != .fail }) else { return permissions }
    return permissions + (isRunning ? [running(directory)] : content(directory))
  }

  /// No other user can put another directory in the place of this one.
  private static func above(_ directory: String) -> Check? {
    var folder = URL(filePath: ControlSocket.resolved(directory)).deletingLastPathComponent()
    while true {
      var status = stat()
      let path = folder.path(percentEncoded: false)
      let isShared = stat(path, &status) == 0 && status.st_mode & (0o002 | S_ISVTX) == 0o002
      if isShared || ![0, geteuid()].contains(status.st_uid) {
        return Check(
          "state directory", .warn, "other users can move it: they may write to \(path)",
          advice: "keep it below folders that belong to you, or to root")
      }
      guard path != "/" else { return nil }
      folder.deleteLastPathComponent()
    }
  }

  /// The control socket is one that clients take for that of the node.
  private static func socket(_ directory: String) -> Check? {
    do {
      _ = try ControlSocket.find(state: directory)
      return nil
    } catch {
      return Check(
        "control socket", .fail, "\(error)",
        advice: "find out who changed it; a node that starts again makes it anew")
    }
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
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      found += [check(path, status, allowed: isFolder ? 0o700 : 0o600)].compactMap { $0 }
    }
    if !found.isEmpty { return found }
    return [Check("state directory", .ok, "\(directory), for its owner alone")]
  }

  private static func running(_ directory: String) -> Check {
    Check("node", .ok, "is running and answers")
  }

  /// No node answers: whether one could start.
  private static func content(_ directory: String) -> [Check] {
    do {
      let state = try StateDirectory(path: directory)
      let hasIdentity = access(directory + "/identity", F_OK) == 0
      if hasIdentity { _ = try state.identity() }
      let record = try MembershipRecord(state, atMs: ClockText.nowMilliseconds)
      guard let record else {
        return [
          Check(
            "node", .warn, "no mesh is known",
            advice: "`presence up` makes one, `presence mesh join` takes one from an invite")
        ]
      }
      let leftover =
        ControlSocket.exists(state: directory) ? "; a killed one left its socket behind" : ""
      let check = Check(
        "node", .warn, "no node is running" + leftover, advice: "`presence up` starts one")
      return [check] + MembershipChecks.all(record)
    } catch StateError.locked(_, let process) {
      return [
        Check(
          "node", .fail,
          "process \(process.map(String.init) ?? "?") has the directory, and does not answer",
          advice: "it may be paused (continue it), starting (wait), or hung (end it)")
      ]
    } catch {
      return [Check("node", .fail, "\(error)")]
    }
  }
}

/// What keeps keys in the memory of a process.
enum MemoryChecks {
  static func coreDumps(_ directory: String, isRunning: Bool) -> Check {
    let advice = "keys may come to the disk, and into bug reports: start without "
    guard ProcessProtection.isWanted else {
      return Check(
        "core dumps", .warn, "\(ProcessProtection.variable) is set: a crash may write them",
        advice: advice + "it")
    }
    var own = rlimit()
    #if canImport(Darwin)
      getrlimit(RLIMIT_CORE, &own)
    #else
      getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &own)
    #endif
    guard own.rlim_cur == 0 else {
      return Check(
        "core dumps", .warn, "the system refuses to forbid them", advice: "see ulimit -c")
    }
    if isRunning, let process = holder(of: directory), mayDump(process) {
      return Check(
        "core dumps", .warn, "process \(process), the node, may leave them",
        advice: advice + ProcessProtection.variable)
    }
    return Check("core dumps", .ok, "are forbidden to processes that hold keys")
  }

  private static func holder(of directory: String) -> Int32? {
    (try? String(contentsOfFile: directory + "/lock", encoding: .utf8)).flatMap {
      Int32($0.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }

  /// True when the system says that a process may leave a core dump.
  private static func mayDump(_ process: Int32) -> Bool {
    let limits = try? String(contentsOfFile: "/proc/\(process)/limits", encoding: .utf8)
    let line = limits?.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
    return line.map { $0.split(whereSeparator: \.isWhitespace).dropFirst(4).first != "0" } ?? false
  }
}

/// The cryptographic library. One that does not fit this program is an error before this.
enum CryptoChecks {
  static func library() -> Check { Check("libsodium", .ok, "version \(Sodium.version)") }
}
