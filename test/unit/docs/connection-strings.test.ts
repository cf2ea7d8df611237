import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { FORMS } from "../../../services/sync/forms.ts";
import { PRESETS } from "../../../services/sync/presets.ts";
import { connectionStringsPage } from "../../support/connection-strings-page.ts";

const PAGE = fileURLToPath(new URL("../../../docs/connection-strings.md", import.meta.url));

test("docs/connection-strings.md is what the code writes", () => {
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(PAGE, connectionStringsPage());
  expect(readFileSync(PAGE, "utf8")).toBe(connectionStringsPage());
});

test("the page has a row for every form and a section for every preset", () => {
  const text = readFileSync(PAGE, "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| "));
  for (const form of FORMS.values()) {
    expect(rows.some((row) => row.startsWith(`| ${form.consumer} |`) && row.includes(form.about))).toBe(true);
  }
  for (const name of PRESETS.keys()) expect(text).toContain(`### \`${name}\`\n`);
});

test("the issue's consumers are all there by name", () => {
  const text = readFileSync(PAGE, "utf8");
  const consumers = `libpq, psql, .env, JDBC, .NET, Npgsql, Django, asyncpg, SQLAlchemy with psycopg, SQLAlchemy with asyncpg,
    Prisma, Drizzle, Kysely, TypeORM, Next.js, Symfony, Rails, Go, Rust, Elixir, @neondatabase/serverless, AWS, PGHOST,
    PGUSER, PGDATABASE, PGPASSWORD, PGPORT`;
  for (const consumer of consumers.split(/,\s+/)) expect(text).toContain(consumer);
});
