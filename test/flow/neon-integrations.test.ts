/** Neon's own integration was there first, or comes later: it is recognised, reported and never fought over. */
import { afterEach, describe, expect, test } from "vitest";
import type { Vendor } from "../../infra/sandbox/vendor.ts";
import { startVercel, VERCEL_DEFAULTS, type VercelState } from "../../infra/sandbox/vercel.ts";
import { vercel } from "../../services/destinations/vercel.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";

const PROJECT = "shop-web";
let vendor: Vendor<VercelState>;
let hand: Hand;

afterEach(async () => {
  await hand.stop();
  await vendor.close();
});

const theirs = (key: string) => ({
  key,
  value: "postgresql://theirs",
  target: ["preview" as const],
  configurationId: "icfg_neon",
});

async function start(rule: object, seeded: readonly string[]): Promise<MemoryProject> {
  vendor = await startVercel();
  for (const key of seeded) vendor.state.seed(PROJECT, theirs(key));
  const project = new MemoryProject();
  const block = {
    project: PROJECT,
    team: "acme",
    token: "env:VERCEL_TOKEN",
    api: vendor.url,
    privateNetwork: true,
  };
  hand = await startByHand({
    projects: [project],
    destinations: {},
    vendors: { web: { adapter: vercel, block } },
    credentials: { "env:VERCEL_TOKEN": VERCEL_DEFAULTS.token },
    rules: [ruleOf({ name: "web", destination: "web", target: { environment: "preview" }, ...rule })],
  });
  return project;
}

const held = () => vendor.state.values(PROJECT, { target: "preview" });

describe("names that an integration owns in Vercel", () => {
  test("park the whole binding as not_owned, in words that name the integration", async () => {
    const project = await start({}, ["DATABASE_URL"]);
    project.addBranch("preview/x");
    await hand.look();
    const binding = await hand.binding("preview/x");
    expect(binding).toMatchObject({ state: "parked", code: "not_owned" });
    expect(binding.cause).toBe('"DATABASE_URL" belongs to an integration installed in Vercel (icfg_neon)');
    expect(held()).toEqual({ DATABASE_URL: "postgresql://theirs" });
  });

  test("are not to be had by adopting them either", async () => {
    const project = await start({ adopt: ["DATABASE_URL", "DATABASE_URL_UNPOOLED"] }, ["DATABASE_URL"]);
    project.addBranch("preview/x");
    await hand.look();
    expect(await hand.binding("preview/x")).toMatchObject({ state: "parked", code: "not_owned" });
    expect(held()).toEqual({ DATABASE_URL: "postgresql://theirs" });
  });

  test("are left to it when it takes over what we had written", async () => {
    const project = await start({}, []);
    const id = project.addBranch("preview/x");
    await hand.look();
    expect((await hand.binding("preview/x")).state).toBe("synced");
    const rows = vendor.state.project(PROJECT).rows;
    rows.splice(0, rows.length);
    for (const key of ["DATABASE_URL", "DATABASE_URL_UNPOOLED"]) vendor.state.seed(PROJECT, theirs(key));
    project.rotate(id, "app_owner");
    await hand.look();
    const binding = await hand.binding("preview/x");
    expect(binding).toMatchObject({ state: "parked", code: "not_owned" });
    expect(binding.cause).toContain("integration");
    expect(Object.values(held())).toEqual(["postgresql://theirs", "postgresql://theirs"]);
  });
});
