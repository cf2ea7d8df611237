/** Whose account, whose names: what happens before a write, and what a person can say about it. */
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { AWS_DEFAULTS, startAws } from "../../infra/sandbox/aws.ts";
import { startVercel, VERCEL_DEFAULTS } from "../../infra/sandbox/vercel.ts";
import type { Caller, Order, Told } from "../../services/api/ports.ts";
import { createTell } from "../../services/api/tell.ts";
import { createMemoryDestination, type MemoryOptions } from "../../services/destinations/memory.ts";
import { memoryStore } from "../../services/destinations/memory-store.ts";
import { vercel } from "../../services/destinations/vercel.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { ingest } from "../../services/store/ingest.ts";
import type { Rule } from "../../services/sync/model.ts";
import { ruleOf } from "../support/app.ts";
import { atAws } from "../support/aws.ts";
import { type Hand, type HandOptions, startByHand } from "../support/hand.ts";
import { incoming } from "../support/incoming.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const BRANCH = "preview/x";
const caller: Caller = {
  principal: { id: "t", limits: null, name: "a person", scopes: new Set(["write"]), revealDefault: false },
  requestId: randomUUID(),
  sourceAddress: null,
};

class Scene {
  readonly project: MemoryProject;
  readonly hand: Hand;
  readonly branchId: string;

  constructor(project: MemoryProject, hand: Hand, branchId: string) {
    this.project = project;
    this.hand = hand;
    this.branchId = branchId;
  }

  get store() {
    return this.hand.store("memory");
  }

  binding() {
    return this.hand.binding(BRANCH);
  }

  async tell(order: Order): Promise<Told> {
    const { database, runtime } = this.hand;
    const traits = (kind: string) => runtime.destinations.get(kind)?.traits;
    const tell = createTell({ db: database.db, traits, kick: () => undefined });
    const told = await tell((await this.binding()).id, order, caller);
    if (told === null) throw new Error("no such binding");
    return told;
  }

  async key(): Promise<string> {
    return (await this.binding()).target ?? "";
  }

  async values(): Promise<Record<string, string>> {
    return this.store.values(await this.key());
  }

  /** Somebody else's hand, twice different each time. */
  async edit(name: string, value = `theirs ${randomUUID()}`): Promise<string> {
    this.store.putForeign(await this.key(), name, value);
    return value;
  }

  async events(kind: string): Promise<number> {
    return (await this.hand.rows(`select 1 from branchline.event where kind = '${kind}'`)).length;
  }
}

async function scene(
  memory: MemoryOptions = {},
  rule: Partial<Rule> = {},
  options: Partial<HandOptions> = {},
): Promise<Scene> {
  const project = new MemoryProject("p1");
  const hand = await startByHand({
    projects: [project],
    destinations: { memory },
    rules: [ruleOf({ name: "web", ...rule })],
    ...options,
  });
  ends.push(hand.stop);
  return new Scene(project, hand, project.addBranch(BRANCH));
}

const WRITE_ONLY: MemoryOptions = {
  values: "write-only",
  compareAndSet: false,
  createOnly: false,
  mark: false,
  versionGrainMs: 1_000,
};

