/** What Vercel tells without a write of a git branch that it may not know. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { startVercel, VERCEL_DEFAULTS, type VercelState } from "../../../../infra/sandbox/vercel.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import { Hand } from "./hand.ts";

const PROJECT = VERCEL_DEFAULTS.projectName;
const UNKNOWN = { environment: "preview", gitBranch: "not-pushed" };
let vendor: Vendor<VercelState>;
let hand: Hand;

beforeEach(async () => {
  vendor = await startVercel();
  const block = { project: PROJECT, team: VERCEL_DEFAULTS.teamSlug, token: "env:T", api: vendor.url };
  hand = new Hand(vercel, { ...block, privateNetwork: true }, { "env:T": VERCEL_DEFAULTS.token });
});
afterEach(async () => await vendor.close());

test("a branch of which nothing was deployed is missing, and known once it was", async () => {
  await expect(hand.foretell(UNKNOWN)).rejects.toMatchObject({
    code: "target_missing",
    next: expect.stringContaining("about to be pushed"),
  });
  vendor.state.addBranch(PROJECT, "not-pushed");
  await hand.foretell(UNKNOWN);
});

test("where pushes are not deployed nothing can be told, and nothing is refused", async () => {
  vendor.state.project(PROJECT).deploys = false;
  await hand.foretell(UNKNOWN);
  expect(vendor.log.some(({ operation }) => operation.includes("deployments"))).toBe(false);
});

test("a project without a repository knows no branch; without a branch nobody is asked", async () => {
  vendor.state.project(PROJECT).link = null;
  await expect(hand.foretell(UNKNOWN)).rejects.toMatchObject({ code: "target_missing" });
  const before = vendor.log.length;
  await hand.foretell({ environment: "preview" });
  expect(vendor.log.length).toBe(before);
});
