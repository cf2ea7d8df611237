/** Schedules as fast-check makes and shrinks them: few events that matter, at moments that matter. */
import fc from "fast-check";
import type { Action, Schedule, Trouble } from "./run.ts";
import { CLASSES, type VendorClass } from "./vendor.ts";

export const VENDORS = Object.keys(CLASSES) as VendorClass[];
const branch = fc.constantFrom("preview/a", "preview/b");
const name = fc.constantFrom("DATABASE_URL", "DATABASE_URL_UNPOOLED", "JOBS_URL", "THEIRS");

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("rotate" as const), branch }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("add" as const), branch }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), branch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("inherit" as const), branch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rotate" as const), branch: fc.constant("main") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rotate by sql" as const), branch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign write" as const), branch, name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign delete" as const), branch, name }) },
);

const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  fc.record({ kind: fc.constant("crash" as const) }),
  fc.record({
    kind: fc.constantFrom("freeze" as const, "zombie" as const),
    ms: fc.integer({ min: 1_000, max: 60_000 }),
  }),
);

/** All sorts of things, now and then. */
export function schedules(vendors: readonly VendorClass[] = VENDORS): fc.Arbitrary<Schedule> {
  const happening = fc.record({ at: fc.integer({ min: 1_000, max: 90_000 }), action, told: fc.boolean() });
  return fc.record({
    vendor: fc.constantFrom(...vendors),
    seed,
    // Something to lose from the start.
    actions: fc.array(happening, { maxLength: 8 }).map((rest) => [...BEGINNING, ...rest]),
    troubles: fc.array(fc.record({ step: fc.integer({ min: 1, max: 300 }), trouble }), { maxLength: 4 }),
    sourceFaults: fc.array(
      fc.record({
        call: fc.integer({ min: 1, max: 60 }),
        fault: fc.constantFrom("error" as const, "absent" as const),
      }),
      { maxLength: 4 },
    ),
    vendorFaults: vendorFaults(4),
    hanging: fc.constant(0),
  });
}

/** Passwords that change every few seconds while workers freeze and requests come late. */
export function storms(vendors: readonly VendorClass[] = VENDORS): fc.Arbitrary<Schedule> {
  const rotation = fc.record({
    at: fc.integer({ min: 1_000, max: 60_000 }),
    action: fc.record({ kind: fc.constant("rotate" as const), branch: fc.constant("preview/a") }),
    told: fc.constant(true),
  });
  const freeze = fc.record({
    kind: fc.constantFrom("freeze" as const, "zombie" as const),
    ms: fc.integer({ min: 25_000, max: 50_000 }),
  });
  return fc.record({
    vendor: fc.constantFrom(...vendors),
    seed,
    actions: fc.array(rotation, { minLength: 4, maxLength: 12 }).map((rest) => [...BEGINNING, ...rest]),
    troubles: fc.array(fc.record({ step: fc.integer({ min: 1, max: 250 }), trouble: freeze }), {
      maxLength: 6,
    }),
    sourceFaults: fc.constant([]),
    vendorFaults: vendorFaults(8),
    hanging: fc.constant(0),
  });
}

/** Lists that leave out a branch, again and again. */
export function lies(vendors: readonly VendorClass[] = VENDORS): fc.Arbitrary<Schedule> {
  return fc.record({
    vendor: fc.constantFrom(...vendors),
    seed,
    actions: fc.constant(BEGINNING),
    troubles: fc.constant([]),
    sourceFaults: fc.array(
      fc.record({ call: fc.integer({ min: 1, max: 40 }), fault: fc.constant("short" as const) }),
      { minLength: 4, maxLength: 16 },
    ),
    vendorFaults: fc.constant([]),
    hanging: fc.constant(0),
  });
}

/** Everything is well here, and another destination does not answer anybody. */
export function hangs(vendors: readonly VendorClass[] = VENDORS): fc.Arbitrary<Schedule> {
  const rotation = fc.record({
    at: fc.integer({ min: 1_000, max: 90_000 }),
    action: fc.record({ kind: fc.constant("rotate" as const), branch }),
    told: fc.constant(true),
  });
  return fc.record({
    vendor: fc.constantFrom(...vendors),
    seed,
    actions: fc.array(rotation, { maxLength: 8 }).map((rest) => [...BEGINNING, ...rest]),
    troubles: fc.constant([]),
    sourceFaults: fc.constant([]),
    vendorFaults: fc.constant([]),
    hanging: fc.integer({ min: 6, max: 40 }),
  });
}

const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 });

const BEGINNING: Schedule["actions"] = [
  { at: 10, action: { kind: "add", branch: "preview/a" }, told: true },
  { at: 2_000, action: { kind: "rotate", branch: "preview/a" }, told: true },
];

const vendorFaults = (maxLength: number): fc.Arbitrary<Schedule["vendorFaults"]> =>
  fc.array(
    fc.record({
      request: fc.integer({ min: 1, max: 25 }),
      fault: fc.constantFrom("error" as const, "lost" as const, "unanswered" as const, "late" as const),
    }),
    { maxLength },
  );
