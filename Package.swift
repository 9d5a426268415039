// swift-tools-version: 6.1
import PackageDescription

/// The language settings of every target of this package.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// The faults of `PlantedBug` exist in debug builds and in builds that ask for them, never in a
/// release that users run.
let plantable: [SwiftSetting] =
  strict
  + (Context.environment["PRESENCEMESH_PLANTED_BUGS"] == nil
    ? [.define("PLANTED_BUGS", .when(configuration: .debug))]
    : [.define("PLANTED_BUGS")])

/// True when the products are built on the next core, of protocol 2: `PRESENCEMESH_PROTOCOL=2 swift build
/// --scratch-path .build-protocol2`.
///
/// A bridge for a short time. `MeshEngine` is then what `Sources/MeshEngine2` holds, and `PROTOCOL_2` is
/// defined where its interface differs; what knows the old core alone is left out. When the next core takes
/// over, this switch and the old core go.
let isProtocol2 = Context.environment["PRESENCEMESH_PROTOCOL"] == "2"
let oldCoreAlone: Set<String> = [
  "MeshEngine2", "MeshSimulator", "MeshSimulator2", "MeshEngineTests", "MeshEngine2Tests",
  "MeshSimulatorTests", "MeshSimulator2Tests", "BenchTests",
]
/// Settings of what is built on either core.
let switched = strict + (isProtocol2 ? [.define("PROTOCOL_2")] : [])

let engine: Target =
  isProtocol2
  ? .target(
    name: "MeshEngine", dependencies: ["MeshCRDT", "MeshTrust", "MeshCRDT2", "MeshWire2"],
    path: "Sources/MeshEngine2", swiftSettings: plantable + switched)
  : .target(
    name: "MeshEngine", dependencies: ["MeshCRDT", "MeshWire", "MeshTrust"],
    swiftSettings: plantable)
let oldSimulator: [Target.Dependency] = isProtocol2 ? [] : ["MeshSimulator"]
let simulators: [Target.Dependency] =
  isProtocol2 ? [] : ["MeshCRDT2", "MeshSimulator", "MeshSimulator2"]

