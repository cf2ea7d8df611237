/**
 * What every source promises (services/sync/ports.ts), as tests. A source brings a fixture: itself, and
 * a hand that makes things happen at its vendor.
 */
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Code } from "../../services/sync/errors.ts";
import { SyncError } from "../../services/sync/errors.ts";
import type { Source } from "../../services/sync/ports.ts";

export interface BranchWish {
  /** Id; default: the default branch. */
  readonly parent?: string;
  readonly protected?: boolean;
  readonly expiresAt?: Date;
  readonly annotations?: Readonly<Record<string, string>>;
  /** False: without a compute. */
  readonly compute?: boolean;
}

/** What can go wrong at a vendor, and the code that the source must answer with. */
export const BREAKDOWNS = {
  down: "unavailable",
  cut: "unavailable",
  busy: "unavailable",
  throttled: "rate_limited",
  "bad key": "unauthenticated",
  "narrow key": "forbidden",
} as const satisfies Record<string, Code>;
export type Breakdown = keyof typeof BREAKDOWNS;

/** A vendor that starts with a default branch `main`, its login role `app_owner`, and the database `app`. */
export interface SourceFixture {
  readonly source: Source;
  readonly mainId: string;
  addBranch(name: string, wish?: BranchWish): string;
  removeBranch(id: string): void;
  rename(id: string, name: string): void;
  setDefault(id: string): void;
  /** Restores to an earlier time; the id of the branch that goes on under the name. */
  restore(id: string): string;
  replaceEndpoint(id: string): void;
  addReadOnlyEndpoint(id: string): void;
  disableEndpoint(id: string): void;
  addRole(id: string, role: string, login: boolean): void;
  addDatabase(id: string, database: string, owner: string): void;
  /** Through the vendor's API; the new password. */
  rotate(id: string, role: string): string;
  /** Behind the vendor's back. */
  changePasswordBySql(id: string, role: string, password: string): void;
  passwordOf(id: string, role: string): string;
  stopStoringPasswords(): void;
  break(how: Breakdown): void;
  mend(): void;
  /** Requests so far. */
  calls(): number;
  close(): Promise<void>;
}

