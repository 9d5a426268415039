/**
 * The page of a node: a room with its people and cursors, and the mesh as this node sees it.
 *
 * Query: `room`, `name`, `interval` (ms between heartbeats), `token`.
 */

import {
  ago, initials, inkOn, keyed, make, makeSVG, safeColour, setAttribute, setText, sharedClient,
} from "./components.js";

const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** localStorage and the like, where the browser lets the page have them. */
function remembered(store, key, value) {
  try {
    if (value === undefined) return globalThis[store].getItem(`presencemesh.${key}`);
    globalThis[store].setItem(`presencemesh.${key}`, value);
  } catch {
    // Refused: then it is for this visit only.
  }
  return value ?? null;
}

// MARK: Who

/** What a token says of its bearer. Only the node can judge whether it is true. */
function claims(token) {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

function newToken() {
  const token = query.get("token") ?? remembered("sessionStorage", "token");
  if (!query.has("token")) return token;
  remembered("sessionStorage", "token", token);
  // A token in the address bar is soon in a screenshot.
  query.delete("token");
  showAddress();
  return token;
}

function showAddress() {
  const rest = query.toString();
  history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : ""));
}

const FIRST = ["Quiet", "Amber", "Swift", "Mossy", "Silver", "Gentle", "Brisk", "Sunny", "Velvet"];
const SECOND = ["Heron", "Otter", "Lynx", "Wren", "Marten", "Finch", "Hare", "Badger", "Fox"];
const oneOf = (list) => list[Math.floor(Math.random() * list.length)];

/** The user that this page speaks for: as given in the address, by the token, or as last time. */
function whoAmI(token) {
  const given = query.get("name")?.trim().slice(0, 40);
  // Whoever is named in the address is one user per name, so that a link can be opened twice.
  const slug = given?.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  const own = remembered("localStorage", "id") ??
    remembered("localStorage", "id", `web-${Math.random().toString(36).slice(2, 10)}`);
  const id = (token && claims(token).sub) || slug || own;
  // Without a chosen colour the mesh gives one by the id, the same wherever the user is.
  const color = remembered("localStorage", given ? `color.${id}` : "color") ?? undefined;
  const name = given ?? remembered("localStorage", "name") ??
    remembered("localStorage", "name", `${oneOf(FIRST)} ${oneOf(SECOND)}`);
  return { id, name, color: color && safeColour(color) };
}

const token = newToken();
const me = whoAmI(token);
const interval = Number(query.get("interval")) || undefined;
const client = sharedClient("/", { user: me, token: () => token, interval });

// MARK: The room

let room = null;
let wasOnline = null;
const views = ["pile", "cursors", "typing", "roster"].map(at);

function enter(name) {
  if (room?.name === name) return;
  const before = room;
  room = client.room(name, { present: true });
  wasOnline = null;
  for (const view of views) view.source = room;
  room.on("change", () => schedule(drawRoom));
  // The next room is entered before this one is left: the session ends with its last room.
  before?.leave();
  remembered("localStorage", "room", name);
  query.set("room", name);
  showAddress();
  setText(at("room-title"), name || "Lobby");
  document.title = `${name || "Lobby"} · PresenceMesh`;
  at("notices").replaceChildren(make("li", "quiet", "Nobody has come or gone yet."));
  at("hint").classList.remove("seen");
  drawRooms();
  schedule(drawRoom);
}

/** Each drawing at most once a frame. */
const due = new Set();
function schedule(draw) {
  if (due.size === 0) {
    requestAnimationFrame(() => {
      const now = [...due];
      due.clear();
      for (const one of now) one();
    });
  }
  due.add(draw);
}

