import Foundation
import Testing

@testable import MeshBench

@Suite("Processes that are started")
struct SpawnedProcessTests {
  /// A pipe whose ends a process inherits if nobody takes care.
  private func leakyPipe() throws -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [-1, -1]
    try #require(pipe(&ends) == 0)
    return (ends[0], ends[1])
  }

  /// How a process ended that is to end soon; `nil`: it did not, and waiting for it would take for ever.
  private func exitCode(of process: SpawnedProcess) -> Int32? {
    for _ in 0..<1000 where process.exitCode() == nil { usleep(10_000) }
    return process.exitCode()
  }

  @Test("A process has the three descriptors it was given, and keeps no pipe of others open")
  func descriptors() throws {
    let others = try leakyPipe()
    let (words, told) = try (leakyPipe(), leakyPipe())
    let process = try SpawnedProcess(["/bin/cat"], input: words.reading, output: told.writing)
    #expect(process.exitCode() == nil)
    close(others.writing)
    // It lives, and the pipe has ended all the same.
    var end = pollfd(fd: others.reading, events: Int16(POLLIN), revents: 0)
    #expect(poll(&end, 1, 5000) == 1 && Int32(end.revents) & Int32(POLLHUP) != 0)
    #expect(process.exitCode() == nil)
    #expect(write(words.writing, "word", 4) == 4)
    close(words.writing)
    var bytes = [UInt8](repeating: 0, count: 8)
    #expect(read(told.reading, &bytes, 8) == 4 && bytes.prefix(4) == Array("word".utf8)[...])
    #expect(exitCode(of: process) == 0)
    for descriptor in [others.reading, words.reading, told.reading, told.writing] {
      close(descriptor)
    }
  }

  @Test("How it ended is known: by code, by signal, more than once")
  func ends() throws {
    let failing = try SpawnedProcess(["/bin/sh", "-c", "exit 7"])
    #expect(failing.exitCode(waiting: true) == 7)
    #expect(failing.exitCode() == 7)
    let variables = try SpawnedProcess(
      ["/bin/sh", "-c", "test \"$GIVEN\" = word && test -z \"$HOME\""],
      environment: ["GIVEN": "word"])
    #expect(variables.exitCode(waiting: true) == 0)
    let sleeping = try SpawnedProcess(["/bin/sleep", "30"])
    sleeping.end()
    #expect(sleeping.exitCode() == -SIGKILL)
    sleeping.end()
    #expect(throws: BenchError.self) { try SpawnedProcess(["/nonexistent/program"]) }
  }

  @Test("No signal is blocked or ignored in it, whatever holds in the thread that starts it")
  func signals() throws {
    var (blocked, before) = (sigset_t(), sigset_t())
    sigemptyset(&blocked)
    sigaddset(&blocked, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &blocked, &before)
    let process = try SpawnedProcess(["/bin/sleep", "30"])
    pthread_sigmask(SIG_SETMASK, &before, nil)
    process.signal(SIGTERM)
    #expect(exitCode(of: process) == -SIGTERM)
  }
}
