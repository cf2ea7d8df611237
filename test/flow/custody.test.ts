/** The custody report knows whose value a name holds, also where a vendor spells names its own way. */
import { expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { custodyOf } from "../../services/store/history.ts";
import { ruleOf } from "../support/app.ts";
import { startByHand } from "../support/hand.ts";

test("the generation is known of names that the vendor writes in capitals", async () => {
  const project = new MemoryProject("p1");
  const variables = { database_url: "pooled", Pg_Host: "pooled.host" };
  const hand = await startByHand({
    projects: [project],
    destinations: { memory: { capitals: true } },
    rules: [ruleOf({ name: "web", variables })],
  });
  try {
    const id = project.addBranch("preview/x");
    await hand.look();
    const held = async () => {
      const { branch } = await hand.binding("preview/x");
      const rows = await custodyOf(hand.database.db, branch.id, null);
      return rows.map(({ name, role, generation, current }) => [name, role, generation, current]);
    };
    const host = ["PG_HOST", null, null, false];
    expect(await held()).toEqual([["DATABASE_URL", "app_owner", 1, true], host]);
    project.rotate(id, "app_owner");
    await hand.look();
    expect(await held()).toEqual([["DATABASE_URL", "app_owner", 2, true], host]);

    // Forgotten, and noted anew when what is there is found to be right.
    await hand.rows("update branchline.ledger set login_id = null, generation = null, confirmed = false");
    await hand.rows("update branchline.place set due_at = now(), settle_at = now()");
    await hand.rows("update branchline.binding set wanted = wanted + 1");
    await hand.drain();
    expect(await held()).toEqual([["DATABASE_URL", "app_owner", 2, true], host]);
  } finally {
    await hand.stop();
  }
});
