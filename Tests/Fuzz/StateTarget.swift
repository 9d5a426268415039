import Foundation
import MeshCRDT
import MeshCrypto
import MeshTransport

@testable import PresenceMesh

/// The files of a state directory: their text, and what a node takes from them.
///
/// A damaged file is an error, and stays as it is; what is taken is written and read again.
enum StateTarget {
  private static let kinds = ["identity", "mesh", "durable", "addresses", "decrees", "tickets"]
  /// A directory of this process, in memory where the system has such.
  private static let path: String = {
    let base = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
    let path = "\(base)/presence-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
    atexit { try? FileManager.default.removeItem(atPath: StateTarget.path) }
    return path
  }()

  static func test(_ input: [UInt8]) {
    guard let form = input.first else { return }
    let kind = kinds[Int(form & 3) + (form & 16 == 0 || form & 3 > 1 ? 0 : 4)]
    let bytes = Array(input.dropFirst())
    // As it is, or with a right first and last line.
    let content =
      form & 4 == 0
      ? SecretBytes(bytes)
      : StateText.encoded(
        kind: kind, lines: [[.text(String(decoding: bytes, as: UTF8.self))]])
    if form & 8 == 0 { testText(content, kind: kind) } else { testFile(content, kind: kind) }
  }

  private static func testText(_ content: SecretBytes, kind: String) {
    guard let text = try? StateText(content: content, kind: kind, path: "fuzz") else { return }
    for line in 0...text.lineCount {
      for count in 0...2 {
        for name in ["seed", "origin", "mesh", "key", "incarnation", "generation", "address"] {
          for value in text.values(ofLine: line, name: name, count: count) ?? [] {
            if let number = text.number(value) {
              check("\(number)" == text.text(value), "a number of another form")
            }
            if let secret = text.secret(value, count: 32) {
              check(hexadecimal(secret.exposed()) == text.text(value), "a secret of another form")
            }
            _ = text.secret(value, count: 0)
          }
        }
      }
    }
  }

  private static func testFile(_ content: SecretBytes, kind: String) {
    let url = URL(filePath: path)
    let file = url.appending(path: kind)
    do {
      try? FileManager.default.removeItem(at: url)
      try FileManager.default.createDirectory(
        at: url, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
      let isMade = FileManager.default.createFile(
        atPath: file.path, contents: Data(content.exposed()),
        attributes: [.posixPermissions: 0o600])
      check(isMade, "no file")
    } catch {
      return check(false, "no directory: \(error)")
    }
    guard let state = try? StateDirectory(path: path) else {
      return check(false, "the directory does not open")
    }
    let isTaken: Bool
    switch kind {
    case "identity":
      // An identity without a durable state is an error; so is a damaged one.
      isTaken = (try? state.identity()) != nil
      check((try? state.beginLife()) == nil || isTaken, "a life without an identity")
    case "mesh":
      let mesh = try? state.mesh()
      isTaken = mesh != nil
      if let mesh {
        check((try? state.store(mesh)) != nil, "the mesh cannot be kept")
        guard let again = try? state.mesh() else { return check(false, "the mesh is lost") }
        check(again.mesh == mesh.mesh, "another mesh")
        check(
          again.epochs == mesh.epochs && again.membership == mesh.membership, "another membership")
      }
    case "durable":
      let life = try? state.beginLife()
      isTaken = life != nil
      if let life {
        let next = try? state.beginLife()
        check(
          next.map { $0.incarnationCounter == life.incarnationCounter + 1 } ?? true, "a life twice")
      }
    case "decrees":
      let decrees = try? state.decrees()
      isTaken = decrees != nil
      if let decrees { check((try? state.store(decrees)) != nil, "the decrees cannot be kept") }
    case "tickets": isTaken = (try? state.tickets()) != nil
    default:
      let (addresses, warning) = state.rememberedAddresses()
      check(addresses.count <= StateDirectory.addressBound, "more addresses than there may be")
      if warning == nil { check((try? state.remember(addresses)) != nil, "not remembered") }
      return
    }
    if !isTaken {
      let now = try? Data(contentsOf: file)
      check(now == Data(content.exposed()), "a damaged file was changed")
    }
  }
}

extension SecretBytes {
  /// A copy outside of guarded memory: here nothing is secret.
  fileprivate func exposed() -> [UInt8] {
    withBytes { Array(UnsafeBufferPointer(start: $0, count: count)) }
  }
}
