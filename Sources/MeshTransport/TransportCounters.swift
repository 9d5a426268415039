/// What the sockets count, beside the counters of the engine.
package struct TransportCounters: Hashable, Sendable {
  /// Datagrams that the system refused to send: they count as lost.
  package var sendErrors: UInt64 = 0
  /// Errors that came out of reading a socket.
  package var receiveErrors: UInt64 = 0
  /// Datagrams dropped because too many waited for the system to take them; the oldest go first.
  package var sendsDropped: UInt64 = 0
  /// Datagrams dropped in either direction because their address is blocked.
  package var datagramsBlocked: UInt64 = 0
  /// Announcements sent: one for each interface and family.
  package var announcementsSent: UInt64 = 0
  /// Datagrams that came to the announcement group.
  package var announcementsReceived: UInt64 = 0
  /// Times that reading from a socket had to be taken up again.
  package var socketsResumed: UInt64 = 0

  package init() {}

  /// All counters by name, in the order of their declaration.
  package var all: [(name: String, value: UInt64)] {
    [
      ("sendErrors", sendErrors), ("receiveErrors", receiveErrors), ("sendsDropped", sendsDropped),
      ("datagramsBlocked", datagramsBlocked), ("announcementsSent", announcementsSent),
      ("announcementsReceived", announcementsReceived), ("socketsResumed", socketsResumed),
    ]
  }
}
