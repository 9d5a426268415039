// The words of the next core that differ from those of the present one: see Package.swift.
#if PROTOCOL_2
  import MeshCRDT2
  package import MeshEngine

  extension Engine {
    var generation: UInt64 { incarnation.counter }
    func roomHash(_ room: RoomName) -> UInt64 {
      let hash: Hash128 = roomHash(room)
      return hash.high
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
    var lamportCeiling: UInt64 { 0 }
  }

  extension PeerStatus {
    var generation: UInt64 { incarnation?.counter ?? 0 }
    var isSettled: Bool { isComplete }
  }

  extension LocalOperation {
    static func follow(_ rooms: Set<RoomName>?) -> LocalOperation { .subscribe(rooms) }
  }
#endif