export function describeSource(name: string, open: () => Promise<SourceFixture>): void {
  let at: SourceFixture;
  beforeEach(async () => {
    at = await open();
  });
  afterEach(async () => {
    await at.close();
  });
  const byName = async (branch: string) => (await at.source.branches()).find((each) => each.name === branch);

  describe(`${name}: branches()`, () => {
    it("shows the default branch with the host of its compute", async () => {
      const [main, ...others] = await at.source.branches();
      expect(others).toEqual([]);
      expect(main).toMatchObject({
        id: at.mainId,
        name: "main",
        default: true,
        protected: false,
        parentId: null,
      });
      expect(main?.endpoints).toHaveLength(1);
      expect(main?.endpoints[0]).toMatchObject({ type: "read_write", disabled: false });
      expect(main?.endpoints[0]?.host).toMatch(/^ep-[a-z0-9-]+\.[a-z0-9.-]+$/);
    });

    it("shows all that a rule can select by", async () => {
      const expiresAt = new Date("2031-01-02T03:04:05Z");
      const id = at.addBranch("preview/login", {
        protected: true,
        expiresAt,
        annotations: { "github-pr-number": "7" },
      });
      expect(await byName("preview/login")).toMatchObject({
        id,
        parentId: at.mainId,
        default: false,
        protected: true,
        expiresAt,
        annotations: { "github-pr-number": "7" },
        createdAt: expect.any(Date),
      });
    });

    it("shows a branch without compute as one without endpoints", async () => {
      at.addBranch("bare", { compute: false });
      expect((await byName("bare"))?.endpoints).toEqual([]);
    });

    it("keeps read-only endpoints apart by type, whatever their order", async () => {
      at.addReadOnlyEndpoint(at.mainId);
      const main = await byName("main");
      expect(main?.endpoints.map(({ type }) => type).toSorted()).toEqual(["read_only", "read_write"]);
    });

    it("shows a disabled endpoint as disabled", async () => {
      at.disableEndpoint(at.mainId);
      expect((await byName("main"))?.endpoints).toMatchObject([{ type: "read_write", disabled: true }]);
    });

    it("forgets a branch that was deleted and nothing else", async () => {
      const gone = at.addBranch("gone");
      at.addBranch("stays");
      at.removeBranch(gone);
      expect((await at.source.branches()).map((branch) => branch.name).toSorted()).toEqual(["main", "stays"]);
    });

    it("follows renames, with the id and the host as they were", async () => {
      const id = at.addBranch("old");
      const before = await at.source.branch(id);
      at.rename(id, "new");
      const after = await byName("new");
      expect(after).toMatchObject({ id, endpoints: before?.endpoints });
      expect(await byName("old")).toBeUndefined();
    });

    it("follows the default branch", async () => {
      const id = at.addBranch("next");
      at.setDefault(id);
      const defaults = (await at.source.branches()).filter((branch) => branch.default);
      expect(defaults.map((branch) => branch.id)).toEqual([id]);
    });

    it("shows after a restore which branch has the compute now", async () => {
      const id = at.addBranch("dev");
      const host = (await at.source.branch(id))?.endpoints[0]?.host;
      const now = at.restore(id);
      const holders = (await at.source.branches()).filter((branch) =>
        branch.endpoints.some((endpoint) => endpoint.host === host),
      );
      expect(holders.map((branch) => [branch.id, branch.name])).toEqual([[now, "dev"]]);
    });
  });

  describe(`${name}: branch()`, () => {
    it("shows the same as the list", async () => {
      const id = at.addBranch("dev", { annotations: { a: "b" } });
      expect(await at.source.branch(id)).toEqual(await byName("dev"));
    });

    it("answers null for a branch that was deleted", async () => {
      const id = at.addBranch("dev");
      at.removeBranch(id);
      expect(await at.source.branch(id)).toBeNull();
    });

    it("answers null for ids that cannot be ids", async () => {
      for (const id of ["br-never-was-00000000", "count", "", "../x", "a b"]) {
        expect(await at.source.branch(id), id).toBeNull();
      }
    });
  });

  describe(`${name}: read()`, () => {
    it("reads roles, databases and exactly the passwords that were asked for", async () => {
      at.addRole(at.mainId, "app_user", true);
      const reading = await at.source.read(at.mainId, ["app_owner"]);
      expect(reading?.branch).toEqual(await at.source.branch(at.mainId));
      expect(reading?.roles.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
        { name: "app_owner", login: true },
        { name: "app_user", login: true },
      ]);
      expect(reading?.databases).toEqual([{ name: "app", owner: "app_owner" }]);
      expect([...(reading?.passwords.keys() ?? [])]).toEqual(["app_owner"]);
      expect(reading?.passwords.get("app_owner")?.reveal()).toBe(at.passwordOf(at.mainId, "app_owner"));
    });

    it("has no password for a role that is missing or cannot log in", async () => {
      at.addRole(at.mainId, "readers", false);
      const reading = await at.source.read(at.mainId, ["readers", "nobody", "app_owner"]);
      expect(reading?.roles).toContainEqual({ name: "readers", login: false });
      expect([...(reading?.passwords.keys() ?? [])]).toEqual(["app_owner"]);
    });

    it("reads the new password right after a reset and after a change by SQL", async () => {
      const read = async () =>
        (await at.source.read(at.mainId, ["app_owner"]))?.passwords.get("app_owner")?.reveal();
      const before = await read();
      const reset = at.rotate(at.mainId, "app_owner");
      expect(reset).not.toBe(before);
      expect(await read()).toBe(reset);
      at.changePasswordBySql(at.mainId, "app_owner", "p%41@/:#? ü");
      expect(await read()).toBe("p%41@/:#? ü");
    });

    it("shows that a child has its parent's password, and a child of a protected branch its own", async () => {
      const read = async (id: string) =>
        (await at.source.read(id, ["app_owner"]))?.passwords.get("app_owner")?.reveal();
      const safe = at.addBranch("safe", { protected: true });
      expect(await read(at.addBranch("child"))).toBe(await read(at.mainId));
      expect(await read(at.addBranch("own", { parent: safe }))).not.toBe(await read(safe));
    });

    it("sees a database as soon as it exists", async () => {
      at.addDatabase(at.mainId, "shop", "app_owner");
      const reading = await at.source.read(at.mainId, []);
      expect(reading?.databases).toContainEqual({ name: "shop", owner: "app_owner" });
      expect(reading?.passwords.size).toBe(0);
    });

    it("answers null for a branch that was deleted", async () => {
      const id = at.addBranch("dev");
      at.removeBranch(id);
      expect(await at.source.read(id, ["app_owner"])).toBeNull();
    });

    it("refuses with source_unready where passwords are not stored", async () => {
      at.stopStoringPasswords();
      await expect(at.source.read(at.mainId, ["app_owner"])).rejects.toMatchObject({
        code: "source_unready",
      });
      expect(await at.source.read(at.mainId, [])).not.toBeNull();
    });

    it("keeps passwords out of whatever prints a reading", async () => {
      const reading = await at.source.read(at.mainId, ["app_owner"]);
      const shown = inspect(reading, { depth: 9 }) + JSON.stringify(reading);
      expect(shown).not.toContain(at.passwordOf(at.mainId, "app_owner"));
    });
  });

  describe(`${name}: reread()`, () => {
    it("answers what a login is made of, as it is now, and nothing that is not there", async () => {
      const id = at.addBranch("dev");
      const before = await at.source.reread(id, ["app_owner", "nobody"]);
      expect(before?.branch).toMatchObject({ id, name: "dev" });
      expect([...(before?.passwords.keys() ?? [])]).toEqual(["app_owner"]);
      const password = at.rotate(id, "app_owner") ?? at.passwordOf(id, "app_owner");
      expect((await at.source.reread(id, ["app_owner"]))?.passwords.get("app_owner")?.reveal()).toBe(
        password,
      );
      at.removeBranch(id);
      expect(await at.source.reread(id, ["app_owner"])).toBeNull();
    });
  });

  describe(`${name}: moved()`, () => {
    it("says at first to look at everything, then that nothing moved, with one request a look", async () => {
      const first = await at.source.moved(null);
      expect(first.everything).toBe(true);
      for (let cursor = first.cursor, look = 0; look < 3; look++) {
        const before = at.calls();
        const moved = await at.source.moved(cursor);
        expect(moved).toMatchObject({ everything: false, branchIds: new Set() });
        expect(at.calls() - before).toBe(1);
        cursor = moved.cursor;
      }
    });

    const events: Record<string, (id: string) => string> = {
      "a new branch": () => at.addBranch("fresh"),
      "a deleted branch": (id) => {
        at.removeBranch(id);
        return id;
      },
      "a password reset": (id) => {
        at.rotate(id, "app_owner");
        return id;
      },
      "a new role": (id) => {
        at.addRole(id, "extra", true);
        return id;
      },
      "a new database": (id) => {
        at.addDatabase(id, "extra", "app_owner");
        return id;
      },
      "a replaced endpoint": (id) => {
        at.replaceEndpoint(id);
        return id;
      },
      "a restore": (id) => at.restore(id),
    };
    for (const [event, happen] of Object.entries(events)) {
      it(`names the branch of ${event}, once`, async () => {
        const id = at.addBranch("dev");
        at.addBranch("bystander");
        const { cursor } = await at.source.moved(null);
        const touched = happen(id);
        const moved = await at.source.moved(cursor);
        expect(moved.everything).toBe(false);
        expect([...moved.branchIds]).toContain(touched);
        expect((await at.source.moved(moved.cursor)).branchIds).toEqual(new Set());
      });
    }

    it("names all branches of a burst", async () => {
      const { cursor } = await at.source.moved(null);
      const ids = Array.from({ length: 30 }, (_, n) => at.addBranch(`burst/${n}`));
      const moved = await at.source.moved(cursor);
      expect(moved.branchIds).toEqual(new Set(ids));
    });

    it("asks to look at everything when it cannot read its cursor", async () => {
      expect((await at.source.moved("from another version")).everything).toBe(true);
    });
  });

  describe(`${name}: failures`, () => {
    const verbs: Record<string, () => Promise<unknown>> = {
      "check()": () => at.source.check(),
      "moved()": () => at.source.moved(null),
      "branches()": () => at.source.branches(),
      "branch()": () => at.source.branch(at.mainId),
      "read()": () => at.source.read(at.mainId, ["app_owner"]),
      "reread()": () => at.source.reread(at.mainId, ["app_owner"]),
    };
    for (const [how, code] of Object.entries(BREAKDOWNS)) {
      it(`answers ${how} with ${code}, never with absence, and recovers`, async () => {
        at.break(how as Breakdown);
        for (const [verb, ask] of Object.entries(verbs)) {
          const error: unknown = await ask().then(
            () => null,
            (thrown: unknown) => thrown,
          );
          expect(error, verb).toBeInstanceOf(SyncError);
          expect(error, verb).toMatchObject({ code });
        }
        at.mend();
        for (const ask of Object.values(verbs)) await ask();
      });
    }
  });
}
