#!/usr/bin/env node
// One client of Phoenix's own JavaScript `Socket` and `Channel`, for another program.
//
//   phoenix_js.cjs BUNDLE URL TOPIC USER [HEARTBEAT]
//
// BUNDLE is a script for browsers that holds them: `setup.sh` gets the one of pyview-web. It runs as it
// is, in a context that looks like an empty page; the class of its socket is taken from there. Prints
// what comes as lines of JSON; reads {"say": WORD}, {"leave": true}. Ends with its
// standard input. HEARTBEAT is the time between heartbeats in ms, default 30,000.

process.env.NODE_PATH = [process.env.NODE_PATH, '/usr/share/nodejs'].filter(Boolean).join(':');
require('module').Module._initPaths();

const fs = require('fs');
const readline = require('readline');
const vm = require('vm');
const WebSocket = require('ws');

/** What the bundle asks of a browser before it connects; a page that still loads never does. */
function emptyPage() {
  const storage = { getItem: () => null, setItem() {}, removeItem() {} };
  const element = { getAttribute: () => '', addEventListener() {} };
  const page = {
    Event, CustomEvent, URL, TextEncoder, TextDecoder, ArrayBuffer, btoa, console,
    setTimeout, clearTimeout, setInterval, clearInterval,
    Element: class {}, WebSocket, localStorage: storage, sessionStorage: storage,
    addEventListener() {},
    location: { protocol: 'http:', host: '127.0.0.1', hostname: '127.0.0.1', href: 'http://127.0.0.1/' },
    document: {
      readyState: 'loading', documentElement: {}, body: {}, addEventListener() {},
      querySelector: () => element, createElement: () => ({}),
    },
  };
  page.window = page;
  page.self = page;
  return vm.createContext(page);
}

const [bundle, url, topic, user, heartbeat = '30000'] = process.argv.slice(2);
if (user === undefined) {
  console.error('usage: phoenix_js.cjs BUNDLE URL TOPIC USER [HEARTBEAT]');
  process.exit(2);
}
const page = emptyPage();
vm.runInContext(fs.readFileSync(bundle, 'utf8'), page, { filename: bundle });
const Socket = page.liveSocket.getSocket().constructor;

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
process.stdout.on('error', () => process.exit(0));

let word = null;
const socket = new Socket(url, { transport: WebSocket, heartbeatIntervalMs: Number(heartbeat) });
socket.onOpen(() => tell({ socket: 'open', url: socket.endPointURL() }));
socket.onClose(() => tell({ socket: 'closed' }));
// A join that the library repeats asks again what to say.
const channel = socket.channel(topic, () => ({ user: JSON.parse(user), say: word }));
for (const event of ['presence_state', 'presence_diff']) {
  channel.on(event, (payload) => tell({ event, payload }));
}
channel.onClose(() => tell({ channel: 'closed' }));
channel.onError(() => tell({ channel: 'errored' }));

function begin() {
  socket.connect();
  channel.join()
    .receive('ok', () => tell({ channel: 'joined' }))
    .receive('error', (reason) => tell({ channel: 'refused', reason }));
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if ('say' in command) {
    const isFirst = word === null;
    word = command.say;
    if (isFirst) begin();
    else {
      // The library keeps it until the channel is joined again.
      channel.push('presence', { event: 'track', payload: { say: word } })
        .receive('ok', () => tell({ said: word }));
    }
  }
  if (command.leave) channel.leave();
}).on('close', () => process.exit(0));
