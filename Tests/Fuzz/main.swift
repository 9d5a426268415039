import Foundation

// The program of `make fuzz`. See Docs/Security.md.

/// What is called with each input. It may stop the process, by a trap: that is a find.
typealias Test = (_ input: [UInt8]) -> Void

/// What can be fuzzed, by name. What is here has a corpus of the same name in Corpus/.
let targets: [String: () throws -> Test] = [
  "wire": { WireTarget.test },
  "engine": { EngineTarget.test },
  "invite": { InviteTarget.test },
  "state": { StateTarget.test },
  "json": { JSONTarget.test },
  "messages": { MessagesTarget.test },
  "http": { try GatewayTarget().testHTTP },
  "socket": { try GatewayTarget().testSocket },
]

/// Stops the process where something does not hold.
func check(
  _ isTrue: Bool, _ what: @autoclosure () -> String, file: StaticString = #file, line: UInt = #line
) {
  if !isTrue { fatalError(what(), file: file, line: line) }
}

/// libFuzzer, whose program this is not: the name of the target must be known before.
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
  _ argumentCount: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
guard let target = targets[name] else {
  print("set FUZZ_TARGET to one of: \(targets.keys.sorted().joined(separator: " "))")
  exit(2)
}
// Set here, before the fuzzer begins, and read by its one thread alone.
nonisolated(unsafe) let test = try target()

/// What libFuzzer calls; its own program needs it by this name, too.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  test(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(runFuzzer(&count, &arguments, testOneInput))
