/**
 * Branchline moved by hand: the same workers on the same database as in `app.ts`, but nothing happens by itself.
 * `drain()` does what is due, one after the other; a worker can die at any step or freeze in the middle of a
 * call; leases lapse when the test says that time has passed.
 */
import { sql } from "drizzle-orm";
import { createMemoryDestination, type MemoryOptions } from "../../services/destinations/memory.ts";
import { type MemoryStore, memoryStore } from "../../services/destinations/memory-store.ts";
import { createLogger } from "../../services/log.ts";
import { type MemoryProject, memorySource } from "../../services/sources/memory.ts";
import { configure } from "../../services/store/configure.ts";
import { type Database, openDatabase } from "../../services/store/db.ts";
import { claimDue } from "../../services/store/due.ts";
import { claimSweeps, finishSweeps } from "../../services/store/sweeping.ts";
import { type BindingItem, listBindings } from "../../services/store/views.ts";
import { markDue, type WorkKind } from "../../services/store/work.ts";
import type { Rule } from "../../services/sync/model.ts";
import type { DestinationAdapter } from "../../services/sync/ports.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type OnStep, pushPlace } from "../../workers/push.ts";
import { reconcile } from "../../workers/reconcile.ts";
import { DEFAULT_SETTINGS, type Runtime, type Settings } from "../../workers/runtime.ts";
import { setup } from "../../workers/setup.ts";
import { sweep } from "../../workers/sweep.ts";
import { watch } from "../../workers/watch.ts";
import type { Logins } from "./logins.ts";
import { CONNECT_MS, createDatabase } from "./postgres.ts";
import { until } from "./until.ts";

export interface HandOptions {
  readonly projects: readonly MemoryProject[];
  readonly destinations: Readonly<Record<string, MemoryOptions>>;
  /** Destinations beside those, at stand-ins: by name, with their blocks as the file would have them. */
  readonly vendors?: Readonly<
    Record<string, { readonly adapter: DestinationAdapter; readonly block: unknown }>
  >;
  /** What references lead to; anything else leads to nothing in particular. */
  readonly credentials?: Readonly<Record<string, string>>;
  readonly rules: readonly Rule[];
  readonly settings?: Partial<Settings>;
  /** Where proofs log in, from `logins.ts`; without it rules must not ask for a proof. */
  readonly dial?: Logins["dial"];
}

/** A worker process that can be killed: from then on nothing that it does reaches the database. */
export interface Mortal {
  readonly runtime: Runtime;
  die(): void;
}

export interface Hand {
  readonly runtime: Runtime;
  readonly database: Database;
  readonly log: readonly string[];
  store(destination: string): MemoryStore;
  /** `blocks`: other ones than at the start, by destination; `names`: of the destinations that there are, by default all. */
  configure(
    rules: readonly Rule[],
    projects?: readonly MemoryProject[],
    blocks?: Readonly<Record<string, unknown>>,
    names?: readonly string[],
  ): Promise<void>;
  /** Looks at every source now, and does all that comes of it. */
  look(): Promise<void>;
  /** Looks, and does all that comes of it but pushes, until `probe` is true. */
  lookWithoutPushing(probe: () => Promise<boolean>): Promise<void>;
  /** Does what is due, until nothing is. */
  drain(): Promise<void>;
  /** Drains and looks at the answer, again and again, until it is true. */
  drainUntil<T>(what: string, probe: () => T | Promise<T>): Promise<NonNullable<T>>;
  sweep(): Promise<void>;
  mortal(): Mortal;
  push(placeId: string, worker?: Runtime, onStep?: OnStep): Promise<void>;
  bindings(branch?: string): Promise<readonly BindingItem[]>;
  /** The one binding of a branch, or of a branch under a rule. */
  binding(branch: string, rule?: string): Promise<BindingItem>;
  /** The ids of all places, by destination name and key. */
  place(destination: string, key?: string): Promise<string>;
  /** As if so much time had passed for this row's lease and due time. */
  age(kind: WorkKind, id: string): Promise<void>;
  rows<T>(query: string): Promise<T[]>;
  stop(): Promise<void>;
}

/** Between two sweeps. */
const SPAN_MS = 3_600_000;

const SLOW: Settings = {
  ...DEFAULT_SETTINGS,
  watchEveryMs: 3_600_000,
  rereadEveryMs: 3_600_000,
  sweepEveryMs: SPAN_MS,
  leaseMs: 30_000,
  settleMs: 40,
};

const ALL = ["watch", "reconcile", "push"] as const;
let hands = 0;