function drawRoom() {
  const { users, sessions } = room.counts;
  const people = plural(users, "person", "people");
  const known = room.synced || users > 0;
  setText(at("room-counts"), known ? `${people}, ${plural(sessions, "device", "devices")}` : "");
  const unsure = room.users.filter((user) => user.online && user.suspect).length;
  const doubt = unsure > 0 ? `, ${unsure} not heard lately` : "";
  setText(at("roster-counts"), known ? `${users - unsure} online${doubt}` : "");
  at("stale").hidden = !(room.stale || mesh?.stale);
  drawMe();
  drawConnection();
  noticeChanges();
}

/** Fields that the user is in are left alone. */
function drawMe() {
  const set = (field, value) => {
    if (document.activeElement !== field && field.value !== value) field.value = value;
  };
  set(at("name"), client.user.name);
  set(at("color"), safeColour(client.user.color ?? room.self.color));
  set(at("message"), room.message);
  const status = room.status === "typing" ? "active" : room.status;
  set(at("status"), status ?? "online");
}

// MARK: Who came and went

/** Compares lists instead of counting messages: who came and went within a frame is no news. */
function noticeChanges() {
  if (!room.synced) return;
  const others = room.others.filter((user) => user.online);
  const online = new Map(others.map((user) => [user.userId, user]));
  if (wasOnline) {
    const missing = (from, users) => [...users.values()].filter(({ userId }) => !from.has(userId));
    notice("came", missing(wasOnline, online));
    notice("went", missing(online, wasOnline));
  }
  wasOnline = online;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function notice(what, users) {
  if (users.length === 0) return;
  const list = at("notices");
  const names = users.slice(0, 2).map((user) => user.username);
  if (users.length > 2) names.push(`${users.length - 2} more`);
  const last = names.pop();
  const text = `${names.length > 0 ? `${names.join(", ")} and ` : ""}${last} ${what}`;
  list.querySelector(".quiet")?.remove();
  const time = make("time", "", clock.format(new Date()));
  list.prepend(make("li", what, time, make("span", "", text)));
  while (list.children.length > 3) list.lastChild.remove();
}

// MARK: What the user does

function bindFields() {
  const changed = (id, change) => {
    at(id).addEventListener("change", () => change(at(id).value.trim()));
  };
  changed("name", (name) => {
    if (!name) return drawMe();
    if (!query.has("name")) remembered("localStorage", "name", name);
    client.setProfile({ name }).catch(() => {});
  });
  changed("color", (color) => {
    remembered("localStorage", query.has("name") ? `color.${me.id}` : "color", color);
    client.setProfile({ color }).catch(() => {});
  });
  const speak = () => {
    room.setStatus(at("status").value, at("message").value.trim()).catch(() => {});
  };
  changed("status", speak);
  changed("message", speak);
  for (const id of ["message", "name"]) {
    at(id).addEventListener("keydown", ({ key }) => key === "Enter" && at(id).blur());
  }
  at("text").addEventListener("input", () => room.setTyping(at("text").value !== ""));
  at("text").addEventListener("blur", () => room.setTyping(false));
  at("text").addEventListener("keydown", ({ key }) => {
    if (key !== "Enter") return;
    at("text").value = "";
    room.setTyping(false);
  });
  at("cursors").addEventListener("pointermove", () => at("hint").classList.add("seen"));
  at("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = at("room-name").value.trim();
    at("room-name").value = "";
    if (name) enter(name);
  });
  at("gate-form").addEventListener("submit", (event) => {
    event.preventDefault();
    remembered("sessionStorage", "token", at("gate-token").value.trim());
    location.reload();
  });
  at("cut").addEventListener("change", () => cutLinks(at("cut").checked));
}

// MARK: The node's HTTP API

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(`/api/v1/${path}`, {
    ...options, headers, cache: "no-store", signal: AbortSignal.timeout(5_000),
  });
  if (answer.ok) return answer.json();
  throw Object.assign(new Error(`HTTP ${answer.status}`), { status: answer.status });
}

/** Asks again and again while the page is shown; one question at a time. */
function poll(milliseconds, question) {
  const turn = async () => {
    if (!document.hidden) await question();
    setTimeout(turn, milliseconds);
  };
  turn();
  document.addEventListener("visibilitychange", () => document.hidden || question());
}

