/**
 * The frame of all stand-ins: one loopback server that plays one vendor, logs what was asked, and
 * misbehaves on request. The vendor's own rules are its Hono app; nothing of them is here.
 *
 * Node's HTTP parser refuses methods it does not know (Vault's LIST), so those need their GET spelling.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, Hono } from "hono";
import { matchedRoutes } from "hono/route";

/** What shall go wrong. The first fault that matches a request wins; `times` defaults to for ever. */
export interface Fault {
  /**
   * `status`: nothing is applied, answered with that vendor's error body. `hang`: nothing is applied, no
   * answer ever. `reset`: nothing is applied, the socket is destroyed. `die-after-applying`: the state
   * changes, then the socket is destroyed without an answer. `latency`: `ms` later, then as usual.
   * `drip`: applied, but the body of the answer comes byte by byte, one every `ms` (50).
   */
  readonly kind: "status" | "hang" | "reset" | "die-after-applying" | "latency" | "drip";
  /** Upper case; absent: any. */
  readonly method?: string;
  /** Source of a regular expression over the path (without query); absent: any. */
  readonly path?: string;
  /** For `status`; default 500. */
  readonly status?: number;
  /** Sent along as `Retry-After`. */
  readonly retryAfter?: string;
  readonly ms?: number;
  /** This many matching requests pass first. */
  readonly skip?: number;
  readonly times?: number;
}

/** One request as it was seen. Never holds header values, query values or bodies. */
export interface LoggedRequest {
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** The route, `GET /v10/projects/:id/env`, or what the vendor calls the operation. */
  readonly operation: string;
  /** Null while there is no answer, and for ever if the socket died first. */
  readonly status: number | null;
  readonly ms: number;
  /** The kind of the fault that struck, if one did. */
  readonly fault: string | null;
}

export interface Vendor<State> {
  readonly name: string;
  /** `http://127.0.0.1:port`, no slash at the end. */
  readonly url: string;
  readonly state: State;
  /** Oldest first; only the last 10,000 are kept. */
  readonly log: readonly LoggedRequest[];
  addFault(fault: Fault): void;
  clearFaults(): void;
  /** Applies to every request of the vendor until changed. */
  setLatency(ms: number): void;
  close(): Promise<void>;
}

/** What every vendor's app finds in `c.env`. */
export interface VendorBindings {
  /** Path and query exactly as they came over the wire: `c.req.url` has dot segments folded already. */
  readonly rawUrl: string;
  readonly remoteAddress: string;
}

/** Environment of a vendor's Hono app; extend it with `Variables` where needed. */
export interface VendorEnv {
  Bindings: VendorBindings;
}

export interface VendorDefinition<State, E extends VendorEnv = VendorEnv> {
  readonly name: string;
  readonly state: State;
  readonly app: Hono<E>;
  /** The vendor's error body for an injected status; also used for 404 (no such route) and 500 (our bug). */
  error(status: number, c: Context): Response;
  /** Name of the operation where the route does not say it (AWS); null: use the route. */
  operation?(c: Context): string | null;
  /** JSON for `GET /__sandbox/state`. May hold values: this is their own place. */
  inspect(state: State): unknown;
}

