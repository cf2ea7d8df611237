/** Whether what a branch is to have is known yet: whoever waits for it is told no sooner that nothing comes. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { MemoryProject } from "../../../../services/sources/memory.ts";
import { standOf } from "../../../../services/store/standing.ts";
import { ruleOf } from "../../../support/app.ts";
import { type Hand, startByHand } from "../../../support/hand.ts";

let project: MemoryProject;
let hand: Hand;
let branchId: string;

beforeEach(async () => {
  project = new MemoryProject("p1");
  hand = await startByHand({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  project.addBranch("preview/x");
  await hand.look();
  const [row] = await hand.rows<{ id: string }>("select id from branchline.branch where name = 'preview/x'");
  branchId = row?.id ?? "";
});
afterEach(async () => {
  await hand.stop();
});

const unread = async (): Promise<boolean | undefined> =>
  (await standOf(hand.database.db, branchId, null, null))?.unread;

test("a branch that was read and that nobody asks for is known", async () => {
  expect(await unread()).toBe(false);
});

test.each([
  ["is due", "due_at = now()"],
  ["is being read", "lease_until = now() + interval '1 minute'"],
  ["was never read, and is to be tried again later", "read_at = null, due_at = now() + interval '1 minute'"],
  ["could not be read, and is to be tried again later", "attempts = 1, due_at = now() + interval '1 minute'"],
])("one that %s is not", async (_, how) => {
  await hand.rows(`update branchline.branch set ${how} where id = '${branchId}'`);
  expect(await unread()).toBe(true);
});

test("of one that is gone nothing more is to be known", async () => {
  await hand.rows(`update branchline.branch set gone_at = now(), read_at = null where id = '${branchId}'`);
  expect(await unread()).toBe(false);
});
