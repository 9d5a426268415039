import NIOHTTP1

/// Which pages may use the gateway.
struct Origins {
  static let advice = """
    pages of this origin may not use the gateway: start it with --http-origin to allow them
    """

  private let allowed: Set<String>
  private let isTrusting: Bool

  init(_ configuration: GatewayConfiguration) {
    allowed = Set(configuration.origins.map { $0.lowercased() })
    isTrusting = configuration.keys == nil
  }

  /// True for requests of programs, of the gateway's own page and of allowed pages.
  ///
  /// A page of another name, which its owner lets stand for this machine, has that name as `Host`,
  /// and sends no `Origin` when it reads. So where everybody is trusted the host must be an address,
  /// `localhost`, or that of an allowed origin.
  func allow(_ headers: HTTPHeaders) -> Bool {
    let host = headers.first(name: "host")?.lowercased() ?? ""
    let isKnown =
      Self.isNumericOrLocal(host)
      || allowed.contains { $0 == "http://\(host)" || $0 == "https://\(host)" }
    guard let origin = headers.first(name: "origin")?.lowercased() else {
      return isKnown || !isTrusting || host.isEmpty
    }
    if allowed.contains(origin) { return true }
    return isKnown && (origin == "http://\(host)" || origin == "https://\(host)")
  }

  static func isNumericOrLocal(_ host: String) -> Bool {
    if host.hasPrefix("[") { return true }
    let name = host.split(separator: ":").first.map(String.init) ?? ""
    if name == "localhost" || name.hasSuffix(".localhost") { return true }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }
}

/// What every answer says to browsers.
enum SecurityHeaders {
  static let contentSecurityPolicy = """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
    """

  static func add(to headers: inout HTTPHeaders) {
    headers.replaceOrAdd(name: "x-content-type-options", value: "nosniff")
    headers.replaceOrAdd(name: "referrer-policy", value: "no-referrer")
    headers.replaceOrAdd(name: "x-frame-options", value: "DENY")
    headers.replaceOrAdd(name: "cross-origin-opener-policy", value: "same-origin")
    if !headers.contains(name: "content-security-policy") {
      headers.add(name: "content-security-policy", value: contentSecurityPolicy)
    }
    if !headers.contains(name: "cache-control") {
      headers.add(name: "cache-control", value: "no-store")
    }
  }
}
