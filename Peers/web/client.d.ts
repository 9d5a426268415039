/** Types of client.js. The messages behind them: Docs/Gateway.md. */

export type Status = "online" | "away" | "busy" | "active" | "idle" | "typing";

export const STATUSES: readonly Status[];

/** Any JSON; at most 256 bytes for a user, 384 for a session in a room. */
export type JSONValue =
  | null
  | boolean
  | number
  | string
  | JSONValue[]
  | { [key: string]: JSONValue };

export interface Profile {
  /** 1…64 bytes. */
  id: string;
  /** Up to 64 bytes; without one the id is shown. */
  name?: string;
  /** `#rrggbb`; without one the id gives one, the same everywhere. */
  color?: string;
  /** Usually a URL, up to 200 bytes. */
  avatar?: string;
  data?: JSONValue;
}

export interface Cursor {
  /** 0…1. */
  x: number;
  /** 0…1. */
  y: number;
  visible: boolean;
  /** What the position belongs to, up to 64 bytes. */
  anchor: string | null;
}

export interface RoomCursor extends Cursor {
  userId: string;
  sessionId: string;
}

export interface Session {
  sessionId: string;
  /** The node that hosts the session. */
  node: string;
  device: string;
  status: Status;
  typing: boolean;
  /** Its node has not been heard for a while. */
  suspect: boolean;
  /** Milliseconds since 1970, like all times here. */
  joinedAt: number;
  data: JSONValue;
  cursor: Cursor | null;
}

/** A user in a room. Replaced, never altered, when the user changes; cursors move in place. */
export interface User {
  userId: string;
  username: string;
  online: boolean;
  /** The nodes of all sessions have not been heard for a while. */
  suspect: boolean;
  /** How many sessions the user has in the room. */
  devices: number;
  status: Status;
  message: string;
  statusChangedAt: number | null;
  typing: boolean;
  /** `#rrggbb`. */
  color: string;
  avatar: string;
  data: JSONValue;
  joinedAt: number;
  /** Null while the user is seen. */
  lastSeen: number | null;
  /** 0 while the user is online. */
  lastDisconnected: number;
  sessions: Session[];
}

export interface Watched {
  type: "presence.watch";
  userId: string;
  online: boolean;
  devices: number;
  /** Null for a user who was never seen. */
  status: Status | null;
  lastDisconnected: number;
}

export interface Welcome {
  type: "welcome";
  node: string;
  /** Whoever reaches the port may speak for anybody. */
  trusted: boolean;
  /** How often the node wants to hear something, in milliseconds. */
  heartbeat: number;
}

/** The codes of Docs/Gateway.md, section 2, and those that arise here. */
export type ErrorCode =
  | "malformed_json"
  | "invalid_request"
  | "unknown_status"
  | "unauthorized"
  | "forbidden"
  | "unknown_room"
  | "unknown_user"
  | "unknown_session"
  | "session_conflict"
  | "too_large"
  | "too_many_requests"
  | "too_many_sessions"
  | "too_many_rooms"
  | "unavailable"
  /** The connection broke before the answer. */
  | "disconnected"
  /** The socket could not even be made. */
  | "unreachable"
  /** The token function failed; the last good token is kept. */
  | "token_failed"
  | "left"
  | (string & {});

export class PresenceError extends Error {
  constructor(code: ErrorCode, message?: string);
  readonly code: ErrorCode;
}

export type ClientState =
  | "idle"
  | "connecting"
  | "open"
  /** Between two tries. */
  | "waiting"
  /** The session goes on elsewhere; `connect()` takes it back. */
  | "moved"
  /** Somebody ended the session; `connect()` begins another one. */
  | "removed"
  | "closed";

/** The part of the browser's WebSocket that is used; that of the package `ws` has it too. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface WebSocketConstructor {
  new (url: string, protocols?: string | string[]): WebSocketLike;
}

export interface ClientOptions {
  /** A node, or several to go through when one is lost. http(s) or ws(s); here: the page's own. */
  url?: string | readonly string[];
  /** Without one the client only looks. */
  user?: Profile | null;
  /** A JWT, or what fetches one: asked before each connection. If it fails, the last one is kept. */
  token?: string | null | (() => string | null | Promise<string | null>);
  /** Instead of an id that the tab keeps over reloads. Up to 128 bytes. */
  sessionId?: string;
  /** Up to 32 bytes; in browsers their name and system. */
  device?: string;
  /** Milliseconds between heartbeats, 1,000…3,600,000. Default 30,000; 60,000 or more if hidden. */
  interval?: number;
  /** Lease in milliseconds, instead of 2.5 × interval. */
  expiresIn?: number;
  /**
   * Cursor positions a second, 1…60: how many of one's own are sent (default 30), and how many times
   * those of others are told, each time all that moved (default: as often as the node tells them, 30).
   * One number stands for both. The first one comes at once, the last one always.
   */
  cursorRate?: number | { sent?: number; told?: number };
  /** Away while the tab is hidden and no other tab of the user is shown. Default true. */
  awayWhenHidden?: boolean;
  /**
   * What is left of the lease when the page goes, in milliseconds: enough for a reload. Default
   * 5,000. With 0 the session ends at once, and a reload is seen as leaving and coming.
   */
  unloadGrace?: number;
  /** For Node: the class of the package `ws`, or another with the interface of browsers. */
  WebSocket?: WebSocketConstructor;
}

