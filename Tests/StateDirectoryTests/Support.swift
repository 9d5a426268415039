import Foundation
import MeshCrypto
import Testing

@testable import PresenceMesh

/// A folder for one test, removed with the object.
final class Scratch {
  let path: String

  init() {
    path =
      FileManager.default.temporaryDirectory
      .appending(path: "presence-mesh-test-\(UUID().uuidString)").path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in the folder.
  func file(_ name: String) -> String { path + "/" + name }

  func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: file(name))))
  }

  /// Writes a file with the mode of a state file.
  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(filePath: file(name)))
    try setMode(0o600, of: name)
  }

  /// The permissions of a file; of the folder for an empty name.
  func mode(of name: String = "") throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(
      atPath: name.isEmpty ? path : file(name))
    return try #require((attributes[.posixPermissions] as? NSNumber)?.intValue)
  }

  func setMode(_ mode: Int, of name: String = "") throws {
    try FileManager.default.setAttributes(
      [.posixPermissions: NSNumber(value: mode)], ofItemAtPath: name.isEmpty ? path : file(name))
  }

  func names() throws -> Set<String> {
    Set(try FileManager.default.contentsOfDirectory(atPath: path))
  }
}

/// The error that a call throws.
func stateError(_ body: () throws(StateError) -> Void) -> StateError? {
  do throws(StateError) {
    try body()
    return nil
  } catch {
    return error
  }
}

extension SecretBytes {
  /// A copy outside of guarded memory.
  func exposed() -> [UInt8] {
    withBytes { Array(UnsafeBufferPointer(start: $0, count: count)) }
  }
}