export async function startByHand(options: HandOptions): Promise<Hand> {
  const n = ++hands;
  const created = await createDatabase({ migrated: true });
  const database = openDatabase({ url: created.url, connectMs: CONNECT_MS });
  const lines: string[] = [];
  const log = createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  const storeName = (name: string) => `hand-${name}-${n}-${process.pid}`;
  const { vendors = {}, credentials = {} } = options;
  const adapters = new Map<string, DestinationAdapter>([
    ...Object.entries(options.destinations).map(
      ([name, memory]) => [name, { ...createMemoryDestination(memory), kind: name }] as const,
    ),
    ...Object.entries(vendors).map(([name, { adapter }]) => [name, { ...adapter, kind: name }] as const),
  ]);
  const blockOf = (name: string, blocks: Readonly<Record<string, unknown>>): unknown =>
    adapters.get(name)?.block.parse(blocks[name] ?? vendors[name]?.block ?? { store: storeName(name) });
  const projects = [...options.projects];
  const setUp = await setup({
    database,
    masterKey: new Uint8Array(32).fill(7),
    sources: new Map([["memory", memorySource(projects)]]),
    destinations: adapters,
    resolve: ({ ref }) => new Secret(credentials[ref] ?? "unused"),
    settings: { ...SLOW, ...options.settings },
    log,
  });
  const runtime: Runtime = { ...setUp, kick: () => {} };
  const stopping = new AbortController();
  const { signal } = stopping;

  const run = {
    watch: (id: string) => watch(runtime, id, signal),
    reconcile: (id: string) => reconcile(runtime, id, signal),
    push: (id: string) => pushPlace(runtime, id, signal),
  };
  const drain = async (kinds: readonly (keyof typeof run)[] = ALL): Promise<void> => {
    for (let busy = true, rounds = 0; busy; rounds += 1) {
      if (rounds > 200) throw new Error("work comes and comes: something is due for ever");
      busy = false;
      for (const kind of kinds) {
        for (const id of await claimDue(database.db, kind)) {
          busy = true;
          await run[kind](id);
        }
      }
    }
  };
  const lookWith = async (kinds: readonly (keyof typeof run)[]): Promise<void> => {
    const sources = await rows<{ id: string }>("select id from branchline.source where removed_at is null");
    await markDue(
      database.db,
      "source",
      sources.map(({ id }) => id),
    );
    await drain(kinds);
  };
  const rows: Hand["rows"] = async <T>(query: string) =>
    (await database.db.execute(sql.raw(query))).rows as T[];
  const declare: Hand["configure"] = async (
    rules,
    now = options.projects,
    blocks = {},
    names = [...adapters.keys()],
  ) => {
    projects.splice(0, projects.length, ...now);
    await configure(database.db, {
      sources: now.map(({ id }, i) => ({
        name: i === 0 ? "shop" : `shop${i + 1}`,
        kind: "memory",
        identity: id,
        block: { project: id, ...(options.dial === undefined ? {} : { dial: options.dial }) },
      })),
      destinations: names.map((name) => ({
        name,
        kind: name,
        block: blockOf(name, blocks),
        inFlight: 4,
      })),
      rules,
    });
  };
  const bindings: Hand["bindings"] = async (branch) => {
    const page = await listBindings(database.db, { limit: 1_000, after: null, filter: {} });
    return (page?.items ?? []).filter((one) => branch === undefined || one.branch.name === branch);
  };
  await declare(options.rules);
  return {
    runtime,
    database,
    log: lines,
    store: (name) => memoryStore(storeName(name)),
    configure: declare,
    drain: () => drain(),
    look: () => lookWith(ALL),
    lookWithoutPushing: async (probe) => {
      await lookWith(["watch", "reconcile"]);
      await until(
        async () => {
          await drain(["watch", "reconcile"]);
          return await probe();
        },
        { what: "watch and reconcile" },
      );
    },
    drainUntil: async (what, probe) =>
      await until(
        async () => {
          await drain();
          return await probe();
        },
        { what },
      ),
    sweep: async () => {
      await rows("update branchline.place set sweep_at = now()");
      const all = { spanMs: SPAN_MS, share: 100, most: 100, held: new Map<string, number>() };
      const claimed = await claimSweeps(database, all);
      for (const one of claimed)
        if (await sweep(runtime, one, signal)) await finishSweeps(database.db, [one], SPAN_MS);
      await drain();
    },
    mortal: () => mortal(runtime),
    push: async (placeId, worker = runtime, onStep = () => {}) => {
      await pushPlace(worker, placeId, signal, onStep);
    },
    bindings,
    binding: async (branch, rule) => {
      const mine = (await bindings(branch)).filter((one) => rule === undefined || one.rule === rule);
      const [one] = mine;
      if (one === undefined || mine.length > 1) throw new Error(`${mine.length} bindings of ${branch}`);
      return one;
    },
    place: async (destination, key) => {
      const found = await rows<{ id: string; key: string }>(
        `select p.id, p.key from branchline.place p join branchline.destination d on d.id = p.destination_id
         where d.name = '${destination}'`,
      );
      const mine = found.filter((row) => key === undefined || row.key === key);
      const [one] = mine;
      if (one === undefined || mine.length > 1) throw new Error(`${mine.length} places at ${destination}`);
      return one.id;
    },
    age: async (kind, id) => {
      await rows(
        `update branchline.${kind} set due_at = least(due_at, now()), queued_until = null,
           lease_until = case when lease_until is null then null else now() - interval '1 s' end
         where id = '${id}'`,
      );
    },
    rows,
    stop: async () => {
      stopping.abort();
      await database.close();
      await created.drop();
    },
  };
}

function mortal(runtime: Runtime): Mortal {
  let dead = false;
  const whileAlive = <T extends object>(mine: T): T =>
    new Proxy(mine, {
      get(target, name) {
        if (dead) throw new Error("this process is dead");
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const db = whileAlive(runtime.database.db);
  return {
    runtime: { ...runtime, database: whileAlive({ ...runtime.database, db }) },
    die: () => {
      dead = true;
    },
  };
}
