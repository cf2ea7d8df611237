import { describe, expect, test } from "vitest";
import { github } from "../../../../services/destinations/github.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import type { LedgerEntry } from "../../../../services/sync/model.ts";
import { isOurs } from "../../../../services/sync/ownership.ts";
import type { Observation, ObservedName } from "../../../../services/sync/ports.ts";

const CLAIMED = Date.UTC(2026, 8, 1, 12);
const entry: LedgerEntry = {
  name: "A",
  bindingId: "b",
  fingerprint: null,
  version: null,
  claimedAt: new Date(CLAIMED),
  claims: ["ours"],
  deleting: false,
  confirmed: false,
  written: false,
  drifts: 0,
};
const made = (ms: number, more: Partial<ObservedName> = {}): ObservedName => ({
  name: "A",
  fingerprint: null,
  version: "1",
  mark: null,
  foreign: null,
  createdAt: new Date(CLAIMED + ms),
  ...more,
});
const observation: Observation = {
  complete: true,
  contents: true,
  exists: true,
  version: null,
  mark: null,
  foreign: null,
  names: [],
};
const scene = { traits: github.traits, installation: "inst-1", observation, ledger: [entry] };

describe("isOurs(), for a write that was claimed and never recorded", () => {
  test.each([
    ["a minute before the claim", -60_000, false],
    ["three seconds before it", -3_000, false],
    ["within the second that the vendor rounds to", -1_000, true],
    ["right after it", 500, true],
    ["as late as a request lives", 60_000, true],
    ["later than that", 61_000, false],
  ])("at GitHub only the time of its making speaks: %s", (_, ms, ours) => {
    expect(isOurs(scene, entry, made(ms))).toBe(ours);
  });

  test("not without a time, and not where a mark would be there", () => {
    expect(isOurs(scene, entry, made(500, { createdAt: null }))).toBe(false);
    expect(isOurs({ ...scene, traits: vercel.traits }, entry, made(500))).toBe(false);
  });

  test("a value that can be read speaks for itself", () => {
    expect(isOurs(scene, entry, made(500, { fingerprint: "theirs" }))).toBe(false);
    expect(isOurs(scene, entry, made(-60_000, { fingerprint: "ours" }))).toBe(true);
  });

  test("what was recorded once stays ours, unless somebody else says that it is theirs", () => {
    const written = { ...entry, written: true };
    expect(isOurs(scene, written, made(-60_000))).toBe(true);
    const mark = { installation: "another", rule: "web", branch: "br" };
    expect(isOurs(scene, written, made(500, { mark }))).toBe(false);
    expect(isOurs(scene, written, made(500, { foreign: "an integration" }))).toBe(false);
  });
});
