/** Tokens of the admin API: what each may do and see. Of the token itself there is only a hash. */
import { and, eq, isNull, sql } from "drizzle-orm";
import { boolean, customType, index, integer, jsonb, text, uuid } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });

/** Null throughout: everything that is there. */
export interface TokenLimits {
  readonly sources: readonly string[] | null;
  readonly branches: readonly string[] | null;
  readonly destinations: readonly string[] | null;
}

export const token = branchline.table(
  "token",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name").notNull(),
    /** SHA-256 of a random token: nothing that could be guessed is hashed, so nothing slower is needed. */
    hash: bytea("hash").notNull().unique(),
    scopes: text("scopes").array().notNull(),
    limits: jsonb("limits").$type<TokenLimits>(),
    revealDefault: boolean("reveal_default").notNull().default(false),
    expiresAt: instant("expires_at"),
    createdAt: instant("created_at").notNull().defaultNow(),
    createdBy: text("created_by").notNull(),
    /** To the minute: not every request is worth a write. */
    lastUsedAt: instant("last_used_at"),
    revokedAt: instant("revoked_at"),
    /** +1 with every change. */
    revision: integer("revision").notNull().default(1),
  },
  (t) => [index("token_name").on(t.name)],
);

export type TokenRow = typeof token.$inferSelect;
export type NewTokenRow = Pick<
  typeof token.$inferInsert,
  "name" | "hash" | "scopes" | "limits" | "revealDefault" | "expiresAt" | "createdBy"
>;

/** The token with this hash, if it may still be used; its use is noted, at most once a minute. */
export async function useToken(db: Db, hash: Buffer): Promise<TokenRow | null> {
  const alive = sql`${token.expiresAt} is null or ${token.expiresAt} > now()`;
  const [row] = await db
    .select({
      row: token,
      stale: sql<boolean>`coalesce(${token.lastUsedAt} < now() - interval '1 minute', true)`,
    })
    .from(token)
    .where(and(eq(token.hash, hash), isNull(token.revokedAt), sql`(${alive})`));
  if (row === undefined) return null;
  if (row.stale) {
    await db.execute(sql`
      update branchline.token set last_used_at = now()
      where id = ${row.row.id} and (last_used_at is null or last_used_at < now() - interval '1 minute')`);
  }
  return row.row;
}

export async function insertToken(db: Db, fresh: NewTokenRow): Promise<TokenRow> {
  const [row] = await db.insert(token).values(fresh).returning();
  if (row === undefined) throw new Error("token insert returned no row");
  return row;
}

export async function lockToken(db: Db, id: string): Promise<TokenRow | undefined> {
  const [row] = await db.select().from(token).where(eq(token.id, id)).for("update");
  return row;
}

export async function updateToken(
  db: Db,
  id: string,
  change: { name?: string; expiresAt?: Date | null },
): Promise<void> {
  await db
    .update(token)
    .set({ ...change, revision: sql`${token.revision} + 1` })
    .where(eq(token.id, id));
}

/** For good. When it was revoked first stays. */
export async function endToken(db: Db, id: string): Promise<void> {
  await db
    .update(token)
    .set({ revokedAt: sql`now()`, revision: sql`${token.revision} + 1` })
    .where(and(eq(token.id, id), isNull(token.revokedAt)));
}
