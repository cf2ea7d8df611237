import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type PolicyRule,
  startVault,
  VAULT_TOKEN,
  type VaultState,
} from "../../../../infra/sandbox/vault.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { vault as adapter, type VaultTarget } from "../../../../services/destinations/vault.ts";
import type { Destination, Observation, OutgoingResponse } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import {
  CANARY,
  claim,
  failure,
  MARK,
  put,
  puts,
  type Recorded,
  recordingIo,
  remove,
  scriptedIo,
  shown,
} from "./secret-writer.ts";

const PATH = "shop/preview/db";
const FOUR = { A: "1", B: "2", C: "3", D: "4" };
const NEXT = { A: "5", B: "6", C: "7", D: "8" };

let vendor: Vendor<VaultState>;
let io: Recorded;
let kv: Destination<VaultTarget>;
let where: VaultTarget;

beforeEach(async () => {
  vendor = await startVault();
  open();
});
afterEach(() => vendor.close());

function open(more: object = {}, token = VAULT_TOKEN, path = PATH): void {
  io = recordingIo();
  const block = adapter.block.parse({
    address: vendor.url,
    mount: "kv",
    kvVersion: 2,
    auth: { token: "env:TOKEN" },
    privateNetwork: true,
    ...more,
  });
  kv = adapter.open(block, () => new Secret(token), io);
  where = adapter.parseTarget(block, { path });
}

async function observe(): Promise<Observation> {
  const [seen] = await kv.observe([where], { contents: true });
  if (seen === undefined) throw new Error("no observation");
  return seen;
}

async function write(values: Record<string, string>): Promise<Observation> {
  const seen = await observe();
  const results = await kv.apply(where, puts(values, seen), claim(seen));
  expect(results.map(({ error }) => error)).toEqual(results.map(() => null));
  return observe();
}

const operations = (since = 0) => vendor.log.slice(since).map(({ operation }) => operation);
const READ = "GET /v1/:mount/data/:path";
const WRITE = "POST /v1/:mount/data/:path";
const STAMP = "PATCH /v1/:mount/metadata/:path";

describe("number of calls", () => {
  test("is 3 for a first push, 2 for a changed one, 1 for an unchanged one, 2 for a delete", async () => {
    let seen = await observe();
    await kv.apply(where, puts(FOUR, seen), claim(seen));
    expect(operations()).toEqual([READ, WRITE, STAMP]);

    let start = vendor.log.length;
    seen = await observe();
    await kv.apply(where, puts(NEXT, seen), claim(seen));
    expect(operations(start)).toEqual([READ, WRITE]);

    start = vendor.log.length;
    seen = await observe();
    expect(operations(start)).toEqual([READ]);

    await kv.apply(where, remove(seen, ...Object.keys(NEXT)), claim(seen));
    expect(operations(start)).toEqual([READ, "POST /v1/:mount/delete/:path"]);
    expect(vendor.state.values(PATH)).toBeNull();
  });

  test("asks for the version of the mount once per process", async () => {
    open({ kvVersion: undefined });
    await observe();
    open({ kvVersion: undefined });
    await observe();
    expect(operations().filter((operation) => operation.includes("mounts"))).toHaveLength(1);
  });
});

