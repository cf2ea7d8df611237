import { describe, expect, test } from "vitest";
import { drifted, needsContents } from "../../../../services/sync/drift.ts";
import type { LedgerEntry } from "../../../../services/sync/model.ts";
import { type PlanInput, plan, type Wish } from "../../../../services/sync/plan.ts";
import type { Observation } from "../../../../services/sync/ports.ts";
import {
  ATOMIC,
  claimedOnly,
  entryOf,
  inputOf,
  OURS,
  observed,
  seenName,
  THEIRS,
  variable,
  WRITE_ONLY,
  wishFor,
} from "./scene.ts";

/** What became of the one name "A", in the words of the table. */
function resultOf(input: PlanInput): string {
  const { changes, equal, skips, forget } = plan(input);
  const [change] = changes.map((planned) => planned.change).filter(({ name }) => name === "A");
  if (change?.op === "delete") return "delete";
  if (change?.op === "put") {
    if (change.observed !== null) return "put over it";
    return change.owned ? "put" : "put, create only";
  }
  const [skip] = skips.filter(({ name }) => name === "A");
  if (skip !== undefined) return `skip ${skip.reason.code}${skip.refuses ? "" : ", noted"}`;
  if (forget.includes("A")) return "forget";
  return equal.some(({ name }) => name === "A") ? "equal" : "nothing";
}

const nothing = observed();
const hidden = observed([], { complete: false });
const something = observed([seenName("A")]);
const wanted = wishFor([variable("A")]);
const unwanted = wishFor([]);
const leaving = wishFor([], { leaving: true });
const ours = [entryOf("A")];
const claimed = [entryOf("A", claimedOnly)];

describe("plan(), row by row of its table", () => {
  const rows: readonly [string, Observation, readonly LedgerEntry[], Wish, string][] = [
    ["nothing is there and all is shown, not ours", nothing, [], wanted, "put, create only"],
    ["nothing is there and all is shown, ours", nothing, ours, wanted, "put, create only"],
    ["nothing is shown and some is hidden, not ours", hidden, [], wanted, "put, create only"],
    ["nothing is shown and some is hidden, ours", hidden, ours, wanted, "put"],
    ["something is there, not ours", observed([seenName("A", { mark: null })]), [], wanted, "skip not_owned"],
    [
      "something is there, not ours, and handed over by the rule",
      observed([seenName("A", { mark: null })]),
      [],
      wishFor([variable("A")], { adopt: new Set(["A"]) }),
      "put over it",
    ],
    [
      "something is there by our claim alone and holds what we claimed",
      observed([seenName("A", { mark: null, fingerprint: "new" })]),
      claimed,
      wanted,
      "equal",
    ],
    [
      "something is there by our claim alone and holds something else",
      observed([seenName("A", { mark: null })]),
      claimed,
      wanted,
      "skip not_owned",
    ],
    ["what is there is equal", observed([seenName("A", { fingerprint: "new" })]), ours, wanted, "equal"],
    ["what is there is not equal", something, ours, wanted, "put over it"],
    [
      "what is there is not equal and the rule only creates",
      something,
      ours,
      wishFor([variable("A")], { policy: "create-only" }),
      "skip policy",
    ],
    ["it is there and no longer wanted", something, ours, unwanted, "skip policy, noted"],
    [
      "it is there, no longer wanted, and the rule mirrors",
      something,
      ours,
      wishFor([], { policy: "mirror" }),
      "delete",
    ],
    ["it is there and its binding leaves", something, ours, leaving, "delete"],
    [
      "by claim alone, it leaves, and it is seen to be ours",
      observed([seenName("A", { mark: null, fingerprint: "new" })]),
      claimed,
      leaving,
      "delete",
    ],
    [
      "by claim alone, it leaves, and it is somebody else's",
      observed([seenName("A", { mark: null })]),
      claimed,
      leaving,
      "forget",
    ],
    [
      "it moved on and has been written over since",
      observed([seenName("A", { version: "2", fingerprint: "x" })]),
      ours,
      wishFor([], { leaving: true, moved: true }),
      "forget",
    ],
    ["nothing is there and it leaves", nothing, ours, leaving, "forget"],
    ["nothing is shown, some is hidden, and it leaves", hidden, ours, leaving, "skip forbidden, noted"],
  ];
  test.each(rows)("%s", (_, observation, ledger, wish, result) => {
    expect(resultOf(inputOf({ observation, ledger, wishes: [wish] }))).toBe(result);
  });

  test("what is planned once and carried out needs no second plan", () => {
    const observation = observed([seenName("A", { fingerprint: "new", version: "2" })]);
    const ledger = [entryOf("A", { fingerprint: "new", version: "2" })];
    const again = plan(inputOf({ observation, ledger }));
    expect(again).toMatchObject({ changes: [], skips: [], drift: [], forget: [] });
  });
});

