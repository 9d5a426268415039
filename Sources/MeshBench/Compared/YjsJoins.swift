import Foundation

/// Cursor records decoded and joined per second on one core, beside the awareness protocol of Yjs
/// doing the same on the same machine.
///
/// Theirs: `applyAwarenessUpdate` of y-protocols under node, of updates that carry as many clients
/// as our frames carry cursors; each state has a name, a colour and a position, which is what
/// awareness sends whenever a cursor moves. Nobody reads events in the ratio, on either side; both
/// are also measured with a reader.
enum YjsJoins {
  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    guard let node = ChildProcess.installed("node") else {
      throw .notInstalled(
        "node", remedy: "Debian: apt-get install nodejs node-y-protocols node-yjs")
    }
    let ours = try Joins.rate(scale.rounds, emitsEvents: false)
    let theirs = try yjs(scale, node)
    let oursAgain = try Joins.rate(scale.rounds, emitsEvents: false)
    let oursHeard = try Joins.rate(scale.rounds, emitsEvents: true)
    let mean = (ours + oursAgain) / 2
    return [
      Figure(
        "yjs-joins-per-second", theirs.silent, "1/s", better: .higher,
        detail: "y-protocols, node \(theirs.version): applyAwarenessUpdate of "
          + "\(Joins.cursorsPerFrame) clients; \(brief(theirs.heard, digits: 0)) with a reader of "
          + "its changes"),
      Figure(
        "joins-vs-yjs-ratio", mean / theirs.silent, "ratio", aim: 20, better: .higher,
        detail: "\(brief(mean, digits: 0)) joins a second here, without readers; with a reader on "
          + "both sides \(brief(oursHeard / theirs.heard))"),
    ]
  }

  private struct Rates: Codable {
    let silent: Double
    let heard: Double
    let version: String
  }

  private static func yjs(_ scale: BenchScale, _ node: String) throws(BenchError) -> Rates {
    let process = try ChildProcess(
      [
        node, "-e", script, "\(Joins.cursorsPerFrame)", "\(Joins.rooms)",
        "\(max(2, scale.rounds))",
      ],
      variables: ["NODE_PATH": "/usr/share/nodejs"], isQuiet: true)
    defer { process.end() }
    let text = process.readAll()
    guard let rates = try? JSONDecoder().decode(Rates.self, from: Data(text.utf8)) else {
      throw .notInstalled(
        "y-protocols", remedy: "Debian: apt-get install node-y-protocols node-yjs")
    }
    return rates
  }

  private static let script = """
    const { Awareness, encodeAwarenessUpdate, applyAwarenessUpdate } =
      require('y-protocols/dist/awareness.cjs')
    const Y = require('yjs')
    const [each, messages, rounds] = process.argv.slice(1).map(Number)
    function rate(isHeard) {
      const awareness = new Awareness(new Y.Doc())
      let heard = 0
      if (isHeard) awareness.on('change', ({ updated }) => { heard += updated.length })
      const writer = { states: new Map(), meta: new Map() }
      let joined = 0
      let nanoseconds = 0n
      for (let turn = 0; turn < rounds; turn++) {
        const updates = []
        for (let message = 0; message < messages; message++) {
          const clients = []
          for (let index = 0; index < each; index++) {
            const client = 1000000 + message * each + index
            clients.push(client)
            writer.states.set(client, {
              user: { name: 'Ada Love ' + client, color: '#30bced' },
              cursor: { x: (client * 7919 + turn * 13) % 65536 / 65536, y: turn / 65536 }
            })
            writer.meta.set(client, { clock: turn + 1 })
          }
          updates.push(encodeAwarenessUpdate(writer, clients))
        }
        const start = process.hrtime.bigint()
        for (const update of updates) applyAwarenessUpdate(awareness, update, 'remote')
        const end = process.hrtime.bigint()
        // What comes first warms the compiler up.
        if (turn * 4 < rounds) continue
        nanoseconds += end - start
        joined += each * messages
      }
      awareness.destroy()
      return joined / Number(nanoseconds) * 1e9
    }
    rate(false)
    const silent = rate(false)
    console.log(JSON.stringify({ silent, heard: rate(true), version: process.versions.node }))
    """
}
