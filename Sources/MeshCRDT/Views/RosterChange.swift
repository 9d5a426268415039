/// What changed for the users of one room.
///
/// Each but a move of a cursor carries the whole user as it is after the change, so that replaying
/// changes needs nothing else. One step of the state may give several changes of one user: the
/// later ones then only name what the first one holds already.
public enum RosterChange: Hashable, Sendable {
  /// The first session of a user is seen.
  case online(User)
  /// Something else changed: a device more or less, the profile, the host, data.
  case updated(User)
  /// The last session of a user is gone.
  case offline(User)
  /// The status, its message or its time changed.
  case status(User)
  /// The user began to type or stopped.
  case typing(User)
  /// A cursor moved.
  case cursor(user: String, session: SessionID, Cursor)
}

extension RosterChange {
  /// The id of the user that it is about.
  public var userID: String {
    switch self {
    case .online(let user), .updated(let user), .offline(let user), .status(let user),
      .typing(let user):
      user.id
    case .cursor(let user, _, _): user
    }
  }

  /// The changes from one view of a user who is online to another. Cost: the user's sessions.
  static func between(_ old: User, _ new: User) -> [RosterChange] {
    let statusMoved =
      old.status != new.status || old.statusChangedAt != new.statusChangedAt
      || old.message != new.message
    let typingMoved = old.isTyping != new.isTyping
    // Whatever else is said of a user, such as the profile, follows from the sessions.
    let sessionsAlike =
      old.sessions.count == new.sessions.count
      && zip(old.sessions, new.sessions).allSatisfy {
        $0.isAlike($1, exceptStatus: statusMoved, exceptTyping: typingMoved)
      }
    var changes: [RosterChange] = []
    if !sessionsAlike { changes.append(.updated(new)) }
    if statusMoved { changes.append(.status(new)) }
    if typingMoved { changes.append(.typing(new)) }
    for session in new.sessions {
      guard let cursor = session.cursor,
        let before = old.sessions.first(where: { $0.id == session.id }), before.cursor != cursor
      else { continue }
      changes.append(.cursor(user: new.id, session: session.id, cursor))
    }
    return changes
  }
}
