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

let targets: [Target] = [
  .systemLibrary(
    name: "CSodium",
    pkgConfig: "libsodium",
    providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]),
  .target(name: "MeshCRDT", swiftSettings: plantable),
  .target(name: "MeshWire", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .target(name: "MeshTrust", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .target(
    name: "MeshEngine", dependencies: ["MeshCRDT", "MeshWire", "MeshTrust"],
    swiftSettings: plantable),
  .target(
    name: "MeshCrypto",
    dependencies: ["CSodium", "MeshCRDT", "MeshWire", "MeshTrust"],
    swiftSettings: strict),
  .target(
    name: "MeshTransport",
    dependencies: [
      "MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshCrypto",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: strict),
  .target(
    name: "PresenceMesh",
    dependencies: [
      "MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshTransport",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "Metrics", package: "swift-metrics"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ],
    swiftSettings: strict),
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
    swiftSettings: strict),
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
    name: "MeshBench",
    dependencies: [
      "CSodium",
      "MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshCrypto",
      "MeshTransport", "MeshSimulator", "PresenceMesh",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: strict),
  .executableTarget(
    name: "presence",
    dependencies: [
      "PresenceMesh", "MeshGateway", "MeshBench", "MeshSimulator", "MeshCRDT", "MeshCrypto",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ],
    path: "Peers/presence",
    swiftSettings: plantable),
  .target(name: "CAllocationCount"),
  .executableTarget(
    name: "allocations", dependencies: ["MeshBench", "CAllocationCount"],
    path: "Peers/allocations", swiftSettings: strict),
  .testTarget(name: "ArchitectureTests", swiftSettings: strict),
  .testTarget(
    name: "MeshCRDTTests", dependencies: ["MeshCRDT", "MeshCrypto"], swiftSettings: plantable),
  .testTarget(
    name: "MeshWireTests",
    dependencies: ["MeshCRDT", "MeshWire", "MeshTrust", "MeshCrypto"],
    resources: [.copy("Vectors")],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshEngineTests",
    dependencies: ["MeshCRDT", "MeshWire", "MeshTrust", "MeshCrypto", "MeshEngine"],
    exclude: ["Vectors"],
    swiftSettings: plantable),
  .testTarget(
    name: "MeshTransportTests",
    dependencies: [
      "MeshCRDT", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshTransport",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: strict),
  .testTarget(
    name: "StateDirectoryTests",
    dependencies: [
      "MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshCrypto", "PresenceMesh",
    ],
    swiftSettings: strict),
  .testTarget(name: "RosterTests", dependencies: ["MeshCRDT"], swiftSettings: plantable),
  .testTarget(
    name: "PresenceMeshTests",
    dependencies: [
      "PresenceMesh", "MeshCRDT", "MeshEngine", "MeshTransport",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "Metrics", package: "swift-metrics"),
      .product(name: "MetricsTestKit", package: "swift-metrics"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ],
    swiftSettings: strict),
  .testTarget(
    name: "GatewayTests",
    dependencies: [
      "MeshGateway", "PresenceMesh", "MeshBench", "MeshCRDT",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "JWTKit", package: "jwt-kit"),
    ],
    exclude: ["Clients"],
    swiftSettings: strict),
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
    name: "CommandLineTests",
    dependencies: ["presence", "PresenceMesh", "MeshBench", "MeshCrypto"],
    exclude: [
      "Support/refuse-sendmmsg.py", "Support/find-in-memory.py", "Support/interrupt-writes.c",
      "Support/old-sodium.c",
    ],
    swiftSettings: strict),
]

/// The program of `make fuzz`; only with libFuzzer, which its flags bring in, is it a program at all.
let fuzz: [Target] =
  Context.environment["PRESENCEMESH_FUZZ"] == nil
  ? []
  : [
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "MeshCRDT", "MeshWire", "MeshTrust", "MeshEngine", "MeshCrypto", "MeshSimulator",
        "MeshTransport", "PresenceMesh", "MeshGateway",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      path: "Tests/Fuzz",
      exclude: ["Corpus", "run"],
      swiftSettings: strict)
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
  // What only the programs and the tools of this package use is exact. What an app has in common with
  // its libraries has ranges, or no app could take a security fix before this package does;
  // .ci/versions says which versions this package is built and tested with.
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", exact: "1.5.0"),
  ],
  targets: targets + fuzz,
  swiftLanguageModes: [.v6]
)