describe("apply()", () => {
  test("stamps the mark into what others keep in the metadata", async () => {
    vendor.state.write(PATH, {});
    const secret = vendor.state.secret(PATH);
    if (secret !== undefined) {
      secret.versions.clear();
      secret.currentVersion = 0;
      secret.customMetadata = { team: "payments" };
    }
    const seen = await write(FOUR);
    expect(seen.mark).toEqual(MARK);
    expect(vendor.state.secret(PATH)?.customMetadata).toEqual({
      team: "payments",
      branchline_installation: "inst-1",
      branchline_rule: "billing",
      branchline_branch: "br-1",
    });
  });

  test("merges the mark by hand where the policy has no patch", async () => {
    const capabilities = ["create", "read", "update"] as const;
    const policy: PolicyRule[] = ["data", "metadata"].map((area) => ({ path: `kv/${area}/*`, capabilities }));
    open({}, vendor.state.createToken({ policy }));
    vendor.state.write(PATH, {});
    const secret = vendor.state.secret(PATH);
    if (secret !== undefined) secret.customMetadata = { team: "payments" };
    const seen = await write(FOUR);
    expect(seen.mark).toEqual(MARK);
    expect(vendor.state.secret(PATH)?.customMetadata).toMatchObject({ team: "payments" });
  });

  test("leaves the mark off a secret that others keep keys in", async () => {
    vendor.state.write(PATH, { THEIRS: "1" });
    const seen = await observe();
    await kv.apply(where, [put("A", "1", seen)], claim(seen));
    expect((await observe()).mark).toBeNull();
    expect(vendor.state.values(PATH)).toEqual({ THEIRS: "1", A: "1" });
  });

  test("keeps the keys of others to the last digit", async () => {
    const answers: Partial<OutgoingResponse>[] = [
      { body: '{"data":{"data":{"n":12345678901234567890,"f":1.0},"metadata":{"version":3}}}' },
      { body: '{"data":{"version":4}}' },
    ];
    const script = scriptedIo((_, n) => answers[n - 1] ?? {});
    const block = adapter.block.parse({ address: "https://v.test", kvVersion: 2, auth: { token: "env:T" } });
    const destination = adapter.open(block, () => new Secret("t"), script);
    const target = adapter.parseTarget(block, { path: PATH });
    const [seen] = await destination.observe([target], { contents: true });
    if (seen === undefined) throw new Error("no observation");
    await destination.apply(target, [put("A", "1", seen)], claim(seen));
    expect(script.sent[1]?.body).toBe(
      '{"options":{"cas":3},"data":{"n":12345678901234567890,"f":1.0,"A":"1"}}',
    );
  });

  test("revives a soft-deleted secret under the number that it has", async () => {
    const first = await write(FOUR);
    await kv.apply(where, remove(first, ...Object.keys(FOUR)), claim(first));
    const seen = await observe();
    expect(seen).toMatchObject({ exists: true, version: "1", names: [], mark: MARK });
    await kv.apply(where, [put("A", "9", seen)], claim(seen));
    expect(vendor.state.values(PATH)).toEqual({ A: "9" });
    expect(vendor.state.secret(PATH)?.currentVersion).toBe(2);
  });

  test("loses to who wrote since the observation, and shows nobody its value", async () => {
    const seen = await write({ A: "0" });
    vendor.state.write(PATH, { A: "newer" });
    expect((await failure(kv.apply(where, [put("A", "older", seen)], claim(seen)))).code).toBe("conflict");
    expect(vendor.state.values(PATH)).toEqual({ A: "newer" });
  });

  test("reads back when the answer to a write is lost, and marks what it finds to be its own", async () => {
    const seen = await observe();
    vendor.addFault({ kind: "die-after-applying", method: "POST", times: 1 });
    const [result] = await kv.apply(where, [put("A", "1", seen)], claim(seen));
    expect(result).toMatchObject({ error: null, unsettled: false, version: "1" });
    expect((await observe()).mark).toEqual(MARK);
  });

  test("does nothing twice: a repeated claim makes no second version", async () => {
    const seen = await observe();
    const once = claim(seen);
    const changes = [put("A", "1", seen)];
    const [first] = await kv.apply(where, changes, once);
    const [second] = await kv.apply(where, changes, once);
    expect(second).toEqual(first);
    expect(vendor.state.secret(PATH)?.currentVersion).toBe(1);
  });

  test("reads the version of the claim when another piece of work has observed it", async () => {
    vendor.state.write(PATH, { THEIRS: "1", A: "0" });
    const seen = await observe();
    open();
    await kv.apply(where, [put("A", "1", seen)], claim(seen));
    expect(io.sent[0]?.url).toMatch(/\?version=1$/);
    expect(vendor.state.values(PATH)).toEqual({ THEIRS: "1", A: "1" });
  });

  test("says nothing of a mark that cannot be set: the values are there", async () => {
    vendor.addFault({ kind: "status", status: 500, path: "/metadata/" });
    const seen = await observe();
    expect(await kv.apply(where, [put("A", "1", seen)], claim(seen))).toMatchObject([
      { error: null, version: "1" },
    ]);
  });

  test("leaves an empty secret that was not made here", async () => {
    vendor.state.write(PATH, { A: "1" });
    const seen = await observe();
    await kv.apply(where, remove(seen, "A"), claim(seen));
    expect(vendor.state.values(PATH)).toEqual({});
  });

  test("takes away only the version that it has seen", async () => {
    const seen = await write({ A: "1" });
    vendor.state.write(PATH, { A: "newer" });
    await kv.apply(where, remove(seen, "A"), claim(seen));
    expect(vendor.state.values(PATH)).toEqual({ A: "newer" });
  });

  test("removes every version only where the file says so", async () => {
    open({ deleteForever: true });
    const seen = await write({ A: "1" });
    await kv.apply(where, remove(seen, "A"), claim(seen));
    expect(vendor.state.secret(PATH)).toBeUndefined();
  });

  test("reaches a path with odd characters, and no other", async () => {
    open({}, VAULT_TOKEN, "shop/feat #1?x=%2e%2e/db");
    await write({ A: "1" });
    expect([...vendor.state.mount("kv").secrets.keys()]).toEqual(["shop/feat #1?x=%2e%2e/db"]);
  });
});

