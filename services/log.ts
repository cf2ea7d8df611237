/**
 * The one logger: JSON lines on standard output, or wherever `destination` points. Everything that is
 * logged passes `clean()` first, so that a careless call site prints `[secret]` and not a secret.
 */
import { pino } from "pino";
import { SyncError } from "./sync/errors.ts";
import { Secret } from "./sync/secret.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What is known beside the message. An error alone is taken for `{ err }`. */
export type LogFields = Readonly<Record<string, unknown>> | Error;

export interface LogMethod {
  (fields: LogFields, message: string): void;
  (message: string): void;
}

/** Never throws and never waits. Messages are constant words; what varies goes into the fields. */
export interface Logger {
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Receives whole lines. Default: standard output, written synchronously so that a crash loses none. */
  readonly destination?: { write(line: string): void };
}

export function createLogger({ level, destination }: LoggerOptions): Logger {
  const sink = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
  return wrap(sink, {});
}

/**
 * For what fails again and again while something is down: says the first at once and then at most one every
 * `everyMs`, with how many were left out in between.
 */
export function seldom(
  say: (error: unknown, leftOut: number) => void,
  everyMs = 5_000,
): (error: unknown) => void {
  let said = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (error) => {
    const now = performance.now();
    if (now - said < everyMs) {
      leftOut += 1;
      return;
    }
    said = now;
    say(error, leftOut);
    leftOut = 0;
  };
}

type Severity = Exclude<LogLevel, "silent">;
type Fields = Record<string, unknown>;

/**
 * pino itself formats child bindings only once and takes an error's message for a missing one, both
 * past its own redaction. So it gets nothing but fields and messages that are clean already.
 */
function wrap(sink: pino.Logger, inherited: Fields): Logger {
  const method = (severity: Severity): LogMethod => {
    return (first: LogFields | string, message?: string) => {
      if (!sink.isLevelEnabled(severity)) return;
      const fields = typeof first === "string" ? inherited : { ...inherited, ...cleanFields(first) };
      sink[severity](fields, scrub(typeof first === "string" ? first : (message ?? "")));
    };
  };
  return {
    trace: method("trace"),
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
    fatal: method("fatal"),
    child: (fields) => wrap(sink, { ...inherited, ...cleanFields(fields) }),
  };
}

function cleanFields(fields: LogFields): Fields {
  const cleaned = clean(fields instanceof Error ? { err: fields } : fields);
  return typeof cleaned === "object" && cleaned !== null ? { ...cleaned } : { fields: cleaned };
}

// ---------------------------------------------------------------- values

const SECRET = "[secret]";
const MAX_DEPTH = 6;
/** Objects, arrays and leaves of one line together; a log line is no dump. */
const MAX_NODES = 500;
const MAX_ITEMS = 50;
const MAX_TEXT = 4_096;

/** A copy of `value` that may be printed: no secrets by type, by key, or by what a text looks like. */
export function clean(value: unknown): unknown {
  let nodes = 0;
  const above: object[] = [];

  const visit = (item: unknown): unknown => {
    nodes += 1;
    if (nodes > MAX_NODES) return "[more]";
    if (typeof item === "string") return scrub(item);
    if (typeof item === "bigint") return String(item);
    if (typeof item === "function" || typeof item === "symbol") return `[${typeof item}]`;
    if (typeof item !== "object" || item === null) return item;
    if (above.includes(item)) return "[circular]";
    if (above.length >= MAX_DEPTH) return "[deep]";
    above.push(item);
    try {
      return visitObject(item);
    } catch {
      // A getter or proxy that throws must not take the caller down with it.
      return "[unreadable]";
    } finally {
      above.pop();
    }
  };

  const visitObject = (item: object): unknown => {
    if (item instanceof Secret) return SECRET;
    if (item instanceof Error) return describe(item, visit);
    if (item instanceof Date) return Number.isNaN(item.getTime()) ? null : item.toISOString();
    if (item instanceof URL) return `${item.protocol}//${item.host}${item.pathname}`;
    if (ArrayBuffer.isView(item)) return `[${item.byteLength} bytes]`;
    if (Array.isArray(item) || item instanceof Set) return list([...item]);
    if (item instanceof Map) return record([...item].map(([key, entry]) => [String(key), entry]));
    if (isPlain(item)) return record(Object.entries(item));
    // Requests, responses, clients, sockets: whatever they hold is not ours to print.
    return `[${className(item.constructor?.name)}]`;
  };

  const list = (items: readonly unknown[]): unknown[] => {
    const shown = items.slice(0, MAX_ITEMS).map(visit);
    return items.length > MAX_ITEMS ? [...shown, `[${items.length - MAX_ITEMS} more]`] : shown;
  };

  const record = (entries: readonly (readonly [string, unknown])[]): Fields =>
    Object.fromEntries(
      entries
        .slice(0, MAX_ITEMS)
        .map(([key, entry]) => [scrub(key), isSecretKey(key) && mayHoldText(entry) ? SECRET : visit(entry)]),
    );

  return visit(value);
}

