import Logging
import MeshEngine
import NIOCore

extension DriverCore {
  /// How often the interfaces are looked at.
  private static let refreshPeriod = TimeAmount.seconds(10)

  /// Looks at the interfaces now and every so often, and joins the groups on those that are new.
  func refreshInterfaces() {
    guard phase == .running else { return }
    interfaces = NetworkInterface.all()
    if let multicast = options.multicast { joinGroups(multicast) }
    refreshTask = eventLoop.assumeIsolated().scheduleTask(in: Self.refreshPeriod) { [self] in
      turn { refreshInterfaces() }
    }
  }

  /// Opens the sockets of the groups where that was not done, and joins on every interface. Joining
  /// again where the group was joined changes nothing. Failure is told and tried again later.
  private func joinGroups(_ multicast: MeshDriver.Multicast) {
    for group in multicast.groups
    where sockets.contains(where: { $0.isIPv4 == (group.ipv4 != nil) }) {
      let isIPv4 = group.ipv4 != nil
      guard let socket = groupSocket(for: group) else { continue }
      for interface in interfaces where interface.takesMulticast {
        // Linux has no IPv6 multicast on loopback; IPv4 reaches the nodes of this machine there.
        guard isIPv4 ? interface.hasIPv4 : interface.hasIPv6 && !interface.isLoopback else {
          continue
        }
        let number = socket.join(group, interface: interface.index)
        if number != 0 {
          report(
            .notice,
            """
            discovery does not listen on \(interface.name) \(isIPv4 ? "(IPv4)" : "(IPv6)"): \
            \(Platform.message(number))
            """)
        }
      }
    }
  }

  private func groupSocket(for group: PeerAddress) -> UDPSocket? {
    let isIPv4 = group.ipv4 != nil
    if let known = groupSockets.first(where: { $0.isIPv4 == isIPv4 }) { return known }
    // An IPv6 group of the link cannot be bound without an interface: all of them are, then.
    let wanted = isIPv4 ? group : PeerAddress(high: 0, low: 0, port: group.port)
    do {
      let socket = try UDPSocket(bindingTo: wanted, host: "\(wanted)", group: true)
      groupSockets.append(socket)
      resumeReading(socket)
      return socket
    } catch {
      report(.warning, "this node hears no announcements of others on the LAN: \(error)")
      return nil
    }
  }

  /// Sends an announcement over every interface that a socket is bound to.
  func announce(_ bytes: [UInt8]) {
    guard let multicast = options.multicast, filter != .everyone else { return }
    for group in multicast.groups {
      let isIPv4 = group.ipv4 != nil
      for socket in sockets where socket.isIPv4 == isIPv4 {
        for interface in interfaces where reaches(interface, from: socket) {
          let number = socket.sendToGroup(bytes, group: group, interface: interface.index)
          if number == 0 {
            counters.announcementsSent += 1
          } else {
            counters.sendErrors += 1
            report(
              .debug, "no announcement over \(interface.name): \(Platform.message(number))")
          }
        }
      }
    }
  }

  private func reaches(_ interface: NetworkInterface, from socket: UDPSocket) -> Bool {
    guard interface.takesMulticast else { return false }
    if !socket.isIPv4, interface.isLoopback { return false }
    let bound = socket.address
    return interface.addresses.contains {
      bound.isWildcard ? ($0.ipv4 != nil) == socket.isIPv4 : $0.hasSameHost(as: bound)
    }
  }
}
