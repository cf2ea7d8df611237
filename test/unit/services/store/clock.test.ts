import { describe, expect, test } from "vitest";
import { clockWarning, judgeSkew, measureSkew } from "../../../../services/store/clock.ts";
import type { Db } from "../../../../services/store/db.ts";

/** A server that answers with its own time after some milliseconds, and a machine whose clock is off by so much. */
function world(aheadMs: number, answers: readonly { there: number; back: number }[]) {
  let time = 1_000_000;
  let asked = 0;
  const execute = async () => {
    const { there, back } = answers[asked++ % answers.length] ?? { there: 0, back: 0 };
    const ms = time + there;
    time += there + back;
    return { rows: [{ ms }] };
  };
  return {
    db: { execute } as unknown as Db,
    clocks: { wall: () => time + aheadMs, monotonic: () => time },
    asked: () => asked,
  };
}

describe("measureSkew()", () => {
  test.each([0, 4_000, -90_000])("finds %d ms, half the round trip subtracted", async (aheadMs) => {
    const { db, clocks } = world(aheadMs, [{ there: 20, back: 20 }]);
    expect(await measureSkew(db, clocks)).toEqual({ ms: aheadMs, unsureMs: 20 });
  });

  test("believes the quickest answer", async () => {
    const { db, clocks, asked } = world(7_000, [
      { there: 900, back: 100 },
      { there: 2, back: 2 },
      { there: 100, back: 900 },
    ]);
    expect(await measureSkew(db, clocks)).toEqual({ ms: 7_000, unsureMs: 2 });
    expect(asked()).toBe(3);
  });

  test("is not misled by a clock that jumps while it asks", async () => {
    const { db, clocks } = world(0, [{ there: 5, back: 5 }]);
    let jumped = 0;
    const wall = () => clocks.wall() + 60_000 * jumped++;
    expect((await measureSkew(db, { ...clocks, wall })).unsureMs).toBe(5);
  });
});

test("clockWarning() goes on warning where a start would be refused", async () => {
  const { db, clocks } = world(9 * 60_000, [{ there: 1, back: 1 }]);
  expect(await clockWarning(db, clocks)).toBe("this machine's clock is 9 min 0 s ahead of the database's");
  const fine = world(100, [{ there: 1, back: 1 }]);
  expect(await clockWarning(fine.db, fine.clocks)).toBeNull();
});

describe("judgeSkew()", () => {
  test("says nothing up to two seconds, nor of what may be the network", () => {
    expect(judgeSkew({ ms: 1_990, unsureMs: 1 })).toBeNull();
    expect(judgeSkew({ ms: -1_990, unsureMs: 1 })).toBeNull();
    expect(judgeSkew({ ms: 400_000, unsureMs: 399_000 })).toBeNull();
  });

  test("warns above, and says which way", () => {
    expect(judgeSkew({ ms: 2_600, unsureMs: 1 })).toBe("this machine's clock is 3 s ahead of the database's");
    expect(judgeSkew({ ms: -200_000, unsureMs: 1 })).toBe(
      "this machine's clock is 3 min 20 s behind the database's",
    );
  });

  test("refuses above five minutes, and says what to do", () => {
    const far = () => judgeSkew({ ms: 301_000, unsureMs: 10 });
    expect(far).toThrow("5 min 1 s ahead");
    expect(far).toThrow(expect.objectContaining({ code: "unsafe", next: expect.stringContaining("NTP") }));
  });
});
