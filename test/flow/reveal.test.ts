/** What opens a branch: who may see it, what it is read from, and what remains of it afterwards. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCommits } from "../../services/api/commit.ts";
import type { Caller, Principal } from "../../services/api/ports.ts";
import { ApiProblem } from "../../services/api/problems.ts";
import { createReveal } from "../../services/api/reveal.ts";
import type { LoginRequest, Reveal } from "../../services/api/reveal-port.ts";
import { createIngest } from "../../services/api/store.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { listBranches } from "../../services/store/views.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { openSource } from "../../workers/runtime.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { until } from "../support/until.ts";

let app: TestApp;
let reveal: Reveal;
const project = new MemoryProject("p1");
let preview: string;

beforeAll(async () => {
  app = await startApp({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  reveal = createReveal({
    db: app.database.db,
    open: (row, signal) => openSource(app.runtime, row, signal),
    commits: createCommits({ db: app.database.db, kick: app.runtime.kick }),
    fingerprint: app.runtime.fingerprint,
  });
  preview = project.addBranch("preview/x");
  const staging = project.addBranch("staging");
  project.protect(staging);
  project.rotate(staging, "app_owner");
  await seen("preview/x");
});
afterAll(async () => {
  await app.stop();
});

const seen = async (name: string): Promise<unknown> =>
  await until(async () => {
    const { db } = app.database;
    return (await listBranches(db, { limit: 9, after: null, filter: { name } }))?.items[0];
  });

const caller = (over: Partial<Principal> = {}): Caller => ({
  principal: {
    id: "ci",
    name: "ci",
    limits: null,
    scopes: new Set(["reveal"]),
    revealDefault: false,
    ...over,
  },
  requestId: "request-1",
  sourceAddress: "192.0.2.7",
});
const asked = (branch: string | null, over: Partial<LoginRequest> = {}) => ({
  source: "shop",
  branch,
  role: null,
  database: null,
  pooled: false,
  form: null,
  ...over,
});

async function refusal(work: Promise<unknown>): Promise<ApiProblem> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(thrown instanceof ApiProblem)) throw new Error("nothing was refused", { cause: thrown });
  return thrown;
}

async function lastAudit(): Promise<Record<string, unknown> | undefined> {
  const { rows } = await app.database.db.execute(
    sql`select * from branchline.audit order by seq desc limit 1`,
  );
  return rows[0];
}

describe("connection()", () => {
  test("gives what Neon has at this moment", async () => {
    for (const password of ["first-password", "second-password"]) {
      project.changePasswordBySql(preview, "app_owner", password);
      const found = await reveal.connection(asked("preview/x"), caller());
      expect(found.value.reveal()).toContain(`:${password}@`);
      expect(found).toMatchObject({ branch: "preview/x", role: "app_owner", database: "app" });
    }
  });

  test("finds a branch by Neon's id, and one that no watch has seen", async () => {
    expect((await reveal.connection(asked(preview), caller())).branch).toBe("preview/x");
    project.addBranch("just-now");
    expect((await reveal.connection(asked("just-now"), caller())).branch).toBe("just-now");
  });

  test.each([
    ["no branch named", null],
    ["its name", "main"],
    ["its id", project.mainId],
    ["a protected one", "staging"],
  ])("what opens production needs the permission for it: %s", async (_, branch) => {
    const refused = await refusal(reveal.connection(asked(branch), caller()));
    expect(refused.code).toBe("forbidden");
    expect(await lastAudit()).toMatchObject({ actor: "ci", action: "connection.refused" });
    const found = await reveal.connection(asked(branch), caller({ revealDefault: true }));
    expect(found.branch).toBe(branch === "staging" ? "staging" : "main");
    expect(await lastAudit()).toMatchObject({ actor: "ci", action: "connection.reveal" });
  });

  test("a password that a protected branch accepts needs the permission for production, by whichever branch", async () => {
    const given = project.passwordOf(preview, "app_owner") ?? "";
    const guarded = project.addBranch("guarded");
    project.protect(guarded);
    // As a restore does: nobody has looked at it since.
    project.changePasswordBySql(guarded, "app_owner", given);
    for (const work of [
      reveal.connection(asked("preview/x"), caller()),
      reveal.variables({ ...asked("preview/x"), preset: null, rule: null, commit: null }, caller()),
    ]) {
      const refused = await refusal(work);
      expect([refused.code, refused.message]).toEqual(["forbidden", expect.stringContaining('"guarded"')]);
      expect(await lastAudit()).toMatchObject({ actor: "ci", action: "connection.refused" });
    }
    const found = await reveal.connection(asked("preview/x"), caller({ revealDefault: true }));
    expect(found).toMatchObject({ branch: "preview/x", warning: null });
    project.removeBranch(guarded);
    expect((await reveal.connection(asked("preview/x"), caller())).warning).toBeNull();
  });

  test("one that the default branch gave to its child is shown with a warning", async () => {
    const child = project.addBranch("preview/child");
    const found = await reveal.connection(asked("preview/child"), caller());
    expect(found.warning).toMatch(/"app_owner" has the same password here and on "main"/);
    project.rotate(child, "app_owner");
    expect((await reveal.connection(asked("preview/child"), caller())).warning).toBeNull();
  });

  test("an unknown branch is never the default one, and production is not suggested to who may not have it", async () => {
    const refused = await refusal(reveal.connection(asked("man"), caller()));
    expect(refused.code).toBe("not_found");
    expect(JSON.stringify(refused.options.members)).not.toMatch(/"main"|"staging"/);
    const told = await refusal(reveal.connection(asked("man"), caller({ revealDefault: true })));
    expect(JSON.stringify(told.options.members)).toContain('"main"');
  });

  test("a deleted branch is not found, although its row is still there", async () => {
    const id = project.addBranch("preview/gone");
    await seen("preview/gone");
    project.removeBranch(id);
    expect((await refusal(reveal.connection(asked("preview/gone"), caller()))).code).toBe("not_found");
  });

  test("a branch without compute and a project without passwords say what to do", async () => {
    project.addBranch("bare", { compute: false });
    const bare = await refusal(reveal.connection(asked("bare"), caller()));
    expect([bare.code, bare.message]).toEqual(["source_unready", expect.stringContaining("Add a compute")]);
    project.storesPasswords = false;
    const refused = await refusal(reveal.connection(asked("preview/x"), caller()));
    project.storesPasswords = true;
    expect(refused.code).toBe("source_unready");
  });

  test("a source that refuses us is told apart from one that is down", async () => {
    project.fail(new SyncError("unauthenticated", "Neon does not accept the API key"));
    expect((await refusal(reveal.connection(asked("preview/x"), caller()))).code).toBe("source_failed");
    project.fail(new SyncError("unavailable", "Neon is busy"));
    await expect(reveal.connection(asked("preview/x"), caller())).rejects.toMatchObject({
      code: "unavailable",
    });
    project.fail(null);
  });

  test("reveals nothing that could not be written down", async () => {
    await app.database.db.execute(sql`alter table branchline.audit rename to audit_away`);
    await expect(reveal.connection(asked("preview/x"), caller())).rejects.toThrow();
    await app.database.db.execute(sql`alter table branchline.audit_away rename to audit`);
  });
});

describe("variables()", () => {
  const wanted = (over: object = {}) => ({
    ...asked("preview/x"),
    preset: null,
    rule: null,
    commit: null,
    ...over,
  });
  const names = async (over: object) =>
    (await reveal.variables(wanted(over), caller())).variables.map(({ name, secret }) => [name, secret]);

  test("gives a preset, by default the pair that everybody agrees on", async () => {
    expect(await names({})).toEqual([
      ["DATABASE_URL", true],
      ["DATABASE_URL_UNPOOLED", true],
    ]);
    expect(await names({ preset: "vercel-all" })).toContainEqual(["NEON_PROJECT_ID", false]);
    expect(await lastAudit()).toMatchObject({
      action: "variables.reveal",
      details: { preset: "vercel-all" },
    });
  });

  test("gives what a rule writes", async () => {
    expect(await names({ rule: "web" })).toEqual([
      ["DATABASE_URL", true],
      ["DATABASE_URL_UNPOOLED", true],
    ]);
    const refused = await refusal(reveal.variables(wanted({ rule: "wbe" }), caller()));
    expect([refused.code, JSON.stringify(refused.options.members)]).toEqual([
      "not_found",
      expect.stringContaining('"web"'),
    ]);
  });

  test("needs the same permission", async () => {
    const refused = await refusal(reveal.variables(wanted({ branch: null }), caller()));
    expect(refused.code).toBe("forbidden");
  });
});

describe("a commit", () => {
  const sha = "1".repeat(40);
  const ask = async (commit: object, over: Partial<Principal> = {}) =>
    await reveal.variables(
      { ...asked("preview/x"), preset: null, rule: null, commit: { gitBranch: "x", sha, ...commit } },
      caller(over),
    );
  const events = async () =>
    (await app.database.db.execute(sql`select * from branchline.event where subject ? 'sha'`)).rows;

  test("is waited for: a look at Neon that began after it was heard of, by whomever", async () => {
    expect((await refusal(ask({}))).code).toBe("commit_unseen");
    await until(async () => await ask({}).catch(() => null), { what: "a look" });
    expect(await events()).toMatchObject([{ origin: "manual", kind: "commit", outcome: "processed" }]);
    // Another git branch, another commit: each is heard of by itself.
    expect((await refusal(ask({ gitBranch: "y" }))).code).toBe("commit_unseen");
    expect(await events()).toHaveLength(2);
  });

  test("that GitHub told of needs no hint of ours", async () => {
    const after = "2".repeat(40);
    const told = createIngest({ database: app.database, sourcesOf: () => ["shop"], kick: app.runtime.kick });
    const hint = { origin: "github", deliveryId: "d-2", kind: "push", gitBranch: "x", sha: after } as const;
    await told({ ...hint, repository: { id: 1, fullName: "acme/shop" }, action: "updated", fork: false });
    const before = (await events()).length;
    await until(async () => await ask({ sha: after }).catch(() => null), { what: "a look" });
    expect(await events()).toHaveLength(before);
  });

  test("asked for ten times at once is heard of one time", async () => {
    const many = "4".repeat(40);
    const all = await Promise.allSettled(Array.from({ length: 10 }, async () => await ask({ sha: many })));
    // Whoever asks last may find that the look has ended already.
    const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason as ApiProblem] : []));
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["commit_unseen"]));
    expect((await events()).filter((row) => JSON.stringify(row).includes(many))).toHaveLength(1);
  });

  test("other than the one that the token was given for is refused, and leaves no event", async () => {
    const before = (await events()).length;
    const refused = await refusal(ask({ sha: "3".repeat(40) }, { commit: sha }));
    expect([refused.code, refused.message]).toEqual(["forbidden", expect.stringContaining(sha)]);
    expect(await events()).toHaveLength(before);
    expect((await ask({}, { commit: sha })).branch).toBe("preview/x");
  });
});

test("no password is left in the audit log", async () => {
  const { rows } = await app.database.db.execute(sql`select * from branchline.audit`);
  expect(rows.length).toBeGreaterThan(5);
  expect(JSON.stringify(rows)).not.toMatch(/npg_|-password/);
});
