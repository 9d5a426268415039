/**
 * PresenceMesh for browsers and Node: who is here, in which state, and where they point.
 *
 *   import { join } from "/client.js";
 *   const room = join({ room: "design", user: { id: "ada", name: "Ada" } });
 *   room.onChange = () => console.log(room.others.filter((user) => user.online));
 *   room.setStatus("busy", "painting");
 *
 * One `PresenceClient` holds one WebSocket and speaks for one session, in any number of rooms.
 * Docs/Gateway.md describes the messages, client.d.ts the types.
 */

export const STATUSES = Object.freeze(["online", "away", "busy", "active", "idle", "typing"]);

const inBrowser = typeof window !== "undefined" && typeof document !== "undefined";

/** A hidden tab's timers may run only once a minute: a lease that is shorter would end in it. */
const HIDDEN_INTERVAL = 60_000;
const FIRST_RETRY = 400;
const LAST_RETRY = 30_000;
const ANSWER_TIMEOUT = 10_000;
/** A connection that lasted this long was a good one: the next retry is a quick one again. */
const STABLE_AFTER = 5_000;
/** How long a tab waits for another one to say that it holds a session id. */
const CLAIM_TIMEOUT = 300;
/** A node takes `typing` back after 4 s, so that it is said again before. */
const TYPING_REPEAT = 2_500;
/** More than this unsent, and cursors wait: an old position is worth nothing. */
const BACKLOG_BYTES = 32_768;

/** What a node refused, or why the connection could not carry it. `code` is one of section 2. */
export class PresenceError extends Error {
  constructor(code, message = code) {
    super(message);
    this.name = "PresenceError";
    this.code = code;
  }
}

class Emitter {
  #listeners = new Map();

  /** Calls `listener` at each event of the type; returns the function that ends it. */
  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.off(type, listener);
  }

  off(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  /** A listener that throws must not keep the others from hearing. */
  _emit(type, detail) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        console.error(error);
      }
    }
  }
}

/** Web storage that may be refused, be full, or not exist: then nothing is remembered. */
class Memory {
  #kind;

  constructor(kind) {
    this.#kind = kind;
  }