describe("plan(), whose it is", () => {
  const refused = (observation: Observation, rest: Partial<PlanInput> = {}) =>
    resultOf(inputOf({ observation, ...rest }));

  test("a mark of ours outlives a lost ledger, under whichever rule it was made", () => {
    expect(refused(something)).toBe("put over it");
    expect(refused(observed([seenName("A", { mark: { ...OURS, rule: "old-name" } })]))).toBe("put over it");
    expect(refused(observed([seenName("A", { mark: THEIRS })]))).toBe("skip not_owned");
  });

  test("what something else says is its own is left alone, though the ledger says ours", () => {
    const foreign = observed([seenName("A", { foreign: "an integration" })]);
    expect(refused(foreign, { ledger: ours })).toBe("skip not_owned");
    expect(refused(foreign, { ledger: ours, wishes: [leaving] })).toBe("skip not_owned, noted");
    expect(refused(observed([seenName("A", { mark: THEIRS })]), { ledger: ours })).toBe("skip not_owned");
  });

  test("a delete that may have gone through makes what is there somebody else's, unless it looks like ours", () => {
    const entry = entryOf("A", { confirmed: false, deleting: true, claims: ["old"] });
    const at = (fingerprint: string) =>
      inputOf({
        observation: observed([seenName("A", { mark: null, fingerprint })]),
        ledger: [entry],
        wishes: [leaving],
      });
    expect(resultOf(at("old"))).toBe("delete");
    expect(resultOf(at("theirs"))).toBe("forget");
  });

  test("where nothing can be seen, the time of its making tells", () => {
    const entry = entryOf("A", claimedOnly);
    const made = (ms: number) => new Date(entry.claimedAt.getTime() + ms);
    const at = (ms: number) =>
      inputOf({
        of: WRITE_ONLY,
        observation: observed([seenName("A", { fingerprint: null, mark: null, createdAt: made(ms) })]),
        ledger: [entry],
      });
    expect(resultOf(at(400))).toBe("put over it");
    expect(resultOf(at(-3_600_000))).toBe("skip not_owned");
  });

  test("an unmarked secret that was there before is not ours to fill", () => {
    const exists = observed([], { version: "7" });
    expect(refused(exists, { traits: inputOf({ of: ATOMIC }).traits })).toBe("skip not_owned");
    const marked = observed([], { version: "7", mark: OURS });
    expect(refused(marked, { traits: inputOf({ of: ATOMIC }).traits })).toBe("put, create only");
    const rotated = observed([], { version: "7", mark: OURS, foreign: "a rotation" });
    expect(refused(rotated, { traits: inputOf({ of: ATOMIC }).traits })).toBe("skip not_owned");
  });

  test("a claim that was never carried out gives no right to a secret that somebody made since", () => {
    const observation = observed([seenName("B", { mark: null })], { version: "7" });
    expect(resultOf(inputOf({ of: ATOMIC, observation, ledger: claimed }))).toBe("skip not_owned");
    expect(resultOf(inputOf({ of: ATOMIC, observation, ledger: claimed, wishes: [leaving] }))).toBe("forget");
  });
});

