/** What a plan says of places, and that a push does the same: on vendors in memory, moved by hand. */
import { afterEach, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import type { DocumentPlan } from "../../services/sync/document-plan.ts";
import type { Rule } from "../../services/sync/model.ts";
import { foresee } from "../../workers/foresee.ts";
import type { Posted } from "../../workers/foresee-scope.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, type HandOptions, startByHand } from "../support/hand.ts";

const hands: Hand[] = [];
afterEach(async () => {
  for (const hand of hands.splice(0)) await hand.stop();
});

async function byHand(over: Partial<HandOptions> & Pick<HandOptions, "projects">): Promise<Hand> {
  const hand = await startByHand({ destinations: { memory: {} }, rules: [], ...over });
  hands.push(hand);
  return hand;
}

/** As the database has it, with other rules. */
async function posted(hand: Hand, rules: readonly Rule[]): Promise<Posted> {
  const blocks = async (table: string) =>
    await hand.rows<Posted["sources"][number]>(
      `select * from branchline.${table} where removed_at is null order by name`,
    );
  return { sources: await blocks("source"), destinations: await blocks("destination"), rules };
}

async function planOf(
  hand: Hand,
  rules: readonly Rule[],
  more: { prune?: boolean; over?: Partial<Posted> } = {},
): Promise<DocumentPlan> {
  const document = { ...(await posted(hand, rules)), ...more.over };
  const { plan } = await foresee(hand.runtime, document, {
    prune: more.prune ?? false,
    digest: JSON.stringify(rules),
    refused: [],
    warnings: [],
    signal: new AbortController().signal,
  });
  return plan;
}

const said = ({ lines }: DocumentPlan): string[] =>
  lines.map(
    ({ action, branch, name, code }) => `${action} ${branch} ${name ?? "*"}${code ? ` ${code}` : ""}`,
  );

async function started(rules: readonly Rule[], branches: readonly string[], over: Partial<HandOptions> = {}) {
  const project = new MemoryProject(`p-${hands.length}-${Math.random()}`);
  const hand = await byHand({ projects: [project], rules, ...over });
  const ids = branches.map((name) => project.addBranch(name));
  await hand.look();
  return { project, hand, ids };
}

const PLACE = (target: string | null) => target ?? "";

describe("a plan and the push after it", () => {
  test("say and do the same for a change, an addition and a name that is wanted no more", async () => {
    const rule = ruleOf({ name: "web", policy: "mirror" });
    const { hand } = await started([rule], ["preview/x"]);
    const changed = { ...rule, variables: { DATABASE_URL: "direct", PGHOST: "pooled.host" } };
    const plan = await planOf(hand, [changed]);
    expect(said(plan)).toEqual([
      "change preview/x DATABASE_URL",
      "delete preview/x DATABASE_URL_UNPOOLED",
      "create preview/x PGHOST",
    ]);
    expect(plan.lines.every(({ reason }) => reason.startsWith("the rule changed: variables"))).toBe(true);
    const { target } = await hand.binding("preview/x");
    const store = hand.store("memory");
    const before = store.values(PLACE(target));
    await hand.configure([changed]);
    await hand.drain();
    const after = store.values(PLACE(target));
    expect(Object.keys(after).sort()).toEqual(["DATABASE_URL", "PGHOST"]);
    expect(after["DATABASE_URL"]).toBe(before["DATABASE_URL_UNPOOLED"]);
    expect(await planOf(hand, [changed])).toMatchObject({ changes: false, lines: [] });
  });

  test("looks and does not touch: nothing is applied or written to our own rows", async () => {
    const rule = ruleOf({ name: "web" });
    const { hand } = await started([rule], ["preview/x"]);
    const store = hand.store("memory");
    const calls = store.calls.length;
    const rows = async () => await hand.rows("select * from branchline.binding");
    const before = await rows();
    await planOf(hand, [{ ...rule, variables: { DATABASE_URL: "direct" } }]);
    expect(store.calls.slice(calls).map((call) => call.split(" ")[0])).toEqual(["check", "observe"]);
    expect(await rows()).toEqual(before);
  });

  test("a rule with another name takes over what the old one wrote: nothing changes at the vendor", async () => {
    const { hand } = await started([ruleOf({ name: "old" })], ["preview/x"]);
    const plan = await planOf(hand, [ruleOf({ name: "new" })]);
    expect(said(plan)).toEqual([]);
    expect(plan.rules.map(({ name, action }) => `${action} ${name}`)).toEqual(["create new", "orphan old"]);
    await hand.configure([ruleOf({ name: "new" })]);
    const applied = hand.store("memory").calls.filter((call) => call.startsWith("apply")).length;
    await hand.drain();
    expect(hand.store("memory").calls.filter((call) => call.startsWith("apply"))).toHaveLength(applied);
  });

  test("a move creates in the new place and deletes in the old one", async () => {
    const rule = ruleOf({ name: "web" });
    const { hand } = await started([rule], ["preview/x"]);
    const moved = { ...rule, target: { environment: "preview", group: "moved" } };
    const plan = await planOf(hand, [moved]);
    expect(said(plan).sort()).toEqual([
      "create preview/x DATABASE_URL",
      "create preview/x DATABASE_URL_UNPOOLED",
      "delete preview/x DATABASE_URL",
      "delete preview/x DATABASE_URL_UNPOOLED",
    ]);
  });
});

describe("what stands in the way", () => {
  test("a name of somebody else's is refused, and adopted where the rule hands it over", async () => {
    const { hand } = await started([], ["preview/x"]);
    const place = `memory:${await storeOf(hand)}/x/preview`;
    hand.store("memory").putForeign(place, "DATABASE_URL", "theirs");
    const rule = ruleOf({ name: "web" });
    const refused = await planOf(hand, [rule]);
    expect(said(refused)).toEqual(["refuse preview/x DATABASE_URL not_owned"]);
    expect(refused.lines[0]?.next).toContain("Adopt");
    const adopted = await planOf(hand, [{ ...rule, adopt: ["DATABASE_URL"] }]);
    expect(said(adopted)).toEqual(["adopt preview/x DATABASE_URL", "create preview/x DATABASE_URL_UNPOOLED"]);
    expect(adopted.unsafe).toEqual([]);
    expect(JSON.stringify([refused, adopted])).not.toContain("theirs");
  });

  test("replacing what nobody can read is unsafe and cannot be restored", async () => {
    const { hand } = await started([], ["preview/x"], {
      destinations: { memory: { values: "write-only", mark: false } },
    });
    hand.store("memory").putForeign(`memory:${await storeOf(hand)}/x/preview`, "DATABASE_URL", "theirs");
    const plan = await planOf(hand, [ruleOf({ name: "web", adopt: ["DATABASE_URL"] })]);
    expect(plan.lines[0]?.reason).toContain("cannot be restored");
    expect(plan.unsafe[0]).toContain("1 values that nobody can read are replaced");
  });

  test("production does not reach a preview, by its branch or by a password", async () => {
    const { hand } = await started([], ["preview/x"]);
    const everything = ruleOf({
      name: "web",
      branches: { include: ["**"] },
      target: { environment: "preview", group: "${branch.name|slug}" },
    });
    const strict = await planOf(hand, [{ ...everything, inheritedPassword: "refuse" }]);
    expect(said(strict)).toEqual(["refuse main * policy", "refuse preview/x * policy"]);
    expect(strict.lines[1]?.reason).toContain('has the same password here and on "main"');
    const lenient = await planOf(hand, [everything]);
    expect(said(lenient)).toContain("create preview/x DATABASE_URL");
    expect(lenient.warnings).toContainEqual(
      expect.objectContaining({ code: "inherited_password", rule: "web", branch: "preview/x" }),
    );
    const blind = await planOf(hand, [{ ...everything, destination: "more" }], {
      over: {
        destinations: [{ name: "more", kind: "memory", block: { store: "another" } }],
      },
    });
    expect(said(blind)).toContain("refuse main * policy");
    expect(said(blind)).toContain("unchecked preview/x DATABASE_URL");
  });

  test("a missing role is told per branch, as the binding will say it", async () => {
    const { hand } = await started([], ["preview/x"]);
    const plan = await planOf(hand, [ruleOf({ name: "web", roles: { default: "nobody" } })]);
    expect(said(plan)).toEqual(["refuse preview/x * source_unready"]);
  });

  test("a place that is nearly full is warned about from 80 percent, and over-full refused", async () => {
    const { hand } = await started([], ["preview/x"]);
    const place = `memory:${await storeOf(hand)}/x/preview`;
    for (let i = 0; i < 800; i += 1) hand.store("memory").putForeign(place, `NAME_${i}`, "x");
    const nearly = await planOf(hand, [ruleOf({ name: "web" })]);
    expect(nearly.warnings).toContainEqual(expect.objectContaining({ code: "nearly_full" }));
    for (let i = 800; i < 999; i += 1) hand.store("memory").putForeign(place, `NAME_${i}`, "x");
    expect(said(await planOf(hand, [ruleOf({ name: "web" })]))).toEqual([
      "refuse preview/x DATABASE_URL limit_exceeded",
      "refuse preview/x DATABASE_URL_UNPOOLED limit_exceeded",
    ]);
  });

  test("a target that is not there is refused with what to do; others of its listing are not, and each is asked once", async () => {
    const { hand } = await started([], ["preview/x", "preview/y", "preview/z"]);
    const stored = await storeOf(hand);
    const place = (name: string) => `memory:${stored}/shared/${name}`;
    const store = hand.store("memory");
    store.missing.add(place("x"));
    const rule = ruleOf({
      name: "web",
      target: { environment: "${branch.name|after:preview/|slug}", group: "shared" },
      exposure: "preview",
    });
    const plan = await planOf(hand, [rule]);
    expect(said(plan)).toEqual([
      "refuse preview/x * target_missing",
      "create preview/y DATABASE_URL",
      "create preview/y DATABASE_URL_UNPOOLED",
      "create preview/z DATABASE_URL",
      "create preview/z DATABASE_URL_UNPOOLED",
    ]);
    expect(plan.lines[0]).toMatchObject({ reason: "memory has no environment x", next: expect.any(String) });
    const checks = store.calls.filter((call) => call.startsWith("check")).sort();
    expect(checks).toEqual([...new Set(checks)]);
    await hand.configure([rule]);
    await hand.drain();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "target_missing" });
    expect((await hand.binding("preview/y")).state).toBe("synced");
  });

  test("what leaves a target that is gone has nothing to take away there", async () => {
    const rule = ruleOf({ name: "web", policy: "mirror" });
    const { hand } = await started([rule], ["preview/x"]);
    const { target } = await hand.binding("preview/x");
    hand.store("memory").missing.add(PLACE(target));
    const plan = await planOf(hand, [{ ...rule, branches: { include: ["nothing/*"] } }]);
    expect(said(plan)).toEqual(["keep preview/x *"]);
    expect(plan.lines[0]?.reason).toContain("nothing is left to take away");
  });

  test("a vendor that cannot be reached leaves its lines unchecked and the others as they are", async () => {
    const rules = [ruleOf({ name: "web" }), ruleOf({ name: "api", destination: "other" })];
    const { hand } = await started(rules, ["preview/x"], { destinations: { memory: {}, other: {} } });
    hand.store("other").fault({ kind: "error", code: "unavailable", during: "observe" });
    const changed = rules.map((rule) => ({ ...rule, variables: { DATABASE_URL: "direct" } }));
    expect(said(await planOf(hand, changed))).toEqual([
      "unchecked preview/x * unavailable",
      "change preview/x DATABASE_URL",
      "keep preview/x DATABASE_URL_UNPOOLED policy",
    ]);
  });
});

