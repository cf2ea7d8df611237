/** What becomes of what is published when something happens at Neon: one test for each row of docs/neon-events.md. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NEON_TOKEN, type NeonState, startNeon } from "../../infra/sandbox/neon.ts";
import type { Vendor } from "../../infra/sandbox/vendor.ts";
import type { MemoryStore } from "../../services/destinations/memory-store.ts";
import type { BindingItem } from "../../services/store/views.ts";
import { listBranches } from "../../services/store/views.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { until } from "../support/until.ts";

let neon: Vendor<NeonState>;
let state: NeonState;
let app: TestApp;
let store: MemoryStore;

const common = { roles: { default: "shop_app" }, database: "shop" };
/** A place for every branch that a rule means, apart from those of the other rules. */
const slug = (rule: string): string => `${rule}-\${branch.name|slug}`;

const rules = [
  ruleOf({ name: "preview", ...common }),
  ruleOf({
    name: "kept",
    ...common,
    branches: { include: ["kept/**"] },
    target: { environment: "preview", group: slug("kept") },
    onBranchDelete: "retain",
  }),
  ruleOf({
    name: "reports",
    branches: { include: ["reports/**"] },
    roles: { default: "reporter" },
    database: "shop",
    target: { environment: "preview", group: slug("reports") },
  }),
  ruleOf({
    name: "stats",
    branches: { include: ["stats/**"] },
    roles: { default: "shop_app" },
    database: "stats",
    target: { environment: "preview", group: slug("stats") },
  }),
  ruleOf({
    name: "reads",
    ...common,
    branches: { include: ["reads/**"] },
    target: { environment: "preview", group: slug("reads") },
    variables: { READ_URL: "pooled.url?replica=analytics" },
  }),
];

async function start(): Promise<void> {
  neon = await startNeon();
  state = neon.state;
  app = await startApp({
    projects: [],
    neon: { url: neon.url, apiKey: NEON_TOKEN, project: state.project.id },
    destinations: { memory: {} },
    rules,
    // Nobody tells Branchline anything here: it looks four times a second, and at a whole list every tenth time.
    settings: { watchEveryMs: 250 },
  });
  store = app.store("memory");
}

async function stop(): Promise<void> {
  await app.stop();
  await neon.close();
}

async function one(branch: string, states = ["synced"]): Promise<BindingItem> {
  const [binding] = await app.settled(branch, states);
  if (binding === undefined) throw new Error(`${branch} has no binding`);
  return binding;
}

/** A branch that is published. */
async function published(name: string, seed: object = {}): Promise<BindingItem> {
  state.createBranch({ name, ...seed });
  const binding = await one(name);
  expect(values(binding)).toEqual(strings(name));
  return binding;
}

const values = (binding: BindingItem): Readonly<Record<string, string>> => store.values(binding.target ?? "");

function strings(branch: string, role = "shop_app", database = "shop"): Record<string, string> {
  const { pooled, direct } = state.connectionStrings(branch, role, database);
  return { DATABASE_URL: pooled, DATABASE_URL_UNPOOLED: direct };
}

/** Changes with every write, also of the same value. */
const versions = (binding: BindingItem) =>
  [...(store.place(binding.target ?? "")?.records ?? [])].map(([name, { version }]) => [name, version]);

async function rowId(name: string): Promise<string | undefined> {
  const page = await listBranches(app.database.db, { limit: 9, after: null, filter: { name } });
  return page?.items.find((item) => item.state !== "gone")?.id;
}

/** Two whole looks at Neon, begun after now, have not changed anything of it. */
async function stays(binding: BindingItem, state = "synced"): Promise<BindingItem> {
  const before = versions(binding);
  const looks = () => neon.log.filter(({ operation }) => operation.endsWith("/operations")).length;
  const begun = looks();
  await until(() => looks() >= begun + 2, { what: "two more looks at Neon" });
  const [after] = await app.settled(binding.branch.name, [state]);
  if (after === undefined) throw new Error("the binding is gone");
  expect(versions(after)).toEqual(before);
  return after;
}

