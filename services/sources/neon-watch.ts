/**
 * What moved in a project, from its list of operations: one request while nothing happens.
 *
 * The list is newest first and filters by nothing. So the cursor remembers the newest time and the ids
 * around it; a look reads pages until it meets what it knows. Time alone would miss rows that share an
 * instant or that were committed late with an earlier time, hence the overlap.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Moved } from "../sync/ports.ts";
import { type NeonClient, nextPage, orAbsent } from "./neon-client.ts";
import type { NeonEndpoint, NeonOperation, Pagination } from "./neon-shapes.ts";

/** Rows this much older than the newest are looked at again, by id. */
const OVERLAP_MS = 30_000;
/** Beyond 1,000 operations since the last look, a look at everything is cheaper. */
const MAX_PAGES = 10;
/** An operation that has not moved for this long will not: its branch stops being dirty because of it. */
const STUCK_MS = 3_600_000;
/** Unfinished operations that have scrolled out of the pages are asked for one by one, this many a look. */
const MAX_SINGLE_LOOKS = 20;

/** Neon's own housekeeping: nothing that a connection string is made of can have moved. */
const HOUSEKEEPING = new Set([
  "check_availability",
  "disable_maintenance",
  "epc_sync",
  "prepare_secondary_pageserver",
  "prewarm_replica",
  "replace_safekeeper",
  "set_storage_non_dirty",
  "switch_pageserver",
  "tenant_attach",
  "tenant_attach_safekeepers",
  "tenant_detach",
  "tenant_detach_safekeepers",
  "tenant_ignore",
  "tenant_reattach",
]);

/**
 * Idle computes suspend and wake all day, and that is nothing. But creating or deleting an endpoint shows
 * up as just these actions, so they count when the project's endpoints are not what they were.
 */
const COMPUTE = new Set(["create_compute", "start_compute", "start_reserved_compute", "suspend_compute"]);

/** `failed` is missing on purpose: Neon may try such an operation again. */
const FINAL = new Set(["finished", "skipped", "cancelled", "error"]);

const cursorShape = z.object({
  v: z.literal(1),
  /** Created-at of the newest row seen, in milliseconds; null: the list was empty. */
  newest: z.number().nullable(),
  /** Rows within the overlap of the newest: id and created-at. */
  seen: z.array(z.tuple([z.string(), z.number()])),
  /** Unfinished rows, whose branches stay dirty: id, branch, whether it only concerns a compute. */
  open: z.array(z.tuple([z.string(), z.string(), z.boolean()])),
  /** The project's endpoints in one string, as of the last time that it mattered. */
  endpoints: z.string().nullable(),
});
type Cursor = z.output<typeof cursorShape>;

/**
 * See `Source.moved`. A cursor that cannot be read counts as none. `listed`: the endpoints' outline as of a list that
 * was read just before, so that they need not be asked for; null: there was none.
 */
export async function movedSince(
  client: NeonClient,
  text: string | null,
  listed: string | null = null,
): Promise<Moved> {
  const last = text === null ? null : parseCursor(text);
  let endpoints = last?.endpoints ?? null;
  let { everything, rows, news } = await look(client, last);
  if (everything || news.some((item) => item.compute)) {
    endpoints = listed ?? outline((await client.endpoints()).endpoints);
    // Again, so that the operation behind whatever the endpoints show is among the news.
    if (listed === null && endpoints !== last?.endpoints)
      ({ everything, rows, news } = await look(client, last));
  }
  const same = endpoints === last?.endpoints;
  const dirty = same ? news.filter((item) => !item.compute) : news;
  // A list that is older than the operations may not show yet what they did: then the next look judges them.
  const unsure = same && listed !== null;

  const open = news.filter((item) => !item.settled || (unsure && item.compute));
  const next: Cursor = {
    v: 1,
    ...remember(last, rows),
    open: open.map(({ id, branch, compute }) => [id, branch, compute]),
    endpoints,
  };
  return { cursor: JSON.stringify(next), branchIds: new Set(dirty.map((item) => item.branch)), everything };
}

