import { afterEach, describe, expect, test } from "vitest";
import {
  GITHUB_DEFAULTS,
  type GitHubSeeds,
  type GitHubState,
  startGitHub,
} from "../../../../infra/sandbox/github.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { github } from "../../../../services/destinations/github.ts";
import type { Io } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { codes, Hand, puts, thrown } from "./hand.ts";

const { repository, repositoryId, organization, token, appId, installationId } = GITHUB_DEFAULTS;
const BUNDLE = { A: "1", B: "2", C: "3", D: "4" };
const SECRETS = "/repos/:owner/:repo/actions/secrets";
const BY_APP = {
  token: undefined,
  app: { id: appId, installation: installationId, privateKey: "env:APP_KEY" },
};

let vendor: Vendor<GitHubState> | undefined;
afterEach(async () => {
  await vendor?.close();
});

async function start(block: Record<string, unknown> = {}, seeds: GitHubSeeds = {}) {
  vendor = await startGitHub(seeds);
  const { state, log, url } = vendor;
  const hand = new Hand(
    github,
    { repository, token: "env:TOKEN", api: url, privateNetwork: true, writeSpacingMs: 0, ...block },
    { "env:TOKEN": token, "env:APP_KEY": state.apps[0]?.privateKey ?? "" },
  );
  const calls = async (run: () => Promise<unknown>) => {
    const before = log.length;
    await run();
    // The stand-in logs the public key's route as that of a secret.
    return log
      .slice(before)
      .map(({ operation, path }) =>
        path.endsWith("/public-key") ? operation.replace(":name", "public-key") : operation,
      );
  };
  return { vendor, state, hand, calls };
}

describe("number of calls for a bundle of four", () => {
  test("first and changed push: a listing, a put each, a listing; unchanged: a listing", async () => {
    const { hand, calls } = await start();
    await hand.write({}, { WARM: "1" }); // the public key is asked for once per process
    const listing = `GET ${SECRETS}`;
    const put = `PUT ${SECRETS}/:name`;
    expect(await calls(() => hand.write({}, BUNDLE))).toEqual([listing, put, put, put, put, listing]);
    expect(await calls(() => hand.write({}, BUNDLE))).toEqual([listing, put, put, put, put, listing]);
    expect(await calls(() => hand.observe({}))).toEqual([listing]);
  });

  test("delete: a listing and a call each", async () => {
    const { hand, calls } = await start();
    await hand.write({}, BUNDLE);
    expect(await calls(() => hand.remove({}, "A", "B"))).toHaveLength(3);
  });

  test("more than a page of secrets: one call a page", async () => {
    const { hand, state, calls } = await start(
      {},
      { rules: { secretsPer: { repository: 300, environment: 1, organization: 1 } } },
    );
    for (let n = 0; n < 250; n += 1) state.edit(repository, `N${n}`, "v");
    expect(await calls(async () => expect((await hand.observe({})).names).toHaveLength(250))).toHaveLength(3);
  });
});

describe("sealing", () => {
  test("asks for the public key again when GitHub refuses the one it knew", async () => {
    const { hand, state, calls } = await start();
    await hand.write({}, { A: "1" });
    state.rotateKey(repository);
    const operations = await calls(async () =>
      expect(codes(await hand.write({}, { A: "2" }))).toEqual({ A: null }),
    );
    expect(operations).toContain(`GET ${SECRETS}/public-key`);
    expect(state.secret(repository, "A")).toBe("2");
  });

  test("takes a refusal under the right key for what it is", async () => {
    const { hand, state, calls } = await start({}, { rules: { valueBytes: 3 } });
    const operations = await calls(async () =>
      expect(codes(await hand.write({}, { A: "long", B: "ok" }))).toEqual({ A: "invalid_secret", B: null }),
    );
    expect(operations.filter((operation) => operation.startsWith("PUT"))).toHaveLength(2);
    expect(state.secrets(repository)).toEqual({ B: "ok" });
  });
});

