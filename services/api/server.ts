import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type { ApiEnv } from "./ports.ts";

export interface ServeOptions {
  readonly app: Hono<ApiEnv>;
  /** Default: loopback, so that nothing is open by accident. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly limits?: Partial<ServeLimits>;
}

export interface ServeLimits {
  /** All headers of a request must have come in by then. */
  readonly headersMs: number;
  /** The whole request, body included. */
  readonly requestMs: number;
  /** Headers of a request together; more is answered with 431. */
  readonly headerBytes: number;
  /** At once; one more costs the place of the one that has said nothing for longest, else it is not taken. */
  readonly connections: number;
  /** How long `close()` waits for answers under way. */
  readonly drainMs: number;
}

const LIMITS: ServeLimits = {
  headersMs: 10_000,
  requestMs: 30_000,
  headerBytes: 16 * 1024,
  connections: 1_024,
  drainMs: 10_000,
};

export interface Serving {
  /** With the port that was really taken. */
  readonly url: string;
  /** Takes no more connections, lets answers under way finish, then cuts what is left. May be called twice. */
  close(): Promise<void>;
}

/** Resolves once connections are accepted; rejects if the address cannot be had. */
export async function serveApi({
  app,
  host = "127.0.0.1",
  port,
  limits = {},
}: ServeOptions): Promise<Serving> {
  const { headersMs, requestMs, headerBytes, connections, drainMs } = { ...LIMITS, ...limits };
  const server = createServer(
    {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: 5_000,
      maxHeaderSize: headerBytes,
      // How often the two deadlines above are looked at; the default is half a minute.
      connectionsCheckingInterval: Math.min(1_000, headersMs),
    },
    getRequestListener(app.fetch, {
      hostname: host,
      errorHandler: () => new Response(null, { status: 400 }),
    }),
  );
  makeRoom(server, connections);
  await listen(server, host, port);
  let closing: Promise<void> | undefined;
  return {
    url: urlOf(server),
    close: () => {
      closing ??= drain(server, drainMs);
      return closing;
    },
  };
}

/**
 * Whoever opens connections and says nothing takes places from others of his kind, not from those who ask: `maxConnections`
 * would turn away everybody who comes after.
 */
function makeRoom(server: Server, most: number): void {
  const all = new Set<Socket>();
  /** Those without a request under way, the longest first. */
  const idle = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    all.add(socket);
    idle.add(socket);
    socket.once("close", () => {
      all.delete(socket);
      idle.delete(socket);
    });
    if (all.size <= most) return;
    const [leaving = socket] = idle;
    all.delete(leaving);
    idle.delete(leaving);
    leaving.destroy();
  });
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    response.once("close", () => {
      if (all.has(socket)) idle.add(socket);
    });
  });
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

async function drain(server: Server, drainMs: number): Promise<void> {
  // A connection that is kept alive would hold the server open after its last answer.
  server.on("request", (_, response: ServerResponse) => {
    response.shouldKeepAlive = false;
  });
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), drainMs);
  try {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  } finally {
    clearInterval(idle);
    clearTimeout(cut);
  }
}
