/// Why bytes are not a message. Nothing is changed when it is thrown.
package enum WireError: Error, Hashable, Sendable {
  /// The bytes end before the field does.
  case truncated
  /// Bytes follow the last field.
  case trailingBytes(Int)
  /// A value that has a shorter or an ordered form is written in another one.
  case notCanonical
  /// A field is outside of its bound.
  case outOfBounds
  /// Text is not UTF-8, or has control characters.
  case malformedText
  /// No message has this kind.
  case unknownKind(UInt8)
  /// A value does not fit: `needed` bytes into `available`.
  case doesNotFit(needed: Int, available: Int)
}