describe("versions", () => {
  test("are GitHub's time of the last change, read back", async () => {
    const { hand } = await start();
    const [applied] = await hand.write({}, { A: "1" });
    expect(applied?.version).toMatch(/^\d{4}-.*Z$/);
    expect(applied?.unsettled).toBe(false);
    expect((await hand.seen({}, "A"))?.version).toBe(applied?.version);
  });

  test("that are more than a second off our answer's date are not trusted", async () => {
    const { hand } = await start({}, { rules: { updatedAtSkewMs: 3_000 } });
    const [applied] = await hand.write({}, { A: "1" });
    expect(applied).toMatchObject({ error: null, unsettled: true });
  });

  test("that cannot be read back leave the name unsettled", async () => {
    const { hand, vendor } = await start();
    vendor.addFault({ kind: "status", status: 500, method: "GET", path: "/actions/secrets$", skip: 1 });
    const [applied] = await hand.write({}, { A: "1" });
    expect(applied).toMatchObject({ error: null, version: null, unsettled: true });
  });
});

test("observe() tells when a secret was made", async () => {
  const { hand, state } = await start();
  await hand.write({}, { A: "1" });
  state.advance(60_000);
  await hand.write({}, { A: "2" });
  const seen = await hand.seen({}, "A");
  expect(Date.parse(seen?.version ?? "") - (seen?.createdAt?.getTime() ?? 0)).toBeGreaterThanOrEqual(59_000);
});

describe("failing in the middle", () => {
  test("stops at a limit and says which names were not touched", async () => {
    const { hand, vendor, state } = await start();
    vendor.addFault({ kind: "status", status: 429, method: "PUT", skip: 2, retryAfter: "30" });
    const results = await hand.write({}, BUNDLE);
    expect(codes(results)).toEqual({ A: null, B: null, C: "rate_limited", D: "rate_limited" });
    expect(results[3]?.error).toMatchObject({ retryAfterMs: 30_000, names: ["D"] });
    expect(results[3]?.error?.message).toContain("D was not touched");
    expect(Object.keys(state.secrets(repository))).toEqual(["A", "B"]);
  });

  test("deletes nothing while something could not be written", async () => {
    const { hand, vendor, state } = await start();
    await hand.write({}, { OLD: "1" });
    const seen = await hand.observe({});
    const changes = [
      ...puts({ NEW: "1" }, seen),
      { op: "delete" as const, name: "OLD", observed: seen.names[0] ?? null },
    ];
    vendor.addFault({ kind: "status", status: 403, method: "PUT" });
    expect(codes(await hand.apply({}, changes, seen))).toEqual({ NEW: "forbidden", OLD: "forbidden" });
    expect(state.secrets(repository)).toEqual({ OLD: "1" });
  });

  test.each(["primary", "secondary"] as const)(
    "knows GitHub's %s limit from a lack of rights",
    async (kind) => {
      const { hand, state } = await start();
      state.throttle(kind, { retryAfterSeconds: 42 });
      const error = await thrown(hand.observe({}));
      expect(error.code).toBe("rate_limited");
      expect(error.retryAfterMs).toBeGreaterThan(40_000);
    },
  );

  test("reports a full repository as a limit", async () => {
    const { hand } = await start(
      {},
      { rules: { secretsPer: { repository: 1, environment: 1, organization: 1 } } },
    );
    expect(codes(await hand.write({}, { A: "1", B: "2" }))).toEqual({ A: null, B: "limit_exceeded" });
  });
});

describe("room", () => {
  test("is what GitHub has for secrets and variables, at each level", async () => {
    const { hand } = await start();
    const room = async (target: object) => (await hand.observe(target)).room;
    expect(await room({})).toBe(100);
    expect(await room({ as: "variable" })).toBe(500);
    expect(await room({ environment: "preview", as: "variable" })).toBe(100);
    await vendor?.close();
    const ofOrganization = await start({ repository: undefined, organization });
    expect((await ofOrganization.hand.observe({})).room).toBe(1_000);
  });
});

