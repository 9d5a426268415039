import NIOHTTP1
import WebAssets

/// The files of the page, which are part of the program.
struct WebFiles {
  let name: String
  private let bytes: [UInt8]
  private let type: String
  private let tag: String

  private static let types = [
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "ts": "text/plain; charset=utf-8",
    "json": "application/json; charset=utf-8",
  ]

  private static let files: [String: WebFiles] = {
    var files: [String: WebFiles] = [:]
    for (name, bytes) in WebAssets.files {
      let suffix = name.split(separator: ".").last.map(String.init) ?? ""
      files[name] = WebFiles(
        name: name, bytes: bytes, type: types[suffix] ?? "application/octet-stream",
        tag: "\"\(String(checksum(bytes), radix: 16))\"")
    }
    return files
  }()

  /// FNV-1a: tells versions of a file apart.
  private static func checksum(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// The file of a path; `nil` where there is none.
  static func file(at path: [String]) -> WebFiles? {
    switch path.count {
    case 0: files["index.html"]
    case 1: path[0] == "index.html" ? nil : files[path[0]]
    default: nil
    }
  }

  func response(to headers: HTTPHeaders) -> HTTPResponse {
    let known: HTTPHeaders = ["etag": tag, "cache-control": "no-cache"]
    if headers.first(name: "if-none-match") == tag {
      return HTTPResponse(status: .notModified, headers: known)
    }
    var response = HTTPResponse(status: .ok, headers: known, body: bytes)
    response.headers.add(name: "content-type", value: type)
    return response
  }
}