describe("what has to be confirmed", () => {
  const many = ["a", "b", "c", "d", "e", "f"].map((name) => `preview/${name}`);

  test("many names that go at once, and not a few", async () => {
    const rule = ruleOf({ name: "web", policy: "mirror" });
    const { hand } = await started([rule], many);
    const fewer = await planOf(hand, [{ ...rule, branches: { include: ["preview/[a-e]"] } }]);
    expect(fewer.unsafe).toEqual([]);
    const none = await planOf(hand, [{ ...rule, branches: { include: ["preview/z*"] } }]);
    expect(none.unsafe).toEqual(["12 of 12 names are deleted", "6 of 6 bindings are let go"]);
  });

  test("a destination that leads to another account; what it wrote before stays", async () => {
    const rule = ruleOf({ name: "web" });
    const { hand } = await started([rule], ["preview/x"]);
    const plan = await planOf(hand, [rule], {
      over: { destinations: [{ name: "memory", kind: "memory", block: { store: "another" } }] },
    });
    expect(plan.unsafe).toEqual(["the destination memory leads to another account"]);
    expect(said(plan).sort()).toEqual([
      "keep preview/x DATABASE_URL",
      "keep preview/x DATABASE_URL_UNPOOLED",
      "unchecked preview/x DATABASE_URL",
      "unchecked preview/x DATABASE_URL_UNPOOLED",
    ]);
  });
});

