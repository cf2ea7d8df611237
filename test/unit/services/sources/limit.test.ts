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

  it("lets go of whoever is stopped while waiting, and of nobody else", async () => {
    const limit = createLimit(1);
    let finish: () => void = () => undefined;
    const first = limit(() => new Promise<void>((done) => (finish = done)));
    const stopping = new AbortController();
    const started: string[] = [];
    const stopped = limit(async () => started.push("stopped"), stopping.signal);
    const other = limit(async () => started.push("other"), new AbortController().signal);
    stopping.abort(new Error("stopped"));
    await expect(stopped).rejects.toThrow("stopped");
    await expect(limit(async () => started.push("late"), stopping.signal)).rejects.toThrow("stopped");
    finish();
    await Promise.all([first, other]);
    expect(started).toEqual(["other"]);
    expect(await limit(async () => "free again")).toBe("free again");
  });
});
