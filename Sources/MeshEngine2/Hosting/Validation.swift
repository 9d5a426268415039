import MeshCRDT

/// Checks of what users ask for, against ``Limits``.
enum Validation {
  static func text(
    _ text: String, _ field: String, atMost limit: Int, mayBeEmpty: Bool = true
  ) throws(OperationError) {
    let bytes = text.utf8.count
    guard bytes <= limit else { throw .tooLong(field: field, bytes: bytes, limit: limit) }
    guard isPlain(text), mayBeEmpty || bytes > 0 else { throw .malformed(field: field) }
  }

  static func data(_ data: [UInt8], _ field: String, atMost limit: Int) throws(OperationError) {
    guard data.count <= limit else {
      throw .tooLong(field: field, bytes: data.count, limit: limit)
    }
  }

  static func profile(_ profile: Profile) throws(OperationError) {
    try text(profile.userID, "user id", atMost: Limits.userIDBytes, mayBeEmpty: false)
    try text(profile.name, "name", atMost: Limits.nameBytes)
    try text(profile.avatar, "avatar", atMost: Limits.avatarBytes)
    try data(profile.data, "profile data", atMost: Limits.profileDataBytes)
  }
}
