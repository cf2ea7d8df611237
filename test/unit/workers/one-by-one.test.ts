import { describe, expect, test } from "vitest";
import { oneByOne } from "../../../workers/one-by-one.ts";

describe("those who wait for one thing", () => {
  test("go on by rank, each when the one before has done what it could at once", async () => {
    let tell = (_: string): void => undefined;
    const shared = oneByOne(new Promise<string>((resolve) => (tell = resolve)));
    const seen: string[] = [];
    const waiting = [3, 1, 2].map(async (rank) => {
      const said = await shared.wait(rank);
      seen.push(`${rank} ${said}`);
      for (let n = 0; n < 10; n += 1) await undefined;
      seen.push(`${rank} is on its way`);
    });
    tell("here");
    await Promise.all(waiting);
    expect(seen).toEqual([1, 2, 3].flatMap((rank) => [`${rank} here`, `${rank} is on its way`]));
  });

  test("are all told of a failure, and who comes later waits for nobody", async () => {
    const shared = oneByOne(Promise.reject<string>(new Error("no")));
    await expect(Promise.allSettled([shared.wait(2), shared.wait(1)])).resolves.toMatchObject([
      { reason: { message: "no" } },
      { reason: { message: "no" } },
    ]);
    await expect(shared.wait(3)).rejects.toThrow("no");
    await expect(oneByOne(Promise.resolve(1)).wait(1)).resolves.toBe(1);
  });
});
