import Foundation
import NIOCore
import NIOPosix

/// What can be wrong with interfaces, ports and multicast.
enum NetworkChecks {
  /// The port that nodes listen on when they are told nothing else.
  private static let standardPort = 7946
  /// The group in which nodes announce themselves.
  private static let group = "239.255.77.77"

  static func all(isRunning: Bool) async -> [Check] {
    var checks = [interfaces(), await loopback()]
    // A running node has its port, and has told it.
    if !isRunning { checks.append(await port()) }
    checks.append(await multicast())
    return checks
  }

  private static func interfaces() -> Check {
    guard let devices = try? System.enumerateDevices() else {
      return Check("interfaces", .warn, "the system does not list them")
    }
    var seen: [String] = []
    for device in devices {
      guard let address = device.address, let ip = address.ipAddress else { continue }
      let isLocal = ip.hasPrefix("127.") || ip == "::1" || ip.lowercased().hasPrefix("fe80")
      if !isLocal, !seen.contains("\(device.name) \(ip)") { seen.append("\(device.name) \(ip)") }
    }
    guard !seen.isEmpty else {
      return Check(
        "interfaces", .warn, "none but loopback has an address",
        advice: "nodes of this machine find each other; for others, bring up a network")
    }
    return Check("interfaces", .ok, seen.joined(separator: ", "))
  }

  /// A datagram from this process to itself.
  private static func loopback() async -> Check {
    if await hearsItself(bindingTo: "127.0.0.1", sendingTo: "127.0.0.1", joining: nil) {
      return Check("UDP", .ok, "datagrams pass on loopback")
    }
    return Check(
      "UDP", .fail, "a datagram to this machine itself does not come back",
      advice: "a packet filter drops it, or loopback is down: see `ip addr` and `nft list ruleset`")
  }

  private static func port() async -> Check {
    let bootstrap = DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
    do {
      let channel = try await bootstrap.bind(host: "0.0.0.0", port: standardPort).get()
      try? await channel.close()
      return Check("port", .ok, "\(standardPort) is free")
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      return Check(
        "port", .warn, "\(standardPort) is in use, by another node most likely",
        advice: "`presence up` takes another port, or the one that --listen names")
    } catch {
      return Check("port", .fail, "no UDP socket can be bound: \(error)")
    }
  }

  private static func multicast() async -> Check {
    if await hearsItself(bindingTo: "0.0.0.0", sendingTo: group, joining: group) {
      return Check("multicast", .ok, "\(group) can be joined and heard")
    }
    return Check(
      "multicast", .warn, "\(group) cannot be joined or is not heard",
      advice: "nodes of the LAN do not find each other: name one with --peer, or use an invite")
  }

  /// True when a datagram to an address arrives at the socket that sent it.
  private static func hearsItself(
    bindingTo host: String, sendingTo target: String, joining group: String?
  ) async -> Bool {
    typealias Datagrams = NIOAsyncChannel<
      AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>
    >
    do {
      let socket = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .bind(host: host, port: 0) { channel in
          channel.eventLoop.makeCompletedFuture {
            try Datagrams(wrappingChannelSynchronously: channel)
          }
        }
      return try await socket.executeThenClose { inbound, outbound in
        let channel = socket.channel
        if let group, let multicast = channel as? any MulticastChannel {
          try await multicast.joinGroup(SocketAddress(ipAddress: group, port: 0)).get()
        }
        guard let port = channel.localAddress?.port else { return false }
        let word = ByteBuffer(integer: UInt64.random(in: .min ... .max))
        let address = try SocketAddress(ipAddress: target, port: port)
        // Twice: a single loss says nothing.
        for _ in 0..<2 {
          try await outbound.write(AddressedEnvelope(remoteAddress: address, data: word))
        }
        let timeout = channel.eventLoop.scheduleTask(in: .seconds(2)) {
          channel.close(promise: nil)
        }
        defer { timeout.cancel() }
        for try await datagram in inbound where datagram.data == word { return true }
        return false
      }
    } catch {
      return false
    }
  }
}
