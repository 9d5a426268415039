/// Making HTML and SVG as text.
enum HTML {
  /// Text as it may stand between tags and in attributes.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in PlainText.safe(text) {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.append(character)
      }
    }
    return result
  }

  /// A table. Cells are text; the first column holds what the rows are about. Where nothing wraps,
  /// a table that is too wide scrolls.
  static func table(
    _ headings: [String], _ rows: [[String]], caption: String? = nil, wraps: Bool = false
  ) -> String {
    let head = headings.map { "<th scope=\"col\">\(escaped($0))</th>" }.joined()
    let body = rows.map { row in
      let cells = row.enumerated().map { index, cell in
        index == 0 ? "<th scope=\"row\">\(escaped(cell))</th>" : "<td>\(escaped(cell))</td>"
      }
      return "<tr>\(cells.joined())</tr>"
    }
    let title = caption.map { "<caption>\(escaped($0))</caption>" } ?? ""
    return """
      <div class="scroll"><table\(wraps ? " class=\"words\"" : "")>\(title)
      <thead><tr>\(head)</tr></thead>
      <tbody>
      \(body.joined(separator: "\n"))
      </tbody></table></div>
      """
  }

  /// A command line. Lines break between its words.
  static func command(_ line: String) -> String {
    let words = line.split(separator: " ").map { "<span>\(escaped(String($0)))</span>" }
    return "<pre><code>\(words.joined(separator: " "))</code></pre>"
  }

  /// The names of marks beside their colours: a class of the mark and its name.
  static func legend(_ entries: [(style: String, name: String)]) -> String {
    let items = entries.map { "<li><i class=\"\($0.style)\"></i>\(escaped($0.name))</li>" }
    return "<ul class=\"legend\">\(items.joined())</ul>"
  }
}