const EVENTS: readonly (readonly [event: string, happens: () => Promise<void>])[] = [
  [
    "branch created",
    async () => {
      const binding = await published("preview/created");
      expect(binding).toMatchObject({ state: "synced", generation: 1 });
    },
  ],
  [
    "branch created without compute",
    async () => {
      state.createBranch({ name: "preview/bare", endpoints: [] });
      const parked = await one("preview/bare", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready", cause: expect.stringContaining("compute") });
      state.startEndpoint(state.branch("preview/bare"), "read_write");
      expect(values(await one("preview/bare"))).toEqual(strings("preview/bare"));
    },
  ],
  [
    "branch deleted",
    async () => {
      const gone = await published("preview/gone");
      const kept = await published("kept/gone");
      const before = values(kept);
      state.deleteBranch("preview/gone");
      state.deleteBranch("kept/gone");
      await one("preview/gone", ["removed"]);
      await one("kept/gone", ["retained"]);
      expect(values(gone)).toEqual({});
      expect(values(kept)).toEqual(before);
    },
  ],
  [
    "branch deleted and created again under its name",
    async () => {
      const first = await published("preview/again");
      const id = await rowId("preview/again");
      state.deleteBranch("preview/again");
      state.createBranch({ name: "preview/again" });
      const empty: number[] = [];
      await until(
        () => {
          if (Object.keys(values(first)).length === 0) empty.push(1);
          return values(first)["DATABASE_URL"] === strings("preview/again")["DATABASE_URL"];
        },
        { what: "the new branch to take the place over" },
      );
      expect(empty).toEqual([]);
      expect(await rowId("preview/again")).not.toBe(id);
      await until(async () => {
        const mine = (await app.bindings()).filter((binding) => binding.branch.name === "preview/again");
        return (
          mine
            .map((binding) => binding.state)
            .sort()
            .join() === "removed,synced"
        );
      });
      expect(values(first)).toEqual(strings("preview/again"));
    },
  ],
  [
    "branch renamed",
    async () => {
      const before = await published("preview/old-name");
      const id = await rowId("preview/old-name");
      const branch = state.branch("preview/old-name");
      branch.name = "preview/new-name";
      branch.updatedAt = state.now();
      const after = await until(
        async () => {
          const [binding] = await app.settled("preview/new-name");
          return binding?.target === before.target ? null : binding;
        },
        { what: "the new target" },
      );
      expect(values(after)).toEqual(strings("preview/new-name"));
      await until(() => Object.keys(values(before)).length === 0, { what: "the old place to be left" });
      expect([await rowId("preview/new-name"), after.generation]).toEqual([id, 1]);
    },
  ],
  [
    "branch reset from its parent",
    async () => {
      for (const keepsId of [true, false]) {
        const name = `preview/reset-${keepsId}`;
        await published(name);
        const id = await rowId(name);
        state.changePasswordBySql(name, "shop_app", "a-password-of-its-own");
        state.resetPassword(name, "shop_owner");
        const own = await until(async () => ((await one(name)).generation === 2 ? await one(name) : null));
        expect(values(own)).toEqual(strings(name));
        state.restoreKeepsId = keepsId;
        const branch = state.branch(name);
        const { host } = state.endpointOf(name);
        state.restore(branch, {
          sourceBranchId: branch.parentId ?? "",
          pointInTime: false,
          preserveUnderName: undefined,
        });
        state.restoreKeepsId = false;
        const after = await until(async () => ((await one(name)).generation === 3 ? await one(name) : null));
        expect(values(after)).toEqual(strings(name));
        expect([await rowId(name), state.endpointOf(name).host]).toEqual([id, host]);
      }
    },
  ],
  [
    "branch restored",
    async () => {
      const before = await published("preview/restored");
      const id = await rowId("preview/restored");
      const branch = state.branch("preview/restored");
      const { branch: now } = state.restore(branch, {
        sourceBranchId: branch.id,
        pointInTime: true,
        preserveUnderName: "preview/restored_old_1",
      });
      expect(now.id).not.toBe(branch.id);
      await until(async () => (await rowId("preview/restored_old_1")) !== undefined);
      const after = await stays(before);
      expect([after.id, await rowId("preview/restored")]).toEqual([before.id, id]);
      expect(values(after)).toEqual(strings("preview/restored"));
      // The old data under its new name has no compute, so there is nothing to publish of it.
      expect(await one("preview/restored_old_1", ["parked"])).toMatchObject({ code: "source_unready" });
    },
  ],
  [
    "snapshot restore finalized",
    async () => {
      const before = await published("preview/snapshot");
      const id = await rowId("preview/snapshot");
      const made = state.restoreSnapshot("preview/snapshot");
      state.finalizeRestore(made, "preview-snapshot-old");
      await until(async () => (await rowId("preview-snapshot-old")) !== undefined);
      const after = await stays(before);
      expect([after.id, await rowId("preview/snapshot")]).toEqual([before.id, id]);
      expect(state.branch("preview/snapshot").id).toBe(made.id);
    },
  ],
  [
    "branch set as default",
    async () => {
      const before = await published("preview/crowned");
      const held = values(before);
      const main = state.branch("main");
      state.setAsDefault(state.branch("preview/crowned"));
      const parked = await one("preview/crowned", ["parked"]);
      expect(parked).toMatchObject({ code: "policy", cause: expect.stringContaining("default branch") });
      expect(values(parked)).toEqual(held);
      state.setAsDefault(main);
      expect(values(await one("preview/crowned"))).toEqual(held);
    },
  ],
  [
    "branch protected",
    async () => {
      const before = await published("preview/guarded");
      const held = values(before);
      const branch = state.branch("preview/guarded");
      branch.protected = true;
      const parked = await one("preview/guarded", ["parked"]);
      expect(parked).toMatchObject({ code: "policy", cause: expect.stringContaining("protected branch") });
      expect(values(parked)).toEqual(held);
      branch.protected = false;
      await one("preview/guarded");
    },
  ],
  [
    "branch expired",
    async () => {
      const gone = await published("preview/expiring", { expiresAt: new Date(Date.now() + 3_600_000) });
      state.expire("preview/expiring");
      await one("preview/expiring", ["removed"]);
      expect(values(gone)).toEqual({});
    },
  ],
  [
    "branch archived",
    async () => {
      const before = await published("preview/cold");
      state.archive("preview/cold");
      await until(async () => {
        const page = await listBranches(app.database.db, {
          limit: 9,
          after: null,
          filter: { name: "preview/cold" },
        });
        return page?.items[0]?.state === "archived";
      });
      await stays(before);
      state.archive("preview/cold", false);
      await stays(before);
    },
  ],
  [
    "endpoint replaced",
    async () => {
      const before = await published("preview/moved");
      const held = values(before);
      state.deleteEndpoint(state.endpointOf("preview/moved"));
      const parked = await one("preview/moved", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready" });
      expect(values(parked)).toEqual(held);
      state.startEndpoint(state.branch("preview/moved"), "read_write");
      const after = await one("preview/moved");
      expect(values(after)).toEqual(strings("preview/moved"));
      expect(after.generation).toBe(2);
    },
  ],
  [
    "endpoint disabled",
    async () => {
      const before = await published("preview/dark");
      const versionsBefore = versions(before);
      state.setDisabled(state.endpointOf("preview/dark"), true);
      const parked = await one("preview/dark", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready", cause: expect.stringContaining("disabled") });
      state.setDisabled(state.endpointOf("preview/dark"), false);
      const after = await one("preview/dark");
      expect(versions(after)).toEqual(versionsBefore);
    },
  ],
  [
    "read-only endpoint created or deleted",
    async () => {
      const before = await published("preview/reads");
      state.startEndpoint(state.branch("preview/reads"), "read_only", "analytics");
      await stays(before);

      state.createBranch({ name: "reads/x" });
      const parked = await one("reads/x", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready", cause: expect.stringContaining("analytics") });
      const { endpoint } = state.startEndpoint(state.branch("reads/x"), "read_only", "analytics");
      const named = await one("reads/x");
      const pooled = endpoint.host.replace(endpoint.id, `${endpoint.id}-pooler`);
      expect(new URL(values(named)["READ_URL"] ?? "").hostname).toBe(pooled);
      state.deleteEndpoint(endpoint);
      expect(await one("reads/x", ["parked"])).toMatchObject({ code: "source_unready" });
    },
  ],
  [
    "role created",
    async () => {
      state.createBranch({ name: "reports/x" });
      const parked = await one("reports/x", ["parked"]);
      expect(parked).toMatchObject({
        code: "source_unready",
        cause: expect.stringContaining('role "reporter"'),
      });
      const other = await published("preview/bystander");
      state.createRole(state.branch("reports/x"), { name: "reporter" });
      expect(values(await one("reports/x"))).toEqual(strings("reports/x", "reporter"));
      state.createRole(state.branch("preview/bystander"), { name: "somebody" });
      await stays(other);
    },
  ],
  [
    "role dropped",
    async () => {
      const before = await published("preview/dropped-role");
      const held = values(before);
      const branch = state.branch("preview/dropped-role");
      state.deleteRole(branch, state.role(branch, "shop_app"));
      const parked = await one("preview/dropped-role", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready", cause: expect.stringContaining("no role") });
      expect(values(parked)).toEqual(held);
      state.createRole(branch, { name: "shop_app" });
      expect(values(await one("preview/dropped-role"))).toEqual(strings("preview/dropped-role"));
    },
  ],
  [
    "role without login",
    async () => {
      state.createBranch({ name: "reports/nologin" });
      await one("reports/nologin", ["parked"]);
      state.createRole(state.branch("reports/nologin"), { name: "reporter", noLogin: true });
      const parked = await until(async () => {
        const [binding] = await app.settled("reports/nologin", ["parked"]);
        return binding?.cause?.includes("cannot log in") ? binding : null;
      });
      expect(parked.code).toBe("source_unready");
    },
  ],
  [
    "role's password reset",
    async () => {
      const before = await published("preview/rotated");
      const held = values(before);
      state.resetPassword("preview/rotated", "shop_app");
      const after = await until(async () => {
        const [binding] = await app.settled("preview/rotated");
        return binding?.generation === 2 ? binding : null;
      });
      expect(values(after)).toEqual(strings("preview/rotated"));
      expect(values(after)).not.toEqual(held);
    },
  ],
  [
    "database created",
    async () => {
      state.createBranch({ name: "stats/x" });
      const parked = await one("stats/x", ["parked"]);
      expect(parked).toMatchObject({
        code: "source_unready",
        cause: expect.stringContaining('database "stats"'),
      });
      state.createDatabase(state.branch("stats/x"), "stats", "shop_owner");
      expect(values(await one("stats/x"))).toEqual(strings("stats/x", "shop_app", "stats"));
    },
  ],
  [
    "database dropped",
    async () => {
      const before = await published("preview/dropped-db");
      const held = values(before);
      state.deleteDatabase(state.branch("preview/dropped-db"), "shop");
      const parked = await one("preview/dropped-db", ["parked"]);
      expect(parked).toMatchObject({ code: "source_unready", cause: expect.stringContaining("no database") });
      expect(values(parked)).toEqual(held);
    },
  ],
];

/** So many share one Branchline: more would reach what Neon allows in a minute. */
const AT_ONCE = 6;
const parts = Array.from({ length: Math.ceil(EVENTS.length / AT_ONCE) }, (_, n) => n);

describe.each(parts)("when Neon says (%#)", (part) => {
  beforeAll(start);
  afterAll(stop);

  test.each(EVENTS.slice(part * AT_ONCE, (part + 1) * AT_ONCE))(
    "%s, the stated rule holds",
    async (_, happens) => {
      await happens();
    },
  );
});

describe("a password changed by SQL", () => {
  test("leaves no operation, and is found when the branch is read again", async () => {
    const other = await startNeon();
    const quick = await startApp({
      projects: [],
      neon: { url: other.url, apiKey: NEON_TOKEN, project: other.state.project.id },
      destinations: { memory: {} },
      rules: [ruleOf({ name: "preview", ...common })],
      settings: { watchEveryMs: 1_000, rereadEveryMs: 500 },
    });
    try {
      other.state.createBranch({ name: "preview/sql" });
      const [binding] = await quick.settled("preview/sql");
      other.state.changePasswordBySql("preview/sql", "shop_app", "a-password-by-sql-0123456789");
      const held = () => quick.store("memory").values(binding?.target ?? "")["DATABASE_URL"];
      await until(() => held()?.includes(":a-password-by-sql-0123456789@"), { what: "the new password" });
    } finally {
      await quick.stop();
      await other.close();
    }
  });
});

describe("docs/neon-events.md", () => {
  test("has a row for every event that is tested, and no other", () => {
    const path = fileURLToPath(new URL("../../docs/neon-events.md", import.meta.url));
    const rows = readFileSync(path, "utf8").matchAll(/^\| \*\*(.+?)\*\* +\|/gm);
    const tested = [...EVENTS.map(([event]) => event), "password changed by SQL"];
    expect([...rows].map((row) => row[1]).sort()).toEqual(tested.sort());
  });
});