describe("before anything is written the account is proven", () => {
  test("one that is another's parks the binding, with nothing written, until it is right", async () => {
    const { hand, store } = await scene();
    store.fault({ kind: "error", code: "wrong_account", during: "check" });
    await hand.look();
    const parked = await hand.binding(BRANCH);
    expect(parked).toMatchObject({ state: "parked", code: "wrong_account", names: [] });
    expect(parked.next).not.toBeNull();
    expect(store.calls.filter((call) => !call.startsWith("check "))).toEqual([]);

    store.clearFaults();
    await hand.age("place", await hand.place("memory"));
    await hand.drain();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", applied: 1 });
  });

  test("asked once, not for every push, and again after a refusal", async () => {
    const { hand, store, project, branchId } = await scene();
    await hand.look();
    project.rotate(branchId, "app_owner");
    await hand.look();
    const checks = () => store.calls.filter((call) => call.startsWith("check ")).length;
    expect(checks()).toBe(1);

    store.fault({ kind: "error", code: "forbidden", during: "apply", times: 2 });
    project.rotate(branchId, "app_owner");
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "parked", code: "forbidden" });
    await hand.age("place", await hand.place("memory"));
    await hand.drain();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced" });
    expect(checks()).toBe(2);
  });

  test("at AWS, in the words of the two accounts", async () => {
    const vendor = await startAws();
    ends.push(() => vendor.close());
    const { hand } = await sceneAt(vendor.url, {}, "210987654321");
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({
      state: "parked",
      code: "wrong_account",
      cause: `expected 210987654321, credential belongs to ${AWS_DEFAULTS.account}`,
    });
    expect(vendor.log.map(({ operation }) => operation)).toEqual(["STS"]);
  });

  test("at Vercel, with whose token it is", async () => {
    const { token, userId } = VERCEL_DEFAULTS;
    const vendor = await startVercel({ tokens: [{ token, userId, teams: [] }] });
    ends.push(() => vendor.close());
    const { projectName: project, teamSlug: team } = VERCEL_DEFAULTS;
    const block = { project, team, token: "env:T", api: vendor.url, privateNetwork: true };
    const { hand } = await scene(
      {},
      { destination: "web", target: { environment: "preview" } },
      { vendors: { web: { adapter: vercel, block } }, credentials: { "env:T": token } },
    );
    await hand.look();
    const { code, cause } = await hand.binding(BRANCH);
    expect([code, cause]).toEqual([
      "wrong_account",
      expect.stringMatching(/^expected team acme, credential belongs to user /),
    ]);
    expect(vendor.log.filter(({ method }) => method !== "GET")).toEqual([]);
  });
});

describe("a destination that is pointed at another account", () => {
  test("leaves what it wrote in the old one alone, and fills the new one", async () => {
    const vendor = await startVercel({
      projects: [{ name: "old" }, { name: "new" }].map((each) => ({ ...each, repository: null })),
    });
    ends.push(() => vendor.close());
    const { token, teamSlug: team } = VERCEL_DEFAULTS;
    const block = (project: string) => ({
      project,
      team,
      token: "env:T",
      api: vendor.url,
      privateNetwork: true,
    });
    const rule = ruleOf({
      name: "web",
      destination: "web",
      target: { environment: "preview" },
      policy: "mirror",
    });
    const { hand, project } = await scene({}, rule, {
      vendors: { web: { adapter: vercel, block: block("old") } },
      credentials: { "env:T": token },
    });
    await hand.look();
    const before = vendor.state.values("old", { target: "preview" });
    expect(Object.keys(before)).toEqual(["DATABASE_URL", "DATABASE_URL_UNPOOLED"]);

    const left = await hand.place("web");
    await hand.configure([rule], [project], { web: block("new") });
    // What is due there is not done in the new account under the old one's name.
    const calls = vendor.log.length;
    await hand.age("place", left);
    await hand.push(left);
    expect(vendor.log.length).toBe(calls);
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", applied: 2 });
    expect(vendor.state.values("new", { target: "preview" })).toEqual(before);
    expect(vendor.state.values("old", { target: "preview" })).toEqual(before);
    await hand.sweep();
    expect(vendor.state.values("new", { target: "preview" })).toEqual(before);
  });

  test("and one that only names the same project otherwise takes nothing away", async () => {
    const vendor = await startVercel();
    ends.push(() => vendor.close());
    const { token, teamSlug: team, projectName, projectId } = VERCEL_DEFAULTS;
    const common = { team, token: "env:T", api: vendor.url, privateNetwork: true };
    const rule = (destination: string) =>
      ruleOf({ name: "web", destination, target: { environment: "preview" }, policy: "mirror" });
    const { hand, project } = await scene({}, rule("by-name"), {
      vendors: {
        "by-name": { adapter: vercel, block: { ...common, project: projectName } },
        "by-id": { adapter: vercel, block: { ...common, project: projectId } },
      },
      credentials: { "env:T": token },
    });
    await hand.look();
    const before = vendor.state.values(projectName, { target: "preview" });
    vendor.state.advance(10);
    await hand.configure([rule("by-id")], [project]);
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", destination: "by-id" });
    expect(vendor.state.values(projectName, { target: "preview" })).toEqual(before);
    expect(vendor.log.filter(({ method }) => method === "DELETE")).toEqual([]);
  });
});

