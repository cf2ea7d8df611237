/**
 * From a login to the pieces of a connection string. What each consumer makes of them is in `forms/`.
 *
 * Hosts: https://neon.com/docs/connect/connection-pooling (`-pooler` ends the first label) and
 * https://neon.com/docs/connect/connection-errors (SNI and its work-around).
 */
import { SyncError } from "./errors.ts";
import type { ConnectionOptions, LoginMaterial } from "./model.ts";

export type Via = "pooled" | "direct";

/** One login as a consumer will use it: plain text, alive while a form is being written and no longer. */
export interface Login {
  readonly via: Via;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string;
  readonly options: ConnectionOptions;
}

const POOLER = "-pooler";
const LONE_SURROGATE = /\p{Surrogate}/u;

/** The host of the pooler that stands before an endpoint. A pooled host stays as it is. */
export function pooledHost(host: string): string {
  const { label, rest } = splitHost(host);
  return label.endsWith(POOLER) ? host : `${label}${POOLER}.${rest}`;
}

/** The endpoint's own host. A direct host stays as it is. */
export function directHost(host: string): string {
  const { label, rest } = splitHost(host);
  return label.endsWith(POOLER) ? `${label.slice(0, -POOLER.length)}.${rest}` : host;
}

/**
 * Throws `invalid_target` if the host is not the endpoint's (its first label is then not the
 * endpoint's id, so neither the pooled host nor the SNI work-around could be derived), and
 * `invalid_secret` if a part holds what no PostgreSQL login can hold.
 */
export function openLogin(material: LoginMaterial, via: Via, options: ConnectionOptions): Login {
  const direct = directHost(material.endpoint.host);
  if (splitHost(direct).label !== material.endpoint.id)
    throw new SyncError("invalid_target", "the host's first label is not the id of its endpoint", {
      next: "Check that the source is a Neon project and its endpoint's host is Neon's own.",
    });
  const password = material.password.reveal();
  for (const [what, text] of [
    ["role", material.role],
    ["database", material.database],
    ["password", password],
  ] as const)
    if (text === "" || text.includes("\0") || LONE_SURROGATE.test(text))
      throw new SyncError(
        "invalid_secret",
        `the ${what} is empty or holds characters that PostgreSQL cannot take`,
      );
  return {
    via,
    host: via === "pooled" ? pooledHost(direct) : direct,
    port: material.port,
    user: material.role,
    database: material.database,
    password,
    options,
  };
}

/** Percent-encodes everything but `A-Z a-z 0-9 - _ . ~`: safe in each part of a URL and in shell quotes. */
export function encodePart(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export type Parameter = readonly [name: string, value: string];

export function encodeQuery(parameters: readonly Parameter[]): string {
  return parameters.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join("&");
}

/** `scheme://user:password@host:port/database?parameters`; Neon's port is left out when it is the usual one. */
export function buildUrl(scheme: string, login: Login, parameters: readonly Parameter[]): string {
  const port = login.port === 5432 ? "" : `:${login.port}`;
  const userinfo = `${encodePart(login.user)}:${encodePart(login.password)}`;
  const query = parameters.length === 0 ? "" : `?${encodeQuery(parameters)}`;
  return `${scheme}://${userinfo}@${login.host}${port}/${encodePath(login.database)}${query}`;
}

/**
 * What libpq and its followers read, in Neon's own order, then the rest by name, so that the same
 * options always give the same string.
 */
export function libpqParameters(login: Login, without: readonly string[] = []): Parameter[] {
  const { options } = login;
  const parameters: Parameter[] = [["sslmode", options.sslmode]];
  if (options.channelBinding) parameters.push(["channel_binding", "require"]);
  const startup = startupOptions(login);
  if (startup !== null) parameters.push(["options", startup]);
  if (options.connectTimeoutSeconds !== null)
    parameters.push(["connect_timeout", String(options.connectTimeoutSeconds)]);
  if (options.applicationName !== null) parameters.push(["application_name", options.applicationName]);
  parameters.push(...extraParameters(options));
  return parameters.filter(([name]) => !without.includes(name));
}

/**
 * The `options` startup parameter: the SNI work-around, and what the user adds. Neon refuses a name
 * here that differs from the server name, so a pooled host names `<endpoint>-pooler`.
 */
export function startupOptions(login: Login): string | null {
  const extra = login.options.parameters["options"];
  const endpoint = login.options.sniWorkaround ? `endpoint=${splitHost(login.host).label}` : undefined;
  const parts = [endpoint, extra].filter((part) => part !== undefined);
  return parts.length === 0 ? null : parts.join(" ");
}

/** The user's further parameters by name, without `options`, which `startupOptions` carries. */
export function extraParameters(options: ConnectionOptions): Parameter[] {
  return Object.entries(options.parameters)
    .filter(([name]) => name !== "options")
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * Why a further parameter is refused, in words, or null. Several clients let the query override the
 * host or the user, which would send the password somewhere else; what has a field of its own has it.
 */
export function checkParameter(name: string, value: string): string | null {
  if (!/^[A-Za-z][A-Za-z0-9_. -]*$/.test(name)) return `"${name}" is not the name of a connection parameter`;
  // Control characters would end a line of the text that carries them.
  if (/\p{Cc}/u.test(value) || LONE_SURROGATE.test(value))
    return `the value of "${name}" holds a control character`;
  const plain = name.toLowerCase().replaceAll(/[ _.-]/g, "");
  if (REDIRECTS.has(plain)) return `"${name}" would change where or as whom the login happens`;
  const field = FIELDS.get(plain);
  if (field !== undefined) return `"${name}" is written as ${field}`;
  if (plain === "options" && /\bendpoint\s*=/i.test(value))
    return "write sni_workaround instead of options=endpoint=...";
  return null;
}

const REDIRECTS = new Set(
  `host hostaddr hostname server datasource address addr networkaddress port user username userid uid password pwd psw
   passfile passfilepath dbname database initialcatalog db service servicefile pghost pgport pgdbname
   unixsocket socket socketpath path url`.split(/\s+/),
);

const FIELDS = new Map([
  ["ssl", "sslmode"],
  ["sslmode", "sslmode"],
  ["requiressl", "sslmode"],
  ["trustservercertificate", "sslmode"],
  ["channelbinding", "channel_binding"],
  ["connecttimeout", "connect_timeout"],
  ["applicationname", "application_name"],
]);

/**
 * A path keeps `: @ & = + $ , ;` as RFC 3986 allows: node-postgres and SQLAlchemy do not decode them
 * there, and libpq reads them either way.
 */
function encodePath(text: string): string {
  return encodePart(text).replaceAll(/%(?:3A|40|26|3D|2B|24|2C|3B)/g, decodeURIComponent);
}

function splitHost(host: string): { label: string; rest: string } {
  const match = /^([A-Za-z0-9-]+)\.([A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*)$/.exec(host);
  const [, label, rest] = match ?? [];
  if (label === undefined || rest === undefined)
    throw new SyncError("invalid_target", "the endpoint's host is not a host name of Neon's form", {
      next: "Check that the source is a Neon project and its endpoint's host is Neon's own.",
    });
  return { label, rest };
}
