/**
 * Reads a connection URL as somebody wrote or pasted it: PostgreSQL's, those that frameworks make of it
 * (`postgresql+psycopg://`, `ecto://`) and pgjdbc's. What cannot be read is told without repeating any of it:
 * where a reserved character stands unencoded, every part may hold a piece of the password.
 *
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
import { Secret } from "../sync/secret.ts";

export interface ReadUrl {
  readonly host: string;
  readonly port: number;
  /** Null: not in the URL. */
  readonly user: string | null;
  readonly password: Secret | null;
  readonly database: string | null;
  /** The query, decoded; user and password of a JDBC URL are not among them. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The password as it stands in the URL and as it is, for whoever has to hide it. */
  readonly passwords: readonly string[];
}

export interface Unreadable {
  readonly problem: string;
  readonly next: string;
}

const PARTS =
  /^(jdbc:)?[a-z][a-z0-9]*(?:\+[a-z0-9_]+)?:\/\/(?:([^@/?#]*)@)?(\[[0-9A-Fa-f:.]+\]|[^:/?#@[\]]+)(?::(\d{1,5}))?(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const SCHEME = /^(jdbc:postgresql|postgres(ql)?(\+[a-z0-9_]+)?|ecto):\/\//i;

/** Null for whatever is not a PostgreSQL URL that can be read. */
export function parseUrl(text: string): ReadUrl | null {
  const read = readUrl(text);
  return "problem" in read ? null : read;
}

export function readUrl(text: string): ReadUrl | Unreadable {
  if (!SCHEME.test(text)) return NO_URL;
  const match = PARTS.exec(text);
  if (match === null) return RESERVED;
  const [, jdbc, userinfo, host = "", port = "5432", path = "", query = ""] = match;
  // Without a user before the host, an @ further on says that the password broke off early.
  if (userinfo === undefined && `${path}?${query}`.includes("@")) return RESERVED;
  if (Number(port) < 1 || Number(port) > 65_535) return RESERVED;
  try {
    const parameters = new Map(pairs(query));
    const colon = userinfo?.indexOf(":") ?? -1;
    const raw =
      jdbc === undefined
        ? {
            user: colon === -1 ? userinfo : userinfo?.slice(0, colon),
            password: colon === -1 ? undefined : userinfo?.slice(colon + 1),
          }
        : { user: rawParameter(query, "user"), password: rawParameter(query, "password") };
    if (jdbc !== undefined) for (const name of ["user", "password"]) parameters.delete(name);
    const password = raw.password ? decodeURIComponent(raw.password) : null;
    return {
      host: host.replace(/^\[|\]$/g, ""),
      port: Number(port),
      user: raw.user ? decodeURIComponent(raw.user) : null,
      password: password === null ? null : new Secret(password),
      database: path === "" ? null : decodeURIComponent(path),
      parameters,
      passwords: password === null ? [] : [...new Set([raw.password ?? "", password])],
    };
  } catch {
    return PERCENT;
  }
}

function pairs(query: string): [string, string][] {
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const [name, value] = equals === -1 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return [decodeURIComponent(name), decodeURIComponent(value)];
    });
}

const rawParameter = (query: string, name: string): string | undefined =>
  query
    .split("&")
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);

const NO_URL: Unreadable = {
  problem: "this is not a PostgreSQL URL",
  next: "Expected postgresql://ROLE:PASSWORD@HOST/DATABASE?sslmode=require",
};
const RESERVED: Unreadable = {
  problem: "the URL cannot be taken apart: a part is missing, or a reserved character stands in the password",
  next: "Percent-encode role, password and database: @ is %40, / is %2F, : is %3A, ? is %3F, # is %23, % is %25.",
};
const PERCENT: Unreadable = {
  problem: "a percent sign in the URL does not begin an encoded character",
  next: "Write %25 for a percent sign.",
};
