import CAllocationCount
import Foundation
import MeshBench

// Counts what the paths that everything goes along ask of the allocator, and says it as one JSON
// object: a program of its own, because it has an allocator of its own. `presence bench` runs it.

do throws(BenchError) {
  let counts = try Allocations.counts { Int(allocation_count()) }
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys]
  guard let data = try? encoder.encode(counts) else { exit(1) }
  FileHandle.standardOutput.write(data)
} catch {
  FileHandle.standardError.write(Data("allocations: \(error)\n".utf8))
  exit(1)
}
