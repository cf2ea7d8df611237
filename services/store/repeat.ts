/** Requests that came with an `Idempotency-Key`, for a day. Never an answer that holds a secret. */
import { and, eq, sql } from "drizzle-orm";
import { index, integer, primaryKey, text } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

export const repeat = branchline.table(
  "repeat",
  {
    /** Whose key it is. */
    owner: text("owner").notNull(),
    key: text("key").notNull(),
    /** Hash over method, address and body. */
    request: text("request").notNull(),
    beganAt: instant("began_at").notNull().defaultNow(),
    endedAt: instant("ended_at"),
    /** Null: under way, or not kept. */
    status: integer("status"),
    body: text("body"),
  },
  (t) => [primaryKey({ columns: [t.owner, t.key] }), index("repeat_began").on(t.beganAt)],
);

export type Earlier =
  | { readonly kind: "new" | "other" | "under-way" | "not-kept" }
  | { readonly kind: "done"; readonly status: number; readonly body: string };

/** Longer than any request lives: whoever began it has died. */
const LOST = sql`interval '1 minute'`;
const KEPT = sql`interval '24 hours'`;

/** Takes the key, if nobody has it. What is older than a day is forgotten on the way, a little at a time. */
export async function beginRequest(db: Db, owner: string, key: string, request: string): Promise<Earlier> {
  await db.execute(sql`
    delete from branchline.repeat where ctid = any(array(
      select ctid from branchline.repeat where began_at < now() - ${KEPT} limit 100))`);
  const taken = await db.execute(sql`
    insert into branchline.repeat as r (owner, key, request) values (${owner}, ${key}, ${request})
    on conflict (owner, key) do update set began_at = now(), request = excluded.request,
      ended_at = null, status = null, body = null
    where r.began_at < now() - ${KEPT}
       or (r.ended_at is null and r.began_at < now() - ${LOST} and r.request = excluded.request)
    returning 1`);
  if (taken.rows.length === 1) return { kind: "new" };
  const [row] = await db
    .select()
    .from(repeat)
    .where(and(eq(repeat.owner, owner), eq(repeat.key, key)));
  if (row === undefined) return await beginRequest(db, owner, key, request);
  if (row.request !== request) return { kind: "other" };
  if (row.endedAt === null) return { kind: "under-way" };
  if (row.status === null || row.body === null) return { kind: "not-kept" };
  return { kind: "done", status: row.status, body: row.body };
}

export async function endRequest(
  db: Db,
  owner: string,
  key: string,
  answer: { status: number; body: string } | null,
): Promise<void> {
  await db
    .update(repeat)
    .set({ endedAt: sql`now()`, status: answer?.status ?? null, body: answer?.body ?? null })
    .where(and(eq(repeat.owner, owner), eq(repeat.key, key)));
}

export async function forgetRequest(db: Db, owner: string, key: string): Promise<void> {
  await db.delete(repeat).where(and(eq(repeat.owner, owner), eq(repeat.key, key)));
}
