/** What is allowed in a rule and yet probably a mistake. */
import { SyncError } from "./errors.ts";
import type { Rule } from "./model.ts";
import { type LoginExpression, parseVariable, type VariableExpression } from "./variables.ts";

export type WarningCode = "migrations_over_pooler" | "double_pooling" | "public_prefix" | "reserved_name";

export interface Warning {
  readonly rule: string;
  /** `variables.DATABASE_URL` */
  readonly path: string;
  readonly code: WarningCode;
  /** What is the matter, in one sentence. */
  readonly message: string;
  readonly hint: string;
}

/** All warnings of a rule, by the order of its variables. Expressions that cannot be read are passed over. */
export function lintRule(rule: Pick<Rule, "name" | "variables">): Warning[] {
  return Object.entries(rule.variables).flatMap(([name, text]) => {
    const expression = read(text);
    if (expression === null) return [];
    const findings = CHECKS.flatMap((check) => check(name, expression) ?? []);
    return findings.map((finding) => ({ rule: rule.name, path: `variables.${name}`, ...finding }));
  });
}

type Finding = Pick<Warning, "code" | "message" | "hint">;

const CHECKS: readonly ((name: string, expression: VariableExpression) => Finding | null)[] = [
  migrationsOverPooler,
  doublePooling,
  publicPrefix,
  reservedName,
];

const FOR_MIGRATIONS =
  /(^|_)(DIRECT|UNPOOLED|NON_?POOL(ING|ED)|MIGRAT\w*|FLYWAY|LIQUIBASE|ALEMBIC|SHADOW|DBMATE|GOOSE|PG_?DUMP)(_|$)/i;
const MIGRATOR = /^(migrat\w*|ddl|schema)$/i;

function migrationsOverPooler(name: string, expression: VariableExpression): Finding | null {
  if (expression.kind !== "login" || !isPooled(expression)) return null;
  if (!FOR_MIGRATIONS.test(name) && !MIGRATOR.test(expression.alias)) return null;
  return {
    code: "migrations_over_pooler",
    message: `${name} looks as if migrations used it, and goes through the pooler, where session locks and SET are lost`,
    hint: `Write "${expression.text.replace("pooled", "direct")}".`,
  };
}

const POOLS_ITSELF = new Map([
  ["npgsql", "Npgsql"],
  ["jdbc", "HikariCP and its like"],
  ["jdbc-bare", "HikariCP and its like"],
  ["elixir", "Ecto"],
]);

function doublePooling(name: string, expression: VariableExpression): Finding | null {
  if (expression.kind !== "login" || !isPooled(expression)) return null;
  const pooling = Object.entries(expression.options.parameters ?? {}).find(
    ([key]) => key.toLowerCase() === "pooling",
  );
  if (pooling?.[1].toLowerCase() === "false") return null;
  const who =
    /(^|_)(HYPERDRIVE|PGBOUNCER|PGCAT|SUPAVISOR|ODYSSEY|RDS_PROXY)(_|$)/i.exec(name)?.[2] ??
    POOLS_ITSELF.get(expression.form.name);
  if (who === undefined) return null;
  return {
    code: "double_pooling",
    message: `${name} goes through the pooler to a client that pools by itself (${who})`,
    hint: `Write "${expression.text.replace("pooled", "direct")}", unless there are very many such clients.`,
  };
}

const PUBLISHED =
  /^(NEXT_PUBLIC_|NUXT_PUBLIC_|VITE_|PUBLIC_|REACT_APP_|VUE_APP_|GATSBY_|EXPO_PUBLIC_|STORYBOOK_|NG_APP_|PARCEL_PUBLIC_|RSBUILD_PUBLIC_)/i;

function publicPrefix(name: string, expression: VariableExpression): Finding | null {
  const prefix = PUBLISHED.exec(name)?.[1];
  if (prefix === undefined || expression.kind === "text") return null;
  const what = expression.form.secret ? "a password" : "where the database is";
  return {
    code: "public_prefix",
    message: `bundlers put variables that begin with ${prefix} into code for browsers: ${name} would publish ${what}`,
    hint: "Choose a name without that prefix and read it on the server only.",
  };
}

const RESERVED: readonly (readonly [RegExp, string])[] = [
  [/^(GITHUB_|ACTIONS_|RUNNER_)/i, "GitHub Actions"],
  [/^(VERCEL|NOW)_/i, "Vercel"],
  [
    /^(AWS_(SECRET_KEY|EXECUTION_ENV|LAMBDA_.*|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)|LAMBDA_.*|_HANDLER)$/i,
    "AWS Lambda",
  ],
  [
    /^(PATH|HOME|USER|SHELL|PWD|TZ|TMPDIR|LANG|HOSTNAME|IFS|CI|NODE_ENV|NODE_OPTIONS|PORT)$/,
    "the shell or the runtime",
  ],
  [/^(LD_|DYLD_)/i, "the dynamic linker"],
];

function reservedName(name: string): Finding | null {
  const owner = RESERVED.find(([pattern]) => pattern.test(name))?.[1];
  if (owner === undefined) return null;
  return {
    code: "reserved_name",
    message: `${name} has a meaning of its own for ${owner}`,
    hint: "Choose another name.",
  };
}

function isPooled(expression: LoginExpression): boolean {
  return expression.via === "pooled" && expression.form.viaMatters;
}

function read(text: string): VariableExpression | null {
  try {
    return parseVariable(text);
  } catch (thrown) {
    if (thrown instanceof SyncError) return null;
    throw thrown;
  }
}
