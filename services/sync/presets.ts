/** Sets of variables as a consumer expects them, each with the right choice of pooled or direct and its reason. */
import { SyncError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

export { lintRule, type Warning } from "./lint.ts";

export interface PresetEntry {
  readonly name: string;
  /** As in `variables`. */
  readonly expression: string;
  /** Why pooled or direct, why this form: shown by `branchline presets`. */
  readonly reason: string;
}

export interface Preset {
  readonly name: string;
  readonly about: string;
  /** What to know before using it, or null. */
  readonly caution: string | null;
  readonly entries: readonly PresetEntry[];
}

const APP = "many short connections: the pooler takes them";
const MIGRATE = "migrations need a session (locks, SET): not through the pooler";
const OWN_POOL = "this client keeps a pool of its own: a second one behind it only adds waiting";
const PART = "the same for pooled and direct";

function preset(
  name: string,
  about: string,
  entries: readonly (readonly [string, string, string])[],
  caution: string | null = null,
): Preset {
  return {
    name,
    about,
    caution,
    entries: entries.map(([variable, expression, reason]) => ({ name: variable, expression, reason })),
  };
}

/** The usual pair: one for the application, one for its migrations. */
function pair(name: string, about: string, form: string, direct = "DATABASE_URL_UNPOOLED"): Preset {
  return preset(name, about, [
    ["DATABASE_URL", `pooled${form}`, APP],
    [direct, `direct${form}`, MIGRATE],
  ]);
}

const LIKE_THE_INTEGRATION = "?channel_binding=off";

/** https://neon.com/docs/guides/vercel-managed-integration: its sixteen names. */
const vercelAll = preset(
  "vercel-all",
  "The sixteen names that Neon's own Vercel integration sets, with the same choice of pooled and direct.",
  [
    ["DATABASE_URL", `pooled${LIKE_THE_INTEGRATION}`, APP],
    ["DATABASE_URL_UNPOOLED", `direct${LIKE_THE_INTEGRATION}`, MIGRATE],
    ["PGHOST", "pooled.host", APP],
    ["PGHOST_UNPOOLED", "direct.host", MIGRATE],
    ["PGUSER", "user", PART],
    ["PGDATABASE", "database", PART],
    ["PGPASSWORD", "password", PART],
    ["POSTGRES_URL", `pooled${LIKE_THE_INTEGRATION}`, APP],
    ["POSTGRES_URL_NON_POOLING", `direct${LIKE_THE_INTEGRATION}`, MIGRATE],
    ["POSTGRES_URL_NO_SSL", "pooled.url-bare", "for clients that refuse sslmode in the URL"],
    [
      "POSTGRES_PRISMA_URL",
      `pooled${LIKE_THE_INTEGRATION}&connect_timeout=15`,
      "Prisma gives up before a compute has started",
    ],
    ["POSTGRES_USER", "user", PART],
    ["POSTGRES_HOST", "pooled.host", APP],
    ["POSTGRES_PASSWORD", "password", PART],
    ["POSTGRES_DATABASE", "database", PART],
    ["NEON_PROJECT_ID", "project", "the source's project; no secret"],
  ],
  "Vercel allows 1,000 variables per environment of a project, and branch-scoped ones count: sixteen per branch fill it at 62 branches. Prefer vercel.",
);

export const PRESETS: ReadonlyMap<string, Preset> = new Map(
  [
    pair("vercel", "The two names that Neon and Vercel agree on.", ""),
    vercelAll,
    pair("nextjs", "Server code and migrations of a Next.js application.", ".nextjs"),
    pair("prisma", "Current Prisma: the direct URL goes to prisma.config.ts.", ".prisma"),
    pair("prisma-legacy", "Prisma with url and directUrl in its schema.", ".prisma-legacy", "DIRECT_URL"),
    pair("drizzle", "drizzle-orm, and drizzle-kit for migrations.", ".drizzle"),
    pair("kysely", "Kysely and its Migrator.", ".kysely"),
    pair("typeorm", "A TypeORM DataSource, and one for its migrations.", ".typeorm"),
    pair("rails", "Rails; point db:migrate at the second.", ".rails"),
    pair("symfony", "Doctrine; point doctrine:migrations at the second.", ".symfony"),
    pair("go", "pgx or lib/pq, and golang-migrate or goose.", ".go"),
    pair("rust", "sqlx or tokio-postgres, and sqlx migrate.", ".rust"),
    pair("asyncpg", "asyncpg, and whatever migrates.", ".asyncpg"),
    pair("sqlalchemy-psycopg", "SQLAlchemy on psycopg 3, and Alembic.", ".sqlalchemy-psycopg"),
    preset("sqlalchemy-asyncpg", "SQLAlchemy on asyncpg, and Alembic on psycopg 3.", [
      ["DATABASE_URL", "pooled.sqlalchemy-asyncpg", APP],
      ["DATABASE_URL_UNPOOLED", "direct.sqlalchemy-psycopg", `${MIGRATE}; Alembic runs synchronously`],
    ]),
    preset("django", "DATABASES as JSON; point manage.py migrate at the second.", [
      ["DATABASES", "pooled.django", `${APP}; server-side cursors are off`],
      ["DATABASES_UNPOOLED", "direct.django", MIGRATE],
    ]),
    preset("neon-serverless", "Neon's driver over HTTP and WebSocket.", [
      ["DATABASE_URL", "pooled.neon-serverless", APP],
    ]),
    preset("libpq", "The variables that libpq and psql read by themselves.", [
      ["PGHOST", "direct.host", "tools and scripts use sessions"],
      ["PGPORT", "port", PART],
      ["PGDATABASE", "database", PART],
      ["PGUSER", "user", PART],
      ["PGPASSWORD", "password", PART],
      ["PGSSLMODE", "text:require", "libpq's default would accept plain text"],
    ]),
    preset("spring", "Spring Boot's data source.", [
      [
        "SPRING_DATASOURCE_URL",
        "direct.jdbc-bare",
        `HikariCP: ${OWN_POOL}; no password, since Java logs URLs`,
      ],
      ["SPRING_DATASOURCE_USERNAME", "user", PART],
      ["SPRING_DATASOURCE_PASSWORD", "password", PART],
    ]),
    preset("dotnet", "ASP.NET's ConnectionStrings:DefaultConnection.", [
      ["ConnectionStrings__DefaultConnection", "direct.npgsql", OWN_POOL],
    ]),
    preset("elixir", "Ecto.", [["DATABASE_URL", "direct.elixir", OWN_POOL]]),
    preset("github-actions-migrations", "A workflow that migrates.", [["DATABASE_URL", "direct", MIGRATE]]),
    preset(
      "aws-rds-json",
      "The keys of AWS's database secret, for one JSON secret per binding.",
      [
        ["engine", "text:postgres", "AWS's name for it"],
        ["host", "direct.host", OWN_POOL],
        ["username", "user", PART],
        ["password", "password", PART],
        ["dbname", "database", PART],
        ["port", "port", PART],
      ],
      "For destinations that keep one secret with several keys; elsewhere use the form aws-rds-json.",
    ),
  ].map((entry) => [entry.name, entry]),
);

/**
 * What the names that presets set usually hold, for one role: of names that several set, what the first of them says.
 * Without what is no login.
 */
export function usualExpressions(alias: string): Map<string, string> {
  const prefix = alias === "default" ? "" : `${alias}.`;
  const entries = [...PRESETS.values()].flatMap((one) => [...one.entries]).reverse();
  const logins = entries.filter(
    ({ expression }) => expression !== "project" && !expression.startsWith("text:"),
  );
  return new Map(logins.map(({ name, expression }) => [name, prefix + expression]));
}

/**
 * `[role.]NAME` to the variables it stands for. `project` is the id of the source's project; without
 * one (null) a variable that holds it is left out. Throws `invalid_target` if there is no such preset.
 */
export function expandPreset(text: string, project: string | null): readonly PresetEntry[] {
  const dot = text.indexOf(".");
  const [prefix, name] = dot === -1 ? ["", text] : [text.slice(0, dot + 1), text.slice(dot + 1)];
  const found = PRESETS.get(name);
  if (found === undefined)
    throw new SyncError("invalid_target", `there is no preset "${name}"`, {
      next: didYouMean(name, PRESETS.keys()) || `Known: ${[...PRESETS.keys()].join(", ")}.`,
    });
  return found.entries.flatMap((entry) => {
    if (entry.expression === "project")
      return project === null ? [] : [{ ...entry, expression: `text:${project}` }];
    const expression = entry.expression.startsWith("text:") ? entry.expression : prefix + entry.expression;
    return [{ ...entry, expression }];
  });
}