describe("environments", () => {
  const TARGET = { environment: "review/42" };

  test("that are missing are created without a body, if that is allowed", async () => {
    const { hand, state } = await start({ createEnvironments: true });
    await hand.check(TARGET);
    expect(await hand.observe(TARGET)).toMatchObject({ complete: true, names: [] });
    expect(codes(await hand.write(TARGET, { A: "1" }))).toEqual({ A: null });
    expect(state.secret(repository, "A", { environment: "review/42" })).toBe("1");
    expect(state.repository(repository).environments.get("review/42")?.protection).toEqual({});
  });

  test("of which nothing is ours yet are asked for beside the list, which counts if there is one", async () => {
    const { hand, state, calls } = await start({ createEnvironments: true });
    const look = (environment: string) =>
      hand.destination.observe([hand.parse({ environment })], { contents: false, first: true });
    const beside = [
      "GET /repos/:owner/:repo",
      "GET /repos/:owner/:repo/environments/:environment",
      "GET /repos/:owner/:repo/environments/:environment/secrets",
    ];
    let seen: unknown;
    vendor?.setLatency(200);
    const operations = await calls(async () => {
      seen = await look("review/42");
    });
    vendor?.setLatency(0);
    expect(operations.sort()).toEqual(beside);
    const three = vendor?.log.slice(-3) ?? [];
    const firstAnswer = Math.min(...three.map(({ at, ms }) => at + ms));
    expect(three.filter(({ at }) => at < firstAnswer)).toHaveLength(3);
    expect(seen).toMatchObject([{ complete: true, names: [] }]);
    await hand.write({ environment: "preview" }, { A: "1" });
    expect(await look("preview")).toMatchObject([{ complete: true, names: [{ name: "A" }] }]);
    const never = hand.destination.observe([hand.parse({ ...TARGET, createEnvironment: false })], {
      contents: false,
      first: true,
    });
    expect((await thrown(never)).code).toBe("target_missing");
    state.removeRepository(repository);
    expect((await thrown(look("review/42"))).code).toBe("target_missing");
  });

  test("that are missing are created where the rule says so, and where it says no they are not", async () => {
    const { hand, state } = await start();
    expect(codes(await hand.write({ ...TARGET, createEnvironment: true }, { A: "1" }))).toEqual({ A: null });
    expect(state.repository(repository).environments.has("review/42")).toBe(true);
    await vendor?.close();
    const allowed = await start({ createEnvironments: true });
    const no = { ...TARGET, createEnvironment: false };
    expect((await thrown(allowed.hand.check(no))).code).toBe("target_missing");
    expect(() => hand.parse({ createEnvironment: true })).toThrow("createEnvironment goes with environment");
  });

  test("that are missing are a missing target otherwise", async () => {
    const { hand, state } = await start();
    expect((await thrown(hand.check(TARGET))).code).toBe("target_missing");
    expect((await thrown(hand.observe(TARGET))).code).toBe("target_missing");
    expect(state.repository(repository).environments.size).toBe(2);
  });

  test("that exist are never put again, so their rules stay", async () => {
    const { hand, state, calls } = await start({ createEnvironments: true });
    Object.assign(state.repository(repository).environments.get("preview") ?? {}, {
      protection: { wait_timer: 5 },
    });
    const operations = await calls(() => hand.write({ environment: "preview" }, { A: "1" }));
    expect(operations).not.toContain("PUT /repos/:owner/:repo/environments/:environment");
  });

  test("that were deleted since the last push are created again", async () => {
    const { hand, state } = await start({ createEnvironments: true });
    await hand.write({ environment: "preview" }, { A: "1" });
    const seen = await hand.observe({ environment: "preview" });
    state.repository(repository).environments.delete("preview");
    expect(codes(await hand.apply({ environment: "preview" }, puts({ A: "2" }, seen), seen))).toEqual({
      A: null,
    });
    expect(state.secret(repository, "A", { environment: "preview" })).toBe("2");
  });

  test("of a repository that is gone are not taken for empty", async () => {
    const { hand, state } = await start({ createEnvironments: true });
    state.removeRepository(repository);
    expect((await thrown(hand.observe(TARGET))).code).toBe("target_missing");
  });
});

