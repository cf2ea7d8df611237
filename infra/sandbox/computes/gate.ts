import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Authority } from "./certificate.ts";
import { type Destination, Refusal } from "./route.ts";
import { type FirstMessage, fatal, startupMessage, takeFirstMessage } from "./wire.ts";

export interface GateOptions {
  readonly authority: Authority;
  /** Throws Refusal. */
  route(serverName: string | null, parameters: ReadonlyMap<string, string>): Destination;
  /** The loopback port of the branch's server, running; null: the branch is gone. */
  open(branchId: string): Promise<number | null>;
  /** Where a cancellation under this TLS server name goes; null: nowhere. */
  cancelPort(serverName: string | null): number | null;
  /** A session that is let through; it ends when the socket is destroyed. */
  onSession(destination: Destination, socket: Socket): void;
  /** Called when a session begins to log in; what it answers is called if that goes well. */
  onLogin(destination: Destination): () => void;
  readonly log: (line: string) => void;
}

type Startup = Extract<FirstMessage, { kind: "startup" }>;

const PATIENCE_MS = 30_000; // with a client that has not yet said what it wants
const TLS_HANDSHAKE = 0x16;
const DEFAULT_HOST = "ep.neon.tech";

/** One port for all computes, as Neon's proxy is: it decides by the TLS server name, then only copies bytes. */
export function createGate(options: GateOptions): Server {
  const { key, cert } = options.authority.identityOf(DEFAULT_HOST);
  const tls = createTlsServer({
    key,
    cert,
    SNICallback: (host, done) => done(null, options.authority.identityOf(host).context),
    ALPNProtocols: ["postgresql"], // clients that start with TLS at once insist on it
    handshakeTimeout: PATIENCE_MS,
  });
  tls.on("secureConnection", (socket) => serve(socket, () => admit(socket, options), options));
  tls.on("tlsClientError", (error) => options.log(`a TLS handshake failed: ${error.message}`));
  return createServer((socket) =>
    serve(socket, () => secure(socket, (ready) => tls.emit("connection", ready)), options),
  );
}

/** A client that breaks off or says nonsense ends its own connection and nothing else. */
function serve(socket: Socket, work: () => Promise<void>, { log }: GateOptions): void {
  socket.on("error", () => socket.destroy());
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  work().catch((error: unknown) => {
    log(error instanceof Error ? error.message : String(error));
    socket.destroy();
  });
}

/** Before TLS: answers what may come in the clear, and passes the socket on once TLS begins. */
async function secure(socket: Socket, pass: (socket: Socket) => void): Promise<void> {
  for (;;) {
    const said = await read(socket, (bytes) =>
      bytes[0] === TLS_HANDSHAKE ? { direct: bytes } : takeFirstMessage(bytes),
    );
    if (said === null) return;
    if ("direct" in said) {
      socket.unshift(said.direct);
      break;
    }
    const { message, rest } = said;
    if (rest.length > 0) throw new Error("a client sent more before it had an answer");
    if (message.kind === "startup") return void socket.end(fatal("08000", NOT_SECURE));
    if (message.kind === "cancel") return void socket.destroy();
    socket.write(message.kind === "ssl" ? "S" : "N");
    if (message.kind === "ssl") break;
  }
  socket.setTimeout(0);
  pass(socket);
}

/** After TLS: the compute that was asked for, or the reason why not. */
async function admit(socket: TLSSocket, options: GateOptions): Promise<void> {
  const said = await read(socket, takeFirstMessage);
  if (said === null) return;
  const { message, rest } = said;
  const serverName = typeof socket.servername === "string" ? socket.servername : null;
  if (message.kind === "cancel") {
    const port = options.cancelPort(serverName);
    return void (port === null ? socket.destroy() : join(socket, port, message.bytes));
  }
  if (message.kind !== "startup") throw new Error("a client asked for encryption inside TLS");
  try {
    const destination = options.route(serverName, message.parameters);
    options.onSession(destination, socket);
    const port = await portOf(destination, options);
    if (socket.destroyed) return; // by the client, or because its endpoint changed meanwhile
    const first = Buffer.concat([startup(message, destination), rest]);
    whenReady(join(socket, port, first), options.onLogin(destination));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    socket.end(fatal(error.sqlstate, error.message));
  }
}

async function portOf({ branchId }: Destination, options: GateOptions): Promise<number> {
  try {
    const port = await options.open(branchId);
    if (port !== null) return port;
  } catch (error) {
    options.log(`a compute did not start: ${error instanceof Error ? error.message : error}`);
    throw new Refusal("Couldn't connect to compute node", "08006");
  }
  throw new Refusal("Control plane request failed: endpoint cannot be found");
}

function startup({ version }: Startup, { parameters }: Destination): Buffer {
  return startupMessage(version, parameters);
}

function join(client: Socket, port: number, first: Buffer): Socket {
  const compute = connectTo(port, "127.0.0.1");
  compute.on("error", () => client.destroy());
  compute.once("close", () => client.destroySoon());
  client.once("close", () => compute.destroy());
  client.setTimeout(0);
  compute.write(first);
  client.pipe(compute).pipe(client);
  return compute;
}

const READY_FOR_QUERY = 0x5a; // "Z"

/** Listens along until the compute lets the client in: each of its messages is a letter and a length. */
function whenReady(compute: Socket, ready: () => void): void {
  let bytes = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5) {
      if (bytes[0] === READY_FOR_QUERY) {
        compute.off("data", onData);
        ready();
        return;
      }
      const length = 1 + bytes.readUInt32BE(1);
      if (bytes.length < length) return;
      bytes = bytes.subarray(length);
    }
  };
  compute.on("data", onData);
}

/** Collects bytes until `take` makes something of them. Null: the client left first. */
function read<T>(socket: Socket, take: (bytes: Buffer) => T | null): Promise<T | null> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const settle = (act: () => void) => {
      socket.off("readable", onReadable).off("close", onClose);
      act();
    };
    const onClose = () => settle(() => resolve(null));
    const onReadable = () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read())
        bytes = Buffer.concat([bytes, chunk]);
      try {
        const taken = bytes.length === 0 ? null : take(bytes);
        if (taken !== null) settle(() => resolve(taken));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    socket.on("readable", onReadable).on("close", onClose);
  });
}

const NOT_SECURE = "connection is insecure (try using `sslmode=require`)";
