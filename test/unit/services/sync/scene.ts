/** Builders for what the core decides about: everything has a plain default, a test says what is special. */
import type { LedgerEntry, RenderedVariable, Rule } from "../../../../services/sync/model.ts";
import type { PlanInput, Wish } from "../../../../services/sync/plan.ts";
import type { Mark, Observation, ObservedName, Traits } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { ruleOf } from "../../../support/app.ts";

export const INSTALLATION = "inst-1";
export const NOW = new Date("2026-09-01T12:00:00Z");
export const OURS: Mark = { installation: INSTALLATION, rule: "web", branch: "br-1" };
export const THEIRS: Mark = { installation: "another", rule: "web", branch: "br-1" };

/** Readable, name by name, no compare-and-set, with a mark: as Vercel. */
export function traitsOf(traits: Partial<Traits> = {}): Traits {
  return {
    values: "readable",
    grain: "per-name",
    createOnly: true,
    compareAndSet: false,
    mark: true,
    versionGrainMs: 0,
    inFlight: 4,
    limits: { valueBytes: 100, names: null, bundleBytes: null },
    normaliseName: (name) => name.toUpperCase(),
    refuseName: (name) => (name.includes("-") ? "no dashes" : null),
    ...traits,
  };
}

/** One secret, one version. */
export const ATOMIC: Partial<Traits> = { grain: "atomic", compareAndSet: true };
/** Neither values nor marks: as GitHub. */
export const WRITE_ONLY: Partial<Traits> = { values: "write-only", createOnly: false, mark: false };

export function seenName(name: string, seen: Partial<ObservedName> = {}): ObservedName {
  return { name, fingerprint: "old", version: "1", mark: OURS, foreign: null, createdAt: null, ...seen };
}

export function observed(names: readonly ObservedName[] = [], rest: Partial<Observation> = {}): Observation {
  return {
    complete: true,
    contents: true,
    exists: true,
    version: null,
    mark: null,
    foreign: null,
    names,
    ...rest,
  };
}

/** Ours, written and recorded as "old" under version 1. */
export function entryOf(name: string, entry: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    name,
    bindingId: "b1",
    fingerprint: "old",
    version: "1",
    claimedAt: NOW,
    claims: [],
    deleting: false,
    confirmed: true,
    written: true,
    drifts: 0,
    ...entry,
  };
}

/** Claimed, and never recorded. */
export const claimedOnly: Partial<LedgerEntry> = {
  fingerprint: null,
  version: null,
  claims: ["new"],
  confirmed: false,
  written: false,
};

export function variable(name: string, fingerprint = "new", value = "value"): RenderedVariable {
  return { name, value: new Secret(value), fingerprint };
}

export function wishFor(variables: readonly RenderedVariable[], wish: Partial<Wish> = {}): Wish {
  return {
    bindingId: "b1",
    rule: "web",
    policy: "upsert-only",
    adopt: new Set(),
    handed: null,
    variables,
    leaving: false,
    moved: false,
    ...wish,
  };
}

export function inputOf(input: Partial<PlanInput> & { of?: Partial<Traits> } = {}): PlanInput {
  const { of, ...rest } = input;
  return {
    traits: traitsOf(of),
    installation: INSTALLATION,
    observation: observed(),
    ledger: [],
    wishes: [wishFor([variable("A")])],
    force: false,
    ...rest,
  };
}

export const webRule = (rule: Partial<Rule> = {}): Rule => ruleOf({ name: "web", ...rule });