describe("renamed repositories", () => {
  test.each([
    ["token", {}],
    ["app", BY_APP],
  ])("are followed by id (%s)", async (_, block) => {
    const { hand, state, calls } = await start(block);
    state.move(repository, "acme/store");
    expect(codes(await hand.write({}, { A: "1" }))).toEqual({ A: null });
    expect(state.secret("acme/store", "A")).toBe("1");
    expect(await calls(() => hand.observe({}))).toEqual(["GET /repositories/:repositoryId/actions/secrets"]);
  });

  test.each([
    ["token", {}],
    ["app", BY_APP],
  ])("are followed by calls that leave together (%s)", async (_, block) => {
    const { vendor, hand, state, calls } = await start({ ...block, createEnvironments: true });
    state.move(repository, "acme/store");
    vendor.setLatency(50);
    const look = (environment: string) =>
      hand.destination.observe([hand.parse({ environment })], { contents: false, first: true });
    const operations = await calls(async () => {
      expect(await look("review/42")).toMatchObject([{ complete: true, names: [] }]);
    });
    expect(operations.filter((operation) => operation.startsWith("GET /repos/:owner/:repo"))).toHaveLength(3);
    expect(await look("preview")).toMatchObject([{ complete: true, names: [] }]);
  });

  test("are found by their id although another has taken the name", async () => {
    const { hand, state } = await start({ repositoryId });
    state.move(repository, "acme/store");
    state.addRepository({ fullName: repository });
    await hand.check({});
    await hand.write({}, { A: "1" });
    expect(state.secrets(repository)).toEqual({});
    expect(state.secret("acme/store", "A")).toBe("1");
  });

  test.each([
    "https://evil.example/repositories/1/actions/secrets",
    "https://api.github.com.evil.example/repositories/1",
    "https://api.gitxub.com/repositories/1/actions/secrets",
    "https://api.github.com/user",
    "/repositories/1/actions/secrets",
  ])("are not followed to %s", async (location) => {
    const asked: string[] = [];
    const io: Io = {
      signal: new AbortController().signal,
      fingerprint: () => "f",
      fetch: async ({ url }) => {
        asked.push(url);
        return { status: 301, headers: { location }, body: "", requestId: undefined, date: undefined };
      },
    };
    const block = github.block.parse({ repository: `acme/${asked.length}-elsewhere`, token: "env:TOKEN" });
    const destination = github.open(block, () => new Secret(token), io);
    const target = github.parseTarget(block, {});
    expect((await thrown(destination.observe([target], { contents: true }))).code).toBe("target_missing");
    expect(asked).toHaveLength(1);
  });
});

describe("organization secrets", () => {
  const block = { repository: undefined, organization };

  test("are private by default, and selected if repositories are named", async () => {
    const { hand, state } = await start(block);
    await hand.write({}, { A: "1" });
    await hand.write({ visibility: "selected", selectedRepositories: ["shop", 4711] }, { B: "1" });
    const { secrets } = state.level(organization);
    expect(secrets.get("A")?.visibility).toBe("private");
    expect(secrets.get("B")).toMatchObject({ visibility: "selected", selected: new Set([repositoryId]) });
  });

  test("keep the visibility and the repositories that somebody gave them", async () => {
    const { hand, state } = await start(block);
    await hand.write({}, { A: "1", B: "1" });
    const { secrets } = state.level(organization);
    Object.assign(secrets.get("A") ?? {}, { visibility: "all" });
    Object.assign(secrets.get("B") ?? {}, { visibility: "selected", selected: new Set([repositoryId]) });
    expect(codes(await hand.write({}, { A: "2", B: "2" }))).toEqual({ A: null, B: null });
    expect(secrets.get("A")).toMatchObject({ value: "2", visibility: "all" });
    expect(secrets.get("B")).toMatchObject({
      value: "2",
      visibility: "selected",
      selected: new Set([repositoryId]),
    });
  });

  test("keep them too when the observation could not show them", async () => {
    const { hand, state } = await start(block);
    await hand.write({}, { A: "1" });
    const { secrets } = state.level(organization);
    Object.assign(secrets.get("A") ?? {}, { visibility: "selected", selected: new Set([repositoryId]) });
    const blind = { ...(await hand.observe({})), names: [] };
    const owned = puts({ A: "2" }, blind).map((put) => ({ ...put, owned: true }));
    expect(codes(await hand.apply({}, owned, blind))).toEqual({ A: null });
    expect(secrets.get("A")).toMatchObject({
      value: "2",
      visibility: "selected",
      selected: new Set([repositoryId]),
    });
  });
});

describe("variables", () => {
  const TARGET = { as: "variable" };

  test("are created only where there is none", async () => {
    const { hand, state } = await start();
    const seen = await hand.observe(TARGET);
    state.level(repository).variables.set("A", {
      name: "A",
      value: "theirs",
      createdAt: 0,
      updatedAt: 0,
      visibility: "all",
      selected: new Set(),
    });
    expect(codes(await hand.apply(TARGET, puts({ A: "ours", B: "ours" }, seen), seen))).toEqual({
      A: "not_owned",
      B: null,
    });
    expect(state.variables(repository)).toEqual({ A: "theirs", B: "ours" });
  });

  test("are created anew when one that was seen is gone", async () => {
    const { hand, state } = await start();
    await hand.write(TARGET, { A: "1" });
    const seen = await hand.observe(TARGET);
    state.level(repository).variables.clear();
    expect(codes(await hand.apply(TARGET, puts({ A: "2" }, seen), seen))).toEqual({ A: null });
    expect(state.variables(repository)).toEqual({ A: "2" });
  });
});

