/** Cases of the destination suite: what becomes of a vendor's bad days. */
import { expect } from "vitest";
import type { Code, SyncError } from "../../services/sync/errors.ts";
import { nextFor } from "../../services/sync/outcome.ts";
import { IMPATIENT_MS, nameIn, type SuiteFault } from "./destination.bench.ts";
import type { Hold } from "./destination.suite.ts";

const ANSWERS: readonly { readonly status: 403 | 429 | 500; readonly code: Code; readonly words: string }[] =
  [
    { status: 403, code: "forbidden", words: "a refusal as forbidden" },
    { status: 429, code: "rate_limited", words: "a limit as rate_limited, with the wait it was told" },
    { status: 500, code: "unavailable", words: "a server error as unavailable" },
  ];

export function describeFailing(hold: Hold): void {
  for (const { status, code, words } of ANSWERS) {
    const fault = (during: "observe" | "apply"): SuiteFault => ({
      kind: "status",
      status,
      during,
      ...(status === 429 ? { retryAfter: "7" } : {}),
    });

    hold(`observe() reports ${words}`, null, async (bench) => {
      await bench.fixture.fault(fault("observe"));
      const error = await bench.failure(() => bench.observe());
      expect(error.code).toBe(code);
      if (status === 429) expect(error.retryAfterMs).toBe(7_000);
      expectTold(error);
    });

    hold(`apply() reports ${words}`, null, async (bench) => {
      const seen = await bench.observe();
      await bench.fixture.fault(fault("apply"));
      const puts = [
        bench.put("DATABASE_URL", bench.value("no"), seen),
        bench.put("PGHOST", bench.value("no"), seen),
      ];
      const error = await bench.failure(() => bench.apply(puts, bench.claim(seen)));
      expect(error.code).toBe(code);
      if (status === 429) expect(error.retryAfterMs).toBe(7_000);
      expectTold(error);
      await bench.fixture.clearFaults();
      expect(await bench.readBack("DATABASE_URL")).toBeUndefined();
      expect(await bench.readBack("PGHOST")).toBeUndefined();
    });
  }

  hold("reports a credential that is not accepted", null, async (bench) => {
    const destination = bench.openWith(bench.fixture.wrongCredential);
    expect((await bench.failure(() => bench.observe(0, destination))).code).toBe("unauthenticated");
    expect((await bench.failure(() => destination.check(bench.target(0)))).code).toBe("unauthenticated");
    const seen = await bench.observe();
    const put = bench.put("DATABASE_URL", bench.value("no"), seen);
    const error = await bench.failure(() => bench.apply([put], bench.claim(seen), { destination }));
    expect(error.code).toBe("unauthenticated");
    expect(await bench.readBack("DATABASE_URL")).toBeUndefined();
  });

  hold("gives up on a vendor that never answers", null, async (bench) => {
    const seen = await bench.observe();
    await bench.fixture.fault({ kind: "hang", during: "observe" });
    const destination = bench.openImpatient();
    const started = performance.now();
    const unseen = await bench.failure(() => bench.observe(0, destination));
    expect(unseen).toMatchObject({ code: "unavailable", ambiguous: false });
    await bench.fixture.clearFaults();
    await bench.fixture.fault({ kind: "hang", during: "apply" });
    const put = bench.put("DATABASE_URL", bench.value("lost"), seen);
    const [result] = await bench.apply([put], bench.claim(seen), { destination });
    expect(result?.error).toMatchObject({ code: "unavailable", ambiguous: true });
    expect(result?.unsettled).toBe(true);
    expect(performance.now() - started).toBeLessThan(10 * IMPATIENT_MS);
  });

  hold("says that it does not know when the answer to a write is lost", null, async (bench) => {
    const seen = await bench.observe();
    const value = bench.value("landed");
    const put = bench.put("DATABASE_URL", value, seen);
    const claim = bench.claim(seen);
    await bench.fixture.fault({ kind: "die-after-applying", during: "apply" });
    const [result] = await bench.apply([put], claim);
    expect(result?.unsettled).toBe(true);
    expect(result?.error).toMatchObject({ code: "unavailable", ambiguous: true });
    await bench.fixture.clearFaults();
    expect(await bench.readBack("DATABASE_URL")).toBe(value);

    const after = await bench.observe();
    expect(bench.traits.grain === "atomic" ? after.exists : nameIn(after, put.name)).toBeTruthy();
    const again = bench.put("DATABASE_URL", value, after, { owned: true });
    const [repaired] = await bench.apply([again], { ...claim, observation: after });
    expect(repaired?.error).toBeNull();
  });

  hold("does nothing more once its work is stopped", null, async (bench) => {
    const seen = await bench.observe();
    const before = await bench.fixture.calls();
    bench.abort();
    const put = bench.put("DATABASE_URL", bench.value("late"), seen);
    const error = await bench.failure(() => bench.apply([put], bench.claim(seen)));
    expect(error).toMatchObject({ code: "unavailable", ambiguous: false });
    expect((await bench.failure(() => bench.observe())).code).toBe("unavailable");
    expect(await bench.fixture.calls()).toBe(before);
  });

  hold("lets go of a call under way when its work is stopped", null, async (bench) => {
    await bench.observe();
    await bench.fixture.fault({ kind: "hang", during: "observe" });
    const before = await bench.fixture.calls();
    const waiting = bench.failure(() => bench.observe());
    await expect.poll(() => bench.fixture.calls(), { interval: 5, timeout: 20_000 }).toBeGreaterThan(before);
    const started = performance.now();
    bench.abort();
    expect((await waiting).code).toBe("unavailable");
    expect(performance.now() - started).toBeLessThan(4 * IMPATIENT_MS);
  });
}

/** Whoever is on call learns where it happened and what to do, and the vendor's support what to look for. */
function expectTold(error: SyncError): void {
  const { vendor, operation, requestId, ...where } = error.where;
  expect(vendor).toMatch(/^\w+$/);
  // The memory destination has no HTTP to tell of.
  if (vendor === "memory") return;
  expect(operation).toMatch(/^\w/);
  // AWS refuses with 400 whatever the reason.
  expect(where.status).toBeGreaterThanOrEqual(400);
  // Vault's refusals carry no id.
  if (vendor !== "vault") expect(requestId).toMatch(/^[\w:.=/+-]{4,}$/);
  expect(nextFor(error)).toMatch(/^[A-Z].*\.$/);
}
