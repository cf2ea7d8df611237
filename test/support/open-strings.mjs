/**
 * Opens connection strings with a real driver, exactly as they are, in a process of its own: the certificate's
 * authority comes from NODE_EXTRA_CA_CERTS, and whatever would go to a host of Neon's goes to the port given.
 * Neon's own driver speaks WebSocket: it gets one that is a TLS connection to the same port.
 * In: `{ driver, port, strings: { name: text } }` on standard input. Out: `{ name: [role, database] | error }`.
 */
import { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

const input = JSON.parse(await new Response(process.stdin).text());
const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...args) {
  const [first] = Array.isArray(args[0]) ? args[0] : args;
  const host = typeof first === "object" ? first.host : args[1];
  if (!String(host).endsWith(".neon.tech")) return connect.apply(this, args);
  const listener = args.findLast((arg) => typeof arg === "function");
  return connect.call(this, { port: input.port, host: "127.0.0.1" }, listener);
};

const QUERY = "select current_user as role, current_database() as database";

const drivers = {
  pg: async (text) => {
    const { default: pg } = await import("pg");
    // A URL without parameters says nothing of TLS, and its reader has to.
    const client = new pg.Client(text.includes("?") ? text : { connectionString: text, ssl: true });
    await client.connect();
    const { rows } = await client.query(QUERY);
    await client.end();
    return rows[0];
  },
  postgres: async (text) => {
    const { default: postgres } = await import("postgres");
    const sql = postgres(text, { max: 1, onnotice: () => {} });
    try {
      return (await sql.unsafe(QUERY))[0];
    } finally {
      await sql.end();
    }
  },
  "@neondatabase/serverless": async (text) => {
    const { neonConfig, Client } = await import("@neondatabase/serverless");
    neonConfig.webSocketConstructor = TunnelWebSocket;
    // Else it sends the password at once and in the clear inside TLS, which only Neon's WebSocket proxy takes.
    neonConfig.pipelineConnect = false;
    const client = new Client(text);
    await client.connect();
    const { rows } = await client.query(QUERY);
    await client.end();
    return rows[0];
  },
};

/** Neon's `wss://HOST/v2` in small: TLS with the host as server name, and Postgres's bytes inside. */
class TunnelWebSocket extends EventTarget {
  readyState = 0;
  binaryType = "arraybuffer";
  #socket = null;

  constructor(address) {
    super();
    const { hostname } = new URL(address);
    const plain = new Socket().connect(5432, hostname);
    plain.once("connect", () => plain.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))); // SSLRequest
    plain.once("data", () => {
      this.#socket = connectTls({ socket: plain, servername: hostname }, () => {
        this.readyState = 1;
        this.dispatchEvent(new Event("open"));
      });
      this.#socket.on("data", (data) => {
        const bytes = new Uint8Array(data).buffer;
        this.dispatchEvent(Object.assign(new Event("message"), { data: bytes }));
      });
      this.#socket.on("close", () => this.#end());
      this.#socket.on("error", (error) => this.#fail(error));
    });
    plain.on("error", (error) => this.#fail(error));
  }

  send(data) {
    this.#socket.write(Buffer.from(data));
  }

  close() {
    this.#socket?.end();
  }

  #fail(error) {
    this.dispatchEvent(Object.assign(new Event("error"), { error, message: error.message }));
  }

  #end() {
    this.readyState = 3;
    this.dispatchEvent(new Event("close"));
  }
}

const answers = {};
for (const [name, text] of Object.entries(input.strings)) {
  try {
    const { role, database } = await drivers[input.driver](text);
    answers[name] = { role, database };
  } catch (error) {
    answers[name] = { error: `${error.code ?? ""} ${error.message}` };
  }
}
process.stdout.write(JSON.stringify(answers));
process.exit(0);
