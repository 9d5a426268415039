// The words of protocol 1 by which products know their engine: see `isProtocol2` in Package.swift. They go
// with the old core.
#if PROTOCOL_2
  package import MeshCRDT
  import MeshCRDT2
  package import MeshTrust

  package typealias EngineConfiguration = Configuration

  extension Configuration {
    /// Settings of a life of a node, whose random bits follow from the seed.
    package init(
      mesh: MeshID, generation: UInt64, lamport: UInt64, seed: (UInt64, UInt64, UInt64, UInt64)
    ) {
      let nonce = SipHash.hash([], key: HashKey(seed.0 ^ seed.1, seed.2 ^ seed.3))
      guard let incarnation = Incarnation(counter: generation, nonce: nonce) else {
        preconditionFailure("a life has a counter below 2^32")
      }
      self.init(mesh: mesh, incarnation: incarnation, seed: seed)
    }

    package var headPeriod: Span {
      get { beatPeriod }
      set { beatPeriod = newValue }
    }
    package var digestPeriod: Span {
      get { comparisonPeriod }
      set { comparisonPeriod = newValue }
    }
    package var frameInterval: Span {
      get { cursorInterval }
      set { cursorInterval = newValue }
    }
  }

  extension DurableState {
    package init(generation: UInt64, lamportCeiling: UInt64) {
      self.init(incarnationCounter: generation)
    }
    package var generation: UInt64 {
      get { incarnationCounter }
      set { incarnationCounter = newValue }
    }
    package var lamportCeiling: UInt64 { 0 }
  }

  extension Engine {
    package var generation: UInt64 { incarnation.counter }
    package func currentDeadline() -> MonotonicTime? { deadline }
    package func roomHash(_ room: RoomName) -> UInt64 {
      let hash: Hash128 = roomHash(room)
      return hash.high
    }
  }

  extension PeerStatus {
    package var generation: UInt64 { incarnation?.counter ?? 0 }
    package var isSettled: Bool { isComplete }
  }

  extension LocalOperation {
    package static func follow(_ rooms: Set<RoomName>?) -> LocalOperation { .subscribe(rooms) }
  }
#endif
