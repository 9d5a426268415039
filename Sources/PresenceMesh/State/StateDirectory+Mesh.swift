import MeshCRDT
package import MeshCrypto
import MeshEngine
import MeshTrust
package import MeshWire
import Synchronization

// The mesh that a node belongs to, and what it knows of the membership.

extension StateDirectory {
  /// The mesh that this node belongs to, if one is known.
  package func mesh() throws(StateError) -> MeshCredentials? {
    guard let text = try text(.mesh) else { return nil }
    guard let value = text.values(ofLine: 0, name: "mesh", count: 1),
      let id = bytes(fromHexadecimal: text.text(value[0])), let mesh = MeshID(bytes: id)
    else { throw malformed(.mesh, line: 0, expected: "a mesh id of 32 hexadecimal digits") }
    var line = 1
    let membership = try membership(in: text, &line)
    var keyring = MeshKeyring()
    while membership != nil, let values = text.values(ofLine: line, name: "retired", count: 2) {
      guard let epoch = text.number(values[0]).flatMap({ UInt32(exactly: $0) }),
        let seed = text.secret(values[1], count: MeshKeyring.keyBytes)
      else { throw malformed(.mesh, line: line, expected: "an epoch and a seed") }
      keyring.addRetired(epoch: epoch, seed: seed)
      line += 1
    }
    if membership != nil, line == text.lineCount {
      // The node has not been admitted yet.
      return MeshCredentials(mesh: mesh, keyring: keyring, membership: membership)
    }
    let first = line
    var lastEpoch: UInt64 = 0
    repeat {
      guard let values = text.values(ofLine: line, name: "key", count: 2),
        let epoch = text.number(values[0]), epoch <= UInt32.max, line == first || epoch > lastEpoch,
        let key = text.secret(values[1], count: MeshKeyring.keyBytes),
        line - first < MeshKeyring.bound
      else {
        throw malformed(
          .mesh, line: line,
          expected: "a rising epoch and a key of 64 hexadecimal digits (at most 4 such lines)")
      }
      lastEpoch = epoch
      keyring.add(epoch: UInt32(truncatingIfNeeded: epoch), key: key)
      line += 1
    } while line < text.lineCount
    return MeshCredentials(mesh: mesh, keyring: keyring, membership: membership)
  }

  /// What stands there of a closed mesh; `nil`: the mesh is open.
  private func membership(
    in text: StateText, _ line: inout Int
  ) throws(StateError) -> ClosedMembership? {
    guard let value = text.values(ofLine: line, name: "authority", count: 1) else { return nil }
    guard let authority = OriginID(text.text(value[0])) else {
      throw malformed(.mesh, line: line, expected: "the id of an authority")
    }
    line += 1
    guard let value = text.values(ofLine: line, name: "certificate", count: 1),
      let certificate = text.wire(
        value[0],
        { (reader) throws(WireError) in
          try Certificate(from: &reader)
        })
    else { throw malformed(.mesh, line: line, expected: "a certificate") }
    line += 1
    var membership = ClosedMembership(authority: authority, certificate: certificate)
    guard let values = text.values(ofLine: line, name: "admission", count: 2) else {
      return membership
    }
    guard let epoch = text.number(values[0]).flatMap({ UInt32(exactly: $0) }),
      let key = bytes(fromHexadecimal: text.text(values[1])), key.count == MeshKeyring.keyBytes
    else { throw malformed(.mesh, line: line, expected: "an epoch and an admission key") }
    membership.admission = AdmissionTarget(epoch: epoch, key: key)
    line += 1
    return membership
  }

  /// Keeps the mesh that this node belongs to.
  /// - Throws: `otherMesh` when another one is kept: it is not replaced.
  package func store(_ credentials: MeshCredentials) throws(StateError) {
    try stored.withLock { _ throws(StateError) in
      if let known = try mesh(), known.mesh != credentials.mesh {
        throw .otherMesh(path: path(.mesh))
      }
      var lines: [[StateText.Value]] = [
        [.text("mesh"), .text(hexadecimal(credentials.mesh.bytes))]
      ]
      if let membership = credentials.membership {
        lines.append([.text("authority"), .text("\(membership.authority)")])
        lines.append([
          .text("certificate"), .text(hexadecimal(membership.certificate.encoded())),
        ])
        if let target = membership.admission {
          lines.append([
            .text("admission"), .text("\(target.epoch)"), .text(hexadecimal(target.key)),
          ])
        }
      }
      lines += credentials.keyring.retired.map { epoch, seed in
        [.text("retired"), .text("\(epoch)"), .secret(seed)]
      }
      lines += credentials.keyring.keys.map { epoch, key in
        [.text("key"), .text("\(epoch)"), .secret(key)]
      }
      try write(.mesh, lines)
    }
  }
}

// MARK: - Authority, decrees, tickets

extension StateDirectory {
  /// The most tickets that are listed.
  package static let ticketBound = 128

  /// The key of the mesh's authority, if it is kept here.
  package func authority() throws(StateError) -> NodeKey? { try key(.authority) }

  /// Keeps the key of the mesh's authority. It is never replaced by another one.
  package func store(authority: NodeKey) throws(StateError) {
    try stored.withLock { _ throws(StateError) in
      if let known = try self.authority(), known.origin != authority.origin {
        throw .otherMesh(path: path(.authority))
      }
      try write(authority, to: .authority)
    }
  }

  /// What was known of the membership.
  package func decrees() throws(StateError) -> [Decree] {
    try list(.decrees, name: "decree") { (reader) throws(WireError) in try Decree(from: &reader) }
  }

  /// Keeps what is known of the membership, in the place of what was kept before.
  package func store(_ decrees: [Decree]) throws(StateError) {
    try stored.withLock { _ throws(StateError) in
      try write(.decrees, decrees.map { [.text("decree"), .text(hexadecimal($0.encoded()))] })
    }
  }

  /// The tickets that were issued here and are not long gone, in the order of their issue.
  package func tickets() throws(StateError) -> [Ticket] {
    try list(.tickets, name: "ticket") { (reader) throws(WireError) in
      let ticket = try Ticket(from: &reader)
      try reader.finish()
      return ticket
    }
  }

  /// Notes a ticket that was issued here. The oldest goes where there are ``ticketBound``.
  package func note(_ ticket: Ticket) throws(StateError) {
    try stored.withLock { _ throws(StateError) in
      let all = try tickets().suffix(Self.ticketBound - 1) + [ticket]
      try write(
        .tickets,
        all.map { ticket in
          var writer = ByteWriter()
          ticket.write(to: &writer)
          return [.text("ticket"), .text(hexadecimal(writer.take()))]
        })
    }
  }

  private func list<Value>(
    _ file: File, name: String, _ read: (inout ByteReader) throws(WireError) -> Value
  ) throws(StateError) -> [Value] {
    guard let text = try text(file) else { return [] }
    var values: [Value] = []
    for line in 0..<text.lineCount {
      guard let value = text.values(ofLine: line, name: name, count: 1),
        let read = text.wire(value[0], read)
      else { throw malformed(file, line: line, expected: "a \(name) in hexadecimal digits") }
      values.append(read)
    }
    return values
  }
}

extension StateText {
  /// A value that is encoded as on the wire, in hexadecimal digits; `nil`: it is none.
  fileprivate func wire<Value>(
    _ range: Range<Int>, _ read: (inout ByteReader) throws(WireError) -> Value
  ) -> Value? {
    guard let bytes = bytes(fromHexadecimal: text(range)) else { return nil }
    var reader = ByteReader(bytes)
    return try? read(&reader)
  }
}
