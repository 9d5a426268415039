import Foundation
import Testing

/// What Docs/Security.md promises is held by tests that are there.
@Suite("Promises")
struct PromiseTests {
  @Test("The tests and suites that stand behind a promise exist")
  func promisesAreHeld() throws {
    let document = try String(
      contentsOf: ModuleArrowTests.root.appending(path: "Docs/Security.md"), encoding: .utf8)
    let begin = try #require(document.range(of: "## What is promised"))
    let end = try #require(document.range(of: "## What is not promised"))
    let text = document[begin.upperBound..<end.lowerBound]
    let tests = try Self.tests()
    let joined = Self.plain(tests)
    // Sentences in asterisks are names of tests, and words in backticks that end so are suites.
    let sentences = Self.plain(String(text)).components(separatedBy: "*").enumerated()
      .filter { $0.offset % 2 == 1 }.map(\.element)
    let suites = text.components(separatedBy: "`").filter { $0.hasSuffix("Tests") }
    #expect(sentences.count >= 8)
    #expect(suites.count >= 6)
    for name in sentences { #expect(joined.contains("\"\(name)\""), "no test is named: \(name)") }
    for name in suites { #expect(tests.contains("struct \(name)"), "there is no suite \(name)") }
  }

  private static func plain(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private static func tests() throws -> String {
    let folder = ModuleArrowTests.root.appending(path: "Tests")
    return try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasSuffix(".swift") }
      .map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }
      .joined(separator: "\n")
  }
}