let rooms = [];

async function askRooms() {
  try {
    rooms = (await ask("rooms")).rooms.filter(({ room: name }) => name !== "");
    lock(null);
    // The node answers again: no need to wait for the next try.
    if (client.state === "waiting") client.connect();
  } catch (error) {
    if (error.status === 401) lock(token ? "The node does not accept this token (any more)." : "");
  }
  drawRooms();
}

/** A socket that is refused does not tell a browser why; the HTTP API does. */
function lock(reason) {
  at("gate").hidden = reason === null;
  document.body.classList.toggle("locked", reason !== null);
  if (reason) setText(at("gate-text"), reason);
}

function drawRooms() {
  const listed = rooms.slice(0, 200);
  if (room && !listed.some((one) => one.room === room.name)) {
    listed.push({ room: room.name, users: room.counts.users });
  }
  listed.sort((a, b) => (a.room < b.room ? -1 : 1));
  keyed(at("rooms"), listed, (one) => one.room, ({ room: name }) => {
    const button = make("button", "", make("span", "", name || "Lobby"), make("span", "count"));
    button.type = "button";
    button.addEventListener("click", () => enter(name));
    return make("li", "", button);
  }, (item, { room: name, users }) => {
    const button = item.firstChild;
    setText(button.lastChild, String(users));
    setAttribute(button, "aria-label", `${name || "Lobby"}, ${plural(users, "person", "people")}`);
  });
  for (const [name, { element }] of at("rooms")._known) {
    const current = name === room?.name;
    const isNew = current && !element.firstChild.hasAttribute("aria-current");
    setAttribute(element.firstChild, "aria-current", current ? "true" : null);
    if (isNew) at("rooms").scrollLeft = element.offsetLeft - at("rooms").offsetLeft - 24;
  }
}

// MARK: The mesh

let mesh = null;
let meshAt = 0;
let refused = false;
let lastCounters = null;
let cut = false;
let cutSaidAt = 0;
const traffic = [];
const TRAFFIC_SECONDS = 60;

async function askNodes() {
  try {
    const answer = await ask("nodes");
    const now = performance.now();
    const { counters } = answer;
    if (lastCounters && now > lastCounters.at) {
      const rate = (name) => {
        const change = counters[name] - lastCounters.counters[name];
        // A node that was started anew counts from 0.
        return change >= 0 ? (change * 1000) / (now - lastCounters.at) : 0;
      };
      traffic.push({ sent: rate("bytesSent"), received: rate("bytesReceived") });
      if (traffic.length > TRAFFIC_SECONDS) traffic.shift();
    }
    lastCounters = { counters, at: now };
    mesh = answer;
    meshAt = now;
    refused = false;
    if (typeof answer.cut === "boolean" && now - cutSaidAt > 1_500) cut = answer.cut;
  } catch (error) {
    refused = error.status === 401 || error.status === 403;
  }
  schedule(drawMesh);
}

async function cutLinks(wanted) {
  cut = wanted;
  cutSaidAt = performance.now();
  try {
    await ask("demo/link", {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ cut: wanted }),
    });
  } catch {
    cut = !wanted;
  }
  schedule(drawMesh);
}

/** Counters of what was not taken, by their names: a node may count more than this page knows. */
const DROPS = new RegExp(
  "(Dropped|Refused|Malformed|Foreign|Forged|Replayed|Unproven|Wrong|Implausible|Unknown|Blocked" +
    "|Errors)$",
);

