/// One token of Swift source text, without comments and with strings reduced to their quotes.
struct SwiftToken: Equatable {
  /// What a token is.
  enum Kind: Equatable {
    /// An identifier, keyword or number.
    case word(String)
    /// Any other character of the code.
    case symbol(Unicode.Scalar)
    /// The end of a string literal, with whatever its interpolations hold before it.
    case string
  }

  var kind: Kind
  /// Counted from one.
  var line: Int
  /// Whether white space, a comment or the start of the file stands right before it.
  var followsSpace: Bool

  /// The characters of a word, nil for everything else.
  var word: String? {
    if case .word(let text) = kind { text } else { nil }
  }

  func isSymbol(_ scalar: Unicode.Scalar) -> Bool { kind == .symbol(scalar) }
}

/// Splits Swift source text into tokens, well enough to look for names in it.
///
/// It knows nested comments, plain, raw and multi-line strings, interpolations and `#/…/#`
/// literals. It does not know `/…/` literals: a quote inside one is read as a string.
/// Cost: one pass over the text.
struct SwiftTokens {
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private var afterSpace = true
  private var tokens: [SwiftToken] = []

  /// The tokens of a text, in order.
  static func of(_ text: String) -> [SwiftToken] {
    var lexer = SwiftTokens(text)
    lexer.readCode(insideInterpolation: false)
    return lexer.tokens
  }

  private init(_ text: String) {
    scalars = Array(text.unicodeScalars)
  }

  private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
    position + ahead < scalars.count ? scalars[position + ahead] : nil
  }

  private func startsWith(_ text: String) -> Bool {
    text.unicodeScalars.enumerated().allSatisfy { peek($0.offset) == $0.element }
  }

  private mutating func advance(_ count: Int = 1) {
    for _ in 0..<count where position < scalars.count {
      if scalars[position] == "\n" { line += 1 }
      position += 1
    }
  }

  private mutating func append(_ kind: SwiftToken.Kind) {
    tokens.append(SwiftToken(kind: kind, line: line, followsSpace: afterSpace))
    afterSpace = false
  }

  /// Reads code up to the end of the text, or past the parenthesis that ends an interpolation.
  private mutating func readCode(insideInterpolation: Bool) {
    var depth = 0
    while let scalar = peek() {
      if scalar.properties.isWhitespace {
        afterSpace = true
        advance()
      } else if startsWith("//") {
        while let next = peek(), next != "\n" { advance() }
      } else if startsWith("/*") {
        skipBlockComment()
      } else if let hashes = hashes(before: "\"") {
        readString(hashes: hashes)
      } else if let hashes = hashes(before: "/"), hashes > 0 {
        skipRegex(hashes: hashes)
      } else if isWordScalar(scalar) {
        readWord()
      } else {
        if scalar == "(" { depth += 1 }
        if scalar == ")" { depth -= 1 }
        if insideInterpolation && depth < 0 {
          advance()
          return
        }
        append(.symbol(scalar))
        advance()
      }
    }
  }

  private func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || scalar == "$" || scalar.properties.isAlphabetic
      || scalar.properties.numericType != nil
  }

  private mutating func readWord() {
    var word = ""
    while let scalar = peek(), isWordScalar(scalar) {
      word.unicodeScalars.append(scalar)
      position += 1
    }
    append(.word(word))
  }

  private mutating func skipBlockComment() {
    var depth = 0
    repeat {
      if startsWith("/*") {
        depth += 1
        advance(2)
      } else if startsWith("*/") {
        depth -= 1
        advance(2)
      } else {
        advance()
      }
    } while depth > 0 && peek() != nil
    afterSpace = true
  }

  /// The number of `#` signs from here to `scalar`, nil where something else follows them.
  private func hashes(before scalar: Unicode.Scalar) -> Int? {
    var count = 0
    while peek(count) == "#" { count += 1 }
    return peek(count) == scalar ? count : nil
  }

  private mutating func readString(hashes: Int) {
    advance(hashes)
    let isMultiline = startsWith("\"\"\"")
    let signs = String(repeating: "#", count: hashes)
    let end = (isMultiline ? "\"\"\"" : "\"") + signs
    let escape = "\\" + signs
    advance(isMultiline ? 3 : 1)
    while let scalar = peek() {
      if startsWith(end) {
        advance(end.unicodeScalars.count)
        break
      }
      // An unfinished literal must not swallow the rest of the file.
      if scalar == "\n" && !isMultiline { break }
      guard startsWith(escape) else {
        advance()
        continue
      }
      advance(escape.unicodeScalars.count)
      let isInterpolation = peek() == "("
      advance()
      if isInterpolation { readCode(insideInterpolation: true) }
    }
    append(.string)
  }

  private mutating func skipRegex(hashes: Int) {
    let end = "/" + String(repeating: "#", count: hashes)
    advance(hashes + 1)
    while peek() != nil && !startsWith(end) { advance() }
    advance(end.unicodeScalars.count)
    append(.string)
  }
}