describe("names that were there before", () => {
  test("are left alone, until the rule hands them over in whatever spelling", async () => {
    const memory = createMemoryDestination(WRITE_ONLY);
    const normaliseName = (name: string) => name.toUpperCase();
    const adapter = { ...memory, traits: { ...memory.traits, normaliseName } };
    const block = { store: `loud-${randomUUID()}` };
    const rule = (adopt: string[]) =>
      ruleOf({ name: "web", destination: "loud", variables: { Database_Url: "pooled" }, adopt });
    const { hand, project } = await scene({}, rule([]), { vendors: { loud: { adapter, block } } });
    const store = memoryStore(block.store);
    const key = `memory:${block.store}/x/preview`;
    store.putForeign(key, "DATABASE_URL", "theirs");
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "parked", code: "not_owned", names: [] });
    await hand.configure([rule(["dataBase_url"])], [project]);
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced", names: ["DATABASE_URL"] });
    expect(store.values(key)["DATABASE_URL"]).toContain("postgresql://");
  });

  test.each([
    ["name by name", {}],
    ["one secret", { grain: "atomic", mark: false }],
  ] as const)("that hold the wanted values are adopted as they are: %s", async (_, memory) => {
    const s = await scene(memory);
    await s.hand.look();
    const values = await s.values();
    await s.tell({ command: "release" });
    // Nobody's mark is left, as if somebody had made them by hand.
    const key = await s.key();
    s.store.drop(key);
    for (const [name, value] of Object.entries(values)) s.store.putForeign(key, name, value);

    await s.tell({ command: "resume" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "parked", code: "not_owned", names: [] });
    const told = await s.tell({ command: "adopt", names: null, expect: "same" });
    expect(told).toMatchObject({ names: ["DATABASE_URL", "DATABASE_URL_UNPOOLED"], note: null });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced", names: Object.keys(values) });
    expect(await s.values()).toEqual(values);
  });

  test("that hold other values are not replaced by a command, whatever it expects", async () => {
    const s = await scene();
    s.store.putForeign(`memory:${await storeName(s.hand)}/x/preview`, "DATABASE_URL", "theirs");
    await s.hand.look();
    for (const expect_ of ["same", "replace-unreadable"] as const) {
      await s.tell({ command: "adopt", names: null, expect: expect_ });
      await s.hand.drain();
      const parked = await s.binding();
      expect(parked).toMatchObject({ state: "parked", code: "not_owned" });
      expect(parked.cause).toContain("holds another value");
      expect(await s.values()).toEqual({ DATABASE_URL: "theirs" });
    }
  });

  test("that nobody can read are replaced only when that is said, with a warning", async () => {
    const s = await scene(WRITE_ONLY);
    s.store.putForeign(`memory:${await storeName(s.hand)}/x/preview`, "DATABASE_URL", "theirs");
    await s.hand.look();
    await s.tell({ command: "adopt", names: ["DATABASE_URL"], expect: "same" });
    await s.hand.drain();
    const parked = await s.binding();
    expect(parked.cause).toContain("cannot be read");
    expect(await s.values()).toEqual({ DATABASE_URL: "theirs" });

    const told = await s.tell({ command: "adopt", names: ["DATABASE_URL"], expect: "replace-unreadable" });
    expect(told.note).toContain("cannot be restored");
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced" });
    expect((await s.values())["DATABASE_URL"]).toContain("postgresql://");

    // Handed over once, not for ever.
    const [row] = await s.hand.rows<{ adopt: unknown }>("select adopt from branchline.binding");
    expect(row?.adopt).toBeNull();
  });

  test("are not adopted if the rule does not write them", async () => {
    const s = await scene();
    await s.hand.look();
    await expect(s.tell({ command: "adopt", names: ["OTHER"], expect: "same" })).rejects.toMatchObject({
      code: "invalid_request",
    });
  });

  test("at Vercel are read for the comparison, and only then", async () => {
    const vendor = await startVercel();
    ends.push(() => vendor.close());
    const { token, teamSlug: team, projectName: project } = VERCEL_DEFAULTS;
    const block = { project, team, token: "env:T", api: vendor.url, privateNetwork: true };
    const s = await scene(
      {},
      {
        destination: "web",
        target: { environment: "preview", type: "encrypted" },
        variables: { DATABASE_URL: "pooled" },
      },
      { vendors: { web: { adapter: vercel, block } }, credentials: { "env:T": token } },
    );
    await s.hand.look();
    const { DATABASE_URL: value = "" } = vendor.state.values(project, { target: "preview" });
    await s.tell({ command: "release" });
    const rows = vendor.state.project(project).rows;
    rows.splice(0, rows.length);
    vendor.state.seed(project, { key: "DATABASE_URL", value, target: ["preview"] });

    await s.tell({ command: "resume" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "parked", code: "not_owned" });
    const reads = () => vendor.log.filter(({ path }) => /\/env\/./.test(path)).length;
    expect(reads()).toBe(0);
    await s.tell({ command: "adopt", names: null, expect: "same" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced", names: ["DATABASE_URL"] });
    expect(reads()).toBe(1);
    expect(vendor.state.project(project).rows[0]?.comment).toMatch(/^branchline:/);
  });
});

