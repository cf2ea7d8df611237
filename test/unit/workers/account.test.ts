import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import { SyncError } from "../../../services/sync/errors.ts";
import { createFingerprinter } from "../../../services/sync/fingerprint.ts";
import { Secret } from "../../../services/sync/secret.ts";
import { doubtAccount, proveAccount } from "../../../workers/account.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

let token = "first";
const runtime = {
  fingerprint: createFingerprinter(new Uint8Array(32)),
  resolve: () => new Secret(token),
};
const newDestination = () => ({ id: randomUUID(), block: { project: "shop", token: { ref: "env:TOKEN" } } });

function counter(): { check: () => Promise<void>; asked: () => number } {
  let asked = 0;
  return {
    check: async () => {
      asked += 1;
    },
    asked: () => asked,
  };
}

describe("proveAccount()", () => {
  test("asks once, and again after some minutes", async () => {
    const { check, asked } = counter();
    const destination = newDestination();
    for (let n = 0; n < 3; n += 1) await proveAccount(runtime, destination, check);
    expect(asked()).toBe(1);
    const later = performance.now() + 6 * 60_000;
    vi.spyOn(performance, "now").mockImplementation(() => later);
    await proveAccount(runtime, destination, check);
    expect(asked()).toBe(2);
  });

  test("asks again for another destination, another block, another credential", async () => {
    const { check, asked } = counter();
    const destination = newDestination();
    await proveAccount(runtime, destination, check);
    await proveAccount(runtime, newDestination(), check);
    expect(asked()).toBe(2);
    await proveAccount(runtime, { ...destination, block: { ...destination.block, project: "other" } }, check);
    expect(asked()).toBe(3);
    await proveAccount(runtime, destination, check);
    expect(asked()).toBe(4);
    token = "second";
    await proveAccount(runtime, destination, check);
    expect(asked()).toBe(5);
  });

  test("lets those that come together ask once", async () => {
    const { check, asked } = counter();
    const destination = newDestination();
    await Promise.all([1, 2, 3].map(() => proveAccount(runtime, destination, check)));
    expect(asked()).toBe(1);
  });

  test("remembers no failure, and takes nobody else's for its own", async () => {
    const { check, asked } = counter();
    const destination = newDestination();
    const missing = async () => {
      throw new SyncError("target_missing", "no such environment");
    };
    const [mine, theirs] = await Promise.allSettled([
      proveAccount(runtime, destination, missing),
      proveAccount(runtime, destination, check),
    ]);
    expect(mine.status).toBe("rejected");
    expect(theirs.status).toBe("fulfilled");
    expect(asked()).toBe(1);
  });

  test("asks again once there is reason to doubt", async () => {
    const { check, asked } = counter();
    const destination = newDestination();
    await proveAccount(runtime, destination, check);
    doubtAccount(destination, [{ code: "unavailable" }, { code: "not_owned" }]);
    await proveAccount(runtime, destination, check);
    expect(asked()).toBe(1);
    for (const code of ["unauthenticated", "forbidden", "wrong_account"] as const) {
      const before = asked();
      doubtAccount(destination, [{ code }]);
      await proveAccount(runtime, destination, check);
      expect(asked()).toBe(before + 1);
    }
  });
});