/** An operation that is new, or that was unfinished when we last looked. */
interface News {
  readonly id: string;
  readonly branch: string;
  readonly compute: boolean;
  readonly settled: boolean;
}

async function look(
  client: NeonClient,
  last: Cursor | null,
): Promise<{ everything: boolean; rows: readonly NeonOperation[]; news: readonly News[] }> {
  const { everything, rows, fresh } = await readOperations(client, last);
  return { everything, rows, news: [...fresh.flatMap(news), ...(await readOpen(client, last, rows))] };
}

function news(row: NeonOperation): News[] {
  if (!row.branch_id || HOUSEKEEPING.has(row.action)) return [];
  const settled = FINAL.has(row.status) || Date.now() - row.updated_at.getTime() > STUCK_MS;
  return [{ id: row.id, branch: row.branch_id, compute: COMPUTE.has(row.action), settled }];
}

interface Look {
  /** All rows that were read, newest first. */
  readonly rows: readonly NeonOperation[];
  /** Those that the cursor does not know. */
  readonly fresh: readonly NeonOperation[];
  readonly everything: boolean;
}

async function readOperations(client: NeonClient, last: Cursor | null): Promise<Look> {
  const known = new Set(last?.seen.map(([id]) => id));
  const floor = (last?.newest ?? Number.NEGATIVE_INFINITY) - OVERLAP_MS;
  const rows: NeonOperation[] = [];
  const fresh: NeonOperation[] = [];
  let met = last !== null && last.newest === null;
  let at: Pagination;

  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await client.operations(nextPage(at));
    const { operations } = answer;
    rows.push(...operations);
    fresh.push(...operations.filter((row) => !known.has(row.id) && row.created_at.getTime() >= floor));
    if (last === null) return { rows, fresh, everything: true };

    met ||= operations.some((row) => known.has(row.id) || row.created_at.getTime() < floor);
    const deepEnough =
      operations.some((row) => row.created_at.getTime() < floor) ||
      operations.every((row) => known.has(row.id));
    // A cursor is returned even with the last page: the end of the list is an empty page.
    if (deepEnough || nextPage(answer.pagination) === undefined) return { rows, fresh, everything: !met };
    at = answer.pagination;
  }
  return { rows, fresh, everything: true };
}

/** The present state of what was unfinished last time. What Neon has forgotten is over. */
async function readOpen(
  client: NeonClient,
  last: Cursor | null,
  rows: readonly NeonOperation[],
): Promise<readonly News[]> {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const answers: News[] = [];
  let asked = 0;
  for (const [id, branch, compute] of last?.open ?? []) {
    let row = byId.get(id);
    const ask = row === undefined && asked++ < MAX_SINGLE_LOOKS;
    if (ask) row = (await orAbsent(client.operation(id)))?.operation;
    const settled = row === undefined ? ask : news(row).every((item) => item.settled);
    answers.push({ id, branch, compute, settled });
  }
  return answers;
}

/** Everything about the endpoints that makes another string of a branch; not whether they run. */
export function outline(endpoints: readonly NeonEndpoint[]): string {
  const lines = endpoints.map((e) => [e.id, e.branch_id, e.host, e.type, e.disabled].join(" "));
  return createHash("sha256").update(lines.toSorted().join("\n")).digest("base64url");
}

function remember(last: Cursor | null, rows: readonly NeonOperation[]): Pick<Cursor, "newest" | "seen"> {
  if (rows.length === 0) return { newest: null, seen: [] };
  const times = new Map(last?.seen);
  for (const row of rows) times.set(row.id, row.created_at.getTime());
  const newest = Math.max(last?.newest ?? 0, ...times.values());
  return { newest, seen: [...times].filter(([, at]) => at >= newest - OVERLAP_MS) };
}

function parseCursor(text: string): Cursor | null {
  try {
    return cursorShape.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
