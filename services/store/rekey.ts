/** Seals everything that is sealed anew, under another key: all of it or nothing. */
import { eq, sql } from "drizzle-orm";
import { configuration } from "./configuration.ts";
import { TURN } from "./configure.ts";
import type { Db } from "./db.ts";
import { destination } from "./destination.ts";
import { installation } from "./installation.ts";
import { source } from "./source.ts";

export interface Reseal {
  /** The installation's fingerprint key. */
  key(sealed: string): string;
  /** Of a block or of settings: every sealed credential in it. */
  json(value: unknown): unknown;
}

/**
 * In one transaction, also of what is no longer in force. Throws what `reseal` throws, and then nothing is changed.
 * Whoever takes in a document meanwhile waits, and finds that the state has moved; all processes read it anew.
 */
export async function rekeyAll(db: Db, reseal: Reseal): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${TURN})`);
    for (const row of await tx.select().from(installation).for("update")) {
      await tx.update(installation).set({ sealedKey: reseal.key(row.sealedKey) });
    }
    for (const { id, block } of await tx.select().from(source).for("update")) {
      await tx
        .update(source)
        .set({ block: reseal.json(block) })
        .where(eq(source.id, id));
    }
    for (const { id, block } of await tx.select().from(destination).for("update")) {
      await tx
        .update(destination)
        .set({ block: reseal.json(block) })
        .where(eq(destination.id, id));
    }
    for (const { settings } of await tx.select().from(configuration).for("update")) {
      const version = sql`${configuration.version} + 1`;
      await tx.update(configuration).set({ settings: reseal.json(settings), version });
    }
  });
}