const UNITS = ["B/s", "kB/s", "MB/s"];
function speed(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

const short = (id) => id.slice(0, 8);
const HEALTH = ["online", "suspect", "offline", "left"];
const healthOf = (node) => (HEALTH.includes(node.health) ? node.health : "offline");

/** How long two nodes may hold different things while changes are under way. */
const TOLERATED_DIFFERENCE_MS = 10_000;

const differs = (node) => (node.differsMs ?? 0) >= TOLERATED_DIFFERENCE_MS;

/** What the table says of a node beside its health. */
function stateOf(node, how) {
  if (node.unverified) return `${how}?`;
  if (how !== "online") return how;
  if (differs(node)) return "differs";
  return node.complete ? how : "catching up";
}

function roundTrip(node) {
  if (node.roundTripUs === null || node.roundTripUs === undefined) return "–";
  const time = node.roundTripUs;
  return time < 1000 ? `${time} µs` : `${(time / 1000).toFixed(time < 10_000 ? 1 : 0)} ms`;
}

function heard(node) {
  if (typeof node.ageMs !== "number") return "–";
  if (node.ageMs < 10_000) return `${(node.ageMs / 1000).toFixed(1)} s`;
  return ago(Date.now() - node.ageMs).replace(" ago", "");
}

/** Online first, each group by id: a node keeps its place unless its health changes. */
function sortedNodes() {
  const rank = (node) => HEALTH.indexOf(healthOf(node));
  return [...mesh.nodes].sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
}

function drawMesh() {
  if (!mesh) {
    setText(at("mesh-state"), refused ? "not shown to this token" : "asking the node…");
    return;
  }
  const silence = (performance.now() - meshAt) / 1000;
  const unheard = silence > 4;
  document.querySelector(".mesh").classList.toggle("unheard", unheard);
  const count = (health) => mesh.nodes.filter((node) => healthOf(node) === health).length;
  const [suspects, offline] = [count("suspect"), count("offline")];
  const [text, mood] =
    unheard ? [`as of ${Math.round(silence)} s ago`, "bad"]
    : mesh.stale ? ["hears no other node", "warn"]
    : offline > 0 ? [`${plural(offline, "node", "nodes")} lost`, "bad"]
    : suspects > 0 ? [`${plural(suspects, "node", "nodes")} silent`, "warn"]
    : mesh.nodes.some((node) => healthOf(node) === "online" && differs(node))
      ? ["holds other things than some node", "warn"]
    : mesh.nodes.length === 0 ? ["this node alone", ""]
    : [`${count("online") + 1} nodes online`, "good"];
  setText(at("mesh-state"), text);
  at("mesh-state").className = `soft ${mood}`;
  at("cut-label").hidden = mesh.demo !== true;
  at("cut").checked = cut;
  at("stale").hidden = !(room?.stale || mesh.stale);
  setText(at("node"), `node ${short(mesh.node)}`);
  drawFigures();
  drawTable();
  drawMap(unheard);
}

function drawFigures() {
  const hash = mesh.stateHash.padStart(16, "0");
  setText(at("hash"), hash);
  drawHash(hash);
  const now = traffic.at(-1);
  if (now) {
    setText(at("sent"), speed(now.sent));
    setText(at("received"), speed(now.received));
  }
  const counted = Object.entries(mesh.counters);
  const drops = counted.filter(([name, value]) => DROPS.test(name) && value > 0);
  setText(at("drops"), String(drops.reduce((sum, [, value]) => sum + value, 0)));
  const listed = drops.map(([name, value]) => `${name}: ${value}`).join("\n");
  setAttribute(at("drops"), "title", listed || null);
  setText(at("addresses"), mesh.addresses.join(" · ") || "–");
  const highest = Math.max(1, ...traffic.map(({ sent, received }) => Math.max(sent, received)));
  const line = (name) => traffic.map((point, index) => {
    const x = 240 - ((traffic.length - 1 - index) * 240) / (TRAFFIC_SECONDS - 1);
    return `${x.toFixed(1)},${(34 - (point[name] / highest) * 32).toFixed(1)}`;
  }).join(" ");
  const [received, sent] = at("traffic").children;
  received.setAttribute("points", line("received"));
  sent.setAttribute("points", line("sent"));
}

/** Eight colours for the hash: two nodes that show the same stripe hold the same. */
function drawHash(hash) {
  const drawing = at("hash-colours");
  if (drawing._hash === hash) return;
  drawing._hash = hash;
  drawing.replaceChildren(...Array.from({ length: 8 }, (_, index) => {
    const byte = Number.parseInt(hash.slice(index * 2, index * 2 + 2), 16) || 0;
    const hue = Math.round((byte * 360) / 256);
    const fill = `hsl(${hue} ${35 + (byte % 3) * 12}% ${45 + (byte % 5) * 5}%)`;
    return makeSVG("rect", { x: index * 8, y: 0, width: 8, height: 8, fill });
  }));
}

function drawTable() {
  at("alone").hidden = mesh.nodes.length > 0;
  keyed(at("nodes"), sortedNodes(), (node) => node.id, () => {
    const name = make("td", "", make("code"), make("span", "soft"));
    return make("tr", "", name, make("td", "", make("span", "pill")), make("td"), make("td"));
  }, (row, node) => {
    const [name, health, age, trip] = row.children;
    const how = healthOf(node);
    setText(name.firstChild, short(node.id));
    setAttribute(name, "title", node.id);
    const sessions = plural(node.sessions, "session", "sessions").replace(" ", "\u00a0");
    setText(name.lastChild, `${node.address ?? "no path"} · ${sessions}`);
    setText(health.firstChild, stateOf(node, how));
    health.firstChild.className = `pill ${how}`;
    setText(age, heard(node));
    setText(trip, how === "online" ? roundTrip(node) : "–");
  });
}

// MARK: The map

const MAP_NODES = 16;

/** This node in the middle of the others; with one or two of them, a line and a triangle. */
function layout(count) {
  if (count === 1) return { centre: { x: 80, y: 100 }, around: [{ x: 240, y: 100 }] };
  if (count === 2) {
    return { centre: { x: 160, y: 158 }, around: [{ x: 56, y: 52 }, { x: 264, y: 52 }] };
  }
  const centre = { x: 160, y: 104 };
  const around = Array.from({ length: count }, (_, index) => {
    const angle = (index / count) * 2 * Math.PI - Math.PI / 2;
    return { x: centre.x + 120 * Math.cos(angle), y: centre.y + 74 * Math.sin(angle) };
  });
  return { centre, around };
}

function drawMap(unheard) {
  const map = at("map");
  const nodes = [...mesh.nodes].sort((a, b) => (a.id < b.id ? -1 : 1));
  const shown = nodes.slice(0, MAP_NODES);
  map.classList.toggle("stale", mesh.stale || unheard);
  setAttribute(map, "aria-label", `This node and ${plural(nodes.length, "other", "others")}: ${
    nodes.map((node) => `${short(node.id)} ${healthOf(node)}`).join(", ") || "none known"}`);
  const { centre, around } = layout(shown.length);
  const places = new Map(shown.map((node, index) => [node.id, around[index]]));
  const people = peopleByNode();
  const own = { id: mesh.node, own: true };
  const rest = nodes.length - shown.length;
  const items = [...shown, own];
  if (!map._links) {
    map._links = map.appendChild(makeSVG("g"));
    map._bodies = map.appendChild(makeSVG("g"));
    map._rest = map.appendChild(makeSVG("text", { x: 316, y: 208, "text-anchor": "end" }));
  }
  keyed(map._links, shown, (node) => node.id, makeLink, (group, node) => {
    drawLink(group, node, centre, places.get(node.id), unheard);
  });
  keyed(map._bodies, items, (node) => node.id, makeBody, (group, node) => {
    drawBody(group, node, places.get(node.id) ?? centre, people.get(node.id) ?? []);
  });
  setText(map._rest, rest > 0 ? `and ${rest} more` : "");
}

/** Who of this room is attached to which node. */
function peopleByNode() {
  const people = new Map();
  for (const user of room?.users ?? []) {
    for (const session of user.sessions) {
      if (!people.has(session.node)) people.set(session.node, new Map());
      people.get(session.node).set(user.userId, user);
    }
  }
  return new Map([...people].map(([node, users]) => [node, [...users.values()]]));
}

const sessionsOn = (user, node) => user.sessions.filter((session) => session.node === node).length;

const makeLink = () => makeSVG("g", {},
  makeSVG("line", { class: "link" }), makeSVG("path", { class: "cut" }), makeSVG("text"));

function drawLink(group, node, centre, place, unheard) {
  const [line, cross, label] = group.children;
  const health = healthOf(node);
  group.setAttribute("class", health);
  const ends = { x1: centre.x, y1: centre.y, x2: place.x, y2: place.y };
  for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
  const [x, y] = [(centre.x + place.x) / 2, (centre.y + place.y) / 2];
  const lost = health === "offline" || (health === "suspect" && cut);
  cross.setAttribute("d", lost ? `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` : "");
  label.setAttribute("x", x);
  label.setAttribute("y", y + 3.5);
  const known = health === "online" && !unheard && node.roundTripUs !== null;
  setText(label, known ? roundTrip(node) : "");
}

const makeBody = () => makeSVG("g", {},
  makeSVG("circle", { class: "body" }), makeSVG("text", { class: "count" }),
  makeSVG("text", { class: "id" }), makeSVG("text", { class: "health" }), makeSVG("g"));

function drawBody(group, node, place, users) {
  const [circle, count, id, health, faces] = group.children;
  const how = node.own ? "own" : healthOf(node);
  const radius = node.own ? 21 : 17;
  group.setAttribute("class", how);
  group.setAttribute("transform", `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`);
  circle.setAttribute("r", radius);
  count.setAttribute("y", 4.5);
  // What is on a node that is not seen is not known, and is not nothing.
  const unknown = how === "offline" || how === "left";
  const sessions = users.reduce((sum, user) => sum + sessionsOn(user, node.id), 0);
  setText(count, unknown ? "–" : String(sessions));
  id.setAttribute("y", radius + 13);
  health.setAttribute("y", radius + 25);
  setText(id, node.own ? "this node" : short(node.id).slice(0, 6));
  setText(health, how === "own" ? (mesh.stale ? "stale" : "") : how === "online" ? "" : how);
  const dots = users.slice(0, 6).map((user, index) => {
    const angle = -Math.PI / 2 + (index - (Math.min(6, users.length) - 1) / 2) * 0.5;
    const colour = safeColour(user.color);
    const [x, y] = [(radius + 1) * Math.cos(angle), (radius + 1) * Math.sin(angle)];
    const title = makeSVG("title");
    setText(title, user.username);
    const letter = makeSVG("text", { x, y: y + 2.6, class: "letter" });
    letter.style.fill = inkOn(colour);
    setText(letter, initials(user.username).slice(0, 1));
    const disc = makeSVG("circle", { cx: x, cy: y, r: 6.5, fill: colour });
    return makeSVG("g", {}, title, disc, letter);
  });
  faces.replaceChildren(...dots);
}

// MARK: Beginning

let lostSince = null;

function drawConnection() {
  const connected = client.connected;
  lostSince = connected ? null : (lostSince ?? Date.now());
  // A reload or a short break is over before anybody could read about it.
  const shown = lostSince !== null && Date.now() - lostSince > 1_500;
  at("lost").hidden = !shown && !room.error;
  const why = room.error && connected ? `The room was refused: ${room.error.message}`
    : "Not connected to the node: what is shown is from before. Trying again…";
  setText(at("lost"), why);
  if (lostSince !== null && !shown) setTimeout(() => schedule(drawRoom), 1_600);
}

client.on("welcome", ({ trusted }) => (at("trusted").hidden = !trusted));
bindFields();
enter((query.get("room") ?? remembered("localStorage", "room") ?? "studio").slice(0, 64));
drawMe();
poll(3_000, askRooms);
poll(1_000, askNodes);
