/** Which file counts when several processes start with different ones, and that the same one changes nothing. */
import { afterEach, expect, test } from "vitest";
import { takeIn } from "../../services/cli/declared.ts";
import type { Configuration } from "../../services/file/configuration.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { configurationRow } from "../../services/store/configuration.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";

let hand: Hand;
afterEach(async () => await hand.stop());

async function started(): Promise<(revision: number | null, tier: "page" | "quiet") => Promise<string>> {
  hand = await startByHand({ projects: [new MemoryProject()], destinations: { memory: {} }, rules: [] });
  const file = (revision: number | null, tier: "page" | "quiet"): Configuration => ({
    ...(revision === null ? {} : { revision }),
    sources: [{ name: "shop", kind: "memory", block: { project: "p" } }],
    destinations: [{ name: "memory", kind: "memory", block: { store: "s" } }],
    rules: [ruleOf({ name: "web", tier })],
    webhooks: {},
  });
  return async (revision, tier) => {
    await takeIn(hand.runtime, file(revision, tier));
    const [row] = await hand.rows<{ tier: string }>(
      "select definition->>'tier' as tier from branchline.rule where orphaned_at is null",
    );
    return row?.tier ?? "";
  };
}

test("an older file than what was applied is left aside, with words, and the process goes on", async () => {
  const take = await started();
  expect(await take(8, "page")).toBe("page");
  expect(await take(7, "quiet")).toBe("page");
  expect(hand.log.join("")).toContain("the file is older than what was applied last");
  expect(await take(null, "quiet")).toBe("page");
  const refused = await hand.rows(
    "select actor, details from branchline.audit where action = 'document.refuse'",
  );
  expect(refused).toMatchObject([
    { actor: "the file branchline.yaml", details: { code: "old_revision", revision: 7, stored: 8 } },
    { actor: "the file branchline.yaml", details: { code: "old_revision", revision: null, stored: 8 } },
  ]);
  expect(await take(8, "quiet")).toBe("quiet");
  expect(await take(9, "page")).toBe("page");
});

test("equal content is not taken in again: nothing becomes due", async () => {
  const take = await started();
  await take(1, "page");
  const { db } = hand.runtime.database;
  const before = await configurationRow(db);
  const rows = async () => await hand.rows("select revision, due_at from branchline.source order by id");
  const sources = await rows();
  await take(1, "page");
  expect(await configurationRow(db)).toEqual(before);
  expect(await rows()).toEqual(sources);
  await take(2, "page");
  expect((await configurationRow(db))?.revision).toBe(2);
});
