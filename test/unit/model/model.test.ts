/**
 * A model of the whole: the real core, and around it our rows, Neon, a vendor and three workers in memory and
 * virtual time. Thousands of schedules of what happens and what fails; one that breaks a promise is printed
 * with its seed and shrunk to the few events that matter.
 *
 * `MODEL_RUNS=20000 npx vitest run test/unit/model` looks longer.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PromiseName } from "./check.ts";
import { run, type Schedule } from "./run.ts";
import { hangs, lies, schedules, storms, VENDORS } from "./schedule.ts";
import type { Switches } from "./sim.ts";
import type { VendorClass } from "./vendor.ts";

const RUNS = Number(process.env["MODEL_RUNS"] ?? 300);
/** All sorts of things have most to find; where nothing fails there is little. */
const OFTEN = { schedules: 1, storms: 1 / 3, lies: 1 / 3, hangs: 1 / 10 };
const TIMEOUT_MS = 30_000 + RUNS * 50;

describe("the model", () => {
  test.each(VENDORS)(
    "keeps every promise at a vendor that is %s",
    { timeout: TIMEOUT_MS },
    async (vendor) => {
      for (const kind of [schedules, storms, lies, hangs]) {
        const property = fc.asyncProperty(kind([vendor]), async (schedule) => {
          expect(await run(schedule)).toEqual([]);
        });
        await fc.assert(property, { numRuns: RUNS * OFTEN[kind.name as keyof typeof OFTEN] });
      }
    },
  );

  test("is not called broken for what is just being looked at again when it ends", async () => {
    // Refused as production's password, read again every two minutes, and once more in the last 40 ms.
    const faults = ["error", "unanswered", "lost", "unanswered"] as const;
    const violations = await run({
      vendor: "atomic readable",
      seed: 11,
      actions: [{ at: 29_748, action: { kind: "inherit", branch: "preview/b" }, told: true }],
      troubles: [
        { step: 96, trouble: { kind: "freeze", ms: 49_847 } },
        { step: 273, trouble: { kind: "crash" } },
      ],
      sourceFaults: [],
      vendorFaults: [1, 2, 6, 11].map((request, n) => ({ request, fault: faults[n] ?? "error" })),
      hanging: 0,
    });
    expect(violations).toEqual([]);
  });

  test("does the same again for the same schedule", async () => {
    const [schedule] = fc.sample(storms(), { numRuns: 1, seed: 7 });
    if (schedule === undefined) throw new Error("no sample");
    const broken = { noFence: true, readBeforeObserve: true };
    expect(await run(schedule, broken)).toEqual(await run(schedule, broken));
  });
});

type Kind = (vendors: readonly VendorClass[]) => fc.Arbitrary<Schedule>;

describe("a promise that is broken on purpose is seen to be broken", () => {
  /** With a seed where it would otherwise take long until a schedule comes that shows it. */
  const broken: readonly [PromiseName, string, Switches, VendorClass, Kind, seed?: number][] = [
    ["P1", "hints are answered before they are on disk", { answerFirst: true }, "write-only", schedules],
    ["P2", "writes compare nothing", { noCompare: true }, "atomic readable", storms],
    ["P2", "writes compare nothing", { noCompare: true }, "atomic by version", storms],
    [
      "P2",
      "Neon is read before the vendor is observed, and no epoch is asked for",
      { readBeforeObserve: true, noFence: true },
      "atomic readable",
      storms,
      7,
    ],
    ["P3", "whoever lost a lease still records", { noFence: true }, "atomic by version", storms],
    ["P3", "whoever lost a lease still records", { noFence: true }, "write-only", storms],
    ["P3", "names are claimed after the write", { claimAfterWrite: true }, "write-only", schedules],
    ["P3", "doubtful writes are not repeated", { noSettle: true }, "write-only", schedules, 6],
    ["P3", "nobody looks without an event", { noPoll: true }, "atomic readable", schedules],
    ["P3", "nobody compares with the ledger", { noSweep: true }, "per-name readable", schedules],
    ["P4", "fingerprints are what they stand for", { plainFingerprints: true }, "write-only", schedules],
    ["P5", "every name counts as handed over", { adoptAll: true }, "per-name readable", schedules],
    ["P6", "one destination may keep all workers busy", { noCap: true }, "atomic readable", hangs],
    ["P7", "lists are believed", { trustLists: true }, "per-name readable", lies],
    ["P8", "nobody asks whose password it is", { noGate: true }, "per-name readable", schedules],
    ["P9", "names are pushed one by one", { noBundle: true }, "per-name readable", schedules],
    ["P10", "nobody logs in first", { noProof: true }, "write-only", schedules],
  ];

  test.each(broken)("%s, when %s", async (promise, _what, switches, vendor, kind, seed = 1) => {
    const found: string[] = [];
    for (const schedule of fc.sample(kind([vendor]), { numRuns: 500, seed })) {
      found.push(...(await run(schedule, switches)).map((violation) => violation.promise));
      if (found.includes(promise)) break;
    }
    expect(found).toContain(promise);
  });
});