describe("the plan's id", () => {
  test("is the same for the same document and state, and another when either moves", async () => {
    const rule = ruleOf({ name: "web" });
    const { hand, project, ids } = await started([rule], ["preview/x"]);
    const changed = { ...rule, variables: { DATABASE_URL: "direct" } };
    const { id } = await planOf(hand, [changed]);
    expect((await planOf(hand, [changed])).id).toBe(id);
    expect((await planOf(hand, [{ ...changed, tier: "page" }])).id).not.toBe(id);
    const { target } = await hand.binding("preview/x");
    hand.store("memory").putForeign(PLACE(target), "DATABASE_URL", "somebody else's");
    const drifted = (await planOf(hand, [changed])).id;
    expect(drifted).not.toBe(id);
    project.rotate(ids[0] ?? "", "app_owner");
    expect((await planOf(hand, [changed])).id).not.toBe(drifted);
  });
});

test("a branch that appeared at the source and was not read yet moves the plan, and is said", async () => {
  const rule = ruleOf({ name: "web" });
  const { hand, project } = await started([rule], ["preview/x"]);
  const changed = { ...rule, variables: { DATABASE_URL: "direct" } };
  const before = await planOf(hand, [changed]);
  project.addBranch("unmeant/y");
  expect((await planOf(hand, [changed])).id).toBe(before.id);
  project.addBranch("preview/z");
  const after = await planOf(hand, [changed]);
  expect(after.id).not.toBe(before.id);
  expect(after.warnings.filter(({ code }) => code === "branch_not_read")).toEqual([
    expect.objectContaining({ rule: "web", branch: "preview/z" }),
  ]);
});

test("what stands still already is said as the binding says it, and is nothing to do", async () => {
  const rule = ruleOf({ name: "web", roles: { default: "nobody" } });
  const { hand } = await started([rule], ["preview/x"]);
  const plan = await planOf(hand, [rule]);
  expect(plan.changes).toBe(false);
  const { cause, next } = await hand.binding("preview/x");
  expect(plan.lines).toEqual([
    expect.objectContaining({ action: "refuse", code: "source_unready", reason: cause, next }),
  ]);
});

test("rules tell how many branches they mean and which they miss by little", async () => {
  const { hand } = await started([], ["preview/x", "preview/feat/y"]);
  const plan = await planOf(hand, [ruleOf({ name: "web", branches: { include: ["preview/*"] } })]);
  expect(plan.rules).toEqual([
    {
      name: "web",
      at: null,
      action: "create",
      reason: "the rule is new",
      matches: 1,
      of: 3,
      nearMisses: ["preview/feat/y"],
    },
  ]);
});

async function storeOf(hand: Hand): Promise<string> {
  const [row] = await hand.rows<{ block: { store: string } }>(
    "select block from branchline.destination where name = 'memory'",
  );
  return row?.block.store ?? "";
}
