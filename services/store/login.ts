/** Branch x role x database: what a consumer logs in with. Never the password, only fingerprints. */
import { and, eq, inArray, ne, or, sql } from "drizzle-orm";
import { index, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import type { Fingerprint } from "../sync/ports.ts";
import { branch } from "./branch.ts";
import { branchline, type Db } from "./db.ts";
import { counter, instant } from "./work.ts";

export const login = branchline.table(
  "login",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    branchId: uuid("branch_id")
      .notNull()
      .references(() => branch.id),
    role: text("role").notNull(),
    database: text("database").notNull(),
    /** +1 when the fingerprint changes. */
    generation: counter("generation"),
    /** Of password, host and database together. */
    fingerprint: text("fingerprint").notNull(),
    /** Of the password alone, to find the same password on another branch. */
    passwordFingerprint: text("password_fingerprint").notNull(),
    changedAt: instant("changed_at").notNull().defaultNow(),
    /** The fingerprint that somebody has logged in with, pooled and direct. */
    provenFingerprint: text("proven_fingerprint"),
    provenAt: instant("proven_at"),
  },
  (t) => [
    uniqueIndex("login_identity").on(t.branchId, t.role, t.database),
    index("login_password").on(t.passwordFingerprint),
  ],
);

export type LoginRow = typeof login.$inferSelect;

export async function loginsOf(db: Db, branchId: string): Promise<LoginRow[]> {
  return await db.select().from(login).where(eq(login.branchId, branchId));
}

export async function loginsById(db: Db, ids: readonly string[]): Promise<LoginRow[]> {
  if (ids.length === 0) return [];
  return await db
    .select()
    .from(login)
    .where(inArray(login.id, [...ids]));
}

export interface SeenLogin {
  readonly role: string;
  readonly database: string;
  readonly fingerprint: Fingerprint;
  readonly passwordFingerprint: Fingerprint;
}

/** Stores what reconcile read; a generation rises only with a new fingerprint. */
export async function recordLogins(
  db: Db,
  branchId: string,
  seen: readonly SeenLogin[],
): Promise<LoginRow[]> {
  if (seen.length === 0) return [];
  return await db
    .insert(login)
    .values(seen.map((one) => ({ branchId, ...one, generation: 1 })))
    .onConflictDoUpdate({
      target: [login.branchId, login.role, login.database],
      set: {
        generation: sql`${login.generation} + (${login.fingerprint} is distinct from excluded.fingerprint)::int`,
        changedAt: sql`case when ${login.fingerprint} is distinct from excluded.fingerprint then now() else ${login.changedAt} end`,
        fingerprint: sql`excluded.fingerprint`,
        passwordFingerprint: sql`excluded.password_fingerprint`,
      },
    })
    .returning();
}

export async function recordProof(db: Db, id: string, fingerprint: Fingerprint): Promise<void> {
  await db
    .update(login)
    .set({ provenFingerprint: fingerprint, provenAt: sql`now()` })
    .where(eq(login.id, id));
}

export interface Inherited {
  readonly branch: string;
  readonly role: string;
  readonly isDefault: boolean;
  readonly isProtected: boolean;
}

/** Default and protected branches of the same source that still accept one of these passwords. */
export async function sharedWithProduction(
  db: Db,
  branchId: string,
  sourceId: string,
  passwordFingerprints: readonly Fingerprint[],
): Promise<Inherited[]> {
  if (passwordFingerprints.length === 0) return [];
  return await db
    .selectDistinct({
      branch: branch.name,
      role: login.role,
      isDefault: branch.isDefault,
      isProtected: branch.isProtected,
    })
    .from(login)
    .innerJoin(branch, eq(branch.id, login.branchId))
    .where(
      and(
        eq(branch.sourceId, sourceId),
        ne(branch.id, branchId),
        or(eq(branch.isDefault, true), eq(branch.isProtected, true)),
        sql`${branch.goneAt} is null`,
        sql`${login.passwordFingerprint} = any(${sql.param([...passwordFingerprints])}::text[])`,
      ),
    );
}
