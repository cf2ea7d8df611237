/** Tokens on our own database, with the audit log written in the same transaction. */
import { sql } from "drizzle-orm";
import { recordAudit } from "../store/audit.ts";
import type { Db } from "../store/db.ts";
import { is, iso, one, type PageOf, type PageQuery, pageByUuid } from "../store/pages.ts";
import { endToken, insertToken, lockToken, updateToken } from "../store/token.ts";
import { digest, mintToken } from "./auth.ts";
import type { Caller, Tokens } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { TokenFilter, TokenItem } from "./tokens.ts";
import { requireMeant } from "./version.ts";

export function createTokens(db: Db): Tokens {
  const get = async (id: string): Promise<TokenItem | null> =>
    await one<TokenItem>(db, selectToken, [sql`t.id = ${id}`], sql`t.id`);
  return {
    list: (query) => listTokens(db, query),
    get,
    create: async (fresh, caller) => {
      const secret = mintToken();
      const { expiresAt, ...rest } = fresh;
      const id = await db.transaction(async (tx) => {
        const row = await insertToken(tx, {
          ...rest,
          scopes: [...new Set(fresh.scopes)],
          hash: digest(secret),
          expiresAt: expiresAt === null ? null : new Date(expiresAt),
          createdBy: caller.principal.name,
        });
        const after = { scopes: fresh.scopes.join(", "), limits: JSON.stringify(fresh.limits), expiresAt };
        await note(tx, caller, "token.create", row, { ...after, revealDefault: fresh.revealDefault });
        return row.id;
      });
      const token = await get(id);
      if (token === null) throw new Error("the token that was just made is not there");
      return { token, secret };
    },
    change: async (id, change, caller) => {
      const known = await db.transaction(async (tx) => {
        const row = await lockToken(tx, id);
        if (row === undefined) return false;
        requireMeant(caller, String(row.revision));
        if (row.revokedAt !== null) throw new ApiProblem("conflict", "It is revoked, which is for good.");
        const { name } = change;
        // Null is an answer, too: it ends no more.
        const expiresAt = change.expiresAt === undefined ? row.expiresAt : change.expiresAt;
        await updateToken(tx, id, {
          ...(name === undefined ? {} : { name }),
          expiresAt: expiresAt === null ? null : new Date(expiresAt),
        });
        await note(tx, caller, "token.change", row, {
          before: JSON.stringify({ name: row.name, expiresAt: row.expiresAt }),
          after: JSON.stringify({ name: name ?? row.name, expiresAt }),
        });
        return true;
      });
      return known ? await get(id) : null;
    },
    revoke: async (id, caller) => {
      const known = await db.transaction(async (tx) => {
        const row = await lockToken(tx, id);
        if (row === undefined) return false;
        requireMeant(caller, String(row.revision));
        await endToken(tx, id);
        await note(tx, caller, "token.revoke", row, {});
        return true;
      });
      return known ? await get(id) : null;
    },
  };
}

async function note(
  tx: Db,
  { principal, requestId, sourceAddress }: Caller,
  action: string,
  row: { id: string; name: string },
  details: Readonly<Record<string, string | boolean | null>>,
): Promise<void> {
  const object = `token/${row.name}`;
  const entry = { actor: principal.name, action, object, requestId, sourceAddress };
  await recordAudit(tx, { ...entry, details: { token: row.id, ...details } });
}

const selectToken = sql`
  select t.id, t.name, t.scopes, t.limits, t.reveal_default as "revealDefault",
    ${iso(sql`t.expires_at`)} as "expiresAt", ${iso(sql`t.created_at`)} as "createdAt",
    t.created_by as "createdBy", ${iso(sql`t.last_used_at`)} as "lastUsedAt",
    ${iso(sql`t.revoked_at`)} as "revokedAt", t.revision
  from branchline.token t`;

async function listTokens(
  db: Db,
  { filter, ...position }: PageQuery<TokenFilter>,
): Promise<PageOf<TokenItem> | null> {
  const revoked = filter.revoked === "true" ? sql`t.revoked_at is not null` : sql`t.revoked_at is null`;
  const where = [is(sql`t.name`, filter.name), filter.revoked === undefined ? null : revoked];
  return await pageByUuid<TokenItem>(db, { select: selectToken, id: sql`t.id`, where }, position);
}
