/// The files of the page, as parts of the program.
package enum WebAssets {
  /// Names and bytes.
  package static let files: [(name: String, bytes: [UInt8])] = [
    ("index.html", PackageResources.index_html),
    ("page.css", PackageResources.page_css),
    ("page.js", PackageResources.page_js),
    ("components.js", PackageResources.components_js),
    ("openapi.json", PackageResources.openapi_json),
    ("client.js", PackageResources.client_js),
    ("client.d.ts", PackageResources.client_d_ts),
  ]
}
