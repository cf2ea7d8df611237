/** A process that stood still while its lease ran out: what it was about to say is not said. */
import { afterEach, expect, test } from "vitest";
import { startAws } from "../../infra/sandbox/aws.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import type { Allowance } from "../../services/store/allowance.ts";
import { ruleOf } from "../support/app.ts";
import { atAws } from "../support/aws.ts";
import { startByHand } from "../support/hand.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const LEASE_MS = 400;
const BRANCH = "preview/x";

test("makes no call when it wakes before its first write, and the next push makes it", async () => {
  const vendor = await startAws();
  ends.push(() => vendor.close());
  const project = new MemoryProject("p1");
  const target = { destination: "aws", target: { secretId: "shop/db" }, exposure: "preview" } as const;
  const hand = await startByHand({
    projects: [project],
    destinations: {},
    rules: [ruleOf({ name: "web", ...target })],
    settings: { leaseMs: LEASE_MS },
    ...atAws(vendor.url),
  });
  ends.push(hand.stop);
  project.addBranch(BRANCH);
  await hand.lookWithoutPushing(async () => (await hand.bindings()).some(({ wanted }) => wanted === 1));

  const place = await hand.place("aws");
  const writes = () => vendor.log.filter(({ operation }) => /Create|Put|Update|Tag/.test(operation));
  let writing = false;
  const { allowance } = hand.runtime;
  const freezing: Allowance = {
    ...allowance,
    open: (...of) => {
      const turns = allowance.open(...of);
      return {
        ...turns,
        admit: async (request) => {
          await turns.admit(request);
          const thaw = performance.now() + LEASE_MS + 100;
          // Nothing of this process runs, and what it had waited for comes before any timer.
          while (writing && performance.now() < thaw);
        },
      };
    },
  };
  await hand.push(place, { ...hand.runtime, allowance: freezing }, (step) => {
    writing = step === "apply";
  });
  expect(writes()).toEqual([]);
  expect(await hand.binding(BRANCH)).toMatchObject({ applied: 0 });

  await hand.drainUntil("it to be in step", async () => {
    await hand.age("place", place);
    return (await hand.binding(BRANCH)).state === "synced";
  });
  expect(writes().length).toBeGreaterThan(0);
});