describe("observe()", () => {
  test("tells a secret that never was from one that is deleted", async () => {
    expect(await observe()).toMatchObject({ exists: false, version: null });
    vendor.state.write(PATH, { A: "1" });
    const latest = vendor.state.secret(PATH)?.versions.get(1);
    if (latest !== undefined) latest.destroyed = true;
    expect(await observe()).toMatchObject({ exists: true, version: "1", names: [] });
  });

  const wrong: readonly [what: string, answer: Partial<OutgoingResponse>, code: string][] = [
    ["a gateway's 404", { status: 404, body: "<html>not found</html>" }, "unavailable"],
    [
      "a mount that is not there",
      { status: 404, body: '{"errors":["no handler for route"]}' },
      "target_missing",
    ],
    ["an empty object", { status: 200, body: "{}" }, "unavailable"],
    ["no body at all", { status: 200, body: "" }, "unavailable"],
    [
      "a secret without a version",
      { status: 200, body: '{"data":{"data":{},"metadata":{}}}' },
      "unavailable",
    ],
    ["a login page", { status: 200, body: "<html>" }, "unavailable"],
    ["another node", { status: 307, headers: { location: "https://elsewhere" } }, "unavailable"],
    ["not yet replicated", { status: 412, body: '{"errors":["state"]}' }, "unavailable"],
    ["a standby", { status: 473 }, "unavailable"],
    ["a sealed Vault", { status: 503, body: '{"errors":["Vault is sealed"]}' }, "unavailable"],
    ["an upgrade", { status: 400, body: '{"errors":["Upgrading from non-versioned"]}' }, "unavailable"],
    ["another 400", { status: 400, body: `{"errors":["${CANARY}"]}` }, "internal"],
    ["an operation that is not there", { status: 405, body: '{"errors":[]}' }, "invalid_target"],
    ["a token that is too long", { status: 431 }, "unauthenticated"],
  ];

  test.each(wrong)("never takes %s for absence", async (_, answer, code) => {
    const script = scriptedIo(() => answer);
    const block = adapter.block.parse({ address: "https://v.test", kvVersion: 2, auth: { token: "env:T" } });
    const destination = adapter.open(block, () => new Secret("hvs.secret-token"), script);
    const target = adapter.parseTarget(block, { path: PATH });
    const error = await failure(destination.observe([target], { contents: true }));
    expect(error.code).toBe(code);
    expect(shown(error)).not.toContain(CANARY);
    expect(shown(error)).not.toContain("hvs.secret-token");
  });

  test("waits as the quota says, shortly for replication, longer for a sealed Vault", async () => {
    vendor.addFault({ kind: "status", status: 429, retryAfter: "9", times: 1 });
    expect((await failure(observe())).retryAfterMs).toBe(9_000);
    vendor.addFault({ kind: "status", status: 412, times: 1 });
    expect((await failure(observe())).retryAfterMs).toBe(200);
    vendor.state.sealed = true;
    expect((await failure(observe())).retryAfterMs).toBe(30_000);
  });
});

