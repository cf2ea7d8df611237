/**
 * Why a connection string does not work: looks at the string itself, then logs in with it as a client
 * would, from here and now. The answer names host and category, and no part that could be a password.
 */
import { isIP } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Category, type Diagnosis, diagnose } from "./diagnosis.ts";
import type { Dial } from "./dial.ts";
import { type StartupSettings, tryLogin } from "./proof.ts";
import type { ReadUrl } from "./url.ts";

export interface Examined {
  readonly host: string;
  readonly pooled: boolean;
  /** Of the last login; null: none was tried, the string alone tells. */
  readonly ms: number | null;
  /** Null: it works. */
  readonly diagnosis: Diagnosis | null;
  /** What is worth knowing and breaks nothing here. */
  readonly notes: readonly string[];
}

export interface ExamineOptions {
  /** Where to connect instead of what DNS says. */
  readonly dial: Dial | null;
  /** Of one login. Default 15 seconds, long enough for a compute that sleeps. */
  readonly timeoutMs?: number;
  /** Before the one repeat where waiting may be the cure. Default 2 seconds. */
  readonly pauseMs?: number;
  readonly signal: AbortSignal;
}

export async function examine(url: ReadUrl, options: ExamineOptions): Promise<Examined> {
  const { dial, timeoutMs = 15_000, pauseMs = 2_000, signal } = options;
  const { host, port, user, password, database, parameters } = url;
  const pooled = isPooled(host);
  const notes = [...notesOn(url)];
  const seen = diagnoseString(url);
  if (seen !== null || user === null || password === null || database === null) {
    return { host, pooled, ms: null, diagnosis: seen ?? diagnose(undefined), notes };
  }
  const attempt = { host, port, role: user, database, password };
  const how = { tls: parameters.get("sslmode") !== "disable", startup: startupOf(parameters) };
  const login = async () => {
    const started = performance.now();
    const tried = await tryLogin(attempt, { dial, timeoutMs, signal, ...how });
    return { tried, ms: Math.round(performance.now() - started) };
  };
  let last = await login();
  if (!last.tried.ok && last.tried.diagnosis.transient && !signal.aborted) {
    const { category } = last.tried.diagnosis;
    await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    last = await login();
    if (last.tried.ok) notes.push(`The first login failed (${category}), the next one worked.`);
  }
  const { tried, ms } = last;
  return { host, pooled, ms, diagnosis: tried.ok ? null : tried.diagnosis, notes };
}

/** How each category ends `branchline doctor`. Never renumbered: scripts depend on it. */
export const EXIT_OF: Readonly<Record<Category, number>> = {
  authentication: 10,
  role_without_login: 11,
  database: 12,
  wrong_login: 13,
  ssl: 20,
  sni: 21,
  startup_parameter: 22,
  pooler_mode: 23,
  ip_allow_list: 30,
  endpoint_missing: 31,
  endpoint_disabled: 32,
  quota: 33,
  cold_start: 40,
  connection_limit: 41,
  timeout: 42,
  dns: 50,
  network: 51,
  unknown: 60,
};

const isPooled = (host: string): boolean => /^[^.]+-pooler\./.test(host);

/** What no login is needed for to know. */
function diagnoseString({ host, user, password, database, parameters }: ReadUrl): Diagnosis | null {
  const told = (category: Category, cause: string, evidence: string, next: string): Diagnosis => ({
    category,
    cause,
    evidence,
    next,
    transient: false,
  });
  if (user === null || password === null) {
    const lacks = user === null ? "role" : "password";
    return told(
      "authentication",
      `the string names no ${lacks}, so a client takes what it finds elsewhere`,
      `there is no ${lacks} in the string`,
      "Write postgresql://ROLE:PASSWORD@HOST/DATABASE, or give the client what is missing.",
    );
  }
  if (database === null) {
    return told(
      "database",
      "the string names no database, so clients look for one that is called like the role",
      "nothing follows the host",
      "Add /DATABASE after the host.",
    );
  }
  if (isIP(host) !== 0 && !/\bendpoint=/.test(parameters.get("options") ?? "")) {
    return told(
      "sni",
      "the host is an address, which is no server name in TLS, so Neon cannot tell which endpoint is meant",
      "the host is an IP address and `options` names no endpoint",
      "Write the host's name as Neon shows it.",
    );
  }
  return null;
}

function notesOn({ host, port, parameters }: ReadUrl): string[] {
  const notes = [];
  if (isIP(host) === 0 && !/^ep-[a-z0-9-]+\.[a-z0-9.-]*\bneon\.(tech|build)$/i.test(host))
    notes.push("The host is not of Neon's form: ep-....REGION.aws.neon.tech.");
  if (port !== 5432) notes.push("The port is not 5432, where Neon listens.");
  const sslmode = parameters.get("sslmode") ?? parameters.get("ssl");
  if (sslmode === undefined)
    notes.push("There is no sslmode: some clients then try without TLS, which Neon refuses.");
  else if (["allow", "prefer"].includes(sslmode))
    notes.push(`sslmode=${sslmode} may go without TLS; write require or verify-full.`);
  return notes;
}

/** What clients put into their first message because the string says so. */
function startupOf(parameters: ReadonlyMap<string, string>): StartupSettings {
  const searchPath = parameters.get("search_path");
  const options = [parameters.get("options"), searchPath && `-c search_path=${searchPath}`].filter(Boolean);
  const timeout = Number(parameters.get("statement_timeout"));
  return {
    ...(options.length === 0 ? {} : { options: options.join(" ") }),
    ...(timeout > 0 ? { statement_timeout: timeout } : {}),
  };
}
