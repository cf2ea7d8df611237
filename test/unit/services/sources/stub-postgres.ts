/**
 * A server on loopback that speaks just enough of Postgres' wire protocol (v3, chapter 54 of its
 * manual) behind TLS to be logged in to with a password, and to misbehave on request.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { TLSSocket } from "node:tls";
import { generate } from "selfsigned";

export type Behaviour =
  | {
      readonly kind: "login";
      readonly user?: string;
      readonly sessionUser?: string;
      readonly database?: string;
    }
  | { readonly kind: "error"; readonly code: string; readonly message: string }
  | { readonly kind: "no tls" }
  | { readonly kind: "hang" }
  | { readonly kind: "reset" };

export interface StubPostgres {
  readonly port: number;
  /** The certificate, which is its own authority. Issued for `*.eu-central-1.aws.neon.tech`. */
  readonly ca: string;
  /** What the next connections meet, in order; the last one stays. */
  behave(...behaviours: Behaviour[]): void;
  /** Server names of TLS, oldest first. */
  readonly servernames: (string | false)[];
  /** Parameters of the startup messages, oldest first. */
  readonly startups: Record<string, string>[];
  readonly statements: string[];
  open(): number;
  /** Connections so far. */
  accepted(): number;
  close(): Promise<void>;
}

/** Who may log in: one password for all, or a judgement of host, role and password. */
export type Accepts =
  | string
  | ((login: { host: string; role: string; password: string }) => boolean | Promise<boolean>);

export async function startStubPostgres(accepts: Accepts): Promise<StubPostgres> {
  const { cert, private: key } = await certificate();
  const sockets = new Set<Socket>();
  let plan: Behaviour[] = [{ kind: "login" }];
  let accepted = 0;
  const seen = {
    servernames: [] as (string | false)[],
    startups: [] as Record<string, string>[],
    statements: [] as string[],
  };

  const server = createServer((socket) => {
    sockets.add(socket);
    accepted++;
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    const behaviour = (plan.length > 1 ? plan.shift() : plan[0]) ?? { kind: "hang" };
    void serve(socket, behaviour).catch(() => socket.destroy());
  });

  async function serve(socket: Socket, behaviour: Behaviour): Promise<void> {
    if (behaviour.kind === "hang") return void socket.resume();
    if (behaviour.kind === "reset") return void socket.resetAndDestroy();
    await once(socket, "data"); // SSLRequest
    if (behaviour.kind === "no tls") return void socket.end("N");
    socket.write("S");
    const tls = new TLSSocket(socket, { isServer: true, key, cert });
    tls.on("error", () => undefined);
    const [startup] = (await once(tls, "data")) as [Buffer];
    const { servername } = tls as TLSSocket & { servername: string | false };
    seen.servernames.push(servername);
    const asked = parametersOf(startup);
    seen.startups.push(asked);
    if (behaviour.kind === "error") return void tls.end(errorMessage(behaviour.code, behaviour.message));
    tls.write(message("R", int32(3))); // cleartext password, please
    const [given] = (await once(tls, "data")) as [Buffer];
    const password = given.subarray(5, -1).toString();
    const login = { host: String(servername), role: asked["user"] ?? "", password };
    if (!(typeof accepts === "string" ? password === accepts : await accepts(login))) {
      return void tls.end(
        errorMessage("28P01", `password authentication failed for user '${asked["user"]}'`),
      );
    }
    tls.write(Buffer.concat([message("R", int32(0)), ready()]));
    const { user = asked["user"] ?? "", database = asked["database"] ?? "" } = behaviour;
    const { sessionUser = user } = behaviour;
    tls.on("data", (data: Buffer) => {
      if (data[0] !== 0x51) return void tls.end();
      const text = data.subarray(5, -1).toString();
      seen.statements.push(text);
      tls.write(answer(text.includes("session_user") ? [sessionUser] : [user, database]));
    });
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    ca: cert,
    behave: (...behaviours) => {
      plan = behaviours;
    },
    ...seen,
    open: () => sockets.size,
    accepted: () => accepted,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** TLS in front of a real server that has none, as Neon's proxy has. */
export async function startTlsFront(target: {
  host: string;
  port: number;
}): Promise<{ port: number; ca: string; close(): Promise<void> }> {
  const { cert, private: key } = await certificate();
  const sockets = new Set<Socket>();
  const server = createServer(async (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    await once(socket, "data"); // SSLRequest
    socket.write("S");
    const tls = new TLSSocket(socket, { isServer: true, key, cert });
    const upstream = connect(target.port, target.host);
    sockets.add(upstream);
    pipeline(tls, upstream, () => undefined);
    pipeline(upstream, tls, () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    ca: cert,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function certificate() {
  const altNames = [{ type: 2 as const, value: "*.eu-central-1.aws.neon.tech" }];
  return await generate([{ name: "commonName", value: "stub" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames }],
  });
}

function parametersOf(startup: Buffer): Record<string, string> {
  const words = startup.subarray(8).toString().split("\0");
  const pairs: Record<string, string> = {};
  for (let at = 0; words[at]; at += 2) pairs[words[at] ?? ""] = words[at + 1] ?? "";
  return pairs;
}

const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const int32 = (value: number): Buffer => Buffer.concat([int16(value >>> 16), int16(value & 65_535)]);
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function ready(): Buffer {
  return message("Z", Buffer.from("I"));
}

function errorMessage(code: string, words: string): Buffer {
  return message("E", text("SFATAL"), text(`C${code}`), text(`M${words}`), Buffer.from([0]));
}

function answer(row: readonly string[]): Buffer {
  const columns = row.map(() =>
    Buffer.concat([text("c"), int32(0), int16(0), int32(19), int16(64), int32(0), int16(0)]),
  );
  const values = row.map((value) => Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]));
  return Buffer.concat([
    message("T", int16(row.length), ...columns),
    message("D", int16(row.length), ...values),
    message("C", text("SELECT 1")),
    ready(),
  ]);
}