describe("release", () => {
  test("gives the names back: nothing is deleted, and nothing is written any more", async () => {
    const s = await scene({}, { policy: "mirror" });
    await s.hand.look();
    const values = await s.values();
    const told = await s.tell({ command: "release" });
    expect(told.names).toEqual(["DATABASE_URL", "DATABASE_URL_UNPOOLED"]);
    expect(told.note).toContain("Nothing was deleted");
    expect(told.binding).toMatchObject({ state: "suspended", names: [] });
    expect(told.binding.cause).toContain("released");

    s.project.rotate(s.branchId, "app_owner");
    await s.edit("DATABASE_URL", "theirs now");
    await s.hand.look();
    await s.hand.sweep();
    expect(await s.values()).toEqual({ ...values, DATABASE_URL: "theirs now" });
    expect(await s.binding()).toMatchObject({ state: "suspended", names: [] });

    s.project.removeBranch(s.branchId);
    await s.hand.look();
    await s.hand.look();
    await s.hand.drainUntil("the end", async () => (await s.binding()).state === "removed");
    expect(await s.values()).toEqual({ ...values, DATABASE_URL: "theirs now" });
  });

  test("leaves the names to another rule, which has to adopt them as well", async () => {
    const s = await scene({ mark: false });
    await s.hand.look();
    await s.tell({ command: "release" });
    const other = (adopt: string[]) => ruleOf({ name: "other", adopt });
    await s.hand.configure([ruleOf({ name: "web" }), other([])], [s.project]);
    await s.hand.look();
    expect(await s.hand.binding(BRANCH, "other")).toMatchObject({ state: "parked", code: "not_owned" });
    const names = ["DATABASE_URL", "DATABASE_URL_UNPOOLED"];
    await s.hand.configure([ruleOf({ name: "web" }), other(names)], [s.project]);
    await s.hand.look();
    expect(await s.hand.binding(BRANCH, "other")).toMatchObject({ state: "synced", names });
  });
});