/** A count or a flag under a telling name (`tokens: 3`) is no secret. */
function mayHoldText(entry: unknown): boolean {
  return typeof entry === "string" || (typeof entry === "object" && entry !== null);
}

function isPlain(item: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(item);
  return prototype === Object.prototype || prototype === null;
}

/** Endings, after lower-casing and dropping everything but letters: `X-Api-Key` ends in `apikey`. */
const SECRET_KEYS = [
  "password passwd pwd passphrase secret secrets secretid token tokens apikey accesskey privatekey masterkey",
  "authorization cookie credential credentials signature connectionstring connectionuri databaseurl redisurl",
  "dsn uri jwt headers body payload value plaintext",
]
  .join(" ")
  .split(" ");

function isSecretKey(key: string): boolean {
  const letters = key.toLowerCase().replace(/[^a-z]/g, "");
  return SECRET_KEYS.some((ending) => letters.endsWith(ending));
}

// ---------------------------------------------------------------- texts

/** The second net: what looks like a credential is cut out of texts too. Order matters. */
const LOOKS_SECRET: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*/g, SECRET],
  [/:\/\/\S*@/g, `://${SECRET}@`],
  [/(:\/\/[^\s?#"']*)\?[^\s"']*/g, "$1?[query]"],
  [/\b(bearer|basic)\s+[\w.~+/=:-]{12,}/gi, `$1 ${SECRET}`],
  [/(password|passwd|pwd|token|secret|api_?key)(=|["']\s*:\s*["'])[^\s"'&]+/gi, `$1$2${SECRET}`],
  // Neon keys and passwords, GitHub, Vercel and Vault tokens, Standard Webhooks secrets, AWS key ids, JWTs.
  [/\b(napi_|npg_|gh[a-z]_|github_pat_|vc[a-z]_|hv[sbr]\.|whsec_|A[KS]IA|eyJ)[\w.+/=-]{8,}/g, SECRET],
  // Tokens of OpenBao, and of Vault before 1.10.
  [/\b[sbr]\.[A-Za-z0-9]{20,}/g, SECRET],
];

function scrub(text: string): string {
  let scrubbed = text.slice(0, 2 * MAX_TEXT);
  for (const [pattern, replacement] of LOOKS_SECRET) scrubbed = scrubbed.replace(pattern, replacement);
  return scrubbed.length > MAX_TEXT ? `${scrubbed.slice(0, MAX_TEXT)}[more]` : scrubbed;
}

// ---------------------------------------------------------------- errors

/**
 * The message of a SyncError is ours and safe. Any other error's message may quote a request with its
 * headers or a query with its parameters, so of those only class, code and stack frames are kept.
 */
function describe(error: Error, visit: (item: unknown) => unknown): Fields {
  const ours = error instanceof SyncError;
  const { code, status, errors } = error as { code?: unknown; status?: unknown; errors?: unknown };
  return {
    name: className(error.name),
    ...(isCode(code) ? { code } : {}),
    ...(typeof status === "number" ? { status } : {}),
    ...(ours ? describeOurs(error) : {}),
    stack: frames(error),
    ...(error.cause === undefined
      ? {}
      : { cause: visit(error.cause instanceof Error ? error.cause : typeof error.cause) }),
    ...(Array.isArray(errors) ? { errors: visit(errors.filter((item) => item instanceof Error)) } : {}),
  };
}

function describeOurs(error: SyncError): Fields {
  return {
    message: scrub(error.message),
    ...(error.next === undefined ? {} : { next: scrub(error.next) }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.ambiguous ? { ambiguous: true } : {}),
    ...(error.names.length === 0 ? {} : { names: error.names.map(scrub) }),
    ...(Object.keys(error.where).length === 0 ? {} : { where: clean(error.where) }),
  };
}

/** System, Postgres and vendor codes: ECONNRESET, 23505, ResourceNotFoundException. */
function isCode(code: unknown): code is string | number {
  return typeof code === "number" || (typeof code === "string" && /^\w{1,64}$/.test(code));
}

function className(name: unknown): string {
  return typeof name === "string" && /^[\w$]{1,64}$/.test(name) ? name : "Error";
}

/** Only lines that name a place in code. The message, which the stack repeats, is cut out first. */
function frames(error: Error): string[] {
  const stack = typeof error.stack === "string" ? error.stack : "";
  const message = typeof error.message === "string" ? error.message : "";
  const rest = message === "" ? stack : stack.split(message).join("");
  return rest
    .slice(0, 4 * MAX_TEXT)
    .split("\n")
    .filter((line) => /^ {4}at .*:\d+:\d+\)?$/.test(line))
    .slice(0, 12)
    .map((line) => scrub(line.trim()));
}
