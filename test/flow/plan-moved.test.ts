/** Apply does what its plan said, or stops when the world has moved in between; and every refusal is on record. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { AuditItem } from "../../services/api/audits.ts";
import type { DocumentPlan } from "../../services/sync/document-plan.ts";
import { type Installation, startInstallation } from "../support/installation.ts";

let world: Installation;
let planned: DocumentPlan;
let changed: string;

const MORE = "PGHOST: app.pooled.host";

beforeAll(async () => {
  world = await startInstallation({ allowed: ["env:*"] });
  const { neon, vercel } = world.sandbox;
  neon.state.createBranch({ name: "preview/login" });
  vercel.state.addBranch("shop-web", "login");
  await neon.state.settled();
  expect((await world.apply(world.file)).status).toBe(200);
  await world.settled();
  changed = world.file.replaceAll(
    "variables: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: migrate.direct }",
    `variables: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: migrate.direct, ${MORE} }`,
  );
}, 60_000);
afterAll(async () => await world.stop(), 60_000);

beforeEach(async () => {
  const { status, body } = await world.plan(changed);
  expect([status, body.changes]).toEqual([200, true]);
  planned = body;
});

const held = () => world.sandbox.vercel.state.values("shop-web", { target: "preview", gitBranch: "login" });
const log = async (): Promise<readonly AuditItem[]> =>
  (await world.get<{ items: AuditItem[] }>("/v1/audit?limit=200")).body.items;

/** Nothing was taken in, nothing was written, and who wanted what is on record. */
async function refusedAs(code: string, text = changed, more: object = { plan: planned.id }): Promise<void> {
  const before = held();
  const refused = await world.apply(text, more);
  expect([refused.status, refused.body.type]).toEqual([409, `urn:branchline:problem:${code}`]);
  const [row] = await log();
  expect(row).toMatchObject({
    actor: "admin token",
    action: "document.refuse",
    object: "configuration",
    details: { code, reason: refused.body.detail },
  });
  await world.settled();
  expect(held()).toEqual(before);
  expect(held()).not.toHaveProperty("PGHOST");
}

test("a foreign name appears at the destination", async () => {
  world.sandbox.vercel.state.seed("shop-web", {
    key: "PGHOST",
    value: "theirs",
    target: ["preview"],
    gitBranch: "login",
  });
  const refused = await world.apply(changed, { plan: planned.id });
  expect([refused.status, refused.body.type]).toEqual([409, "urn:branchline:problem:plan_moved"]);
  expect(held()).toMatchObject({ PGHOST: "theirs" });
  const now = (await world.plan(changed)).body.lines.find(({ name }) => name === "PGHOST");
  expect(now).toMatchObject({ action: "refuse", code: "not_owned" });
  const { rows } = world.sandbox.vercel.state.project("shop-web");
  rows.splice(
    rows.findIndex(({ key }) => key === "PGHOST"),
    1,
  );
});

test("a branch appears at Neon, whether or not anybody has seen it yet", async () => {
  world.sandbox.neon.state.createBranch({ name: "preview/late" });
  await world.sandbox.neon.state.settled();
  await refusedAs("plan_moved");
  await refusedAs("plan_moved");
});

test("another document than the one that was planned", async () => {
  await refusedAs("plan_moved", changed.replace(MORE, "PGHOST: app.direct.host"));
});

test("somebody else applies in between", async () => {
  // A change of its own, that no place and no branch is concerned by.
  expect((await world.apply(`${world.file}\nsweep: { every: 2h }\n`)).status).toBe(200);
  await refusedAs("plan_moved");
});

test("an unsafe plan without its confirmation, and a revision that is too old", async () => {
  await refusedAs("unconfirmed", world.file.replace("project: shop-web", "project: other-web"), {});
  expect((await world.apply(`revision: 5\n${world.file}`)).status).toBe(200);
  await refusedAs("old_revision", `revision: 4\n${changed}`, {});
});

test("and what has not moved is done, exactly", async () => {
  const text = `revision: 6\n${changed}`;
  const { body: plan } = await world.plan(text);
  const before = held();
  expect((await world.apply(text, { plan: plan.id })).status).toBe(200);
  await world.settled();
  expect(held()).toMatchObject(before);
  expect(Object.keys(held()).sort()).toEqual([...Object.keys(before), "PGHOST"].sort());
  expect((await log()).find(({ action }) => action === "document.apply")?.details).toMatchObject({
    plan: plan.id,
  });
  expect(await world.get("/v1/audit/verify")).toMatchObject({ status: 200, body: { ok: true } });
}, 60_000);