export interface JoinOptions extends ClientOptions {
  /** Default: the lobby, whose name is empty. */
  room?: string;
}

export interface ClientEvents {
  state: ClientState;
  welcome: Welcome;
  error: PresenceError;
  /** The lease ended; the client joins again by itself. */
  expired: undefined;
  moved: { node?: string };
  /** By somebody's order: from a room, or (null) from the mesh. */
  removed: { room: string | null };
  lost: { code: number; reason: string };
}

export interface RoomEvents {
  /** After any change but those of cursors, at most 60 times a second. */
  change: Room;
  sync: { users: User[]; totalUsers: number; totalConnections: number; stale: boolean };
  online: { userId: string; devices: number; user: User };
  update: { userId: string; devices: number; user: User };
  offline: { userId: string; lastDisconnected: number };
  status: { userId: string; status: Status; message: string; timestamp: number };
  typing: { userId: string; typing: boolean };
  cursor: { cursors: RoomCursor[] };
  stale: { stale: boolean };
  restored: { sessionId: string };
  joined: { sessionId: string | null; restored: boolean };
  connection: ClientState;
  error: PresenceError;
  /** By somebody's order, from this room or (null) from the mesh. */
  removed: { room: string | null };
  left: undefined;
}

declare class Emitter<Events> {
  /** Returns the function that ends it. */
  on<Type extends keyof Events>(type: Type, listener: (detail: Events[Type]) => void): () => void;
  off<Type extends keyof Events>(type: Type, listener: (detail: Events[Type]) => void): void;
}

/** One connection, one session of one user, any number of rooms (a node takes 32). */
export class PresenceClient extends Emitter<ClientEvents> {
  constructor(options?: ClientOptions);
  readonly user: Profile | null;
  readonly state: ClientState;
  readonly connected: boolean;
  readonly welcome: Welcome | null;
  /** The node that is used now. */
  readonly url: string;
  readonly sessionId: string | null;
  readonly rooms: Room[];
  /** Enters a room; with `present: false` only looks. The same name gives the same object. */
  room(name?: string, options?: { present?: boolean }): Room;
  /** Gives a client that only looked a user. */
  identify(user: Profile): void;
  setProfile(profile: Omit<Profile, "id">): Promise<unknown>;
  /** Tells now and at each change whether the user is online; returns the end of it. */
  watch(userId: string, listener: (watched: Watched) => void): () => void;
  /** Any message of the gateway; resolves with its answer, rejects with a `PresenceError`. */
  request(message: { type: string; [field: string]: unknown }): Promise<Record<string, unknown>>;
  /** Connects at once instead of at the next try. */
  connect(): Promise<void>;
  /** Leaves all rooms, and ends the session and the connection. */
  close(): void;
}

export class Room extends Emitter<RoomEvents> {
  private constructor();
  readonly client: PresenceClient;
  readonly name: string;
  /** Whether the client's user is in the room, or only looks. */
  readonly present: boolean;
  /** Resolves with the first list, rejects if the node refuses the room. */
  readonly ready: Promise<Room>;
  /** The node has accepted the join, and the connection holds. */
  readonly connected: boolean;
  readonly joined: boolean;
  /** A list has come: `users` is what the node shows, or showed last. */
  readonly synced: boolean;
  /** The session came back inside its lease. */
  readonly restored: boolean;
  /** The node hears no other one: what is shown may be old. */
  readonly stale: boolean;
  readonly error: PresenceError | null;
  /** The 32 digits of the own session. */
  readonly sessionId: string | null;
  /** Online ones by id, then those who have gone, the last one first. */
  readonly users: User[];
  /** `users` without the own one. */
  readonly others: User[];
  readonly self: User | null;
  /** The own status; while the tab is hidden, the one to come back to. */
  readonly status: Status | null;
  readonly message: string;
  readonly counts: { users: number; sessions: number };
  /** All but the own cursor, by session id. */
  readonly cursors: ReadonlyMap<string, RoomCursor>;
  /** Called like the event `change`. */
  onChange: ((room: Room) => void) | null;
  user(userId: string): User | null;
  /**
   * `null` follows the lobby. True when the node has it, false if it is said after reconnecting;
   * rejects with what the node refuses, throws for what is no status.
   */
  setStatus(status: Status | null, message?: string): Promise<boolean>;
  /** On at once; off 2 s after the last call, or 0.3 s after `false`. */
  setTyping(typing?: boolean): void;
  /** Throttled: first at once, newest wins, the last one is always sent. */
  moveCursor(x: number, y: number, options?: { visible?: boolean; anchor?: string | null }): void;
  hideCursor(): void;
  /** Free JSON of the session in the room. */
  setData(data: JSONValue): Promise<boolean>;
  watch(userId: string, listener: (watched: Watched) => void): () => void;
  /** Asks for the whole list once more. */
  refresh(): Promise<unknown>;
  leave(): void;
}

/** Enters a room over a connection of its own, which ends when the room is left. */
export function join(options?: JoinOptions): Room;
