import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust
import MeshWire
import Synchronization

/// Everything that a node needs before it opens its sockets.
struct Preparation: Sendable {
  let node: NodeKey
  let credentials: MeshCredentials
  /// `nil`: this node lets nobody in.
  let issuer: Issuer?
  let decrees: [Decree]
  let tickets: [Ticket]
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
    let node = try stateful { () throws(StateError) in try directory?.identity() ?? .random() }
    let now = WallClock.now
    let chosen: MeshCredentials
    var (warning, authority, first): (String?, NodeKey?, [Decree]) = (nil, nil, [])
    switch (configuration.membership.kind, known) {
    case (.storedOrNew, let known?), (.stored, let known?): chosen = known
    case (.stored, nil): throw .noMesh(stateDirectory: directory?.path ?? "a node in memory")
    // A directory that has a mesh refuses to store another.
    case (.new(isOpen: true), _), (.storedOrNew(isOpen: true), nil): chosen = .random()
    case (.new, _), (.storedOrNew, nil):
      // One that a start left which went no further is used.
      let left = try stateful { () throws(StateError) in
        known == nil ? try directory?.authority() : nil
      }
      let key = left ?? .random()
      let made = MeshCredentials.closed(by: key, node: node.origin, at: now)
      (chosen, authority, first) = (made.credentials, key, [made.decree])
    case (.invite, _):
      guard let invite else { throw .invalidInvite(reason: "there is none") }
      (chosen, warning) = try Self.credentials(invite, known: known, node: node, at: now)
    }
    // A certificate that nobody believes now.
    if let reason = chosen.membership.flatMap({ Expulsion($0, at: now) }) {
      throw .expelled(reason)
    }
    let remembered = directory?.rememberedAddresses()
    let (newAuthority, newDecrees) = (authority, first)
    let stored = try stateful { () throws(StateError) in
      guard let directory else {
        return (DurableState(incarnationCounter: 1), newAuthority, newDecrees, [Ticket]())
      }
      if known == nil, let newAuthority {
        try directory.store(authority: newAuthority)
        try directory.store(newDecrees)
      }
      try directory.store(chosen)
      return (
        try directory.beginLife(), try directory.authority(), try directory.decrees(),
        try directory.tickets()
      )
    }
    (life, authority, decrees, tickets) = stored
    self.node = node
    self.directory = directory
    credentials = chosen
    issuer = Issuer(chosen, node: node, authority: authority)
    isNewMesh = known == nil && invite == nil
    addresses = (invite?.addresses ?? []) + (remembered?.addresses ?? [])
    warnings = [remembered?.warning.map { "\($0)" }, warning].compactMap { $0 }
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

  /// The membership that an invite gives, and a warning when it gives nothing to a mesh that is known. An
  /// invite that stands in a script since the first start must not keep a node from starting.
  private static func credentials(
    _ invite: Invite, known: MeshCredentials?, node: NodeKey, at now: WallTime
  ) throws(PresenceError) -> (MeshCredentials, warning: String?) {
    do throws(InviteError) {
      guard var credentials = known, credentials.mesh == invite.mesh else {
        // A directory that has another mesh refuses to store this one.
        return (try MeshCredentials(invite, node: node.origin, at: now), nil)
      }
      switch try credentials.learn(from: invite, node: node.origin, at: now) {
      case .nothing, .newerKey, .newerCertificate: return (credentials, nil)
      case .olderKey(let epoch, let newest):
        return (
          credentials,
          "the invite is of epoch \(epoch), and the mesh has a key of epoch \(newest), which is used"
        )
      case .olderTicket:
        return (credentials, "the invite is older than the certificate of this node, which is used")
      }
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

/// What a node holds of its mesh, in memory and in the state directory: that until the mesh is left, so that
/// its lock ends then.
final class StateKeeper: Sendable {
  private struct State {
    var directory: StateDirectory?
    var credentials: MeshCredentials
    var tickets: [Ticket]
  }

  private let state: Mutex<State>

  init(_ preparation: Preparation) {
    state = Mutex(
      State(
        directory: preparation.directory, credentials: preparation.credentials,
        tickets: preparation.tickets))
  }

  var credentials: MeshCredentials { state.withLock(\.credentials) }
  var tickets: [Ticket] { state.withLock(\.tickets) }

  /// Keeps what must survive a restart. Returns what went wrong, if anything did.
  ///
  /// It is called on the event loop and waits for the disk: what is reserved here must be on the
  /// disk before anything is sent that uses it. It is rare: a start, and each 65,536th write.
  func store(_ state: DurableState) -> StateError? {
    withDirectory { directory throws(StateError) in try directory.store(state) }
  }

  /// Keeps what is known of the membership, or the keys of the mesh.
  func store(_ kept: MeshDriver.Kept) -> StateError? {
    switch kept {
    case .decrees(let decrees):
      return withDirectory { directory throws(StateError) in try directory.store(decrees) }
    case .keys(let keyring):
      let credentials = state.withLock { state in
        state.credentials.keyring = keyring
        return state.credentials
      }
      return withDirectory { directory throws(StateError) in try directory.store(credentials) }
    }
  }

  /// Notes a ticket that was issued.
  func note(_ ticket: Ticket) -> StateError? {
    state.withLock { $0.tickets = $0.tickets.suffix(StateDirectory.ticketBound - 1) + [ticket] }
    return withDirectory { directory throws(StateError) in try directory.note(ticket) }
  }

  /// Remembers addresses for the next start.
  func remember(_ addresses: [PeerAddress]) -> StateError? {
    withDirectory { directory throws(StateError) in try directory.remember(addresses) }
  }

  /// Lets go of the directory, so that another life can begin.
  func release() { state.withLock { $0.directory = nil } }

  private func withDirectory(
    _ body: (StateDirectory) throws(StateError) -> Void
  ) -> StateError? {
    guard let directory = state.withLock(\.directory) else { return nil }
    do throws(StateError) {
      try body(directory)
      return nil
    } catch {
      return error
    }
  }
}