describe("plan(), bundles and neighbours", () => {
  test("one refusal parks its whole binding and no other", () => {
    const wishes = [
      wishFor([variable("A"), variable("BAD-NAME")]),
      wishFor([variable("C")], { bindingId: "b2" }),
    ];
    const { changes, skips } = plan(inputOf({ wishes }));
    expect(changes.map(({ bindingId, change }) => [bindingId, change.name])).toEqual([["b2", "C"]]);
    expect(skips).toMatchObject([{ bindingId: "b1", name: "BAD-NAME", refuses: true }]);
  });

  test("a value that is too long is refused beforehand", () => {
    const wishes = [wishFor([variable("A", "new", "v".repeat(101))])];
    expect(resultOf(inputOf({ wishes }))).toBe("skip invalid_secret");
  });

  test("two live bindings that want one name get it neither, and nothing is planned twice", () => {
    const wishes = [wishFor([variable("A")]), wishFor([variable("A")], { bindingId: "b2" })];
    const { changes, skips } = plan(inputOf({ wishes }));
    expect(changes).toEqual([]);
    expect(skips.map(({ bindingId, reason }) => [bindingId, reason.code])).toEqual([
      ["b1", "policy"],
      ["b2", "policy"],
    ]);
  });

  test("whoever has the name keeps it", () => {
    const wishes = [wishFor([variable("A")]), wishFor([variable("A")], { bindingId: "b2" })];
    const { changes, skips } = plan(inputOf({ wishes, observation: something, ledger: ours }));
    expect(changes.map(({ bindingId }) => bindingId)).toEqual(["b1"]);
    expect(skips.map(({ bindingId }) => bindingId)).toEqual(["b2"]);
  });

  test("puts come before deletes, so that a renamed name is always there", () => {
    const wishes = [wishFor([variable("NEW")], { policy: "mirror" })];
    const { changes } = plan(inputOf({ wishes, observation: something, ledger: ours }));
    expect(changes.map(({ change }) => [change.op, change.name])).toEqual([
      ["put", "NEW"],
      ["delete", "A"],
    ]);
  });

  test("names of bindings that are not dealt with are left as they are", () => {
    const ledger = [entryOf("OTHER", { bindingId: "b2" })];
    const observation = observed([seenName("OTHER", { fingerprint: "x" })]);
    const { changes, forget } = plan(inputOf({ observation, ledger }));
    expect(changes.map(({ change }) => change.name)).toEqual(["A"]);
    expect(forget).toEqual([]);
  });

  test("in one secret, neighbours that are as they were are known under its version", () => {
    const ledger = [
      entryOf("A"),
      entryOf("OTHER", { bindingId: "b2" }),
      entryOf("MOVED", { bindingId: "b2" }),
    ];
    const observation = observed(
      [seenName("A"), seenName("OTHER"), seenName("MOVED", { fingerprint: "x" })],
      { version: "2", mark: OURS },
    );
    const { equal } = plan(inputOf({ of: ATOMIC, observation, ledger }));
    expect(equal).toEqual([{ bindingId: "b2", name: "OTHER", fingerprint: "old", version: "2" }]);
  });
});

describe("plan(), room", () => {
  const limits = { valueBytes: 100, names: 2, bundleBytes: 30 };

  test("a bundle that does not fit is refused before its first write", () => {
    const observation = observed([seenName("X"), seenName("Y")]);
    expect(resultOf(inputOf({ of: { limits }, observation }))).toBe("skip limit_exceeded");
  });

  test("names that are refused for something else take no room from others", () => {
    const wishes = [
      wishFor([variable("A"), variable("BAD-NAME")]),
      wishFor([variable("C")], { bindingId: "b2" }),
    ];
    const observation = observed([seenName("X")]);
    const { changes } = plan(inputOf({ of: { limits }, observation, wishes }));
    expect(changes.map(({ change }) => change.name)).toEqual(["C"]);
  });

  test("what does not change takes its room as well", () => {
    const wishes = [wishFor([variable("A", "old", "v".repeat(20)), variable("B", "new", "v".repeat(20))])];
    const { skips } = plan(inputOf({ of: { limits }, observation: something, ledger: ours, wishes }));
    expect(skips.map(({ reason }) => reason.code)).toEqual(["limit_exceeded"]);
  });
});

