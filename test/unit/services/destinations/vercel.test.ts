import { afterEach, describe, expect, test } from "vitest";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import {
  startVercel,
  VERCEL_DEFAULTS,
  type VercelSeeds,
  type VercelState,
} from "../../../../infra/sandbox/vercel.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { codes, fingerprint, Hand, MARK, puts, thrown } from "./hand.ts";

const PROJECT = VERCEL_DEFAULTS.projectName;
const PREVIEW = { environment: "preview" };
const FEATURE = { environment: "preview", gitBranch: "feature-x" };
const BUNDLE = { A: "1", B: "2", C: "3", D: "4" };

let vendor: Vendor<VercelState> | undefined;
afterEach(async () => {
  await vendor?.close();
});

async function start(seeds: VercelSeeds = {}, block: Record<string, unknown> = {}) {
  vendor = await startVercel(seeds);
  const { state, log, url } = vendor;
  const hand = new Hand(
    vercel,
    {
      project: PROJECT,
      team: VERCEL_DEFAULTS.teamSlug,
      token: "env:VERCEL_TOKEN",
      api: url,
      privateNetwork: true,
      ...block,
    },
    { "env:VERCEL_TOKEN": VERCEL_DEFAULTS.token },
  );
  const calls = async (run: () => Promise<unknown>) => {
    const before = log.length;
    await run();
    return log.slice(before).map(({ operation }) => operation);
  };
  return { vendor, state, hand, calls, rows: () => state.project(PROJECT).rows };
}

describe("number of calls for a bundle of four", () => {
  test("first push: one listing, one batch", async () => {
    const { hand, calls } = await start();
    expect(await calls(() => hand.write(FEATURE, BUNDLE))).toHaveLength(2);
  });

  test("changed push: one listing, one batch; unchanged push: one listing", async () => {
    const { hand, calls } = await start();
    await hand.write(FEATURE, BUNDLE);
    expect(await calls(() => hand.write(FEATURE, { A: "5", B: "6", C: "7", D: "8" }))).toHaveLength(2);
    expect(await calls(() => hand.observe(FEATURE))).toHaveLength(1);
  });

  test("delete: one listing, one batch", async () => {
    const { hand, calls, rows } = await start();
    await hand.write(FEATURE, BUNDLE);
    expect(await calls(() => hand.remove(FEATURE, "A", "B", "C", "D"))).toEqual([
      "GET /v10/projects/:idOrName/env",
      "DELETE /v1/projects/:idOrName/env",
    ]);
    expect(rows()).toEqual([]);
  });
});

