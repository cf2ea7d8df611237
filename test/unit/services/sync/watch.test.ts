import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SourceBranch } from "../../../../services/sync/ports.ts";
import { holdsDeletes, match } from "../../../../services/sync/watch.ts";

const listed = (id: string, endpointId: string | null, name = id): SourceBranch => ({
  id,
  name,
  parentId: null,
  default: false,
  protected: false,
  expiresAt: null,
  createdAt: new Date(0),
  state: "ready",
  annotations: {},
  endpoints:
    endpointId === null
      ? []
      : [
          { id: `${endpointId}-ro`, host: "ro", type: "read_only", disabled: false, active: false },
          { id: endpointId, host: "rw", type: "read_write", disabled: false, active: true },
        ],
});
const known = (neonId: string, endpointId: string | null) => ({ neonId, endpointId });

describe("match()", () => {
  test("knows a branch by its read-write endpoint and by its id", () => {
    const rows = [known("br-1", "ep-1"), known("br-2", null)];
    const { matched, unmatched } = match(rows, [listed("br-1", "ep-1"), listed("br-2", "ep-2")]);
    expect([...matched]).toEqual([
      ["br-1", rows[0]],
      ["br-2", rows[1]],
    ]);
    expect(unmatched).toEqual([]);
  });

  test("after a restore follows the endpoint, not the id that lives on without it", () => {
    const row = known("br-1", "ep-1");
    const { matched, unmatched } = match(
      [row],
      [listed("br-1", null, "x_old_1"), listed("br-9", "ep-1", "x")],
    );
    expect(matched.get("br-9")).toBe(row);
    expect(matched.has("br-1")).toBe(false);
    expect(unmatched).toEqual([]);
  });

  test("does not take a branch that was made again under its name for the old one", () => {
    const row = known("br-1", "ep-1");
    const { matched, unmatched } = match([row], [listed("br-9", "ep-9", "br-1")]);
    expect(matched.size).toBe(0);
    expect(unmatched).toEqual([row]);
  });

  test("a branch that got another compute is known by its id", () => {
    const row = known("br-1", "ep-1");
    expect(match([row], [listed("br-1", "ep-2")]).matched.get("br-1")).toBe(row);
  });

  test("matches each row at most once, and loses none", () => {
    const id = fc.constantFrom("1", "2", "3", "4");
    const rows = fc.uniqueArray(fc.tuple(id, id), { selector: ([one]) => one });
    fc.assert(
      fc.property(rows, rows, (ours, theirs) => {
        const before = ours.map(([b, e]) => known(`br-${b}`, `ep-${e}`));
        const now = theirs.map(([b, e]) => listed(`br-${b}`, `ep-${e}`));
        const { matched, unmatched } = match(before, now);
        const taken = [...matched.values()];
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.length + unmatched.length).toBe(before.length);
      }),
    );
  });
});

describe("holdsDeletes()", () => {
  test.each([
    ["nothing is missing", 100, 0, false, false],
    ["four of four: too few to tell", 4, 4, false, false],
    ["five of sixteen", 16, 5, false, true],
    ["five of seventeen: less than 30 %", 17, 5, false, false],
    ["thirty of a hundred", 100, 30, false, false],
    ["thirty-one of a hundred", 100, 31, false, true],
    ["all of them", 12, 12, false, true],
    ["held, and five are still missing among many", 100, 5, true, true],
    ["held, and all but four came back", 100, 4, true, false],
  ])("%s", (_, count, missing, held, result) => {
    expect(holdsDeletes(count, missing, held)).toBe(result);
  });
});