describe("apps", () => {
  const MINT = "POST /app/installations/:installation/access_tokens";

  test("ask for one token per repository, narrowed to it", async () => {
    const { hand, state, calls } = await start(BY_APP);
    const operations = await calls(async () => {
      await Promise.all([hand.observe({}), hand.observe({ environment: "preview" }), hand.observe({})]);
    });
    expect(operations.filter((operation) => operation === MINT)).toHaveLength(1);
    const minted = [...state.tokens.values()].filter(({ kind }) => kind === "installation");
    expect(minted.map((each) => each.repositoryIds)).toEqual([[repositoryId]]);
  });

  test("ask for another when theirs is refused", async () => {
    const { hand, state, calls } = await start(BY_APP);
    await hand.observe({});
    for (const [key, each] of state.tokens) if (each.kind === "installation") state.tokens.delete(key);
    expect(await calls(() => hand.observe({}))).toEqual([`GET ${SECRETS}`, MINT, `GET ${SECRETS}`]);
  });

  test("ask for another before theirs ends", async () => {
    const { hand, calls } = await start(BY_APP, { rules: { installationTokenMs: 4 * 60_000 } });
    await hand.observe({});
    expect(await calls(() => hand.observe({}))).toEqual([MINT, `GET ${SECRETS}`]);
  });

  test("that are installed elsewhere are the wrong account, with both names", async () => {
    const { hand, state } = await start(BY_APP);
    Object.assign(state.apps[0]?.installations[0] ?? {}, { account: "other" });
    const error = await thrown(hand.check({}));
    expect(error.code).toBe("wrong_account");
    expect(error.message).toBe("expected acme, credential belongs to other");
  });

  test("that do not reach the repository have a missing target", async () => {
    const { hand, state } = await start(BY_APP);
    Object.assign(state.apps[0]?.installations[0] ?? {}, { repositoryIds: [] });
    expect((await thrown(hand.observe({}))).code).toBe("target_missing");
  });

  test("without a readable key say so and do not show it", async () => {
    const { hand } = await start({ ...BY_APP, app: { ...BY_APP.app, privateKey: "env:TOKEN" } });
    const error = await thrown(hand.observe({}));
    expect(error.code).toBe("unauthenticated");
    expect(error.message).not.toContain(token);
  });
});

describe("check()", () => {
  test("accepts what it may write to, and refuses another repository under the name", async () => {
    const { hand } = await start();
    await hand.check({});
    const pinned = await start({ repositoryId: 1 });
    expect((await thrown(pinned.hand.check({}))).code).toBe("target_missing");
  });

  test("sees that a token may not read secrets", async () => {
    const { hand, state } = await start();
    state.addToken({ token, permissions: { metadata: "read" } });
    expect((await thrown(hand.check({}))).code).toBe("forbidden");
  });
});

describe("targets and blocks", () => {
  test("are preview unless an environment says otherwise", async () => {
    const { hand } = await start();
    const exposure = (target: unknown) => github.exposure(hand.parse(target) as never);
    expect([exposure({}), exposure({ environment: "production" })]).toEqual(["preview", null]);
  });

  test("are one place whatever the case", async () => {
    const { hand } = await start();
    const shouting = await start({ repository: "ACME/Shop" });
    const host = (place: string) => place.replace(/127\.0\.0\.1:\d+/, "host");
    expect(host(hand.place({ environment: "Preview" }))).toBe(
      host(shouting.hand.place({ environment: "preview" })),
    );
  });

  test.each([
    [{ environment: "preview", family: "dependabot" }, "Dependabot"],
    [{ family: "dependabot", as: "variable" }, "Dependabot"],
    [{ visibility: "all" }, "organizations"],
    [{ environment: "" }, "environment"],
  ])("refuses %j", async (target, words) => {
    const { hand } = await start();
    expect(() => hand.parse(target)).toThrow(words);
  });

  test.each([
    [{ repository: "acme" }],
    [{ repository: undefined }],
    [{ organization: "acme" }],
    [{ token: undefined }],
    [{ ...BY_APP, token: "env:TOKEN" }],
    [{ token: "ghp_pasted_by_mistake" }],
  ])("refuses the block %j", (change) => {
    const parsed = github.block.safeParse({ repository, token: "env:TOKEN", ...change });
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error)).not.toContain("ghp_pasted");
  });

  test.each(["1ST", "GITHUB_TOKEN", "github_x", "A-B"])("refuseName() refuses %s", (name) => {
    expect(github.traits.refuseName(name)).not.toBeNull();
  });
});