describe("what is written", () => {
  test("is sensitive, marked, and for exactly the target", async () => {
    const { hand, rows } = await start();
    await hand.write(FEATURE, { DATABASE_URL: "v" });
    expect(rows()).toMatchObject([
      {
        key: "DATABASE_URL",
        type: "sensitive",
        target: ["preview"],
        gitBranch: "feature-x",
        customEnvironmentIds: [],
        comment: "branchline:inst-1/web-preview/br-1",
      },
    ]);
  });

  test("is encrypted in development, since Vercel keeps nothing sensitive there", async () => {
    const { hand, rows } = await start();
    await hand.write({ environment: "development" }, { DATABASE_URL: "v" });
    expect(rows()[0]?.type).toBe("encrypted");
  });

  test("is refused in development if the rule insists on sensitive", async () => {
    const { hand, rows } = await start();
    const results = await hand.write({ environment: "development", type: "sensitive" }, { A: "v" });
    expect(codes(results)).toEqual({ A: "invalid_target" });
    expect(rows()).toEqual([]);
  });

  test("may be more secret than asked for, when the team's policy says so", async () => {
    const { hand, state, rows } = await start();
    for (const team of state.teams) team.enforceSensitive = true;
    const [result] = await hand.write({ ...PREVIEW, type: "encrypted" }, { A: "v" });
    expect(result?.error).toBeNull();
    expect(rows()[0]?.type).toBe("sensitive");
  });

  test("is reported when Vercel keeps it more openly than asked for", async () => {
    const { hand, state, rows } = await start({ rules: { typeChange: "keep" } });
    await hand.write({ ...PREVIEW, type: "encrypted" }, { A: "v" });
    state.advance(5);
    expect(codes(await hand.write(PREVIEW, { A: "w" }))).toEqual({ A: "policy" });
    expect(rows()[0]?.type).toBe("encrypted");
  });

  test("goes to a custom environment by its id, looked up once per process", async () => {
    const { hand, calls, rows } = await start();
    await hand.write({ environment: "staging" }, { A: "v" });
    expect(rows()[0]).toMatchObject({
      target: [],
      customEnvironmentIds: [VERCEL_DEFAULTS.customEnvironmentId],
    });
    expect(await calls(() => hand.observe({ environment: "staging" }))).toHaveLength(1);
  });

  test("waits for a git branch that is not there yet", async () => {
    const { hand, state } = await start();
    const target = { environment: "preview", gitBranch: "feature-z" };
    expect(codes(await hand.write(target, { A: "v" }))).toEqual({ A: "target_missing" });
    state.addBranch(PROJECT, "feature-z");
    expect(codes(await hand.write(target, { A: "v" }))).toEqual({ A: null });
  });
});

describe("what is not ours", () => {
  test("records of integrations are foreign and stay as they are", async () => {
    const { hand, state, rows } = await start();
    state.seed(PROJECT, { key: "A", value: "theirs", target: ["preview"], configurationId: "icfg_1" });
    const seen = await hand.observe(PREVIEW);
    expect(seen.names[0]?.foreign).toContain("integration");
    expect(codes(await hand.apply(PREVIEW, puts({ A: "ours" }, seen), seen))).toEqual({ A: "not_owned" });
    expect(codes(await hand.remove(PREVIEW, "A"))).toEqual({ A: "not_owned" });
    expect(rows()[0]?.value).toBe("theirs");
  });

  test("records that also cover other environments are foreign, with their names", async () => {
    const { hand, state, rows } = await start();
    state.seed(PROJECT, { key: "A", value: "theirs", target: ["production", "preview"] });
    const seen = await hand.observe(PREVIEW);
    expect(seen.names[0]?.foreign).toBe("a record that also covers production");
    const blind = { ...seen, names: [] };
    expect(codes(await hand.apply(PREVIEW, puts({ A: "ours" }, blind), blind))).toEqual({ A: "not_owned" });
    expect(rows()).toHaveLength(1);
  });

  test("the record of all preview branches and a branch's own are two", async () => {
    const { hand, state } = await start();
    state.seed(PROJECT, { key: "A", value: "base", target: ["preview"] });
    expect((await hand.observe(FEATURE)).names).toEqual([]);
    await hand.write(FEATURE, { A: "ours" });
    await hand.remove(FEATURE, "A");
    expect(state.values(PROJECT, { target: "preview" })).toEqual({ A: "base" });
  });

  test("one name that is taken fails alone", async () => {
    const { hand, state } = await start();
    const seen = await hand.observe(PREVIEW);
    state.seed(PROJECT, { key: "B", value: "theirs", target: ["preview"] });
    const results = await hand.apply(PREVIEW, puts(BUNDLE, seen), seen);
    expect(codes(results)).toEqual({ A: null, B: "not_owned", C: null, D: null });
    expect(state.values(PROJECT, { target: "preview" })).toEqual({ ...BUNDLE, B: "theirs" });
  });

  test("hidden production records make production incomplete, and nothing else", async () => {
    const { hand, state } = await start();
    state.seed(PROJECT, { key: "A", value: "hidden", target: ["production"] });
    state.addToken({ token: VERCEL_DEFAULTS.token, production: "hidden" });
    expect(await hand.observe({ environment: "production" })).toMatchObject({ complete: false, names: [] });
    expect(await hand.observe(PREVIEW)).toMatchObject({ complete: true });
  });

  test("an owned production record that is hidden can still be written", async () => {
    const { hand, state, rows } = await start();
    await hand.write({ environment: "production" }, { A: "1" });
    state.addToken({ token: VERCEL_DEFAULTS.token, production: "hidden" });
    const seen = await hand.observe({ environment: "production" });
    const owned = puts({ A: "2" }, seen).map((put) => ({ ...put, owned: true }));
    expect(codes(await hand.apply({ environment: "production" }, owned, seen))).toEqual({ A: null });
    expect(rows().map(({ value }) => value)).toEqual(["2"]);
  });
});

