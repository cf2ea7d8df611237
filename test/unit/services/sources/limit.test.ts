import { describe, expect, it } from "vitest";
import { createLimit } from "../../../../services/sources/limit.ts";

describe("createLimit()", () => {
  it("runs as many at once as it may, the others in the order they came", async () => {
    const limit = createLimit(2);
    const started: number[] = [];
    const finish: (() => void)[] = [];
    const tasks = [0, 1, 2, 3].map((n) =>
      limit(async () => {
        started.push(n);
        await new Promise<void>((done) => finish.push(done));
        return n;
      }),
    );
    await Promise.resolve();
    expect(started).toEqual([0, 1]);
    finish[1]?.();
    await tasks[1];
    expect(started).toEqual([0, 1, 2]);
    finish[0]?.();
    finish[2]?.();
    await tasks[0];
    await tasks[2];
    finish[3]?.();
    expect(await Promise.all(tasks)).toEqual([0, 1, 2, 3]);
  });

  it("goes on after a failure", async () => {
    const limit = createLimit(1);
    const failed = limit(() => Promise.reject(new Error("no")));
    const next = limit(() => Promise.resolve("yes"));
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe("yes");
  });
});
