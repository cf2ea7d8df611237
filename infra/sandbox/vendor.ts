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
import { Desk, type Fault, type LoggedRequest, type LogLine } from "./desk.ts";

export type { Fault, LoggedRequest } from "./desk.ts";

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
    line.operation = definition.operation?.(c) ?? routeOf(c) ?? line.operation;
    const fault = desk.strike(line);
    line.fault = fault?.kind ?? null;
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
    if (fault?.kind === "hang-after-applying") c.env.end = "hang";
    if (fault?.kind === "fail-after-applying") c.res = definition.error(fault.status ?? 500, c);
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
  const first = matchedRoutes(c).find((route) => route.method !== "ALL");
  return first === undefined ? null : `${c.req.method} ${first.path}`;
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
