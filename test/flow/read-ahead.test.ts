/** A branch that has just appeared is read while that is written down, and what was read so is used only as long as it is true. */
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HANDS } from "../../services/queue/hands.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { markDue } from "../../services/store/work.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { reconcile } from "../../workers/reconcile.ts";
import type { Runtime } from "../../workers/runtime.ts";
import { watch } from "../../workers/watch.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();
let project: MemoryProject;
let hand: Hand;

beforeEach(async () => {
  project = new MemoryProject("p1");
  hand = await startByHand({
    projects: [project],
    destinations: { box: {} },
    rules: [ruleOf({ name: "web", destination: "box", exposure: "preview" })],
  });
  await hand.look();
});
afterEach(async () => await hand.stop());

/** Looks at the source, and resolves with the ids of what appeared. */
async function look(runtime = hand.runtime): Promise<string[]> {
  const known = await hand.rows<{ id: string }>("select id from branchline.branch");
  const [source] = await hand.rows<{ id: string }>("select id from branchline.source");
  await markDue(hand.database.db, "source", [source?.id ?? ""]);
  await watch(runtime, source?.id ?? "", signal);
  const rows = await hand.rows<{ id: string }>("select id from branchline.branch");
  return rows.map(({ id }) => id).filter((id) => !known.some((one) => one.id === id));
}

const reads = () => vi.spyOn(project.source, "read");
const reconciled = async (id: string): Promise<boolean> => await reconcile(hand.runtime, id, signal);
const published = async (branch: string): Promise<string | undefined> => {
  await hand.drain();
  const { target } = await hand.binding(branch);
  return hand.store("box").values(target ?? "")["DATABASE_URL"];
};

describe("a branch that has just appeared", () => {
  test("is read once: while that is written down, for its reconcile", async () => {
    const read = reads();
    const neonId = project.addBranch("preview/x");
    const [id = ""] = await look();
    expect(read.mock.calls).toEqual([[neonId, ["app_owner"]]]);
    expect(await reconciled(id)).toBe(true);
    expect(read).toHaveBeenCalledTimes(1);
    expect(await published("preview/x")).toContain(project.passwordOf(neonId, "app_owner"));
  });

  test("is read for as long as the process runs, which remembers no reading that has ended", async () => {
    const process = new AbortController();
    const [source] = await hand.rows<{ id: string }>("select id from branchline.source");
    const lookOnce = async (): Promise<void> => {
      await markDue(hand.database.db, "source", [source?.id ?? ""]);
      await watch(hand.runtime, source?.id ?? "", process.signal);
    };
    const followed = (): number => getEventListeners(process.signal, "abort").length;
    const ends: (() => void)[] = [];
    reads().mockImplementation(async () => {
      await new Promise<void>((resolve) => ends.push(resolve));
      return null;
    });
    project.addBranch("preview/x");
    await lookOnce();
    expect(followed()).toBe(1);
    for (const end of ends) end();
    await until(() => followed() === 0, { what: "the reading to be forgotten" });
  });

  test("is read again if somebody has hinted at it since, and has its newest password", async () => {
    const neonId = project.addBranch("preview/x");
    const [id = ""] = await look();
    const read = reads();
    const newest = project.rotate(neonId, "app_owner");
    await markDue(hand.database.db, "branch", [id]);
    await reconciled(id);
    expect(read).toHaveBeenCalledTimes(1);
    const [login] = await hand.rows<{ generation: number }>(
      `select generation::int from branchline.login where branch_id = '${id}'`,
    );
    expect(login?.generation).toBe(1);
    expect(await published("preview/x")).toContain(newest);
  });

  test("is read again if that was a while ago", async () => {
    project.addBranch("preview/x");
    const [id = ""] = await look();
    const read = reads();
    const from = performance.now();
    await until(() => performance.now() - from > 1_100);
    await reconciled(id);
    expect(read).toHaveBeenCalledTimes(1);
  });

  test("is read again after a freeze, in which no timer runs", async () => {
    const { begin } = hand.runtime;
    const frozen: Runtime = {
      ...hand.runtime,
      begin: async (kind, id) => {
        const begun = await begin(kind, id);
        const thaw = performance.now() + (kind === "branch" ? 1_100 : 0);
        while (performance.now() < thaw); // nothing else runs, as when the whole process stands still
        return begun;
      },
    };
    project.addBranch("preview/x");
    const [id = ""] = await look(frozen);
    const read = reads();
    await reconcile(frozen, id, signal);
    expect(read).toHaveBeenCalledTimes(1);
  });

  test("is read again, by all roles, if a rule wants another by now", async () => {
    const neonId = project.addBranch("preview/x");
    project.addRole(neonId, "reader");
    const [id = ""] = await look();
    const roles = { default: "reader" };
    await hand.configure([ruleOf({ name: "web", destination: "box", exposure: "preview", roles })]);
    await hand.rows("update branchline.branch set revision = 0");
    const read = reads();
    await reconciled(id);
    expect(read.mock.calls).toEqual([[neonId, ["reader"]]]);
  });

  test("whose reading fails is due again, as if its reconcile had asked", async () => {
    const [failing] = [reads().mockRejectedValueOnce(new SyncError("unavailable", "Neon does not answer"))];
    project.addBranch("preview/x");
    const [id = ""] = await look();
    expect(await reconciled(id)).toBe(false);
    expect(failing).toHaveBeenCalledTimes(1);
    const [row] = await hand.rows("select attempts, code from branchline.branch where read_at is null");
    expect(row).toEqual({ attempts: 1, code: "unavailable" });
  });

  test("is read again if the look that began to read it was not written down", async () => {
    const neonId = project.addBranch("preview/x");
    const { database } = hand;
    const failing = vi.spyOn(database, "transaction").mockRejectedValueOnce(new Error("no connection"));
    expect(await look()).toEqual([]);
    failing.mockRestore();
    // By another process, say: what it knows it has from its own look.
    for (let n = 0; n <= HANDS.reconcile; n += 1) project.addBranch(`preview/${n}`);
    await hand.rows("update branchline.source set lease_until = null");
    await look();
    const [{ id } = { id: "" }] = await hand.rows<{ id: string }>(
      `select id from branchline.branch where neon_id = '${neonId}'`,
    );
    const read = reads();
    await reconciled(id);
    expect(read).toHaveBeenCalledTimes(1);
  });

  test("is not read ahead if no rule means it, or if there are more than one process begins with", async () => {
    const read = reads();
    await hand.configure([
      ruleOf({ name: "web", destination: "box", exposure: "preview", branches: { include: ["preview/*"] } }),
    ]);
    project.addBranch("dev/x");
    await look();
    expect(read).not.toHaveBeenCalled();
    for (let n = 0; n <= HANDS.reconcile; n += 1) project.addBranch(`preview/${n}`);
    expect(await look()).toHaveLength(HANDS.reconcile + 1);
    expect(read).not.toHaveBeenCalled();
  });
});
