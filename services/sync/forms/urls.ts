/** URLs, each with the scheme and the parameters that its reader understands. */
import {
  buildUrl,
  encodePart,
  extraParameters,
  type Login,
  libpqParameters,
  type Parameter,
} from "../connection-strings.ts";
import { type Form, form } from "./form.ts";
import { systemRoots } from "./libpq.ts";

const neonUrl = (login: Login) => buildUrl("postgresql", login, libpqParameters(login));

/** Drivers that pass what they do not know on to the server, which refuses `channel_binding` there. */
const withoutBinding = (login: Login) =>
  buildUrl("postgresql", login, libpqParameters(login, ["channel_binding"]));

const NODE_POSTGRES =
  "node-postgres ignores channel_binding and connect_timeout; version 8 takes sslmode=require as full verification.";

export const urlForms: readonly Form[] = [
  form("url", "anything that reads a PostgreSQL URL", "The URL as Neon's console shows it.", neonUrl),
  form(
    "url-bare",
    "clients that take TLS settings elsewhere",
    "The URL without any parameter; the client must be told otherwise to use TLS.",
    (login) => buildUrl("postgresql", login, []),
    { takesOptions: false },
  ),
  form(
    "drizzle",
    "Drizzle",
    `The URL for drizzle-orm on node-postgres or Neon's driver. ${NODE_POSTGRES}`,
    neonUrl,
  ),
  form("kysely", "Kysely", `The URL for the Pool of Kysely's PostgresDialect. ${NODE_POSTGRES}`, neonUrl),
  form("typeorm", "TypeORM", `The URL for DataSource's \`url\`. ${NODE_POSTGRES}`, neonUrl),
  form("nextjs", "Next.js", `The URL for server code; never under NEXT_PUBLIC_. ${NODE_POSTGRES}`, neonUrl),
  form(
    "neon-serverless",
    "@neondatabase/serverless",
    "The URL for neon() over HTTP and Pool over WebSocket; either host works, pooled is fine for both.",
    neonUrl,
  ),
  form(
    "postgres-js",
    "postgres.js",
    "The URL without channel_binding, which postgres.js would send to the server as a setting.",
    postgresJs,
  ),
  form(
    "go",
    "Go: pgx, lib/pq",
    "The URL without channel_binding, which lib/pq and older pgx send to the server as a setting.",
    withoutBinding,
  ),
  form(
    "rust",
    "Rust: sqlx, tokio-postgres",
    "The URL; sqlx warns about channel_binding and ignores it, tokio-postgres obeys it and knows no verify-* modes.",
    neonUrl,
  ),
  form(
    "rails",
    "Rails",
    "DATABASE_URL for the pg gem. Pooled: without prepared statements, which Rails frees by SQL.",
    rails,
  ),
  form(
    "elixir",
    "Elixir: Ecto, Postgrex",
    "ecto:// with ssl=true. Before Postgrex 0.19 set server_name_indication in the repo's :ssl options.",
    elixir,
  ),
  form(
    "symfony",
    "Symfony: Doctrine DBAL",
    "Doctrine's DSN with charset. Read it by %env(DATABASE_URL)%: the resolve: processor would expand its percent signs.",
    symfony,
  ),
  form("prisma", "Prisma", "The URL with time for a compute to start (connect_timeout=15).", (login) =>
    buildUrl("postgresql", login, prismaParameters(login, "15")),
  ),
  form(
    "prisma-legacy",
    "Prisma before 5.10",
    "As the older engine wants it: pgbouncer=true when pooled, sslaccept=strict for the verify-* modes it lacks.",
    prismaLegacy,
  ),
];

/**
 * postgres.js does not decode the path; but whatever it does not know in the query it sends to the server at the
 * start, after its own. So a database that has to be encoded is named there as well.
 */
function postgresJs(login: Login): string {
  const parameters = libpqParameters(login, ["channel_binding"]);
  const plain = encodePart(login.database) === login.database;
  return buildUrl("postgresql", login, plain ? parameters : [["database", login.database], ...parameters]);
}

/** The engine waits 5 seconds by default, a compute may need more: https://neon.com/docs/guides/prisma */
function prismaParameters(login: Login, connectTimeout: string): Parameter[] {
  const parameters = libpqParameters(login);
  return login.options.connectTimeoutSeconds === null
    ? withDefaults(parameters, [["connect_timeout", connectTimeout]])
    : parameters;
}

/** https://www.prisma.io/docs/orm/overview/databases/postgresql and the parameters of Neon's `--prisma`. */
function prismaLegacy(login: Login): string {
  const strict = login.options.sslmode !== "require";
  const known = prismaParameters(login, "30").map(
    ([name, value]): Parameter => (name === "sslmode" ? ["sslmode", "require"] : [name, value]),
  );
  const pool: Parameter[] = [
    ["pool_timeout", "30"],
    ["pgbouncer", "true"],
  ];
  const parameters = withDefaults(known, [
    ...(strict ? [["sslaccept", "strict"] as const] : []),
    ...(login.via === "pooled" ? pool : []),
  ]);
  return buildUrl("postgresql", login, parameters);
}

function rails(login: Login): string {
  const pooled: Parameter[] = login.via === "pooled" ? [["prepared_statements", "false"]] : [];
  return buildUrl("postgresql", login, withDefaults(systemRoots(login), pooled));
}

/** Ecto turns each parameter into an option of the repo, so only what Postgrex knows is given. */
function elixir(login: Login): string {
  return buildUrl("ecto", login, withDefaults(extraParameters(login.options), [["ssl", "true"]]));
}

/** https://www.doctrine-project.org/projects/doctrine-dbal/en/current/reference/configuration.html */
function symfony(login: Login): string {
  const parameters = libpqParameters(login, ["channel_binding", "options", "connect_timeout"]);
  return buildUrl("postgresql", login, withDefaults(parameters, [["charset", "utf8"]]));
}

function withDefaults(parameters: readonly Parameter[], defaults: readonly Parameter[]): Parameter[] {
  const given = new Set(parameters.map(([name]) => name));
  return [...parameters, ...defaults.filter(([name]) => !given.has(name))];
}
