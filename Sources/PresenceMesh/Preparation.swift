import MeshCrypto
import MeshEngine
import MeshTrust
import Synchronization

/// Everything that a node needs before it opens its sockets.
struct Preparation: Sendable {
  let node: NodeKey
  let credentials: MeshCredentials
  let life: DurableState
  let directory: StateDirectory?
  let isNewMesh: Bool
  /// Addresses of an invite and remembered ones.
  let addresses: [PeerAddress]
  /// What could not be used and is done without: remembered addresses, the key of an invite.
  let warnings: [String]

  /// Reads or makes identity and mesh, and begins a life of the node. Takes as long as the disk
  /// does.
  init(_ configuration: PresenceMesh.Configuration) throws(PresenceError) {
    let invite = try Self.invite(of: configuration.membership)
    let directory = try Self.directory(of: configuration.identity)
    let known = try stateful { () throws(StateError) in try directory?.mesh() }
    let (chosen, keyWarning) = try Self.credentials(
      configuration.membership.kind, invite: invite, known: known, directory: directory)
    let remembered = directory?.rememberedAddresses()
    let (node, life) = try stateful { () throws(StateError) in
      guard let directory else {
        return (NodeKey.random(), DurableState(incarnationCounter: 1))
      }
      let node = try directory.identity()
      try directory.store(chosen)
      return (node, try directory.beginLife())
    }
    self.node = node
    self.life = life
    self.directory = directory
    credentials = chosen
    isNewMesh = known == nil && invite == nil
    addresses = (invite?.addresses ?? []) + (remembered?.addresses ?? [])
    warnings = [remembered?.warning.map { "\($0)" }, keyWarning].compactMap { $0 }
  }

  private static func invite(
    of membership: PresenceMesh.Membership
  ) throws(PresenceError) -> Invite? {
    guard case .invite(let line) = membership.kind else { return nil }
    do throws(InviteError) {
      return try Invite(line)
    } catch {
      throw .invalidInvite(reason: "\(error)")
    }
  }

  private static func directory(
    of identity: PresenceMesh.Configuration.Identity
  ) throws(PresenceError) -> StateDirectory? {
    guard case .stateDirectory(let path) = identity else { return nil }
    return try stateful { () throws(StateError) in try StateDirectory(path: path) }
  }

  /// The membership to begin with, and a warning when the key of the invite is not part of it.
  private static func credentials(
    _ kind: PresenceMesh.Membership.Kind, invite: Invite?, known: MeshCredentials?,
    directory: StateDirectory?
  ) throws(PresenceError) -> (MeshCredentials, warning: String?) {
    switch kind {
    case .invite, .new:
      guard let invite else {
        // A directory that has a mesh refuses to store another.
        return (.random(), nil)
      }
      guard let known, known.mesh == invite.mesh else { return (MeshCredentials(invite), nil) }
      return try adding(invite, to: known)
    case .stored:
      guard let known else { throw .noMesh(stateDirectory: directory?.path ?? "a node in memory") }
      return (known, nil)
    case .storedOrNew: return (known ?? .random(), nil)
    }
  }

  private static func adding(
    _ invite: Invite, to known: MeshCredentials
  ) throws(PresenceError) -> (MeshCredentials, warning: String?) {
    var credentials = known
    do throws(InviteError) {
      guard case .olderKey(let epoch, let newest) = try credentials.learn(from: invite) else {
        return (credentials, nil)
      }
      // An invite that stands in a script since the first start must not keep a node from starting.
      return (
        credentials,
        "the invite is of epoch \(epoch), and the mesh has a key of epoch \(newest), which is used"
      )
    } catch {
      throw .invalidInvite(reason: "\(error)")
    }
  }
}

/// Does something with the state directory, and tells of its errors in the words of this module.
private func stateful<Value>(
  _ body: () throws(StateError) -> Value
) throws(PresenceError) -> Value {
  do throws(StateError) {
    return try body()
  } catch {
    throw .stateDirectory(reason: "\(error)")
  }
}

/// Holds the state directory until the mesh is left, so that its lock ends then.
final class StateKeeper: Sendable {
  private let directory: Mutex<StateDirectory?>

  init(_ directory: StateDirectory?) { self.directory = Mutex(directory) }

  /// Keeps what must survive a restart. Returns what went wrong, if anything did.
  ///
  /// It is called on the event loop and waits for the disk: what is reserved here must be on the
  /// disk before anything is sent that uses it. It is rare: a start, and each 65,536th write.
  func store(_ state: DurableState) -> StateError? {
    withDirectory { directory throws(StateError) in try directory.store(state) }
  }

  /// Remembers addresses for the next start.
  func remember(_ addresses: [PeerAddress]) -> StateError? {
    withDirectory { directory throws(StateError) in try directory.remember(addresses) }
  }

  /// Lets go of the directory, so that another life can begin.
  func release() { directory.withLock { $0 = nil } }

  private func withDirectory(
    _ body: (StateDirectory) throws(StateError) -> Void
  ) -> StateError? {
    guard let directory = directory.withLock({ $0 }) else { return nil }
    do throws(StateError) {
      try body(directory)
      return nil
    } catch {
      return error
    }
  }
}