  get(key) {
    try {
      return globalThis[this.#kind]?.getItem(key) ?? null;
    } catch {
      return null;
    }
  }

  set(key, value) {
    try {
      if (value === null) globalThis[this.#kind]?.removeItem(key);
      else globalThis[this.#kind]?.setItem(key, value);
    } catch {
      // The session then lasts as long as the page.
    }
  }
}

const tabMemory = new Memory("sessionStorage");

function randomID() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * The session id of this tab. It is kept in sessionStorage, so that a reload keeps the session;
 * the browser copies that storage into a duplicated tab, so the id is also claimed: by a Web Lock,
 * or, where the page is not served securely, by asking the other tabs.
 */
class Seat {
  #key;
  #nonce = randomID();
  #channel = null;
  #freeLock = null;
  #held = false;
  #refused = false;
  #taking = null;
  id = null;

  constructor(key) {
    this.#key = `presencemesh.session:${key}`;
  }

  /** Asked for twice at the same time, it must not compete with itself. */
  take() {
    this.#taking ??= this.#take().finally(() => (this.#taking = null));
    return this.#taking;
  }

  async #take() {
    if (this.#held) return;
    const remembered = this.id ?? tabMemory.get(this.#key);
    this.id = remembered && (await this.#claim(remembered)) ? remembered : null;
    if (!this.id) await this.renew();
  }

  /** Takes an id that nobody else has. */
  async renew() {
    this.release();
    const id = randomID();
    await this.#claim(id);
    this.id = id;
    tabMemory.set(this.#key, id);
  }

  /** Lets the id go, so that the page may rest in the back-forward cache, or be loaded again. */
  release() {
    this.#held = false;
    this.#freeLock?.();
    this.#freeLock = null;
    this.#channel?.close();
    this.#channel = null;
  }

  async #claim(id) {
    const byLock = await this.#claimByLock(id);
    this.id = id;
    this.#held = byLock ?? (await this.#claimByAsking(id));
    return this.#held;
  }

  /** Returns null where there are no locks. */
  #claimByLock(id) {
    const locks = globalThis.navigator?.locks;
    if (!inBrowser || !locks) return null;
    return new Promise((resolve) => {
      // Waiting a little lets the page that is being reloaded give the lock back.
      const giveUp = new AbortController();
      const timer = setTimeout(() => giveUp.abort(), CLAIM_TIMEOUT);
      locks
        .request(`presencemesh.session:${id}`, { signal: giveUp.signal }, () => {
          clearTimeout(timer);
          resolve(true);
          return new Promise((free) => (this.#freeLock = free));
        })
        .catch((error) => resolve(error?.name === "AbortError" ? false : null));
    });
  }

  async #claimByAsking(id) {
    if (!inBrowser || typeof BroadcastChannel === "undefined") return true;
    this.#channel?.close();
    this.#refused = false;
    try {
      this.#channel = new BroadcastChannel(`presencemesh.session:${id}`);
    } catch {
      return true;
    }
    this.#channel.onmessage = ({ data }) => {
      if (data?.held === this.#nonce) this.#refused = true;
      // Of two tabs that ask at the same time, the one with the lower number has it.
      else if (data?.ask && (this.#held || this.#nonce < data.ask)) {
        this.#channel?.postMessage({ held: data.ask });
      }
    };
    this.#channel.postMessage({ ask: this.#nonce });
    await pause(CLAIM_TIMEOUT / 2);
    return !this.#refused;
  }
}

/**
 * The other tabs of the same user in this browser. Only when none of them can be seen is the user
 * away: the status belongs to the user, so that one hidden tab must not speak over a shown one.
 */
class Siblings {
  #channel = null;
  #nonce = randomID();
  #answer = null;

  constructor(key, heard) {
    if (typeof BroadcastChannel === "undefined") return;
    try {
      this.#channel = new BroadcastChannel(`presencemesh.tabs:${key}`);
    } catch {
      return;
    }
    this.#channel.onmessage = ({ data }) => {
      if (data?.say === "who" && !document.hidden) {
        this.#channel?.postMessage({ say: "shown", to: data.from });
      } else if (data?.say === "shown" && data.to === this.#nonce) this.#answer?.(true);
      else heard(data?.say);
    };
  }

  tell(say) {
    this.#channel?.postMessage({ say, from: this.#nonce });
  }

  async anyShown() {
    if (!this.#channel) return false;
    const answer = new Promise((resolve) => (this.#answer = resolve));
    this.tell("who");
    return Promise.race([answer, pause(250).then(() => false)]);
  }

  close() {
    this.#channel?.close();
    this.#channel = null;
  }
}

function endpoints(url) {
  const base = inBrowser ? window.location.href : undefined;
  const list = [url ?? "/"].flat();
  return list.map((text) => {
    const parsed = new URL(text, base);
    if (!/^(https?|wss?):$/.test(parsed.protocol)) throw new TypeError(`not a node's URL: ${text}`);
    parsed.search = parsed.hash = "";
    parsed.pathname = parsed.pathname.replace(/\/+$/, "");
    const http = parsed.href.replace(/^ws/, "http").replace(/\/$/, "");
    return { http, socket: `${http.replace(/^http/, "ws")}/api/v1/socket` };
  });
}

/**
 * One connection to a node, one session of one user. It connects when the first room or watch is
 * asked for, and again whenever the connection is lost, until `close`.
 */
export class PresenceClient extends Emitter {
  #options;
  #endpoints;
  #endpoint = 0;
  #WebSocket;
  #seat;
  #siblings = null;
  #rooms = new Map();
  #watches = new Map();
  #requests = new Map();
  #lastRef = 0;
  #socket = null;
  #attempt = 0;
  #turn = 0;
  #token = null;
  #retryTimer = null;
  #beatTimer = null;
  #deadTimer = null;
  #stableTimer = null;
  #away = false;
  #stretched = false;
  #unloading = false;
  #sessionToken = null;
  #unlisten = [];

  constructor(options = {}) {
    super();
    this.#options = options;
    this.#endpoints = endpoints(options.url);
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.#WebSocket) throw new TypeError("no WebSocket here: pass one as an option");
    this.user = options.user ?? null;
    this.state = "idle";
    this.welcome = null;
    if (inBrowser) this.#listenToPage();
  }

  get url() {
    return this.#endpoints[this.#endpoint].http;
  }

  get connected() {
    return this.state === "open";
  }

  /** The id that this client's session joins with, once it is known. */
  get sessionId() {
    return this.#options.sessionId ?? this.#seat?.id ?? null;
  }

  get rooms() {
    return [...this.#rooms.values()];
  }

  /** Enters a room, or with `present: false` only looks into it. The same name, the same object. */
  room(name = "", { present = this.user !== null } = {}) {
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(this, name, present, this.#options);
      this.#rooms.set(name, room);
    } else if (present && !room.present) {
      room.present = true;
    } else return room;
    if (this.connected) this.#join(room);
    else this.connect();
    return room;
  }

  /** Gives a client that only looked a user. Rooms are entered by `room(name, {present: true})`. */
  identify(user) {
    if (this.user && this.user.id !== user.id) {
      throw new PresenceError("session_conflict", "a client speaks for one user");
    }
    this.user = { ...this.user, ...user };
  }

  /** Changes name, colour, avatar or data; the id stays. */
  setProfile(profile) {
    this.user = { ...this.user, ...profile, id: this.user?.id };
    return this.request({ type: "presence.profile", ...profileFields(profile) });
  }

  /** Tells `listener` whether the user is online, now and at each change; returns the end of it. */
  watch(userId, listener) {
    let watch = this.#watches.get(userId);
    if (!watch) {
      this.#watches.set(userId, (watch = { listeners: new Set(), last: null }));
      if (this.connected) this.#send({ type: "watch", userId });
      else this.connect();
    }
    watch.listeners.add(listener);
    if (watch.last) queueMicrotask(() => watch.listeners.has(listener) && listener(watch.last));
    return () => {
      if (!watch.listeners.delete(listener) || watch.listeners.size > 0) return;
      this.#watches.delete(userId);
      if (this.connected) this.#send({ type: "unwatch", userId });
    };
  }

  /** Sends a message, and waits for the node to accept or refuse it. */
  request(message) {
    const answer = new Promise((resolve, reject) => {
      const ref = ++this.#lastRef;
      if (!this.#send({ ...message, ref })) return reject(new PresenceError("disconnected"));
      this.#requests.set(ref, { resolve, reject });
    });
    answer.catch(() => {}); // Whoever does not wait does not want to know.
    return answer;
  }

  /** Leaves all rooms, which ends the session, and closes the connection for good. */
  close() {
    if (this.state === "closed") return;
    for (const name of this.#rooms.keys()) this.#send({ type: "leave", room: name });
    if (!this.connected) this.#beacon();
    this.#drop("closed", 1000);
    for (const room of this.#rooms.values()) room._left();
    this.#rooms.clear();
    this.#watches.clear();
    for (const end of this.#unlisten.splice(0)) end();
    this.#siblings?.close();
    this.#seat?.release();
  }

  /** Connects at once instead of waiting for the next try. Also takes back a session that moved. */
  async connect() {
    if (this.#socket || this.state === "closed" || this.#unloading) return;
    const turn = ++this.#turn;
    clearTimeout(this.#retryTimer);
    this.#enter("connecting");
    await this.#refreshToken();
    await this.#takeSeat();
    if (turn !== this.#turn) return;
    const bearer = this.#token ? ["presencemesh", `presencemesh.bearer.${this.#token}`] : [];
    let socket;
    try {
      socket = new this.#WebSocket(this.#endpoints[this.#endpoint].socket, bearer);
    } catch (error) {
      this._emit("error", new PresenceError("unreachable", String(error?.message ?? error)));
      return this.#retry();
    }
    this.#socket = socket;
    this.#expectWords(ANSWER_TIMEOUT);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onerror = () => {}; // `close` follows, and says as much.
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
  }

  // The functions below with an underscore belong to `Room`.

  _send(message) {
    return this.#send(message);
  }

  /** Where what belongs to this client is kept, whichever node it is connected to. */
  get _home() {
    return this.#endpoints[0].http;
  }

  get _crowded() {
    return (this.#socket?.bufferedAmount ?? 0) > BACKLOG_BYTES;
  }

  _forget(room) {
    if (this.#rooms.get(room.name) !== room) return;
    this.#rooms.delete(room.name);
    this.#send({ type: "leave", room: room.name });
    if (this.#options.ownedByRoom) this.close();
  }

  // MARK: The connection

  #enter(state) {
    if (this.state === state) return;
    this.state = state;
    this._emit("state", state);
    for (const room of this.#rooms.values()) room._connection(state);
  }

  #send(message) {
    if (!this.#socket || this.#socket.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  async #refreshToken() {
    const { token } = this.#options;
    if (typeof token !== "function") {
      this.#token = token || null;
      return;
    }
    try {
      this.#token = (await token()) || this.#token;
    } catch (error) {
      // The last good one may still be accepted; if not, the node says so.
      this._emit("error", new PresenceError("token_failed", String(error?.message ?? error)));
    }
  }

  async #takeSeat() {
    if (!this.user) return;
    const key = `${this.#endpoints[0].http}:${this.user.id}`;
    if (inBrowser && !this.#siblings) {
      this.#siblings = new Siblings(key, (word) => this.#heardSibling(word));
    }
    if (this.#options.sessionId) return;
    this.#seat ??= new Seat(key);
    await this.#seat.take();
  }

  #lost(code, reason) {
    const taken = code === 4001;
    this._emit("lost", { code, reason });
    if (taken) return this.#moved();
    this.#drop("waiting");
    // A rule that was broken is soon broken again: such retries are slow from the first.
    if (code === 1008) this.#attempt = Math.max(this.#attempt, 4);
    this.#retry();
  }

  /** Forgets the socket first, so that nothing that it still says is heard. */
  #drop(state, code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#turn += 1;
    for (const timer of [this.#beatTimer, this.#deadTimer, this.#stableTimer, this.#retryTimer]) {
      clearTimeout(timer);
    }
    if (socket) {
      try {
        socket.close(code);
      } catch {
        // A socket that never opened may refuse to be closed.
      }
    }
    const unanswered = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject } of unanswered) reject(new PresenceError("disconnected"));
    this.#enter(state);
  }

  #retry() {
    if (this.state === "closed" || this.#unloading) return;
    this.#enter("waiting");
    const limit = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#endpoint = (this.#endpoint + 1) % this.#endpoints.length;
    clearTimeout(this.#retryTimer);
    // The jitter keeps the clients of a node that restarted from coming back all at once.
    this.#retryTimer = setTimeout(() => this.connect(), limit * (0.5 + Math.random() / 2));
  }

  /** A tab whose id is used elsewhere takes another one; a given id is left to the other. */
  async #moved(node) {
    this._emit("moved", { node });
    this.#drop("moved");
    if (this.#options.sessionId || !this.#seat) return;
    await this.#seat.renew();
    for (const room of this.#rooms.values()) room._renewed();
    if (this.state === "moved") this.connect();
  }

  /** By somebody's order: from a room, or (null) from the mesh. Nothing is joined again by itself. */
  async #removed(name) {
    this._emit("removed", { room: name });
    const rooms = name === null ? [...this.#rooms.values()] : [this.#rooms.get(name)];
    for (const room of rooms) room?._removed(name);
    if (name !== null) return;
    this.#drop("removed");
    // The old id is not taken again for a while.
    await this.#seat?.renew();
    for (const room of rooms) room._renewed();
  }

  get #interval() {
    const wanted = this.#options.interval ?? 30_000;
    return this.#stretched ? Math.max(wanted, HIDDEN_INTERVAL) : wanted;
  }

  #expectWords(milliseconds) {
    clearTimeout(this.#deadTimer);
    this.#deadTimer = setTimeout(() => this.#lost(0, "no answer"), milliseconds);
  }

  /** Beats are asked to be answered: a half-open connection otherwise looks like a quiet room. */
  #beat(now = false) {
    clearTimeout(this.#beatTimer);
    const period = Math.min(this.#interval, this.welcome?.heartbeat || Infinity);
    if (now && this.connected) {
      this.request({ type: "heartbeat", interval: this.user ? this.#interval : undefined });
      this.#expectWords(Math.max(3_000, Math.min(ANSWER_TIMEOUT, period)));
    }
    const wait = Math.min(period, this.#interval) * (0.8 + Math.random() * 0.15);
    this.#beatTimer = setTimeout(() => this.#beat(true), wait);
  }

  // MARK: Messages

  #receive(data) {
    clearTimeout(this.#deadTimer);
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (!message || typeof message !== "object") return;
    const request = this.#requests.get(message.ref);
    if (request) {
      this.#requests.delete(message.ref);
      if (message.type !== "error") request.resolve(message);
      else request.reject(new PresenceError(message.code, message.message));
    }
    switch (message.type) {
      case "welcome":
        return this.#welcomed(message);
      case "presence.moved":
        return this.#moved(message.node);
      case "presence.expired":
        this._emit("expired");
        for (const room of this.#rooms.values()) if (room.present) this.#join(room);
        return;
      case "presence.removed":
        return this.#removed(message.room);
      case "presence.watch":
        return this.#watched(message);
      case "error":
        if (!request) this.#refused(message);
        return;
      default:
        if (message.sessionToken) this.#sessionToken = message.sessionToken;
        if (typeof message.room === "string") this.#rooms.get(message.room)?._receive(message);
    }
  }

  #welcomed(message) {
    this.welcome = message;
    this.#enter("open");
    this._emit("welcome", message);
    this.#stableTimer = setTimeout(() => (this.#attempt = 0), STABLE_AFTER);
    for (const room of this.#rooms.values()) this.#join(room);
    for (const userId of this.#watches.keys()) this.#send({ type: "watch", userId });
    this.#beat();
    if (inBrowser && document.hidden && !this.#away) this.#seen(false);
  }

  #watched(message) {
    const watch = this.#watches.get(message.userId);
    if (!watch) return;
    watch.last = message;
    for (const listener of [...watch.listeners]) listener(message);
  }

  /** An error without `ref`: of a cursor, most likely, since all else asks for an answer. */
  #refused({ code, message }) {
    this._emit("error", new PresenceError(code, message));
    if (code === "too_many_requests") for (const room of this.#rooms.values()) room._slowDown();
  }

  async #join(room) {
    if (room.present && this.user && !this.sessionId) await this.#takeSeat();
    const speaking = room.present && this.user;
    const message = { type: "join", room: room.name, resume: room._resume };
    message.cursorRate = room._cursorsTold;
    if (speaking) {
      message.user = profileFields(this.user);
      message.user.id = this.user.id;
      message.sessionId = this.sessionId;
      message.device = this.#options.device ?? deviceName();
      message.interval = this.#interval;
      message.expiresIn = this.#options.expiresIn;
    }
    try {
      room._joined(await this.request(message));
    } catch (error) {
      if (error.code === "disconnected") return;
      if (error.code === "session_conflict" && this.#seat) return this.#moved();
      if (error.code === "session_removed") return this.#removed(room.name || null);
      room._refused(error);
      if (["too_many_requests", "unavailable"].includes(error.code)) {
        await pause(1_000 + Math.random() * 1_000);
        if (this.connected && this.#rooms.get(room.name) === room) this.#join(room);
      }
    }
  }

  // MARK: The page

  #listenToPage() {
    const listen = (target, type, handler) => {
      target.addEventListener(type, handler);
      this.#unlisten.push(() => target.removeEventListener(type, handler));
    };
    listen(document, "visibilitychange", () => this.#seen(!document.hidden));
    listen(window, "pagehide", () => this.#unload());
    listen(window, "pageshow", ({ persisted }) => persisted && this.#comeBack());
    listen(window, "online", () => this.state === "waiting" && this.connect());
  }

  /** Shown or hidden. The lease is stretched while hidden, since the timers become slow. */
  async #seen(shown) {
    if (this.#unloading) return;
    this.#stretched = !shown;
    if (this.state === "waiting" && shown) this.connect();
    if (this.connected) this.#beat(true);
    if (this.#options.awayWhenHidden === false) return;
    if (shown) {
      if (this.#away) this.#siblings?.tell("back");
      this.#away = false;
      for (const room of this.#rooms.values()) room._back();
    } else if (!(await this.#siblings?.anyShown()) && document.hidden) {
      this.#away = true;
      this.#siblings?.tell("away");
      for (const room of this.#rooms.values()) room._goAway(true);
    }
  }

  #heardSibling(word) {
    if (!document.hidden) return;
    // A tab that is only loaded again is back by then.
    if (word === "closing") setTimeout(() => document.hidden && this.#seen(false), 3_000);
    this.#away = word === "away" || (word !== "back" && this.#away);
    // Another tab has said it for the user: this one only remembers what to come back to.
    if (word === "away") for (const room of this.#rooms.values()) room._goAway(false);
  }

  /**
   * The page goes: it may be a reload, so that the session is not ended but left a short lease.
   * With `unloadGrace: 0` it ends at once.
   */
  #unload() {
    const grace = this.#options.unloadGrace ?? 5_000;
    this.#unloading = true;
    if (this.connected && this.user) {
      if (grace > 0) this.#send({ type: "heartbeat", expiresIn: grace });
      else for (const name of this.#rooms.keys()) this.#send({ type: "leave", room: name });
    }
    if (grace === 0) this.#beacon();
    this.#siblings?.tell("closing");
    this.#drop("waiting", 1000);
    this.#seat?.release();
  }

  /** Out of the back-forward cache. */
  #comeBack() {
    this.#unloading = false;
    this.#attempt = 0;
    this.connect();
    this.#seen(!document.hidden);
  }

  /** Ends the session without the socket, where the node gave a token for that. */
  #beacon() {
    if (!this.#sessionToken || !globalThis.navigator?.sendBeacon) return;
    const body = JSON.stringify({ sessionToken: this.#sessionToken });
    navigator.sendBeacon(`${this.url}/api/v1/disconnect`, body);
  }
}

/** Nodes refuse fields that they do not know, and an empty colour is none. */
function profileFields({ name, color, avatar, data }) {
  return { name, color: color || undefined, avatar, data };
}

/** What the browser says of its machine, in a few words. */
function deviceName() {
  if (!inBrowser) return "script";
  const agent = navigator.userAgent ?? "";
  const first = (names) => names.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = first([
    [/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"],
    [/Safari\//, "Safari"],
  ]);
  const system = first([
    [/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Mac OS X/, "macOS"], [/Windows/, "Windows"],
    [/CrOS/, "ChromeOS"], [/Linux/, "Linux"],
  ]);
  return [browser ?? "browser", system].filter(Boolean).join(", ");
}

const byID = (a, b) => (a.userId < b.userId ? -1 : a.userId > b.userId ? 1 : 0);
const byDeparture = (a, b) => b.lastDisconnected - a.lastDisconnected || byID(a, b);

const cursorsPerSecond = (rate) => Math.min(60, Math.max(1, rate));

/**
 * A room as its node tells it: the first list, and every change since. A user object is replaced
 * when the user changes and never altered, so that `===` tells who changed; only the cursors inside
 * of it move in place.
 */
export class Room extends Emitter {
  #client;
  #users = new Map();
  #cursors = new Map();
  #sorted = null;
  #changeTimer = null;
  #wanted = {};
  #unsaid = new Set();
  #cursorGap;
  #cursorDue = 0;
  #cursorTimer = null;
  #typing = false;
  #typingSaidAt = 0;
  #typingTimer = null;
  #before = null;
  #settle;
  #everJoined = false;

  constructor(client, name, present, { cursorRate } = {}) {
    super();
    this.#client = client;
    const rates = typeof cursorRate === "object" ? cursorRate : { sent: cursorRate, told: cursorRate };
    const { sent = 30, told = null } = rates ?? {};
    this.#cursorGap = 1000 / cursorsPerSecond(sent);
    this.name = name;
    this.present = present;
    this.stale = false;
    this.synced = false;
    this.joined = false;
    this.restored = false;
    this.sessionId = null;
    this.error = null;
    this.onChange = null;
    this._resume = undefined;
    /** How many messages of cursors it takes a second; undefined: as many as there are. */
    this._cursorsTold = told === null ? undefined : Math.round(cursorsPerSecond(told));
    this.ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.ready.catch(() => {});
  }

  get client() {
    return this.#client;
  }

  get connected() {
    return this.#client.connected && this.joined;
  }

  /** Everybody: online ones by id, then those who have gone, the last one first. */
  get users() {
    if (!this.#sorted) {
      const all = [...this.#users.values()];
      const online = all.filter((user) => user.online).sort(byID);
      this.#sorted = online.concat(all.filter((user) => !user.online).sort(byDeparture));
    }
    return this.#sorted;
  }

  get others() {
    const own = this.#client.user?.id;
    return this.users.filter((user) => user.userId !== own);
  }

  /** This client's user as the room sees it, or will see it. Null for one that only looks. */
  get self() {
    const user = this.#client.user;
    if (!user || !this.present) return null;
    return this.#users.get(user.id) ?? provisional(user);
  }

  /** The cursors of all other sessions, by session id. */
  get cursors() {
    return this.#cursors;
  }

  /** Users and sessions that are online. */
  get counts() {
    const online = this.users.filter((user) => user.online);
    return { users: online.length, sessions: online.reduce((sum, user) => sum + user.devices, 0) };
  }

  user(userId) {
    return this.#users.get(userId) ?? null;
  }

  /** The own status: the one to come back to, while the tab is hidden. */
  get status() {
    if (this.#before) return this.#before.status;
    return (this.#unsaid.has("status") && this.#wanted.status.status) || this.self?.status || null;
  }

  get message() {
    if (this.#unsaid.has("status")) return this.#wanted.status.message;
    return this.self?.message ?? "";
  }

  /** `null` follows the lobby. Resolves when the node has it, or rejects with what it refused. */
  setStatus(status, message = this.message) {
    if (status !== null && !STATUSES.includes(status)) {
      throw new PresenceError("unknown_status", `unknown status: ${status}`);
    }
    this.#before = null;
    this.#remember(null);
    return this.#want("status", { status, message });
  }

  setData(data) {
    return this.#want("data", { data });
  }

  /** On at once; off after a while without another call, or shortly after `false`. */
  setTyping(typing = true) {
    clearTimeout(this.#typingTimer);
    this.#typingTimer = setTimeout(() => this.#sayTyping(false), typing ? 2_000 : 300);
    if (typing && (!this.#typing || Date.now() - this.#typingSaidAt > TYPING_REPEAT)) {
      this.#sayTyping(true);
    }
  }

  /**
   * The first position goes out at once, later ones at most `cursorRate.sent` times a second; what is
   * overtaken is skipped, and the last one is always sent.
   */
  moveCursor(x, y, { visible = true, anchor = null } = {}) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    const place = (value) => +Math.min(1, Math.max(0, value)).toFixed(5);
    this.#wanted.cursor = { x: place(x), y: place(y), visible, anchor: anchor ?? undefined };
    this.#unsaid.add("cursor");
    if (this.#cursorTimer !== null) return;
    const wait = this.#cursorDue - Date.now();
    if (wait <= 0) this.#sayCursor();
    else this.#cursorTimer = setTimeout(() => this.#sayCursor(), wait);
  }

  hideCursor() {
    const cursor = this.#wanted.cursor;
    if (cursor?.visible) this.moveCursor(cursor.x, cursor.y, { ...cursor, visible: false });
  }

  watch(userId, listener) {
    return this.#client.watch(userId, listener);
  }

  /** Asks for the whole list once more. */
  refresh() {
    return this.#client.request({ type: "presence.list", room: this.name });
  }

  leave() {
    this.#client._forget(this);
    this._left();
  }

  // MARK: From the client

  _left() {
    clearTimeout(this.#typingTimer);
    clearTimeout(this.#cursorTimer);
    this.#remember(null);
    this.joined = false;
    this.#settle.reject(new PresenceError("left"));
    this._emit("left");
  }

  _connection(state) {
    if (state !== "open") this.joined = false;
    if (state !== "open") this.#typing = false;
    this._emit("connection", state);
    this.#changed();
  }

  _joined({ sessionId, restored = false }) {
    this.joined = true;
    this.restored = restored;
    this.error = null;
    if (sessionId) this.sessionId = sessionId;
    // A session that is new, or that could not be kept, knows nothing of what was said before.
    const lost = restored ? [] : ["status", "data"];
    for (const field of lost) if (this.#wanted[field]) this.#unsaid.add(field);
    if (this.#wanted.cursor) this.#unsaid.add("cursor");
    for (const field of [...this.#unsaid]) this.#say(field);
    if (this.present) this.#recall();
    this.#everJoined = true;
    this._emit("joined", { sessionId: this.sessionId, restored });
    this.#changed();
  }

  _refused(error) {
    this.error = error;
    this.#settle.reject(error);
    this._emit("error", error);
    this.#changed();
  }

  /** Somebody ordered the session out of the room. */
  _removed(name) {
    // It may go on to look into the room.
    if (name !== null) this.present = false;
    this._emit("removed", { room: name });
    this.#changed();
  }

  /** The session has another id now: nothing of the old one can be resumed. */
  _renewed() {
    this._resume = undefined;
    this.sessionId = null;
  }

  _slowDown() {
    this.#cursorDue = Date.now() + 1_000;
    const cursor = this.#wanted.cursor;
    if (cursor) this.moveCursor(cursor.x, cursor.y, cursor);
  }

  /** Away because nobody looks. What was said before comes back with `_back`. */
  _goAway(aloud) {
    if (!this.present || this.#before) return;
    const status = this.#wanted.status?.status === null ? null : this.status;
    if (status === "away") return;
    this.#before = { status, message: this.message };
    this.#remember(this.#before);
    if (aloud) this.#want("status", { status: "away", message: this.message });
  }

  _back() {
    const before = this.#before;
    this.#before = null;
    this.#remember(null);
    if (before) this.#want("status", before);
  }

  _receive(message) {
    if (message.resume !== undefined) this._resume = message.resume;
    const type = message.type.replace(/^presence\./, "");
    switch (type) {
      case "sync":
        this.#users = new Map(message.users.map((user) => [user.userId, user]));
        this.#cursors.clear();
        for (const user of message.users) this.#placeCursors(user);
        this.stale = Boolean(message.stale);
        this.synced = true;
        this.#settle.resolve(this);
        break;
      case "online":
      case "update":
        if (!message.user) return;
        this.#dropCursors(message.userId);
        this.#users.set(message.userId, message.user);
        this.#placeCursors(message.user);
        break;
      case "offline":
        this.#dropCursors(message.userId);
        this.#alter(message.userId, {
          online: false, suspect: false, devices: 0, typing: false, sessions: [],
          lastDisconnected: message.lastDisconnected, lastSeen: message.lastDisconnected,
        });
        break;
      case "status":
        this.#alter(message.userId, {
          status: message.status, message: message.message ?? "",
          statusChangedAt: message.timestamp,
        });
        break;
      case "typing":
        this.#alter(message.userId, { typing: message.typing });
        break;
      case "cursor":
        for (const cursor of message.cursors) this.#moveTheirs(cursor);
        this._emit("cursor", message);
        return; // Cursors are many: they are told by their own event and do not count as a change.
      case "stale":
        this.stale = message.stale;
        break;
      case "restored":
        this.restored = true;
        break;
      case "joined":
        return; // The answer to `join`, which is waited for.
    }
    this._emit(type, message);
    this.#changed();
  }

  // MARK: The list

  #alter(userId, change) {
    const user = this.#users.get(userId);
    if (user) this.#users.set(userId, { ...user, ...change });
  }

  #dropCursors(userId) {
    for (const session of this.#users.get(userId)?.sessions ?? []) {
      this.#cursors.delete(session.sessionId);
    }
  }

  #placeCursors(user) {
    for (const { sessionId, cursor } of user.sessions ?? []) {
      if (cursor && sessionId !== this.sessionId) {
        this.#cursors.set(sessionId, { ...cursor, userId: user.userId, sessionId });
      }
    }
  }

  #moveTheirs(cursor) {
    const { userId, sessionId, x, y, visible, anchor } = cursor;
    const session = this.#users.get(userId)?.sessions?.find((one) => one.sessionId === sessionId);
    if (session) session.cursor = { x, y, visible, anchor };
    this.#cursors.set(sessionId, cursor);
  }

  /** At most once in a sixtieth of a second. A timer, because frames stop in hidden tabs. */
  #changed() {
    this.#sorted = null;
    this.#changeTimer ??= setTimeout(() => {
      this.#changeTimer = null;
      this._emit("change", this);
      try {
        this.onChange?.(this);
      } catch (error) {
        console.error(error);
      }
    }, 16);
  }

  // MARK: What this client says

  #want(field, value) {
    this.#wanted[field] = value;
    this.#unsaid.add(field);
    return this.#say(field);
  }

  /** What could not be said, or was not answered before the connection broke, is said again. */
  #say(field) {
    if (field === "cursor") return this.#sayCursor();
    if (!this.joined) return Promise.resolve(false);
    const value = this.#wanted[field];
    const answer = this.#client
      .request({ type: `presence.${field}`, room: this.name, ...value })
      .then(
        () => true,
        (error) => {
          if (error.code === "disconnected") return false;
          this._emit("error", error);
          throw error;
        },
      );
    const settled = (said) => {
      if (said !== false && this.#wanted[field] === value) this.#unsaid.delete(field);
    };
    answer.then(settled, () => settled(true));
    return answer;
  }

  #sayCursor() {
    clearTimeout(this.#cursorTimer);
    this.#cursorTimer = null;
    if (!this.joined) return;
    this.#cursorDue = Date.now() + this.#cursorGap;
    if (this.#client._crowded) {
      this.#cursorTimer = setTimeout(() => this.#sayCursor(), this.#cursorGap * 4);
      return;
    }
    const message = { type: "presence.cursor", room: this.name, ...this.#wanted.cursor };
    if (this.#client._send(message)) this.#unsaid.delete("cursor");
  }

  #sayTyping(typing) {
    if (!typing && !this.#typing) return;
    const said = this.#client._send({ type: "presence.typing", room: this.name, typing });
    this.#typing = typing && said;
    this.#typingSaidAt = Date.now();
  }

  get #key() {
    return `presencemesh.before:${this.#client._home}:${this.#client.user?.id}:${this.name}`;
  }

  /** A tab that is reloaded while it is hidden still knows what to come back to. */
  #remember(before) {
    if (inBrowser && this.present) tabMemory.set(this.#key, before && JSON.stringify(before));
  }

  #recall() {
    if (!inBrowser || this.#everJoined) return;
    try {
      const before = JSON.parse(tabMemory.get(this.#key) ?? "null");
      if (!before || !STATUSES.includes(before.status)) return;
      if (document.hidden) this.#before = before;
      else this.setStatus(before.status, String(before.message ?? ""));
    } catch {
      this.#remember(null);
    }
  }
}

function provisional(user) {
  return {
    userId: user.id, username: user.name ?? user.id, online: false, suspect: false, devices: 0,
    status: "online", message: "", statusChangedAt: 0, typing: false, color: user.color ?? "",
    avatar: user.avatar ?? "", data: user.data ?? null, joinedAt: 0, lastSeen: null,
    lastDisconnected: 0, sessions: [],
  };
}

/**
 * Enters a room over a connection of its own, which ends when the room is left. Without `user` it
 * only looks. Several rooms over one connection: `new PresenceClient(options).room(name)`.
 */
export function join(options = {}) {
  const client = new PresenceClient({ ...options, ownedByRoom: true });
  return client.room(options.room ?? "");
}
