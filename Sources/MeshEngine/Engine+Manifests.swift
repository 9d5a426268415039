import MeshCRDT
import MeshWire

// When a node has every batch that a peer could give it and still other live records than the origin
// signed, it has missed removals. The peer lists what lives; what is not in the list is gone, if the
// rest hashes to the signed hash. A version that is gone never comes back, so a list that was read
// in parts while the origin went on writing is as good as one read at once.

extension Engine {
  mutating func beginManifest(_ slot: Int, _ room: RoomID, from address: PeerAddress) {
    guard let origin = state.origins[slot] else { return }
    let id = ShelfID(origin, room)
    let log = state.logs[slot]
    var held: [ManifestState.Held] = []
    held.reserveCapacity(Int(log.shelf(room).liveCount))
    log.forEachLive(of: room) { key, cell in
      held.append(ManifestState.Held(version: cell.version, hash: cell.hash, key: key))
    }
    held.sort { $0.version == $1.version ? $0.key < $1.key : $0.version < $1.version }
    manifests[id] = ManifestState(generation: log.generation, held: held)
    send(
      .manifestRequest(ManifestRequest(shelf: id, generation: log.generation, after: 0)),
      to: address)
  }

  /// Lists the live records of a shelf, if everything of it is here.
  mutating func answer(_ request: ManifestRequest, to address: PeerAddress) {
    let room = request.shelf.room
    guard let slot = state.slot(of: request.shelf.origin),
      state.logs[slot].generation == request.generation, state.logs[slot].shelf(room).isSettled
    else { return }
    let items = manifestItems(slot, request.shelf)
    var index = items.partitioningIndex { $0.version > request.after }
    var after = request.after
    for _ in 0..<SyncLimits.manifestParts {
      var bytes = 0
      let start = index
      while index < items.count, index - start < Manifest.bound {
        let last = index == start ? after : items[index - 1].version
        bytes += ByteWriter.varintByteCount(items[index].version - last) + 8
        guard bytes <= Manifest.itemBytes else { break }
        index += 1
      }
      let isLast = index == items.count
      let through =
        isLast ? max(state.logs[slot].shelf(room).cut.version, after) : items[index - 1].version
      send(
        .manifest(
          Manifest(
            shelf: request.shelf, generation: request.generation, after: after,
            through: through, isLast: isLast, items: Array(items[start..<index]))), to: address)
      counters.count(.manifestsSent)
      after = through
      if isLast { return }
    }
  }

  private mutating func manifestItems(_ slot: Int, _ id: ShelfID) -> [Manifest.Item] {
    let log = state.logs[slot]
    let cut = log.shelf(id.room).cut
    if let cache = manifestCache, cache.shelf == id, cache.generation == log.generation,
      cache.cut == cut
    {
      return cache.items
    }
    var items: [Manifest.Item] = []
    log.forEachLive(of: id.room) { _, cell in
      items.append(Manifest.Item(version: cell.version, hash: cell.hash))
    }
    items.sort { ($0.version, $0.hash) < ($1.version, $1.hash) }
    // An origin that signed two records of one version: a list can hold one of them only. Whoever holds
    // the other then asks for all of it again.
    items = items.enumerated().filter { index, item in
      index == 0 || items[index - 1].version != item.version
    }.map(\.element)
    manifestCache = ManifestCache(
      shelf: id, generation: log.generation, cut: cut, items: items)
    return items
  }

  /// Compares a part with what is held. Parts that come early wait for those before them.
  mutating func hear(_ part: Manifest, from address: PeerAddress) {
    let id = part.shelf
    guard var pull = pulls[id], pull.address == address, case .manifest = pull.step,
      var manifest = manifests[id], manifest.generation == part.generation,
      part.after >= manifest.through, let slot = state.slot(of: id.origin)
    else { return }
    manifest.early[part.after] = part
    var isComplete = false
    var isEndOfAnswer = false
    while !isComplete, let next = manifest.early.removeValue(forKey: manifest.through) {
      manifest.compare(next)
      isComplete = next.isLast
      isEndOfAnswer = manifest.parts.isMultiple(of: SyncLimits.manifestParts)
      if next.through == next.after { break }
    }
    if manifest.early.count > SyncLimits.manifestParts { manifest.early = [:] }
    manifests[id] = manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[id] = pull
    timers.set(.pull(id), at: pull.deadline)
    if isComplete { return apply(manifest, of: id, slot: slot) }
    if isEndOfAnswer { askForManifest(id, manifest, from: address) }
  }

  private mutating func askForManifest(
    _ id: ShelfID, _ manifest: ManifestState, from address: PeerAddress
  ) {
    let request = ManifestRequest(
      shelf: id, generation: manifest.generation, after: manifest.through)
    send(.manifestRequest(request), to: address)
  }

  /// A part of a manifest is late: asks again from where it has got to. False: it was asked often
  /// enough.
  mutating func repeatManifest(_ id: ShelfID) -> Bool {
    guard var pull = pulls[id], var manifest = manifests[id],
      manifest.repeats < SyncLimits.manifestRepeats, manifest.parts > 0
    else { return false }
    manifest.repeats += 1
    // Answers end every so many parts from here.
    manifest.parts = SyncLimits.manifestParts
    manifest.early = [:]
    manifests[id] = manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[id] = pull
    timers.set(.pull(id), at: pull.deadline)
    askForManifest(id, manifest, from: pull.address)
    return true
  }

  /// Removes what the manifest does not list, if what is left is what the origin signed.
  private mutating func apply(_ manifest: ManifestState, of id: ShelfID, slot: Int) {
    let (removed, isSettled) = state.settle(slot: slot, room: id.room, removing: manifest.dead)
    guard isSettled else { return rest(id) }
    counters.count(.manifestsApplied)
    for (key, cell) in removed {
      stores[slot].change(id.room) { $0.release(cell) }
      markDirty(key.session)
    }
    finishPull(slot, id.room)
  }
}

extension ManifestState {
  /// Compares the part that begins where the last one ended.
  fileprivate mutating func compare(_ part: Manifest) {
    var items = part.items[...]
    while compared < held.count, held[compared].version <= part.through {
      let record = held[compared]
      while let first = items.first, first.version < record.version { items.removeFirst() }
      if let first = items.first, first.version == record.version, first.hash == record.hash {
        items.removeFirst()
      } else {
        dead.append((record.key, record.version))
      }
      compared += 1
    }
    through = part.through
    parts += 1
  }
}

extension Array {
  /// The first index whose element fulfils a condition that all later ones fulfil too.
  fileprivate func partitioningIndex(where isAfter: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
