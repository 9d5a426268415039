import Foundation

#if os(Linux)
  /// Libraries that change what a process finds of its system, compiled from the C files beside this.
  enum Preload {
    static let interruptWrites = library("interrupt-writes")
    static let oldSodium = library("old-sodium")

    /// The compiled library; `nil` where there is no C compiler.
    private static func library(_ name: String) -> String? {
      let source = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "\(name).c").path
      let result = FileManager.default.temporaryDirectory
        .appending(path: "\(name)-\(UUID().uuidString).so").path
      for compiler in ["cc", "clang", "gcc"] {
        let command = ["/usr/bin/env", compiler, "-shared", "-fPIC", "-o", result, source, "-ldl"]
        if Tool.succeeds(command) { return result }
      }
      return nil
    }
  }
#endif