describe("suspend and resume", () => {
  test("stop the writing and take it up again, and are in the audit log", async () => {
    const s = await scene();
    await s.hand.look();
    const before = await s.values();
    expect((await s.tell({ command: "suspend" })).binding).toMatchObject({ state: "suspended" });
    s.project.rotate(s.branchId, "app_owner");
    await s.hand.look();
    expect(await s.values()).toEqual(before);
    expect(await s.binding()).toMatchObject({ state: "suspended", wanted: 2, applied: 1 });
    await expect(s.tell({ command: "push" })).rejects.toMatchObject({ code: "conflict" });

    await s.tell({ command: "resume" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced" });
    expect(await s.values()).not.toEqual(before);
    const rows = await s.hand.rows<{ action: string; actor: string; object: string }>(
      "select action, actor, object from branchline.audit order by seq",
    );
    expect(rows).toEqual([
      { action: "binding.suspend", actor: "a person", object: `rule/web/branch/${BRANCH}` },
      { action: "binding.resume", actor: "a person", object: `rule/web/branch/${BRANCH}` },
    ]);
  });
});

describe("drift", () => {
  test("the third within a day parks, and a resume begins to count anew", async () => {
    const s = await scene();
    await s.hand.look();
    const ours = await s.values();
    for (let n = 1; n <= 2; n += 1) {
      await s.edit("DATABASE_URL");
      await s.hand.sweep();
      expect(await s.values(), `${n}`).toEqual(ours);
    }
    const theirs = await s.edit("DATABASE_URL");
    await s.hand.sweep();
    expect(await s.binding()).toMatchObject({ state: "parked", code: "not_owned" });
    expect((await s.binding()).cause).toContain("3 times within 24 hours");
    expect((await s.values())["DATABASE_URL"]).toBe(theirs);

    await s.tell({ command: "resume" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced" });
    expect(await s.values()).toEqual(ours);
    await s.edit("DATABASE_URL");
    await s.hand.sweep();
    expect(await s.values()).toEqual(ours);
  });

  test.each([
    ["readable, name by name", {}],
    ["one secret", { grain: "atomic" }],
    ["write-only", WRITE_ONLY],
  ] as const)("is only reported where the rule says so: %s", async (_, memory) => {
    const s = await scene(memory, { onDrift: "report" });
    await s.hand.look();
    const ours = await s.values();
    s.store.now = () => Date.now() + 5_000;
    const theirs = await s.edit("DATABASE_URL");
    for (let n = 0; n < 3; n += 1) await s.hand.sweep();
    const drifted = await s.binding();
    expect(drifted).toMatchObject({ state: "drifted", code: "policy" });
    expect(drifted.cause).toContain('"DATABASE_URL" was changed by somebody else');
    expect((await s.values())["DATABASE_URL"]).toBe(theirs);
    expect(await s.events("drift.changed")).toBe(1);

    await s.tell({ command: "push" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced", code: null });
    expect(await s.values()).toEqual(ours);
  });

  test("that is only reported ends with a new value, or when it is undone", async () => {
    const s = await scene({}, { onDrift: "report" });
    await s.hand.look();
    const { DATABASE_URL: ours = "" } = await s.values();
    await s.edit("DATABASE_URL");
    await s.hand.sweep();
    expect(await s.binding()).toMatchObject({ state: "drifted" });
    await s.edit("DATABASE_URL", ours);
    await s.hand.sweep();
    expect(await s.binding()).toMatchObject({ state: "synced" });

    await s.edit("DATABASE_URL");
    await s.hand.sweep();
    expect(await s.binding()).toMatchObject({ state: "drifted" });
    s.project.rotate(s.branchId, "app_owner");
    await s.hand.look();
    expect(await s.binding()).toMatchObject({ state: "synced" });
    expect((await s.values())["DATABASE_URL"]).toContain(s.project.passwordOf(s.branchId, "app_owner"));
  });

  test("says what was lost", async () => {
    const s = await scene({}, { onDrift: "report" });
    await s.hand.look();
    s.store.remove(await s.key(), "DATABASE_URL", 0);
    await s.hand.sweep();
    expect((await s.binding()).cause).toContain('"DATABASE_URL" was lost');
    expect(Object.keys(await s.values())).toEqual(["DATABASE_URL_UNPOOLED"]);
  });

  test.each([
    ["name by name", {}],
    ["one secret", { grain: "atomic" }],
  ] as const)("to another installation's mark parks, whatever the rule: %s", async (_, memory) => {
    const s = await scene(memory, { onDrift: "report" });
    await s.hand.look();
    const at = s.store.place(await s.key());
    const mark = { installation: "another", rule: "web", branch: "br" };
    if (at !== undefined) at.mark = mark;
    for (const record of at?.records.values() ?? []) Object.assign(record, { mark, value: "theirs" });
    await s.hand.sweep();
    expect(await s.binding()).toMatchObject({ state: "parked", code: "not_owned" });
    expect(Object.values(await s.values())).toEqual(["theirs", "theirs"]);
    const [event] = await s.hand.rows<{ names: string }>(
      "select subject->>'names' as names from branchline.event where kind = 'drift'",
    );
    expect(event?.names).toContain("DATABASE_URL foreign");
  });
});

describe("limits", () => {
  test("warn from 80 percent of the names that there is room for", async () => {
    const s = await scene();
    const key = `memory:${await storeName(s.hand)}/x/preview`;
    s.project.rotate(s.branchId, "app_owner");
    for (let n = 0; n < 797; n += 1) s.store.putForeign(key, `OTHER_${n}`, "theirs");
    await s.hand.look();
    expect((await s.binding()).warning).toBeNull();
    s.store.putForeign(key, "ONE_MORE", "theirs");
    s.project.rotate(s.branchId, "app_owner");
    await s.hand.look();
    expect((await s.binding()).warning).toBe("800 of the 1000 names that there is room for are in use");
    for (let n = 0; n < 200; n += 1) s.store.putForeign(key, `MORE_${n}`, "theirs");
    s.store.remove(key, "DATABASE_URL", 0);
    await s.tell({ command: "push" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "synced" });
    s.store.putForeign(key, "LAST", "theirs");
    s.store.remove(key, "DATABASE_URL", 0);
    await s.tell({ command: "push" });
    await s.hand.drain();
    expect(await s.binding()).toMatchObject({ state: "parked", code: "limit_exceeded" });
  });
});

/** One secret at the stand-in of AWS. */
const sceneAt = async (url: string, rule: Partial<Rule> = {}, account?: string): Promise<Scene> =>
  await scene(
    {},
    { destination: "aws", target: { secretId: "shop/db" }, exposure: "preview", ...rule },
    atAws(url, account),
  );

describe("what consumers name a secret by", () => {
  test("is there as soon as it is made, and stays when what is in it changes", async () => {
    const vendor = await startAws();
    ends.push(() => vendor.close());
    const { hand, project, branchId } = await sceneAt(vendor.url);
    await hand.look();
    const made = await hand.binding(BRANCH);
    expect(made.reference).toMatch(
      /^arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop\/db-\w{6}$/,
    );
    project.rotate(branchId, "app_owner");
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ applied: 2, reference: made.reference });
  });
});

describe("a secret that AWS is to delete", () => {
  test.each(["PutSecretValue", "UpdateSecretVersionStage"])(
    "is ours when it was revived and %s then failed",
    async (operation) => {
      const vendor = await startAws();
      ends.push(() => vendor.close());
      const { hand, project, branchId } = await sceneAt(vendor.url, { onBranchDelete: "delete" });
      await hand.look();
      const before = vendor.state.json("shop/db") ?? {};
      expect(Object.keys(before)).toHaveLength(2);
      project.removeBranch(branchId);
      await hand.drainUntil("it to wait for its deletion", async () => {
        await hand.look();
        return vendor.state.secret("shop/db").deletion !== null;
      });

      vendor.state.failNext(operation, "LimitExceededException", { times: 10 });
      project.addBranch(BRANCH);
      await hand.look();
      expect(vendor.state.secret("shop/db").deletion).toBeNull();
      expect(vendor.state.json("shop/db")).toEqual(before);
      while (vendor.state.takeFailure(operation) !== null);
      await hand.rows("update branchline.place set due_at = now()");
      await hand.drainUntil("it to be in step", async () => {
        const live = (await hand.bindings()).filter(({ wanted, applied }) => wanted > applied);
        return live.length === 0;
      });
      expect(await hand.rows("select code from branchline.binding where code is not null")).toEqual([]);
      const after = vendor.state.json("shop/db") ?? {};
      expect(Object.keys(after)).toEqual(Object.keys(before));
      expect(after["DATABASE_URL"]).not.toBe(before["DATABASE_URL"]);
    },
  );
});

describe("a target that is not there yet", () => {
  test("waits for the event that may have made it", async () => {
    const vendor = await startVercel();
    ends.push(() => vendor.close());
    const { token, teamSlug: team, projectName: project } = VERCEL_DEFAULTS;
    const block = { project, team, token: "env:T", api: vendor.url, privateNetwork: true };
    const { hand } = await scene(
      {},
      { destination: "web", target: { environment: "preview", gitBranch: "x" } },
      { vendors: { web: { adapter: vercel, block } }, credentials: { "env:T": token } },
    );
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "parked", code: "target_missing" });
    vendor.state.addBranch(project, "x");
    await hand.look();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "parked" });
    await ingest(hand.database.db, [incoming({ kind: "create" })]);
    await hand.drain();
    expect(await hand.binding(BRANCH)).toMatchObject({ state: "synced" });
  });
});

async function storeName(hand: Hand): Promise<string> {
  const [row] = await hand.rows<{ store: string }>(
    "select block->>'store' as store from branchline.destination where name = 'memory'",
  );
  return row?.store ?? "";
}
