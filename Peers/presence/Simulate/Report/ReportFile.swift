import Foundation

/// The file that a report goes to.
///
/// Whether it can be written is found out before anything is simulated. A file that is not a report
/// of ours is never replaced.
struct ReportFile {
  /// Stands at the beginning of every report, and makes known that it may be replaced.
  static let mark = "<!-- A report of presence simulate. -->"
  static let name = "index.html"

  let path: String

  /// Makes the directory if there is none.
  /// - Throws: ``CommandFailure`` when the file could not be written, or belongs to somebody else.
  init(directory: String) throws {
    let files = FileManager.default
    do {
      try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw Self.failure("cannot make the directory \(directory)", error)
    }
    var isDirectory: ObjCBool = false
    guard files.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue,
      access(directory, W_OK | X_OK) == 0
    else {
      throw CommandFailure(
        "cannot write into \(directory): name a directory of your own with --report")
    }
    path = URL(filePath: directory).appending(path: Self.name).relativePath
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CommandFailure(
        "\(path) is not a plain file: move it away, or name another directory with --report")
    }
    let head = FileHandle(forReadingAtPath: path)?.readData(ofLength: 256) ?? Data()
    guard String(decoding: head, as: UTF8.self).contains(Self.mark) else {
      throw CommandFailure(
        "\(path) is there and is not a report of presence simulate: move it away, or name another "
          + "directory with --report")
    }
  }

  /// Puts the page in the place of the one that was there, at once.
  func write(_ page: String) throws {
    do {
      try Data(page.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw Self.failure("cannot write \(path)", error)
    }
  }

  private static func failure(_ what: String, _ error: any Error) -> CommandFailure {
    let reason = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    let words = reason.map { SystemError.message(Int32($0.code)) } ?? error.localizedDescription
    return CommandFailure(
      "\(what): \(words): name a directory of your own with --report, or make room")
  }
}
