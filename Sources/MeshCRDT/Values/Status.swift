/// What a user says about being there.
public enum Status: UInt8, Hashable, CaseIterable, Sendable {
  case online = 1
  case away = 2
  case busy = 3
  case active = 4
  case idle = 5
  case typing = 6

  /// The status of that name; `nil` for an unknown one.
  public init?(_ name: String) {
    guard let status = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = status
  }

  /// The name in the interfaces: `online`, `away`, `busy`, `active`, `idle` or `typing`.
  public var name: String { "\(self)" }
}

/// Milliseconds since 1970 by the clock of the node that wrote them: for people to read, never to
/// decide anything by.
public struct WallTime: Hashable, Comparable, Sendable {
  /// The time in milliseconds, below 2^48.
  public let milliseconds: UInt64

  /// Makes a time; what is above the bound becomes the bound.
  public init(milliseconds: UInt64) {
    self.milliseconds = min(milliseconds, Limits.counterBound - 1)
  }

  /// Orders by time.
  public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }
}

/// A status with the stamp of its change, which is later than the stamps of other changes do not
/// move: that is how one user has one status over many devices.
public struct StatusValue: Hashable, Sendable {
  /// The status.
  public var status: Status
  /// The Lamport counter of the change.
  public var counter: UInt64
  /// When it changed, by the clock of the node that wrote it.
  public var changedAt: WallTime

  /// Makes a status value.
  public init(status: Status, counter: UInt64, changedAt: WallTime) {
    self.status = status
    self.counter = counter
    self.changedAt = changedAt
  }
}