describe("plan(), drift and doubt", () => {
  test("says what somebody else has changed or taken away", () => {
    expect(
      plan(inputOf({ observation: observed([seenName("A", { fingerprint: "x" })]), ledger: ours })).drift,
    ).toEqual([{ name: "A", kind: "changed" }]);
    expect(plan(inputOf({ ledger: ours })).drift).toEqual([{ name: "A", kind: "lost" }]);
    expect(plan(inputOf({ observation: something, ledger: ours })).drift).toEqual([]);
  });

  test("stops after the third time within a day", () => {
    const at = (drifts: number, force = false) =>
      inputOf({
        observation: observed([seenName("A", { fingerprint: "x" })]),
        ledger: [entryOf("A", { drifts })],
        force,
      });
    expect(resultOf(at(1))).toBe("put over it");
    expect(resultOf(at(2))).toBe("skip not_owned");
    expect(resultOf(at(2, true))).toBe("put over it");
  });

  test("a write-only name is equal by version and ledger together, and only if it is confirmed", () => {
    const at = (seen: string, entry: Partial<LedgerEntry>, force = false) =>
      resultOf(
        inputOf({
          of: WRITE_ONLY,
          observation: observed([seenName("A", { fingerprint: null, mark: null, version: seen })]),
          ledger: [entryOf("A", { fingerprint: "new", ...entry })],
          force,
        }),
      );
    expect(at("1", {})).toBe("equal");
    expect(at("2", {})).toBe("put over it");
    expect(at("1", { fingerprint: "old" })).toBe("put over it");
    expect(at("1", { confirmed: false })).toBe("put over it");
    expect(at("1", {}, true)).toBe("put over it");
  });
});

describe("a secret whose version is all that was looked at", () => {
  const unread = (version: string) => observed([], { contents: false, version, mark: OURS });
  const { traits } = inputOf({ of: ATOMIC });

  test("is equal while the version is the one that we wrote", () => {
    const ledger = [entryOf("A", { fingerprint: "new" })];
    expect(resultOf(inputOf({ of: ATOMIC, observation: unread("1"), ledger }))).toBe("equal");
    expect(resultOf(inputOf({ of: ATOMIC, observation: unread("2"), ledger }))).toBe("put");
  });

  test("needs its contents read unless all in it is ours and as we left it", () => {
    const ask = (ledger: readonly LedgerEntry[], shared = false, version = "1") =>
      needsContents({ traits, observation: unread(version), ledger, shared });
    expect(ask(ours)).toBe(false);
    expect(ask(ours, true)).toBe(true);
    expect(ask(ours, false, "2")).toBe(true);
    expect(ask([])).toBe(true);
    expect(ask(claimed)).toBe(true);
    expect(
      needsContents({ traits, observation: observed([], { exists: false }), ledger: ours, shared: true }),
    ).toBe(false);
  });

  test("is not written by a rule that only creates", () => {
    const wishes = [wishFor([variable("A")], { policy: "create-only" })];
    expect(resultOf(inputOf({ of: ATOMIC, observation: unread("1"), ledger: ours, wishes }))).toBe(
      "skip policy",
    );
  });

  test("has drifted when it is another one or gone", () => {
    const ask = (observation: Observation) => drifted(inputOf({ of: ATOMIC, observation, ledger: ours }));
    expect(ask(unread("1"))).toEqual([]);
    expect(ask(unread("2"))).toEqual([{ name: "A", kind: "changed" }]);
    expect(ask(observed([], { contents: false, exists: false }))).toEqual([{ name: "A", kind: "lost" }]);
  });
});
