/**
 * Proof by login: nothing is published that has not been logged in with, over TLS with the real host
 * as server name and a certificate that was issued for it, as a careful consumer would.
 *
 * One plain statement and no startup options, so that it works through the pooler as well.
 */
import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { SyncError } from "../sync/errors.ts";
import type { LoginAttempt, Proof, Prove } from "../sync/ports.ts";
import { type Diagnosis, diagnose } from "./diagnosis.ts";
import type { Dial } from "./dial.ts";
import { createLimit } from "./limit.ts";

export interface ProverOptions {
  /** Where to connect for a host instead of asking DNS; null: DNS. The server name stays the host. */
  readonly dial?: (host: string) => Dial | null;
  /** Logins at once, over all callers. Default 8. */
  readonly limit?: number;
  /** Of one login, from connecting to closing. Default 10 seconds, long enough for most cold starts. */
  readonly timeoutMs?: number;
  /** Before the one repeat while a compute starts. Default 1 second. */
  readonly pauseMs?: number;
}

/** See `Prove`. Beyond `limit` logins the next waits its turn; a compute that starts gets one repeat. */
export function createProver(options: ProverOptions = {}): Prove {
  const { dial = () => null, limit = 8, timeoutMs = 10_000, pauseMs = 1_000 } = options;
  const places = createLimit(limit);

  const prove: Prove = async (attempt, signal) => {
    const login = () => tryLogin(attempt, { dial: dial(attempt.host), timeoutMs, signal });
    let tried = await login();
    if (!tried.ok && tried.diagnosis.transient && !signal.aborted) {
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      tried = await login();
    }
    if (tried.ok) return tried.proof;
    throw refusal(tried.diagnosis, attempt);
  };
  return async (attempt, signal) => {
    try {
      return await places(() => prove(attempt, signal), signal);
    } catch (thrown) {
      throw signal.aborted ? stopped(attempt) : thrown;
    }
  };
}

/** What a client may say beside role and database when it connects; Neon's pooler refuses most of it. */
export interface StartupSettings {
  readonly options?: string;
  readonly statement_timeout?: number;
}

export type Tried =
  | { readonly ok: true; readonly proof: Proof }
  | { readonly ok: false; readonly diagnosis: Diagnosis };

/** One login, without repeat. A failure is a diagnosis; throws only `unavailable` when `signal` aborts. */
export async function tryLogin(
  attempt: LoginAttempt,
  options: {
    readonly dial: Dial | null;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    /** False: in the clear, as a string with sslmode=disable asks; to explain it, never to prove. Default true. */
    readonly tls?: boolean;
    readonly startup?: StartupSettings;
  },
): Promise<Tried> {
  const { dial, timeoutMs, signal, tls = true, startup = {} } = options;
  if (signal.aborted) throw stopped(attempt);
  const started = performance.now();
  const socket = dialled(dial);
  const client = new Client({
    host: attempt.host,
    port: attempt.port,
    user: attempt.role,
    database: attempt.database,
    // A function, since the driver takes an empty string for none and looks in its environment.
    password: () => attempt.password.reveal(),
    application_name: "branchline",
    // `verify-full`: node-postgres sets the server name to `host`, and Node checks the certificate for it.
    ssl: tls ? { rejectUnauthorized: true, ...(dial?.ca === undefined ? {} : { ca: dial.ca }) } : false,
    ...startup,
    stream: () => socket,
  });
  // What breaks after we are done, or twice, is no news; without a listener it would end the process.
  client.on("error", () => undefined);

  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    socket.destroy();
  }, timeoutMs);
  const stop = () => socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const seen = await whoAmI(client);
    const ms = Math.round(performance.now() - started);
    const { role, database } = attempt;
    if (seen.role === role && seen.database === database) return { ok: true, proof: { role, database, ms } };
    return { ok: false, diagnosis: wrongLogin(seen.role === role) };
  } catch (error) {
    if (signal.aborted) throw stopped(attempt);
    return { ok: false, diagnosis: diagnose(late ? "timeout expired" : error) };
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
}

/** Connects, asks, says goodbye. Rejects with whatever the driver throws, which must not leave this file. */
async function whoAmI(client: Client): Promise<{ role: string; database: string }> {
  await client.connect();
  const ask = async (text: string) =>
    (await client.query<string[]>({ text, rowMode: "array" })).rows[0] ?? [];
  const [user = "", database = ""] = await ask("select current_user, current_database()");
  // A role may be set up to act as another one (ALTER ROLE a SET role = b); who logged in is the session's.
  const role = user === client.user ? user : ((await ask("select session_user"))[0] ?? "");
  await client.end();
  return { role, database };
}

/** A socket that connects to the dialled address whatever it is told, so that the driver keeps the real host. */
function dialled(dial: Dial | null): Socket {
  if (dial === null) return new Socket();
  const socket = new Socket();
  const connect = socket.connect.bind(socket) as (port: number, host: string) => Socket;
  return Object.assign(socket, { connect: () => connect(dial.port, dial.host) });
}

function wrongLogin(rightRole: boolean): Diagnosis {
  return {
    category: "wrong_login",
    cause: `the login works and ends in another ${rightRole ? "database" : "role"} than was meant`,
    evidence: "current_user and current_database() of the session",
    next: "Check what stands between here and Neon, and `dial`: something redirects this login.",
    transient: false,
  };
}

function refusal(
  { category, cause, evidence, next, transient }: Diagnosis,
  attempt: LoginAttempt,
): SyncError {
  const code = transient ? "unavailable" : "proof_failed";
  const message = `login to ${attempt.host} failed (${category}): ${cause}; ${evidence}`;
  return new SyncError(code, message, { vendor: "proof", operation: "login", next });
}

export function stopped({ host }: Pick<LoginAttempt, "host">): SyncError {
  const message = `the login to ${host} was stopped with the work it belongs to`;
  return new SyncError("unavailable", message, { vendor: "proof", operation: "login" });
}
