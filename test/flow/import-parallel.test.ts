/** An import looks at several targets at a time, and never at many. */
import { afterEach, expect, test } from "vitest";
import { createMemoryDestination } from "../../services/destinations/memory.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import type { Rule } from "../../services/sync/model.ts";
import type { DestinationAdapter } from "../../services/sync/ports.ts";
import type { Posted } from "../../workers/foresee-scope.ts";
import { surveyDocument } from "../../workers/import.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";

const MOST = 4;
const BRANCHES = 10;
let hand: Hand;
afterEach(async () => await hand.stop());

/** Lets everybody who looks wait until as many are there as ever will be together. */
function crowd() {
  let inside = 0;
  let most = 0;
  let open: () => void = () => {};
  const full = new Promise<void>((resolve) => {
    open = resolve;
  });
  const adapter = createMemoryDestination() as unknown as DestinationAdapter;
  const counting: DestinationAdapter = {
    ...adapter,
    open: (block, credential, io) => {
      const real = adapter.open(block, credential, io);
      return {
        check: async (target) => await real.check(target),
        apply: async (target, changes, claim) => await real.apply(target, changes, claim),
        observe: async (targets, options) => {
          inside += 1;
          most = Math.max(most, inside);
          if (inside === MOST) open();
          await full;
          const seen = await real.observe(targets, options);
          inside -= 1;
          return seen;
        },
      };
    },
  };
  return { counting, most: () => most };
}

test("four targets at once, over all rules, and all of them in the end", async () => {
  const project = new MemoryProject("parallel");
  const { counting, most } = crowd();
  hand = await startByHand({
    projects: [project],
    destinations: {},
    vendors: { memory: { adapter: counting, block: { store: "import-parallel" } } },
    rules: [],
  });
  for (let i = 0; i < BRANCHES; i += 1) project.addBranch(`preview/${i}`);
  await hand.look();
  const rules: Rule[] = ["one", "two"].map((name) =>
    ruleOf({ name, target: { environment: "preview", group: `${name}-\${branch.name|slug}` } }),
  );
  const rows = async (table: string) =>
    await hand.rows<Posted["sources"][number]>(`select * from branchline.${table} where removed_at is null`);
  const posted = { sources: await rows("source"), destinations: await rows("destination"), rules };
  const found = await surveyDocument(hand.runtime, posted, {
    replaceUnreadable: false,
    signal: AbortSignal.timeout(20_000),
  });
  expect(most()).toBe(MOST);
  expect(new Set(found.lines.map(({ target }) => target)).size).toBe(2 * BRANCHES);
  expect(found.summary.unchecked).toBe(0);
  // The order is that of the branches, whoever was first.
  const orderOf = (name: string) =>
    found.lines.filter(({ rule }) => rule === name).map(({ branch }) => branch);
  expect(orderOf("one")).toEqual(orderOf("two"));
});