let targets: [Target] = [
  .systemLibrary(
    name: "CSodium",
    pkgConfig: "libsodium",
    providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]),
  .target(name: "MeshCRDT", swiftSettings: plantable),
  .target(name: "MeshWire", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .target(name: "MeshTrust", dependencies: ["MeshCRDT", "MeshWire"], swiftSettings: plantable),
  engine,
  .target(
    name: "MeshCrypto",
    dependencies: ["CSodium", "MeshCRDT", "MeshCRDT2", "MeshWire", "MeshTrust"],
    swiftSettings: strict),
  // The core of protocol 2 (Docs/Protocol-2.md). No product depends on it yet but by `isProtocol2`.
  .target(name: "MeshCRDT2", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .target(
    name: "MeshWire2", dependencies: ["MeshCRDT", "MeshWire", "MeshCRDT2"],
    swiftSettings: plantable),
  .target(
    name: "MeshEngine2",
    dependencies: ["MeshCRDT", "MeshTrust", "MeshCRDT2", "MeshWire2"],
    swiftSettings: plantable),
  .target(
    name: "MeshTransport",
    dependencies: [
      "MeshCRDT", "MeshCRDT2", "MeshTrust", "MeshEngine", "MeshCrypto",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: switched),
  .target(
    name: "PresenceMesh",
    dependencies: [
      "MeshCRDT", "MeshCRDT2", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshTransport",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "Metrics", package: "swift-metrics"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ],
    swiftSettings: switched),
  .target(
    name: "MeshGateway",
    dependencies: [
      "PresenceMesh", "WebAssets",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "NIOWebSocket", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "JWTKit", package: "jwt-kit"),
    ],
    swiftSettings: switched),
  .target(
    name: "WebAssets",
    path: "Peers/web",
    resources: [
      .embedInCode("index.html"), .embedInCode("page.css"), .embedInCode("page.js"),
      .embedInCode("client.js"), .embedInCode("client.d.ts"), .embedInCode("components.js"),
      .embedInCode("openapi.json"),
    ],
    swiftSettings: strict),
  .target(
    name: "MeshSimulator",
    dependencies: ["MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine"],
    swiftSettings: plantable),
  .target(
    name: "MeshSimulator2",
    dependencies: ["MeshCRDT", "MeshTrust", "MeshCRDT2", "MeshWire2", "MeshEngine2"],
    swiftSettings: plantable),
  .target(
    name: "MeshBench",
    dependencies: [
      "CSodium",
      "MeshCRDT", "MeshWire", "MeshWire2", "MeshTrust", "MeshEngine", "MeshCrypto",
      "MeshTransport",
      "PresenceMesh",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ] + oldSimulator,
    exclude: isProtocol2 ? ["Simulated"] : [],
    swiftSettings: switched),
  .executableTarget(
    name: "presence",
    dependencies: [
      "PresenceMesh", "MeshGateway", "MeshBench", "MeshCRDT", "MeshCrypto",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ] + simulators,
    path: "Peers/presence",
    exclude: isProtocol2 ? ["Simulate"] : [],
    swiftSettings: plantable + switched),
  .target(name: "CAllocationCount"),
  .executableTarget(
    name: "allocations", dependencies: ["MeshBench", "CAllocationCount"],
    path: "Peers/allocations", swiftSettings: strict),
  .testTarget(name: "ArchitectureTests", swiftSettings: strict),
  .testTarget(
    name: "MeshCRDTTests", dependencies: ["MeshCRDT", "MeshWire"], swiftSettings: plantable),
  .testTarget(
    name: "MeshWireTests",
    dependencies: ["MeshCRDT", "MeshWire", "MeshTrust", "MeshCrypto"],
    resources: [.copy("Vectors")],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshEngineTests",
    dependencies: ["MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshSimulator"],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshTransportTests",
    dependencies: [
      "MeshCRDT", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshTransport",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: switched),
  .testTarget(
    name: "StateDirectoryTests",
    dependencies: ["MeshCRDT", "MeshTrust", "MeshEngine", "MeshCrypto", "PresenceMesh"],
    swiftSettings: switched),
  .testTarget(
    name: "MeshCRDT2Tests", dependencies: ["MeshCRDT", "MeshCRDT2", "MeshCrypto"],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshWire2Tests",
    dependencies: ["MeshCRDT", "MeshWire", "MeshCRDT2", "MeshWire2", "MeshTrust", "MeshCrypto"],
    resources: [.copy("Vectors")],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshEngine2Tests",
    dependencies: [
      "MeshCRDT", "MeshTrust", "MeshCrypto", "MeshCRDT2", "MeshWire2", "MeshEngine2",
    ],
    exclude: ["Vectors"],
    swiftSettings: plantable),
  .testTarget(name: "RosterTests", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .testTarget(
    name: "PresenceMeshTests",
    dependencies: [
      "PresenceMesh", "MeshCRDT", "MeshCRDT2", "MeshEngine", "MeshTransport",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "Metrics", package: "swift-metrics"),
      .product(name: "MetricsTestKit", package: "swift-metrics"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ],
    swiftSettings: switched),
  .testTarget(
    name: "GatewayTests",
    dependencies: [
      "MeshGateway", "PresenceMesh", "MeshCRDT",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "JWTKit", package: "jwt-kit"),
    ],
    exclude: ["Clients"],
    swiftSettings: switched),
  .testTarget(name: "BenchTests", dependencies: ["MeshBench"], swiftSettings: strict),
  .testTarget(
    name: "MeshSimulatorTests",
    dependencies: [
      "MeshCRDT", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshTransport", "MeshSimulator",
      .product(name: "Logging", package: "swift-log"),
    ],
    exclude: ["trace-hash"],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshSimulator2Tests",
    dependencies: [
      "MeshCRDT", "MeshTrust", "MeshCRDT2", "MeshWire2", "MeshEngine2", "MeshSimulator2",
    ],
    swiftSettings: plantable),
  .testTarget(
    name: "CommandLineTests",
    dependencies: ["presence", "PresenceMesh", "MeshCrypto"],
    exclude: ["Support/refuse-sendmmsg.py"],
    swiftSettings: switched),
]

let package = Package(
  name: "PresenceMesh",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "PresenceMesh", targets: ["PresenceMesh"]),
    .library(name: "MeshGateway", targets: ["MeshGateway"]),
    .executable(name: "presence", targets: ["presence"]),
    .executable(name: "allocations", targets: ["allocations"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: targets.filter { !isProtocol2 || !oldCoreAlone.contains($0.name) },
  swiftLanguageModes: [.v6]
)
