/**
 * libpq and the tools on top of it: https://www.postgresql.org/docs/current/libpq-connect.html
 *
 * `sslmode=verify-full` alone looks for a file with root certificates; since libpq 16
 * `sslrootcert=system` names the system's, which do for Neon. verify-ca may not be combined with
 * it, so whoever wants verify-ca names a file as `sslrootcert`.
 */
import { buildUrl, type Login, libpqParameters, type Parameter } from "../connection-strings.ts";
import { SyncError } from "../errors.ts";
import { type Form, form } from "./form.ts";

export const libpqForms: readonly Form[] = [
  form(
    "libpq",
    "libpq keyword string",
    "host='...' port='...' for PQconnectdb, psycopg.connect, PDO's cousins; each value in libpq's quotes.",
    libpqKeywords,
  ),
  form(
    "psql",
    "psql",
    "A command line for a POSIX shell, the URL in single quotes; needs nothing else around it.",
    (login) => `psql '${buildUrl("postgresql", login, systemRoots(login))}'`,
  ),
  form(
    "dotenv",
    ".env file",
    "DATABASE_URL and the PG* parts, one per line, in quotes that dotenv, bash, Ruby and Python read alike.",
    dotenv,
  ),
];

/** libpq's parameters, with the system's root certificates where they are needed and none are named. */
export function systemRoots(login: Login, without: readonly string[] = []): Parameter[] {
  const parameters = libpqParameters(login, without);
  const needed = login.options.sslmode === "verify-full" && !("sslrootcert" in login.options.parameters);
  return needed ? [...parameters, ["sslrootcert", "system"]] : parameters;
}

/** `keyword='value'` pairs; in a value `\` and `'` are escaped by `\`. */
function libpqKeywords(login: Login): string {
  const pairs: Parameter[] = [
    ["host", login.host],
    ["port", String(login.port)],
    ["dbname", login.database],
    ["user", login.user],
    ["password", login.password],
    ...systemRoots(login),
  ];
  return pairs.map(([name, value]) => `${name}='${value.replaceAll(/[\\']/g, "\\$&")}'`).join(" ");
}

function dotenv(login: Login): string {
  const { sslmode, channelBinding } = login.options;
  const lines: Parameter[] = [
    ["DATABASE_URL", buildUrl("postgresql", login, libpqParameters(login))],
    ["PGHOST", login.host],
    ["PGPORT", String(login.port)],
    ["PGDATABASE", login.database],
    ["PGUSER", login.user],
    ["PGPASSWORD", login.password],
    ["PGSSLMODE", sslmode],
  ];
  if (channelBinding) lines.push(["PGCHANNELBINDING", "require"]);
  return lines.map(([name, value]) => dotenvLine(name, value)).join("\n");
}

/**
 * `NAME='value'` for a .env file. Single quotes mean the same to every reader; a value with a single
 * quote goes into double ones if nothing in it is special there. Throws `invalid_secret` for the few
 * values that readers would understand differently.
 */
export function dotenvLine(name: string, value: string): string {
  const oneLine = !/[\r\n]/.test(value);
  if (oneLine && !value.includes("'") && !value.endsWith("\\")) return `${name}='${value}'`;
  if (oneLine && !/["\\$`!]/.test(value)) return `${name}="${value}"`;
  throw new SyncError(
    "invalid_secret",
    `${name} cannot be written so that all readers of .env files agree on it`,
    {
      next: "Use a URL form, which is percent-encoded, or another password.",
      names: [name],
    },
  );
}