describe("deleting", () => {
  test("leaves the old name in place while a new one could not be written", async () => {
    const { hand, state } = await start();
    await hand.write(PREVIEW, { OLD: "1" });
    const seen = await hand.observe(PREVIEW);
    state.seed(PROJECT, { key: "NEW", value: "theirs", target: ["preview"] });
    const old = seen.names[0] ?? null;
    const changes = [...puts({ NEW: "1" }, seen), { op: "delete" as const, name: "OLD", observed: old }];
    expect(codes(await hand.apply(PREVIEW, changes, seen))).toEqual({ NEW: "not_owned", OLD: "not_owned" });
    expect(state.values(PROJECT, { target: "preview" })["OLD"]).toBe("1");
  });

  test("does not take a failed listing for absence", async () => {
    const { hand, vendor, rows } = await start();
    await hand.write(PREVIEW, { A: "1" });
    const seen = await hand.observe(PREVIEW);
    const copies = { ...seen, names: seen.names.map((name) => ({ ...name })) };
    vendor.addFault({ kind: "status", status: 500, method: "GET" });
    const [observed = null] = copies.names;
    const [result] = await hand.apply(PREVIEW, [{ op: "delete", name: "A", observed }], copies);
    expect(result?.error?.code).toBe("unavailable");
    expect(rows()).toHaveLength(1);
  });
});

describe("observe()", () => {
  test("reads readable values only when asked, and only of records that bear a mark", async () => {
    const { hand, state, calls } = await start();
    const target = { ...PREVIEW, type: "encrypted" };
    await hand.write(target, { A: "ours" });
    state.seed(PROJECT, { key: "B", value: "theirs", target: ["preview"] });
    const seen = await hand.observe(target);
    expect(seen.names.map((each) => [each.name, each.fingerprint, each.mark])).toEqual([
      ["A", fingerprint(new Secret("ours")), MARK],
      ["B", null, null],
    ]);
    expect(await calls(() => hand.observe(target))).toHaveLength(2);
    expect(await calls(() => hand.observe(target, false))).toHaveLength(1);
  });

  test.each(["single", "pagination"] as const)("understands a listing of shape %s", async (listShape) => {
    const { hand, state } = await start({ rules: { listShape, pageSize: 2 } });
    const count = listShape === "single" ? 1 : 5;
    for (let n = 0; n < count; n += 1) state.seed(PROJECT, { key: `N${n}`, value: "v", target: ["preview"] });
    expect((await hand.observe(PREVIEW)).names).toHaveLength(count);
  });
});

describe("check()", () => {
  test("accepts the team by slug and by id", async () => {
    const { hand } = await start();
    await hand.check(PREVIEW);
    const byId = await start({}, { team: VERCEL_DEFAULTS.teamId });
    await byId.hand.check(PREVIEW);
  });

  test("names the account that the token belongs to when it is another", async () => {
    const { hand, state } = await start();
    state.addToken({ token: VERCEL_DEFAULTS.token, teams: [] });
    const error = await thrown(hand.check(PREVIEW));
    expect(error.code).toBe("wrong_account");
    expect(error.message).toBe("expected team acme, credential belongs to user sandbox");
  });

  test("does not find a project of another team, or an environment that does not exist", async () => {
    const { hand } = await start({}, { project: "shop-other" });
    expect((await thrown(hand.check(PREVIEW))).code).toBe("target_missing");
    const other = await start();
    expect((await thrown(other.hand.check({ environment: "qa" }))).code).toBe("target_missing");
  });
});

