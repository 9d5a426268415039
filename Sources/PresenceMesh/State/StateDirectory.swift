import Foundation
import MeshCRDT
package import MeshCrypto
package import MeshEngine
import MeshTransport
import MeshTrust
import Synchronization

/// What a node keeps between its lives, in a directory that belongs to its user alone.
///
/// | file | holds | when it is gone |
/// |---|---|---|
/// | `identity` | the seed of the node's key | this is a new node |
/// | `durable` | counter of the incarnation | an error while there is an identity |
/// | `mesh` | id of the mesh and keys of its epochs; of a closed mesh the certificate | no mesh is known |
/// | `authority` | the seed of the authority's key, on the node that made the mesh | this node lets nobody in |
/// | `decrees` | what is known to be revoked | others tell it again |
/// | `tickets` | the tickets that this node issued, without secrets | they hold, and are not listed |
/// | `addresses` | addresses of other nodes | they are found again |
/// | `lock` | the id of the process that uses the directory | – |
///
/// The directory has mode 0700, its files 0600; wider ones are refused. One process at a time has
/// it, as long as this object lives. What is damaged is an error that names the file, and is never
/// replaced; only the addresses, a mere hint, are put aside with a warning.
package final class StateDirectory: Sendable {
  /// The most addresses that are remembered.
  package static let addressBound = 64

  private let folder: StateFolder
  /// What was stored last. Also keeps writers, of any file, from one another.
  let stored = Mutex<DurableState?>(nil)

  /// Where the directory is.
  package var path: String { folder.path }

  /// Opens a directory and locks it. A missing one is made: that is a new node.
  package init(path: String) throws(StateError) {
    folder = try StateFolder(path: path)
  }

  /// The directory of a node that was not given another: `PRESENCE_STATE`, else `presence-mesh` in
  /// `XDG_STATE_HOME`, else `.local/state/presence-mesh` in `HOME`.
  package static func defaultPath(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(StateError) -> String {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    if let path = value("PRESENCE_STATE") { return path }
    // The base directory specification says that a relative path is to be passed over.
    if let base = value("XDG_STATE_HOME"), base.hasPrefix("/") { return base + "/presence-mesh" }
    guard let home = value("HOME") else { throw .noDefaultPath }
    return home + "/.local/state/presence-mesh"
  }

  enum File: String {
    case identity, mesh, durable, addresses, authority, decrees, tickets

    /// A file that is longer is not read.
    var byteBound: Int {
      switch self {
      case .decrees: 8 << 20
      // As many tickets as there may be, each with as many and as long user ids.
      case .tickets: 1 << 20
      default: StateText.byteBound
      }
    }
  }

  func path(_ file: File) -> String { folder.path(of: file.rawValue) }

  /// The text of a file; `nil` when there is none.
  func text(_ file: File) throws(StateError) -> StateText? {
    guard let content = try folder.read(file.rawValue, bound: file.byteBound) else { return nil }
    return try StateText(content: content, kind: file.rawValue, path: path(file))
  }

  func write(_ file: File, _ lines: [[StateText.Value]]) throws(StateError) {
    try folder.write(
      StateText.encoded(kind: file.rawValue, lines: lines), to: file.rawValue)
  }

  /// Throws the error of a line that is not what it should be.
  func malformed(_ file: File, line: Int, expected: String) -> StateError {
    .damaged(
      path: path(file),
      .malformedLine(number: StateText.number(ofLine: line), expected: expected))
  }
}

// MARK: - Identity and lives

extension StateDirectory {
  /// The key of the node, made and kept when there was none.
  package func identity() throws(StateError) -> NodeKey {
    if let key = try key(.identity) { return key }
    // The durable state comes first: an identity without it is an error.
    if !folder.has(File.durable.rawValue) {
      try writeDurable(DurableState(incarnationCounter: 0))
    }
    let key = NodeKey.random()
    try write(key, to: .identity)
    return key
  }

  /// A key with its public half, as ``write(_:to:)`` keeps it.
  func key(_ file: File) throws(StateError) -> NodeKey? {
    guard let text = try text(file) else { return nil }
    guard let value = text.values(ofLine: 0, name: "seed", count: 1),
      let seed = text.secret(value[0], count: NodeKey.seedBytes)
    else { throw malformed(file, line: 0, expected: "a seed of 64 hexadecimal digits") }
    let key = NodeKey(seed: seed)
    guard let origin = text.values(ofLine: 1, name: "origin", count: 1),
      text.text(origin[0]) == "\(key.origin)", text.lineCount == 2
    else { throw malformed(file, line: 1, expected: "the id that belongs to the seed") }
    return key
  }

  func write(_ key: NodeKey, to file: File) throws(StateError) {
    try write(
      file, [[.text("seed"), .secret(key.seed)], [.text("origin"), .text("\(key.origin)")]])
  }

  /// Begins a life of the node: the counter of its incarnation is one above the last, and on the disk
  /// when this returns.
  package func beginLife() throws(StateError) -> DurableState {
    var state = try durable()
    guard state.incarnationCounter + 1 < Limits.incarnationBound else {
      throw .incarnationsExhausted(path: path(.durable))
    }
    state.incarnationCounter += 1
    try writeDurable(state)
    return state
  }

  /// Keeps what must survive a restart. What is older than what was kept in this process changes
  /// nothing. Takes as long as the disk does.
  package func store(_ state: DurableState) throws(StateError) {
    try writeDurable(state)
  }

  private func durable() throws(StateError) -> DurableState {
    guard let text = try text(.durable) else {
      if folder.has(File.identity.rawValue) {
        throw .missing(path: path(.durable), besides: path(.identity))
      }
      return DurableState(incarnationCounter: 0)
    }
    if let value = text.values(ofLine: 0, name: "incarnation", count: 1) {
      guard let counter = text.number(value[0]), counter < Limits.incarnationBound,
        text.lineCount == 1
      else { throw malformed(.durable, line: 0, expected: "an incarnation below 2^32, alone") }
      return DurableState(incarnationCounter: counter)
    }
    // A node of version 1 of the protocol kept two lines: its lives go on.
    guard let value = text.values(ofLine: 0, name: "generation", count: 1),
      let generation = text.number(value[0]), generation < Limits.incarnationBound
    else { throw malformed(.durable, line: 0, expected: "a generation below 2^32") }
    guard let value = text.values(ofLine: 1, name: "lamport", count: 1),
      let ceiling = text.number(value[0]), ceiling < Limits.counterBound, text.lineCount == 2
    else { throw malformed(.durable, line: 1, expected: "a Lamport counter below 2^48") }
    return DurableState(incarnationCounter: generation)
  }

  private func writeDurable(_ state: DurableState) throws(StateError) {
    try stored.withLock { last throws(StateError) in
      if let last, state.incarnationCounter <= last.incarnationCounter { return }
      try write(.durable, [[.text("incarnation"), .text("\(state.incarnationCounter)")]])
      last = state
    }
  }
}

// MARK: - Addresses

extension StateDirectory {
  /// The addresses that were remembered. They are a hint: where they cannot be read, there are
  /// none, and the warning says why. A file that is damaged or of
  /// an unknown version is put aside as `addresses.damaged`.
  package func rememberedAddresses() -> (addresses: [PeerAddress], warning: StateError?) {
    do throws(StateError) {
      return (try storedAddresses(), nil)
    } catch {
      switch error {
      case .damaged, .unknownVersion:
        try? folder.rename(File.addresses.rawValue, to: "addresses.damaged")
      default: break
      }
      return ([], error)
    }
  }

  private func storedAddresses() throws(StateError) -> [PeerAddress] {
    guard let text = try text(.addresses) else { return [] }
    var addresses: [PeerAddress] = []
    for line in 0..<min(text.lineCount, Self.addressBound) {
      guard let value = text.values(ofLine: line, name: "address", count: 1),
        let address = try? PeerAddress(parsing: text.text(value[0]))
      else { throw malformed(.addresses, line: line, expected: "an address and a port") }
      addresses.append(address)
    }
    return addresses
  }

  /// Remembers addresses, the first ``addressBound`` of them, in the place of those before.
  /// Link-local IPv6 addresses mean nothing after a restart and are left out.
  package func remember(_ addresses: [PeerAddress]) throws(StateError) {
    let lines = addresses.filter { $0.zone == 0 && $0.port > 0 }.prefix(Self.addressBound)
      .map { [StateText.Value.text("address"), .text("\($0)")] }
    try stored.withLock { _ throws(StateError) in try write(.addresses, Array(lines)) }
  }
}
