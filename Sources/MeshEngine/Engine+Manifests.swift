import MeshCRDT
import MeshWire

// When a node has every batch that a peer could give it and still other live records than the origin
// signed, it has missed removals. The peer lists what lives; what is not in the list is gone, if the
// rest hashes to the signed hash. A version that is gone never comes back, so a list that was read
// in parts while the origin went on writing is as good as one read at once.

extension Engine {
  mutating func beginManifest(_ slot: Int, from address: PeerAddress) {
    guard let origin = state.origins[slot] else { return }
    let log = state.logs[slot]
    var held: [ManifestState.Held] = []
    held.reserveCapacity(Int(log.liveCount))
    log.forEachLive { key, cell in
      held.append(ManifestState.Held(version: cell.version, hash: cell.hash, key: key))
    }
    held.sort { $0.version == $1.version ? $0.key < $1.key : $0.version < $1.version }
    manifests[origin] = ManifestState(generation: log.generation, held: held)
    send(
      .manifestRequest(ManifestRequest(origin: origin, generation: log.generation, after: 0)),
      to: address)
  }

  /// Lists the live records of an origin, if everything of it is here.
  mutating func answer(_ request: ManifestRequest, to address: PeerAddress) {
    guard let slot = state.slot(of: request.origin),
      state.logs[slot].generation == request.generation, state.logs[slot].isSettled
    else { return }
    let items = manifestItems(slot, origin: request.origin)
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
        isLast ? max(state.logs[slot].cut.version, after) : items[index - 1].version
      send(
        .manifest(
          Manifest(
            origin: request.origin, generation: request.generation, after: after,
            through: through, isLast: isLast, items: Array(items[start..<index]))), to: address)
      counters.count(.manifestsSent)
      after = through
      if isLast { return }
    }
  }

  private mutating func manifestItems(_ slot: Int, origin: OriginID) -> [Manifest.Item] {
    let log = state.logs[slot]
    if let cache = manifestCache, cache.origin == origin, cache.generation == log.generation,
      cache.cut == log.cut
    {
      return cache.items
    }
    var items: [Manifest.Item] = []
    log.forEachLive { _, cell in
      items.append(Manifest.Item(version: cell.version, hash: cell.hash))
    }
    items.sort { $0.version < $1.version }
    manifestCache = ManifestCache(
      origin: origin, generation: log.generation, cut: log.cut, items: items)
    return items
  }

  /// Compares a part with what is held. Parts that come early wait for those before them.
  mutating func hear(_ part: Manifest, from address: PeerAddress) {
    guard var pull = pulls[part.origin], pull.address == address, case .manifest = pull.step,
      var manifest = manifests[part.origin], manifest.generation == part.generation,
      part.after >= manifest.through, let slot = state.slot(of: part.origin)
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
    manifests[part.origin] = manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[part.origin] = pull
    timers.set(.pull(part.origin), at: pull.deadline)
    if isComplete { return apply(manifest, of: part.origin, slot: slot) }
    if isEndOfAnswer { askForManifest(part.origin, manifest, from: address) }
  }

  private mutating func askForManifest(
    _ origin: OriginID, _ manifest: ManifestState, from address: PeerAddress
  ) {
    let request = ManifestRequest(
      origin: origin, generation: manifest.generation, after: manifest.through)
    send(.manifestRequest(request), to: address)
  }

  /// A part of a manifest is late: asks again from where it has got to. False: it was asked often
  /// enough.
  mutating func repeatManifest(_ origin: OriginID) -> Bool {
    guard var pull = pulls[origin], var manifest = manifests[origin],
      manifest.repeats < SyncLimits.manifestRepeats, manifest.parts > 0
    else { return false }
    manifest.repeats += 1
    // Answers end every so many parts from here.
    manifest.parts = SyncLimits.manifestParts
    manifest.early = [:]
    manifests[origin] = manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[origin] = pull
    timers.set(.pull(origin), at: pull.deadline)
    askForManifest(origin, manifest, from: pull.address)
    return true
  }

  /// Removes what the manifest does not list, if what is left is what the origin signed.
  private mutating func apply(_ manifest: ManifestState, of origin: OriginID, slot: Int) {
    let (removed, isSettled) = state.settle(slot: slot, removing: manifest.dead)
    guard isSettled else { return rest(origin) }
    counters.count(.manifestsApplied)
    for (key, cell) in removed {
      stores[slot].release(cell)
      markDirty(key.session)
    }
    finishPull(slot)
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