describe("limits", () => {
  test("a 429 carries the wait that Vercel's body tells", async () => {
    const rateLimits = { windowMs: 60_000, read: 1, create: 1, update: 1, delete: 1, batchDelete: 1 };
    const { hand } = await start({ rules: { rateLimits } });
    await hand.observe(PREVIEW);
    const error = await thrown(hand.observe(PREVIEW));
    expect(error.code).toBe("rate_limited");
    expect(error.retryAfterMs).toBeGreaterThan(30_000);
  });

  test("too many variables are limit_exceeded", async () => {
    const { hand } = await start({ rules: { variablesPerEnvironment: 1 } });
    expect(codes(await hand.write(PREVIEW, { A: "1", B: "2" }))).toEqual({ A: null, B: "limit_exceeded" });
  });
});

describe("shared variables", () => {
  const SHARED = { environment: "preview", shared: true };

  test("are linked to the project when created, and changed by id", async () => {
    const { hand, state, calls } = await start({}, { project: VERCEL_DEFAULTS.projectId });
    expect(await calls(() => hand.write(SHARED, BUNDLE))).toEqual(["GET /v1/env", "POST /v1/env"]);
    expect(state.shared[0]).toMatchObject({ type: "sensitive", projectId: [VERCEL_DEFAULTS.projectId] });
    state.advance(5);
    expect(await calls(() => hand.write(SHARED, { A: "9" }))).toEqual(["GET /v1/env", "PATCH /v1/env"]);
    expect(state.shared.map(({ value }) => value)).toEqual(["9", "2", "3", "4"]);
  });

  test("that cover other environments too are foreign", async () => {
    const { hand, state } = await start();
    await hand.write(SHARED, { A: "1" });
    for (const row of state.shared) row.target.push("production");
    expect((await hand.seen(SHARED, "A"))?.foreign).toBe("a record that also covers production");
  });
});

describe("targets", () => {
  test("have the exposure of Vercel's own environments; custom ones must be declared", async () => {
    const { hand } = await start();
    const exposure = (environment: string) => vercel.exposure(hand.parse({ environment }) as never);
    expect(["production", "preview", "development", "staging"].map(exposure)).toEqual([
      "production",
      "preview",
      "development",
      null,
    ]);
  });

  test("are one place whatever the type, and another with a git branch", async () => {
    const { hand } = await start();
    expect(hand.place({ ...PREVIEW, type: "plain" })).toBe(hand.place(PREVIEW));
    expect(hand.place(FEATURE)).not.toBe(hand.place(PREVIEW));
  });

  test.each([
    [{}, "environment"],
    [{ environment: "Preview" }, "lower case"],
    [{ environment: "production", gitBranch: "main" }, "gitBranch"],
    [{ environment: "preview", shared: true, gitBranch: "x" }, "gitBranch"],
    [{ environment: "staging", shared: true }, "only production"],
    [{ environment: "preview", type: "secret" }, "type"],
  ])("refuses %j", async (target, words) => {
    const { hand } = await start();
    expect(() => hand.parse(target)).toThrow(expect.objectContaining({ code: "invalid_target" }));
    expect(() => hand.parse(target)).toThrow(words);
  });
});

test.each(["1ST", "A-B", "TZ", "NEXT_PUBLIC_DATABASE_URL", "VITE_DB", "N".repeat(257)])(
  "refuseName() refuses %s",
  (name) => {
    expect(vercel.traits.refuseName(name)).toMatch(/\w/);
  },
);
