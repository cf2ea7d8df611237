/**
 * Who did what, for ever: rows are added and never changed. Each row holds a hash over the one before it,
 * so that a row that was altered, removed or slipped in breaks the chain. What was cut off at the end is
 * seen by comparing with a head (number and hash) that was noted elsewhere. Never holds a value.
 */
import { createHash } from "node:crypto";
import { sql } from "drizzle-orm";
import { bigint, index, jsonb, text } from "drizzle-orm/pg-core";
import { branchline, type Db } from "./db.ts";
import { instant } from "./work.ts";

export type AuditDetails = Readonly<Record<string, string | number | boolean | null>>;

export const audit = branchline.table(
  "audit",
  {
    /** Without gaps, from 1. */
    seq: bigint("seq", { mode: "number" }).primaryKey(),
    at: instant("at").notNull(),
    /** A token's name. */
    actor: text("actor").notNull(),
    /** What was done: "connection.reveal". */
    action: text("action").notNull(),
    /** To what: "source/shop/branch/preview/x". */
    object: text("object").notNull(),
    requestId: text("request_id"),
    sourceAddress: text("source_address"),
    /** Names and choices; never a value. */
    details: jsonb("details").$type<AuditDetails>().notNull(),
    previous: text("previous").notNull(),
    hash: text("hash").notNull(),
  },
  (t) => [index("audit_at").on(t.at), index("audit_object").on(t.object)],
);

export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly requestId: string | null;
  readonly sourceAddress: string | null;
  readonly details: AuditDetails;
}

export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** Any number of our own: rows are added one after the other, whoever adds them. */
const TURN = 810_129;
/** What the first row holds as the hash before it. */
const GENESIS = "0".repeat(64);
const VERIFIED_AT_ONCE = 1_000;

const AT = sql.raw(`'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`);

/** Adds one row; resolves when it is part of the chain. In a transaction it holds everyone else up until the end. */
export async function recordAudit(db: Db, entry: AuditEntry): Promise<AuditHead> {
  return await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${TURN})`);
    const { rows } = await tx.execute<{ seq: string; hash: string; at: string }>(sql`
      select coalesce(max(seq), 0) as seq,
        coalesce((select hash from branchline.audit order by seq desc limit 1), ${GENESIS}) as hash,
        to_char(clock_timestamp() at time zone 'utc', ${AT}) as at
      from branchline.audit`);
    const last = rows[0];
    if (last === undefined) throw new Error("an aggregate without a row");
    const seq = Number(last.seq) + 1;
    const hash = hashOf(last.hash, { seq, at: last.at, ...entry });
    const { actor, action, object, requestId, sourceAddress, details } = entry;
    await tx.execute(sql`
      insert into branchline.audit
        (seq, at, actor, action, object, request_id, source_address, details, previous, hash)
      values (${seq}, ${last.at}::timestamptz, ${actor}, ${action}, ${object}, ${requestId},
        ${sourceAddress}, ${JSON.stringify(details)}::jsonb, ${last.hash}, ${hash})`);
    return { seq, hash };
  });
}

export type Verified =
  | { readonly ok: true; readonly rows: number; readonly head: AuditHead | null }
  /** The first row that does not fit, and why in words. */
  | { readonly ok: false; readonly seq: number; readonly problem: string };

interface StoredRow extends AuditEntry {
  readonly seq: number;
  readonly at: string;
  readonly previous: string;
  readonly hash: string;
}

/** Walks the whole chain. `expected`: a head that was noted earlier and must still be part of it. */
export async function verifyAudit(db: Db, expected: AuditHead | null = null): Promise<Verified> {
  let head: AuditHead = { seq: 0, hash: GENESIS };
  for (;;) {
    const rows = await rowsAfter(db, head.seq);
    for (const row of rows) {
      const problem = problemOf(row, head, expected);
      if (problem !== null) return { ok: false, seq: row.seq, problem };
      head = { seq: row.seq, hash: row.hash };
    }
    if (rows.length < VERIFIED_AT_ONCE) break;
  }
  if (expected !== null && expected.seq > head.seq) {
    return { ok: false, seq: head.seq + 1, problem: "rows are missing at the end" };
  }
  return { ok: true, rows: head.seq, head: head.seq === 0 ? null : head };
}

function problemOf(row: StoredRow, before: AuditHead, expected: AuditHead | null): string | null {
  if (row.seq !== before.seq + 1) return "rows before it are missing";
  if (row.previous !== before.hash) return "it does not follow the row before it";
  if (row.hash !== hashOf(row.previous, row)) return "its content was changed";
  if (expected?.seq === row.seq && expected.hash !== row.hash) return "it is not the row that was noted";
  return null;
}

async function rowsAfter(db: Db, seq: number): Promise<StoredRow[]> {
  const { rows } = await db.execute(sql`
    select seq::float8 as seq, to_char(at at time zone 'utc', ${AT}) as at, actor, action, object,
      request_id as "requestId", source_address as "sourceAddress", details, previous, hash
    from branchline.audit where seq > ${seq} order by seq limit ${VERIFIED_AT_ONCE}`);
  // The select above is what gives the rows this shape.
  return rows as unknown as StoredRow[];
}

/** The content in one order and one spelling, whatever the database does to JSON. */
function hashOf(previous: string, row: AuditEntry & { seq: number; at: string }): string {
  const { seq, at, actor, action, object, requestId, sourceAddress, details } = row;
  const sorted = Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1));
  const content = JSON.stringify([seq, at, actor, action, object, requestId, sourceAddress, sorted]);
  return createHash("sha256").update(previous).update(content).digest("hex");
}
