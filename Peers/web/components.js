/**
 * Web components over client.js: <presence-facepile>, <presence-roster>, <presence-cursors>,
 * <presence-typing>, <presence-badge>.
 *
 *   <script type="module" src="/components.js"></script>
 *   <presence-facepile room="design" max="4"></presence-facepile>
 *   <presence-cursors room="design" user-id="ada" user-name="Ada" track> … </presence-cursors>
 *
 * Attributes of all: `room`, `url` (default: the page's own node), `token`; with `user-id` (and
 * `user-name`, `user-color`, `user-avatar`) the page is in the room, without it only looks. All
 * elements with the same url share one connection. Instead of attributes, `element.source` takes a
 * `Room` of client.js.
 *
 * What comes from others is only ever set as text; colours and avatars are checked. Styles are
 * constructed sheets, so that no inline style is needed under a content security policy.
 */

import { PresenceClient } from "./client.js";

// MARK: Values from others

const SAFE_COLOUR = /^#[0-9a-f]{6}$/i;

/** A colour that may be used, or a grey. */
export function safeColour(text) {
  return typeof text === "string" && SAFE_COLOUR.test(text) ? text : "#8a9490";
}

/** An avatar's URL that may be loaded, or null: http(s), image data, or a path of this site. */
export function safeAvatar(text) {
  if (typeof text !== "string" || text === "") return null;
  if (/^data:image\/(png|jpeg|gif|webp|avif|svg\+xml)[;,]/i.test(text)) return text;
  try {
    const { protocol, href } = new URL(text, location.href);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/** Black or white, whichever can be read on the colour (relative luminance of WCAG 2). */
export function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const channel = parseInt(colour.slice(start, start + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.19 ? "#10201b" : "#ffffff";
}

export function initials(name) {
  const words = String(name).trim().split(/[\s._-]+/).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  const first = (word) => word.match(/[\p{L}\p{N}]/u)?.[0] ?? Array.from(word)[0];
  return picked.map(first).join("").toUpperCase() || "?";
}

export function ago(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** How a user is shown: the status, or what is known instead of it. */
export function condition(user) {
  if (!user.online) return "offline";
  return user.suspect ? "suspect" : user.status;
}

function conditionText(user) {
  if (!user.online) return user.lastSeen ? `seen ${ago(user.lastSeen)}` : "offline";
  return user.suspect ? `${user.status}? not heard lately` : user.status;
}

const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

// MARK: Elements

export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Sets text only where it differs, so that nothing is laid out for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * Makes the children of `parent` be those of `items`, in their order, by key: `create` makes an
 * element once, `update` is called when the item is another object than before.
 */
export function keyed(parent, items, key, create, update) {
  const known = (parent._known ??= new Map());
  const gone = new Set(known.keys());
  const entries = items.map((item) => {
    const id = key(item);
    gone.delete(id);
    let entry = known.get(id);
    if (!entry) known.set(id, (entry = { element: create(item), item: null }));
    if (entry.item !== item) update(entry.element, item);
    entry.item = item;
    return entry.element;
  });
  for (const id of gone) {
    known.get(id).element.remove();
    known.delete(id);
  }
  arrange(parent, entries);
}

/** Moves as few elements as can be: those outside of the longest run that is in order already. */
function arrange(parent, elements) {
  const places = new Map(Array.from(parent.children, (element, index) => [element, index]));
  const before = new Array(elements.length).fill(-1);
  const ends = []; // ends[n]: where the run of n + 1 elements ends that ends earliest.
  elements.forEach((element, index) => {
    const place = places.get(element);
    if (place === undefined) return;
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places.get(elements[ends[middle]]) < place) low = middle + 1;
      else high = middle;
    }
    before[index] = low > 0 ? ends[low - 1] : -1;
    ends[low] = index;
  });
  const stay = new Set();
  for (let index = ends.at(-1) ?? -1; index >= 0; index = before[index]) stay.add(index);
  let next = null;
  for (let index = elements.length - 1; index >= 0; index -= 1) {
    if (!stay.has(index)) parent.insertBefore(elements[index], next);
    next = elements[index];
  }
}

/** A round face: initials on the user's colour, or the avatar once it is loaded. */
function makeFace() {
  const face = make("span", "face", make("span", "initials"));
  face.setAttribute("aria-hidden", "true");
  return face;
}

function updateFace(face, user) {
  const colour = safeColour(user.color);
  face.style.setProperty("--colour", colour);
  face.style.setProperty("--ink", inkOn(colour));
  setText(face.firstChild, initials(user.username));
  setAttribute(face, "data-condition", condition(user));
  const avatar = safeAvatar(user.avatar);
  if (face._avatar === avatar) return;
  face._avatar = avatar;
  face.querySelector("img")?.remove();
  if (!avatar) return;
  const image = make("img");
  image.referrerPolicy = "no-referrer";
  image.alt = "";
  image.decoding = "async";
  image.addEventListener("error", () => image.remove());
  image.src = avatar;
  face.append(image);
}

function sheet(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

const common = sheet(`
  :host {
    --text: var(--presence-text, #1d2523); --soft: var(--presence-soft, #64706c);
    --line: var(--presence-line, #e2e7e4); --card: var(--presence-card, #ffffff);
    --hover: var(--presence-hover, #f2f5f3); --accent: var(--presence-accent, #23745f);
    --online: #2c9a68; --away: #cf9416; --busy: #d0523f; --idle: #8a9490;
    color: var(--text); font: var(--presence-font, 14px/1.4 system-ui, sans-serif); display: block;
  }
  @media (prefers-color-scheme: dark) {
    :host {
      --text: var(--presence-text, #e6ece9); --soft: var(--presence-soft, #93a09b);
      --line: var(--presence-line, #2b3331); --card: var(--presence-card, #191f1d);
      --hover: var(--presence-hover, #222a27); --accent: var(--presence-accent, #6fc4aa);
      --online: #4cc38a; --away: #e2ae3c; --busy: #ea7563; --idle: #7f8b87;
    }
  }
  :host([hidden]), [hidden] { display: none !important; }
  * { box-sizing: border-box; }
  .face {
    position: relative; display: inline-grid; place-items: center; flex: none;
    inline-size: var(--size, 32px); block-size: var(--size, 32px); border-radius: 50%;
    background: var(--colour, #8a9490); color: var(--ink, #fff);
    font-size: calc(var(--size, 32px) * 0.38); font-weight: 600; letter-spacing: 0.02em;
    user-select: none;
  }
  .face img {
    position: absolute; inset: 0; inline-size: 100%; block-size: 100%; border-radius: 50%;
    object-fit: cover;
  }
  .face[data-condition=offline] { filter: grayscale(0.85); opacity: 0.55; }
  .face[data-condition=suspect] { opacity: 0.6; }
  .dot {
    display: inline-block; flex: none; inline-size: 10px; block-size: 10px; border-radius: 50%;
    background: var(--online);
  }
  .dot[data-condition=away], .dot[data-condition=idle] {
    background: none; border: 3px solid var(--away);
  }
  .dot[data-condition=idle] { border-color: var(--idle); }
  .dot[data-condition=busy] { background: var(--busy); border-radius: 3px; }
  .dot[data-condition=suspect] { background: none; border: 2px dotted var(--away); }
  .dot[data-condition=offline] { background: none; border: 2px solid var(--idle); opacity: 0.7; }
  .hidden-text {
    position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap;
  }
  button { font: inherit; color: inherit; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  @media (prefers-reduced-motion: reduce) {
    * { animation: none !important; transition: none !important; }
  }
`);

// MARK: Sharing

const clients = new Map();

/** The connection that all elements of a url share; the first one's token and options count. */
export function sharedClient(url = "", options = {}) {
  const key = new URL(url || "/", location.href).href.replace(/^ws/, "http").replace(/\/+$/, "");
  let client = clients.get(key);
  if (!client || client.state === "closed") {
    clients.set(key, (client = new PresenceClient({ ...options, url: key })));
  } else if (options.user) client.identify(options.user);
  return client;
}

/** Rooms that elements hold, and by how many of them: the last one leaves. */
const holds = new Map();

function hold(room) {
  holds.set(room, (holds.get(room) ?? 0) + 1);
}

function letGo(room) {
  const count = holds.get(room) - 1;
  if (count > 0) return holds.set(room, count);
  holds.delete(room);
  // An element that is moved in the document is taken out and put back at once.
  setTimeout(() => holds.has(room) || room.leave());
}

class PresenceElement extends HTMLElement {
  static observedAttributes = ["room", "url", "token", "user-id", "max"];

  #source = null;
  #held = false;
  #ends = [];
  #frame = 0;
  #reading = 0;

  constructor(styles) {
    super();
    this.attachShadow({ mode: "open" });
    this.shadowRoot.adoptedStyleSheets = [common, styles];
  }

  get source() {
    return this.#source;
  }

  set source(room) {
    this.#release();
    this.#source = room;
    if (room && this.isConnected) {
      this.#subscribe();
      this.attached?.();
    }
    this.schedule();
  }

  get client() {
    return this.#source?.client ?? this.ownClient();
  }

  /** The shared connection that the attributes ask for. */
  ownClient() {
    const at = (name) => this.getAttribute(name) ?? undefined;
    const id = at("user-id");
    const user = id && {
      id, name: at("user-name"), color: at("user-color"), avatar: at("user-avatar"),
    };
    return sharedClient(at("url"), { token: at("token"), ...(user ? { user } : {}) });
  }

  connectedCallback() {
    this.#reading = setTimeout(() => this.#attach());
  }

  disconnectedCallback() {
    clearTimeout(this.#reading);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#release(true);
  }

  attributeChangedCallback(name, before, now) {
    if (before === now || !this.isConnected) return;
    if (name === "max" || (this.#source && !this.#held)) return this.schedule();
    this.#release();
    clearTimeout(this.#reading);
    this.#reading = setTimeout(() => this.#attach());
  }

  /** Elements are set up in a task of their own, when all attributes of the page are there. */
  #attach() {
    if (!this.#source && this.hasAttribute("room")) {
      const present = this.hasAttribute("user-id");
      this.#source = this.ownClient().room(this.getAttribute("room"), { present });
      this.#held = true;
      hold(this.#source);
    }
    if (this.#source) this.#subscribe();
    this.attached?.();
    this.schedule();
  }

  #subscribe() {
    if (this.#ends.length > 0) return;
    this.#ends.push(this.#source.on("change", () => this.schedule()));
    const more = this.subscribe?.(this.#source);
    if (more) this.#ends.push(more);
  }

  #release(keepSource = false) {
    for (const end of this.#ends.splice(0)) end();
    this.detached?.();
    if (this.#held) letGo(this.#source);
    if (this.#held || !keepSource) this.#source = null;
    this.#held = false;
  }

  /** Draws in the next frame, however often it is asked for. */
  schedule() {
    if (this.#frame || !this.isConnected) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.render?.();
    });
  }

  number(name, otherwise) {
    const value = Number.parseInt(this.getAttribute(name) ?? "", 10);
    return value > 0 ? value : otherwise;
  }
}

const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

/** By the list that was sorted: a room gives the same one until it changes. */
const sortings = new WeakMap();

/** As people look for each other: oneself, then by name; then the gone, the last one first. */
function forPeople(room) {
  const users = room.users;
  if (!sortings.has(users)) sortings.set(users, sortForPeople(users, room.client.user?.id));
  return sortings.get(users);
}

function sortForPeople(users, own) {
  const online = users.filter((user) => user.online);
  online.sort(
    (a, b) =>
      (b.userId === own) - (a.userId === own) ||
      collator.compare(a.username, b.username) ||
      (a.userId < b.userId ? -1 : 1),
  );
  return online.concat(users.filter((user) => !user.online));
}

// MARK: <presence-facepile>

const pileStyles = sheet(`
  :host { display: inline-block; position: relative; min-block-size: 36px; }
  .pile {
    display: inline-flex; align-items: center; block-size: 36px; padding: 0 2px; border: 0;
    background: none; cursor: pointer; border-radius: 18px;
  }
  .place { position: relative; display: inline-flex; }
  .place + .place { margin-inline-start: -8px; }
  .place .face, .more { box-shadow: 0 0 0 2px var(--card); }
  .place:hover { z-index: 2; }
  .place > .dot {
    position: absolute; z-index: 1; inset-inline-end: -1px; inset-block-end: -1px;
    box-shadow: 0 0 0 2px var(--card);
  }
  .place > .dot[data-condition=away], .place > .dot[data-condition=idle],
  .place > .dot[data-condition=suspect] { background: var(--card); }
  .tip {
    position: absolute; inset-block-start: calc(100% + 8px); inset-inline-start: 50%;
    transform: translateX(-50%); padding: 4px 8px; border-radius: 6px; white-space: nowrap;
    max-inline-size: 220px; overflow: hidden; text-overflow: ellipsis;
    background: var(--text); color: var(--card); font-size: 12px; pointer-events: none;
    display: none;
  }
  [aria-expanded=false] .place:hover .tip { display: block; }
  .more {
    display: inline-grid; place-items: center; min-inline-size: 32px; block-size: 32px;
    padding: 0 7px; margin-inline-start: -8px; border-radius: 16px; background: var(--line);
    color: var(--soft); font-size: 12px; font-weight: 600; font-variant-numeric: tabular-nums;
  }
  .nobody { color: var(--soft); font-size: 13px; }
  .list {
    position: absolute; z-index: 20; inset-block-start: calc(100% + 6px); inset-inline-end: 0;
    inline-size: 260px; max-inline-size: 88vw; max-block-size: 320px; overflow: auto; margin: 0;
    padding: 6px; list-style: none; background: var(--card); border: 1px solid var(--line);
    border-radius: 12px; box-shadow: 0 10px 30px rgb(0 0 0 / 0.16);
  }
  .list li {
    display: flex; align-items: center; gap: 10px; padding: 5px 8px; border-radius: 8px;
    --size: 26px;
  }
  .list .name {
    flex: 1; min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  }
  .list .what { color: var(--soft); font-size: 12px; }
`);

/** Faces of who is online, `max` of them (5), "+N" for the others; all of them in a dropdown. */
export class PresenceFacepile extends PresenceElement {
  #button = make("button", "pile");
  #faces = make("span", "pile");
  #more = make("span", "more");
  #nobody = make("span", "nobody", "nobody here");
  #list = make("ul", "list");
  #outside = (event) => event.composedPath().includes(this) || this.#open(false);

  constructor() {
    super(pileStyles);
    this.#button.type = "button";
    this.#button.setAttribute("aria-expanded", "false");
    this.#button.setAttribute("aria-haspopup", "true");
    this.#button.append(this.#faces, this.#more, this.#nobody);
    this.#list.hidden = true;
    this.#list.tabIndex = -1;
    this.#list.setAttribute("aria-label", "Who is here");
    this.#more.hidden = true;
    this.shadowRoot.append(this.#button, this.#list);
    this.#button.addEventListener("click", () => this.#open(this.#list.hidden));
    this.shadowRoot.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#list.hidden) return;
      this.#open(false);
      this.#button.focus();
    });
  }

  detached() {
    document.removeEventListener("pointerdown", this.#outside);
  }

  #open(open) {
    this.#list.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    document[open ? "addEventListener" : "removeEventListener"]("pointerdown", this.#outside);
    if (!open) return;
    this.render();
    this.#list.focus();
  }

  render() {
    const users = this.source ? forPeople(this.source).filter((user) => user.online) : [];
    const max = this.number("max", 5);
    // One too many is shown as a face: "+1" would take the same place.
    const shown = users.slice(0, users.length > max ? max - 1 || 1 : max);
    keyed(this.#faces, shown, (user) => user.userId, this.#makePlace, this.#updatePlace);
    this.#more.hidden = users.length === shown.length;
    setText(this.#more, `+${users.length - shown.length}`);
    this.#nobody.hidden = users.length > 0;
    const names = shown.map((user) => user.username).join(", ");
    setAttribute(this.#button, "aria-label", users.length === 0
      ? "Nobody is here"
      : `${plural(users.length, "person is", "people are")} here: ${names}. Show all`);
    if (this.#list.hidden) return;
    keyed(this.#list, users, (user) => user.userId, this.#makeRow, this.#updateRow);
  }

  #makePlace = () => make("span", "place", makeFace(), make("span", "dot"), make("span", "tip"));

  #updatePlace = (place, user) => {
    const [face, dot, tip] = place.children;
    updateFace(face, user);
    setAttribute(dot, "data-condition", condition(user));
    setText(tip, `${user.username} · ${conditionText(user)}`);
  };

  #makeRow = () => make("li", "", makeFace(), make("span", "name"), make("span", "what"));

  #updateRow = (row, user) => {
    const [face, name, what] = row.children;
    updateFace(face, user);
    setText(name, user.username);
    setText(what, conditionText(user));
  };
}

// MARK: <presence-roster>

const rosterStyles = sheet(`
  ul { list-style: none; margin: 0; padding: 0; }
  li {
    display: grid; grid-template-columns: auto minmax(0, 1fr) auto; align-items: center;
    column-gap: 12px; block-size: 56px; padding: 0 8px; border-radius: 10px; --size: 36px;
    content-visibility: auto; contain-intrinsic-size: auto 56px;
  }
  li:hover { background: var(--hover); }
  .names, .facts { display: grid; gap: 1px; min-inline-size: 0; }
  .facts { justify-items: end; font-size: 12px; color: var(--soft); }
  .name, .line { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .name { font-weight: 550; }
  .name .you { font-weight: 400; color: var(--soft); }
  .line { font-size: 12.5px; color: var(--soft); min-block-size: 1.4em; }
  .line.typing { color: var(--accent); }
  .state {
    display: inline-flex; align-items: center; justify-content: end; gap: 6px;
    min-inline-size: 62px;
  }
  .devices { min-block-size: 1.4em; font-variant-numeric: tabular-nums; }
  li[data-condition=offline] .name, li[data-condition=suspect] .name {
    color: var(--soft); font-weight: 450;
  }
  .empty { padding: 20px 8px; color: var(--soft); }
`);

/** All users of a room; those who have gone too, at most `max` (50), unless `online-only`. */
export class PresenceRoster extends PresenceElement {
  #list = make("ul");
  #empty = make("div", "empty");
  #clock = 0;

  constructor() {
    super(rosterStyles);
    this.#list.setAttribute("role", "list");
    this.shadowRoot.append(this.#list, this.#empty);
  }

  attached() {
    clearInterval(this.#clock);
    // "2 min ago" has to move on although nothing changes.
    this.#clock = setInterval(() => {
      for (const row of this.#list.children) if (!row._user?.online) this.#update(row, row._user);
    }, 10_000);
  }

  detached() {
    clearInterval(this.#clock);
  }

  render() {
    const users = this.source ? forPeople(this.source) : [];
    const online = users.filter((user) => user.online);
    const gone = this.hasAttribute("online-only") ? 0 : this.number("max", 50);
    const shown = users.slice(0, online.length + gone);
    keyed(this.#list, shown, (user) => user.userId, this.#create, this.#update);
    this.#empty.hidden = shown.length > 0;
    setText(this.#empty, this.source?.synced ? "Nobody is here." : "Waiting for the node…");
  }

  #create = () => {
    const you = make("span", "you");
    const name = make("span", "name", make("span"), you);
    const state = make("span", "state", make("span", "what"), make("span", "dot"));
    return make("li", "", makeFace(), make("span", "names", name, make("span", "line")),
      make("span", "facts", state, make("span", "devices")));
  };

  #update = (row, user) => {
    row._user = user;
    const [face, names, facts] = row.children;
    const how = condition(user);
    setAttribute(row, "data-condition", how);
    updateFace(face, user);
    setText(names.firstChild.firstChild, user.username);
    const isOwn = user.userId === this.source.client.user?.id;
    setText(names.firstChild.lastChild, isOwn ? " (you)" : "");
    const devices = [...new Set(user.sessions.map((session) => session.device).filter(Boolean))];
    const typing = user.online && user.typing;
    setText(names.lastChild, typing ? "typing…" : user.message || devices.join("; "));
    names.lastChild.className = typing ? "line typing" : "line";
    const [what, dot] = facts.firstChild.children;
    setText(what, how === "suspect" ? `${user.status}?` : conditionText(user));
    setAttribute(dot, "data-condition", how);
    setText(facts.lastChild, user.online ? plural(user.devices, "device", "devices") : "");
    setAttribute(row, "title", user.sessions
      .map((session) => `${session.device || "device"} on node ${session.node.slice(0, 8)}`)
      .join("\n") || null);
  };
}

// MARK: <presence-cursors>

const cursorStyles = sheet(`
  :host { position: relative; overflow: hidden; }
  .layer { position: absolute; inset: 0; overflow: hidden; pointer-events: none; }
  .cursor {
    position: absolute; inset-block-start: 0; left: 0; will-change: transform;
    transition: opacity 0.25s; color: var(--colour);
  }
  .cursor.out { opacity: 0; }
  .cursor.doubtful { opacity: 0.4; }
  svg {
    display: block; inline-size: 18px; block-size: 20px; overflow: visible;
    filter: drop-shadow(0 1px 2px rgb(0 0 0 / 0.3));
  }
  .label {
    position: absolute; inset-block-start: 18px; left: 12px; padding: 1px 8px;
    border-radius: 9px; background: var(--colour); color: var(--ink); font-size: 12px;
    font-weight: 550; white-space: nowrap; max-inline-size: 160px; overflow: hidden;
    text-overflow: ellipsis;
  }
  .cursor.flip .label { left: auto; right: calc(100% - 8px); }
`);

const SVG = "http://www.w3.org/2000/svg";

export function makeSVG(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Time in which a shown cursor covers two thirds of the way to where it was last heard. */
const GLIDE = 55;
/** Labels are on the other side of a cursor that is nearer to the edge. */
const LABEL_WIDTH = 140;

/** The others' cursors over the content; with the attribute `track`, the own one is sent. */
export class PresenceCursors extends PresenceElement {
  #layer = make("div", "layer");
  #shown = new Map();
  #frame = 0;
  #last = 0;
  #size = { width: 0, height: 0 };
  #resize = null;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor() {
    super(cursorStyles);
    this.#layer.setAttribute("aria-hidden", "true");
    this.shadowRoot.append(make("slot"), this.#layer);
    const tracks = () => this.hasAttribute("track") && this.source?.present;
    this.addEventListener("pointermove", (event) => {
      if (!tracks()) return;
      const { left, top, width, height } = this.getBoundingClientRect();
      this.source.moveCursor((event.clientX - left) / width, (event.clientY - top) / height);
    });
    // A finger that is lifted leaves its mark; a mouse that leaves is elsewhere.
    this.addEventListener("pointerleave", (event) => {
      if (tracks() && event.pointerType === "mouse") this.source.hideCursor();
    });
  }

  attached() {
    this.#resize ??= new ResizeObserver(([entry]) => {
      this.#size = entry.contentRect;
      for (const cursor of this.#shown.values()) this.#place(cursor);
    });
    this.#resize.observe(this);
  }

  detached() {
    this.#resize?.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const { element } of this.#shown.values()) element.remove();
    this.#shown.clear();
  }

  subscribe(room) {
    return room.on("cursor", () => this.#move());
  }

  render() {
    for (const cursor of this.#shown.values()) cursor.dressed = false;
    this.#move();
  }

  #move() {
    const { cursors } = this.source;
    for (const [id, { element }] of this.#shown) {
      if (cursors.has(id)) continue;
      element.remove();
      this.#shown.delete(id);
    }
    for (const [id, { x, y, visible, userId }] of cursors) {
      let cursor = this.#shown.get(id);
      if (!cursor) {
        if (!visible) continue;
        cursor = { element: this.#create(), x, y, visible };
        this.#shown.set(id, cursor);
        this.#layer.append(cursor.element);
      }
      // One that was hidden comes back where it is, not from where it went.
      if (visible && !cursor.visible) Object.assign(cursor, { x, y });
      Object.assign(cursor, { toX: x, toY: y, visible });
      if (!cursor.dressed) this.#dress(cursor, this.source.user(userId));
      cursor.element.classList.toggle("out", !visible);
    }
    if (!this.#frame && this.#shown.size > 0) {
      this.#last = performance.now();
      this.#frame = requestAnimationFrame(this.#step);
    }
  }

  #create() {
    const arrow = makeSVG("path", {
      d: "M1.5 1.2 15.6 8.1 9.3 10.1 6.2 16.4z", fill: "currentColor", stroke: "#fff",
      "stroke-width": "1.3", "stroke-linejoin": "round",
    });
    const drawing = makeSVG("svg", { viewBox: "0 0 18 20" }, arrow);
    return make("div", "cursor", drawing, make("span", "label"));
  }

  #dress(cursor, user) {
    const colour = safeColour(user?.color);
    cursor.dressed = true;
    cursor.element.style.setProperty("--colour", colour);
    cursor.element.style.setProperty("--ink", inkOn(colour));
    setText(cursor.element.lastChild, user?.username ?? "");
    const doubtful = !user?.online || user.suspect || !this.source.connected;
    cursor.element.classList.toggle("doubtful", doubtful);
  }

  #place({ element, x, y }) {
    const { width, height } = this.#size;
    const [left, top] = [(x * width).toFixed(1), (y * height).toFixed(1)];
    element.style.transform = `translate(${left}px, ${top}px)`;
    element.classList.toggle("flip", (1 - x) * width < LABEL_WIDTH);
  }

  /** Moves every cursor a share of its way that depends on the time, not on the frame rate. */
  #step = (now) => {
    const share = this.#still.matches ? 1 : 1 - Math.exp(-Math.min(100, now - this.#last) / GLIDE);
    this.#last = now;
    let moving = false;
    for (const cursor of this.#shown.values()) {
      const [dx, dy] = [cursor.toX - cursor.x, cursor.toY - cursor.y];
      if (dx === 0 && dy === 0 && cursor.placed) continue;
      const arrived = Math.abs(dx) < 0.0004 && Math.abs(dy) < 0.0004;
      cursor.x = arrived ? cursor.toX : cursor.x + dx * share;
      cursor.y = arrived ? cursor.toY : cursor.y + dy * share;
      cursor.placed = true;
      moving ||= !arrived;
      this.#place(cursor);
    }
    this.#frame = moving ? requestAnimationFrame(this.#step) : 0;
  };
}

// MARK: <presence-typing>

const typingStyles = sheet(`
  :host { block-size: 1.5em; color: var(--soft); font-size: 13px; overflow: hidden; }
  .line { display: flex; align-items: center; gap: 8px; min-inline-size: 0; }
  .line > span:last-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .dots { display: inline-flex; gap: 3px; }
  .dots i {
    inline-size: 5px; block-size: 5px; border-radius: 50%; background: var(--accent);
    animation: rise 1.2s infinite;
  }
  .dots i:nth-child(2) { animation-delay: 0.15s; }
  .dots i:nth-child(3) { animation-delay: 0.3s; }
  .empty .dots { visibility: hidden; }
  @keyframes rise {
    0%, 60%, 100% { opacity: 0.35; }
    30% { opacity: 1; transform: translateY(-2px); }
  }
`);

/** "Ada and Grace are typing", in a line that keeps its height. */
export class PresenceTyping extends PresenceElement {
  #text = make("span");
  #line;

  constructor() {
    super(typingStyles);
    const dots = make("span", "dots", make("i"), make("i"), make("i"));
    dots.setAttribute("aria-hidden", "true");
    this.#line = make("div", "line empty", dots, this.#text);
    this.#line.setAttribute("role", "status");
    this.shadowRoot.append(this.#line);
  }

  render() {
    const typing = this.source?.others.filter((user) => user.online && user.typing) ?? [];
    const names = typing.slice(0, typing.length > 3 ? 2 : 3).map((user) => user.username);
    const rest = typing.length - names.length;
    if (rest > 0) names.push(`${rest} others`);
    const last = names.pop();
    const all = names.length > 0 ? `${names.join(", ")} and ${last}` : last;
    setText(this.#text, all ? `${all} ${typing.length === 1 ? "is" : "are"} typing` : "");
    this.#line.classList.toggle("empty", !all);
  }
}

// MARK: <presence-badge>

const badgeStyles = sheet(`
  :host { display: inline-flex; }
  .badge {
    display: inline-flex; align-items: center; gap: 6px; padding: 1px 8px; border-radius: 10px;
    background: var(--hover); color: var(--soft); font-size: 12px; font-weight: 550;
    font-variant-numeric: tabular-nums;
  }
`);

/** With `room`: how many are there. With `user`: whether that user is online, and how. */
export class PresenceBadge extends PresenceElement {
  static observedAttributes = [...PresenceElement.observedAttributes, "user"];
  #dot = make("span", "dot");
  #text = make("span");
  #badge = make("span", "badge", this.#dot, this.#text);
  #end = null;
  #watched = null;

  constructor() {
    super(badgeStyles);
    this.#badge.setAttribute("role", "status");
    this.#dot.setAttribute("aria-hidden", "true");
    this.shadowRoot.append(this.#badge);
  }

  attached() {
    const user = this.getAttribute("user");
    this.#end?.();
    this.#end = user && this.client.watch(user, (watched) => {
      this.#watched = watched;
      this.schedule();
    });
  }

  detached() {
    this.#end?.();
    this.#end = null;
    this.#watched = null;
  }

  render() {
    if (this.hasAttribute("user")) {
      const how = this.#watched?.online ? this.#watched.status : "offline";
      setText(this.#text, this.#watched ? how : "…");
      setAttribute(this.#dot, "data-condition", how);
      setAttribute(this.#badge, "aria-label", `${this.getAttribute("user")}: ${how}`);
      return;
    }
    const count = this.source?.counts.users ?? 0;
    setText(this.#text, String(count));
    setAttribute(this.#dot, "data-condition", count > 0 ? "online" : "offline");
    setAttribute(this.#badge, "aria-label", `${plural(count, "person", "people")} online`);
  }
}

const elements = {
  "presence-facepile": PresenceFacepile, "presence-roster": PresenceRoster,
  "presence-cursors": PresenceCursors, "presence-typing": PresenceTyping,
  "presence-badge": PresenceBadge,
};
for (const [name, type] of Object.entries(elements)) {
  if (!customElements.get(name)) customElements.define(name, type);
}