export interface VendorOptions {
  /** 0 (default): any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly latencyMs?: number;
}

/** Starts one stand-in. Its control endpoints (`/__sandbox/...`) answer loopback callers only. */
export async function startVendor<State, E extends VendorEnv = VendorEnv>(
  definition: VendorDefinition<State, E>,
  options: VendorOptions = {},
): Promise<Vendor<State>> {
  const { port = 0, host = "127.0.0.1" } = options;
  const desk = new Desk(options.latencyMs ?? 0);
  const root = rootApp(definition, desk);
  const server = createServer((incoming, outgoing) => {
    void exchange(root, desk, incoming, outgoing).catch((error: unknown) => {
      // A client that leaves in the middle of its body is no bug of ours.
      if (incoming.complete) complain(definition.name, error);
      outgoing.destroy();
    });
  });
  // A client that keeps its connections would otherwise race with Node's five idle seconds.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    name: definition.name,
    url: `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${(server.address() as AddressInfo).port}`,
    state: definition.state,
    log: desk.log,
    addFault: (fault) => desk.addFault(fault),
    clearFaults: () => desk.clearFaults(),
    setLatency: (ms) => {
      desk.latencyMs = ms;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

// ---------------------------------------------------------------- faults and log

const KINDS: readonly string[] = ["status", "hang", "reset", "die-after-applying", "latency", "drip"];
const KEPT = 10_000;

interface Armed {
  readonly fault: Fault;
  readonly path: RegExp | null;
  skip: number;
  times: number;
}

type LogLine = { -readonly [K in keyof LoggedRequest]: LoggedRequest[K] };

/** The mutable side of a vendor: armed faults, latency, log. */
class Desk {
  readonly log: LogLine[] = [];
  latencyMs: number;
  #armed: Armed[] = [];
  #n = 0;

  constructor(latencyMs: number) {
    this.latencyMs = latencyMs;
  }

  addFault(fault: Fault): void {
    if (!KINDS.includes(fault.kind)) throw new TypeError(`unknown fault kind ${String(fault.kind)}`);
    const path = fault.path === undefined ? null : new RegExp(fault.path);
    this.#armed.push({ fault, path, skip: fault.skip ?? 0, times: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clearFaults(): void {
    this.#armed = [];
  }

  /** The fault that strikes this request, with its counters moved on. */
  strike(method: string, path: string): Fault | null {
    for (const armed of this.#armed) {
      if (armed.times <= 0) continue;
      if (armed.fault.method !== undefined && armed.fault.method !== method) continue;
      if (armed.path !== null && !armed.path.test(path)) continue;
      if (armed.skip > 0) {
        armed.skip -= 1;
        continue;
      }
      armed.times -= 1;
      return armed.fault;
    }
    return null;
  }

  enter(method: string, path: string): LogLine {
    this.#n += 1;
    const line: LogLine = {
      n: this.#n,
      at: Date.now(),
      method,
      path,
      operation: `${method} ${path}`,
      status: null,
      ms: 0,
      fault: null,
    };
    this.log.push(line);
    if (this.log.length > KEPT) this.log.shift();
    return line;
  }
}

// ---------------------------------------------------------------- one exchange

/** What the middleware below and the socket code tell each other about one request. */
interface Course extends VendorBindings {
  readonly line: LogLine | null;
  end: "answer" | "hang" | "destroy";
  dripMs: number | null;
}

interface RootEnv {
  Bindings: Course;
}

/** Faults first, then the vendor's app; control endpoints beside it. */
function rootApp<State, E extends VendorEnv>(
  definition: VendorDefinition<State, E>,
  desk: Desk,
): Hono<RootEnv> {
  const root = new Hono<RootEnv>();
  root.route(
    "/__sandbox",
    controlApp(() => definition.inspect(definition.state), desk),
  );
  root.use(async (c, next) => {
    const { line } = c.env;
    if (line === null) return next();
    if (desk.latencyMs > 0) await pause(desk.latencyMs);
    const fault = desk.strike(line.method, line.path);
    line.fault = fault?.kind ?? null;
    line.operation = definition.operation?.(c) ?? routeOf(c) ?? line.operation;
    if (fault?.kind === "hang" || fault?.kind === "reset") {
      c.env.end = fault.kind === "hang" ? "hang" : "destroy";
      return c.body(null);
    }
    if (fault?.kind === "status") {
      const response = definition.error(fault.status ?? 500, c);
      if (fault.retryAfter !== undefined) response.headers.set("retry-after", fault.retryAfter);
      return response;
    }
    if (fault?.kind === "latency") await pause(fault.ms ?? 0);
    if (fault?.kind === "drip") c.env.dripMs = fault.ms ?? 50;
    await next();
    if (fault?.kind === "die-after-applying") c.env.end = "destroy";
  });
  root.route("/", definition.app);
  root.notFound((c) => definition.error(404, c));
  root.onError((error, c) => {
    complain(definition.name, error);
    return definition.error(500, c);
  });
  return root;
}

/** `GET /v10/projects/:id/env` of the handler that will answer, or null if there is none. */
function routeOf(c: Context): string | null {
  const last = matchedRoutes(c).findLast((route) => route.method !== "ALL");
  return last === undefined ? null : `${c.req.method} ${last.path}`;
}

function controlApp(inspect: () => unknown, desk: Desk): Hono<RootEnv> {
  const app = new Hono<RootEnv>();
  app.use(async (c, next) => {
    const loopback = /^(::ffff:)?127\.|^::1$/.test(c.env.remoteAddress);
    return loopback ? next() : c.json({ error: "loopback only" }, 403);
  });
  app.get("/state", (c) => c.json(inspect()));
  app.get("/log", (c) => c.json(desk.log));
  app.post("/faults", async (c) => {
    desk.addFault(await c.req.json<Fault>());
    return c.body(null, 204);
  });
  app.delete("/faults", (c) => {
    desk.clearFaults();
    return c.body(null, 204);
  });
  app.put("/latency", async (c) => {
    desk.latencyMs = (await c.req.json<{ ms: number }>()).ms;
    return c.body(null, 204);
  });
  app.all("*", (c) => c.json({ error: "no such control" }, 404));
  app.onError((error, c) => c.json({ error: error.message }, 400));
  return app;
}

async function exchange(
  root: Hono<RootEnv>,
  desk: Desk,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "GET", url: rawUrl = "/" } = incoming;
  const path = rawUrl.split("?", 1)[0] ?? "/";
  const started = performance.now();
  const line = path.startsWith("/__sandbox/") ? null : desk.enter(method, path);
  outgoing.on("close", () => {
    if (line !== null) line.ms = Math.round(performance.now() - started);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const remoteAddress = incoming.socket.remoteAddress ?? "";
  const course: Course = { rawUrl, remoteAddress, line, end: "answer", dripMs: null };
  const response = await root.fetch(webRequest(incoming, method, rawUrl, Buffer.concat(chunks)), course);
  if (course.end === "destroy") outgoing.destroy();
  if (course.end !== "answer") return;
  const body = Buffer.from(await response.arrayBuffer());
  if (line !== null) {
    line.status = response.status;
    line.ms = Math.round(performance.now() - started);
  }
  const length =
    response.status === 204 || response.status === 304 || method === "HEAD"
      ? {}
      : { "content-length": body.length };
  outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), ...length });
  if (course.dripMs === null) outgoing.end(body);
  else await drip(outgoing, body, course.dripMs);
}

function webRequest(incoming: IncomingMessage, method: string, rawUrl: string, body: Buffer): Request {
  const headers = new Headers();
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const url = `http://${incoming.headers.host ?? "localhost"}${rawUrl.startsWith("/") ? rawUrl : "/"}`;
  const bodyless = method === "GET" || method === "HEAD" || body.length === 0;
  return new Request(url, bodyless ? { method, headers } : { method, headers, body });
}

async function drip(outgoing: ServerResponse, body: Buffer, everyMs: number): Promise<void> {
  for (const byte of body) {
    if (outgoing.destroyed) return;
    outgoing.write(Uint8Array.of(byte));
    await pause(everyMs);
  }
  outgoing.end();
}

/** A stand-in that throws has a bug; tests show Node's warnings. */
function complain(name: string, error: unknown): void {
  process.emitWarning(error instanceof Error ? (error.stack ?? error.message) : String(error), {
    type: "SandboxBug",
    detail: `stand-in ${name}`,
  });
}