describe("version 1", () => {
  beforeEach(() => open({ mount: "kv1", kvVersion: undefined }));

  test("is found out, and has neither version nor mark", async () => {
    const seen = await observe();
    const [first] = await kv.apply(where, [put("A", "1", seen)], claim(seen));
    expect(first).toMatchObject({ version: null, unsettled: true, error: null });
    expect(vendor.state.values(PATH, "kv1")).toEqual({ A: "1" });
    expect(await observe()).toMatchObject({
      exists: true,
      version: null,
      mark: null,
      names: [{ version: null }],
    });
  });

  test("is settled when it holds already what is to be written", async () => {
    const seen = await observe();
    await kv.apply(where, [put("A", "1", seen)], claim(seen));
    const [again] = await kv.apply(where, [put("A", "1", seen)], claim(seen));
    expect(again).toMatchObject({ unsettled: false, error: null });
  });

  test("keeps the keys of others that came since the observation, and goes with the last key", async () => {
    vendor.state.write(PATH, { A: "0" }, "kv1");
    const seen = await observe();
    vendor.state.mount("kv1").secrets.delete(PATH); // no versions: a new value is a new secret
    vendor.state.write(PATH, { A: "0", THEIRS: "1" }, "kv1");
    await kv.apply(where, [put("A", "2", seen)], claim(seen));
    expect(vendor.state.values(PATH, "kv1")).toEqual({ THEIRS: "1", A: "2" });
    const later = await observe();
    await kv.apply(where, remove(later, "A", "THEIRS"), claim(later));
    expect(vendor.state.values(PATH, "kv1")).toBeNull();
  });
});

describe("the file", () => {
  const parse = (more: object) =>
    adapter.block.safeParse({ address: "https://vault.test", auth: { token: "env:T" }, ...more }).success;

  test("takes an address without a path, names for mounts, one way to log in", () => {
    expect(parse({})).toBe(true);
    for (const more of [
      { address: "https://vault.test/prefix" },
      { address: "https://user@vault.test" },
      { address: "ftp://vault.test" },
      { mount: "../sys" },
      { mount: "a//b" },
      { namespace: "a?b" },
      { auth: { token: "hvs.pasted" } },
      { auth: { token: "env:T", jwt: { role: "r", jwt: "env:J" } } },
      { auth: {} },
      { token: "env:T" },
    ]) {
      expect(parse(more), JSON.stringify(more)).toBe(false);
    }
  });

  test("refuses paths that would mean another", () => {
    const block = adapter.block.parse({ address: "https://vault.test", auth: { token: "env:T" } });
    for (const path of ["", "/a", "a/", "a/../sys", "x..y", "a\nb"]) {
      expect(() => adapter.parseTarget(block, { path }), path).toThrow(/path/);
    }
  });

  test("gives one place to spellings of one address", () => {
    const place = (address: string) => {
      const block = adapter.block.parse({ address, auth: { token: "env:T" } });
      return adapter.place(adapter.parseTarget(block, { path: "a" }));
    };
    expect(place("https://VAULT.test:443/")).toBe(place("https://vault.test"));
  });
});
