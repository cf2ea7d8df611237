/** What can be said when all is at rest: of the events on disk, of what is parked, and of secrets that got out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Hooks } from "./hooks.ts";
import type { Database } from "./postgres.ts";
import type { QueueServer } from "./redis.ts";
import { FOREIGN } from "./schedule.ts";

export interface Finding {
  readonly promise: string;
  readonly what: string;
  readonly place: string | null;
}

export interface BindingAtRest {
  readonly branch: string;
  readonly destination: string;
  readonly state: string;
  readonly code: string | null;
  readonly cause: string | null;
  readonly next: string | null;
}

const BINDINGS = `
  select b.name as branch, d.name as destination, n.state, n.code, n.cause, n.next
  from branchline.binding n
  join branchline.branch b on b.id = n.branch_id
  join branchline.rule r on r.id = n.rule_id
  join branchline.destination d on d.id = r.destination_id
  order by 1, 2`;

export async function bindingsOf(database: Database): Promise<BindingAtRest[]> {
  return await database.query<BindingAtRest>(BINDINGS);
}

/** Still on the way somewhere. */
export const isBusy = ({ state }: BindingAtRest): boolean =>
  ["pending", "pushing", "retrying"].includes(state);

/** P1: what was answered with 202 is there; what was forged is not. */
export async function lostEvents(database: Database, hooks: Hooks): Promise<Finding[]> {
  const rows = await database.query<{ id: string }>(
    "select delivery_id as id from branchline.event where delivery_id is not null",
  );
  const there = new Set(rows.map((row) => row.id));
  const lost = [...hooks.accepted].filter((id) => !there.has(id));
  const taken = [...hooks.forged].filter((id) => there.has(id));
  return [
    ...lost.map((id) => ({
      promise: "P1",
      what: `delivery ${id} was answered with 202 and is not there`,
      place: null,
    })),
    ...taken.map((id) => ({ promise: "P1", what: `forged delivery ${id} was taken in`, place: null })),
    ...hooks.believed.map((status) => ({
      promise: "P1",
      what: `a forged delivery was answered ${status}`,
      place: null,
    })),
  ];
}

/** P3: nothing is parked but what somebody else owns, and that with a cause and what to do. */
export function parkedWithoutCause(bindings: readonly BindingAtRest[]): Finding[] {
  return bindings.flatMap(({ branch, destination, state, code, cause, next }) => {
    if (state !== "parked") return [];
    const place = `${destination} ${branch.replace(/^preview\//, "")}`;
    const theirs = FOREIGN[branch.replace(/^preview\//, "")]?.some((name) => name === destination) === true;
    const told = code !== null && cause !== null && next !== null;
    if (theirs && code === "not_owned" && told) return [];
    return [{ promise: "P3", what: `parked: ${code}: ${cause ?? "no cause is given"}`, place }];
  });
}

/** P4: none of the secrets is in a log, in any table or in the queue. */
export async function leaks(
  {
    database,
    folder,
    queue,
  }: { database: Database; folder: string; queue: Pick<QueueServer, "contents"> | null },
  secrets: readonly string[],
): Promise<Finding[]> {
  const found: Finding[] = [];
  const look = (where: string, text: string): void => {
    if (secrets.some((secret) => text.includes(secret))) {
      found.push({ promise: "P4", what: `a secret is in ${where}`, place: null });
    }
  };
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".log"))) {
    look(name, readFileSync(join(folder, name), "utf8"));
  }
  const tables = await database.query<{ name: string }>(
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema in ('branchline', 'bullmq', 'public') and table_type = 'BASE TABLE'`,
  );
  for (const { name } of tables) {
    const rows = await database.query<{ text: string }>(`select t::text as text from ${name} t`);
    look(`the table ${name}`, rows.map((row) => row.text).join("\n"));
  }
  if (queue !== null) look("Redis", await queue.contents());
  return found;
}
