import Foundation
import Testing

@testable import presence

@Suite("Text on a terminal")
struct TerminalTests {
  @Test(
    "Text takes as many columns as a terminal gives it",
    arguments: [
      ("Ada", 3), ("", 0), ("é", 1), ("e\u{301}", 1), ("張偉", 4), ("あ", 2), ("👩‍💻", 2),
      ("👍🏽", 2), ("🇨🇭", 2), ("☀", 1), ("☀\u{FE0F}", 2), ("Ａ", 2), ("한국", 4), ("…", 1),
    ])
  func columns(text: String, columns: Int) {
    #expect(DisplayWidth.columns(of: text) == columns)
  }

  @Test("What does not fit gives way to an ellipsis, and is never wider")
  func truncation() {
    #expect(DisplayWidth.truncated("Grace Hopper", to: 12) == "Grace Hopper")
    #expect(DisplayWidth.truncated("Grace Hopper", to: 6) == "Grace…")
    #expect(DisplayWidth.truncated("張偉です", to: 6) == "張偉…")
    for text in ["Grace Hopper", "張偉です", "👩‍💻👩‍💻👩‍💻", "a張b偉c"] {
      for width in 0...14 {
        #expect(DisplayWidth.columns(of: DisplayWidth.truncated(text, to: width)) <= width)
        #expect(DisplayWidth.columns(of: DisplayWidth.fitted(text, to: width)) == width)
      }
    }
  }

  @Test(
    "Nothing that a terminal obeys is left in the text of others",
    arguments: ["\u{1B}[31mred", "a\u{9B}2J", "a\nb", "\u{7}", "\u{202E}abc", "\u{2066}x\u{2069}"])
  func safety(text: String) throws {
    let isControl = { (scalar: Unicode.Scalar) in
      scalar.properties.generalCategory == .control || scalar.properties.isBidiControl
    }
    #expect(!PlainText.safe(text).unicodeScalars.contains(where: isControl))
    let json = PlainText.safeJSON(try JSON.text([text], onOneLine: true))
    #expect(!json.unicodeScalars.contains(where: isControl))
    #expect(try JSON.value([String].self, from: .init(json.utf8)) == [text])
  }

  @Test("No line of a table is wider than the terminal, and columns stay in line")
  func tableFits() {
    var table = TextTable(columns: UserText.columns)
    for name in ["Ada", "張偉 with a very long name indeed", "Grace"] {
      table.rows.append([
        Cell("●"), Cell(name), Cell("2"), Cell("busy, typing"), Cell("12 min"), Cell("0.10 0.90"),
        Cell("some message of a length that does not fit in the line"),
      ])
    }
    for width in 30...120 {
      for line in table.lines(width: width, colours: false) {
        #expect(DisplayWidth.columns(of: line) <= width)
        #expect(!line.hasSuffix(" "))
      }
    }
    let lines = table.lines(width: 80, colours: false)
    let starts = lines.dropFirst().map { line in
      line.range(of: "busy").map { DisplayWidth.columns(of: String(line[..<$0.lowerBound])) }
    }
    #expect(Set(starts).count == 1)
  }

  @Test("Keys come out of bytes, also when these come apart")
  func keys() {
    var decoder = KeyDecoder()
    #expect(decoder.keys(of: Array("aé\r".utf8)) == [.text("a"), .text("é"), .enter])
    #expect(decoder.keys(of: [0xE5]) == [])
    #expect(decoder.keys(of: [0xBC, 0xB5]) == [.text("張")])
    #expect(decoder.keys(of: [0x1B]) == [.escape])
    #expect(
      decoder.keys(of: Array("\u{1B}[A\u{1B}[5~\u{1B}[1;5Cq".utf8)) == [.up, .pageUp, .text("q")])
    #expect(decoder.keys(of: [0x03, 0x04, 0x7F]) == [.interrupt, .endOfInput, .backspace])
    #expect(decoder.keys(of: [0xFF, 0x00, 0x61]) == [.text("a")])
  }

  @Test("What is typed into a room is a status, a message or a command")
  func typedLines() {
    let everywhere = SessionChoice(session: "s")
    let here = SessionChoice(session: "s", room: "r")
    func read(_ line: String) -> JoinInput? { JoinInput(line, session: "s", room: "r") }
    #expect(read("busy") == .request(.status(everywhere, status: "busy", message: nil)))
    #expect(
      read("  busy  in a call")
        == .request(
          .status(everywhere, status: "busy", message: "in a call")))
    #expect(
      read("hello there") == .request(.status(everywhere, status: nil, message: "hello there")))
    #expect(read("/clear") == .request(.status(everywhere, status: nil, message: "")))
    #expect(
      read("/cursor 0 1") == .request(.cursor(here, x: 0, y: 1, visible: true, anchor: nil)))
    #expect(read("/typing on") == .request(.typing(here, isTyping: true)))
    #expect(read("/quit") == .quit)
    #expect(read("   ") == nil)
    for line in ["/cursor 2 2", "/cursor", "/typing", "/nonsense"] {
      guard case .unknown = read(line) else {
        Issue.record("\(line) is taken")
        continue
      }
    }
  }

  @Test("A screen has no more lines than the terminal, and says what is hidden")
  func screenFits() {
    var model = RoomModel()
    var record = WatchRecord(.stale, atMs: 0)
    record.stale = true
    model.apply(record)
    for rows in 3...30 {
      for prompt in [nil, "hello"] {
        let screen = RoomScreen(room: "design", prompt: prompt)
        let size = TerminalSize(columns: 80, rows: rows)
        let (lines, _) = screen.lines(model, size: size, now: 0, colours: false)
        #expect(lines.count <= rows)
        #expect(lines.allSatisfy { DisplayWidth.columns(of: $0) <= 80 + 40 })
        #expect(lines.first?.contains("STALE") == true || rows < 4)
      }
    }
  }
}
