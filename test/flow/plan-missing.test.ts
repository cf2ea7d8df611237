/** What would be parked because the vendor has no such target is in the plan already, at stand-ins of the vendors. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DocumentPlan } from "../../services/sync/document-plan.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { until } from "../support/until.ts";

let world: Installation;
let accounts: string;

const NAMES = "variables: { DATABASE_URL: pooled, PGHOST: pooled.host, PGUSER: user }";
const BRANCHES = ["preview/pushed", "preview/unpushed"];

/** Every rule goes somewhere that is not there, but `web` for the git branch that was pushed. */
const RULES = `rules:
  x-shared: &shared
    source: shop
    branches: { include: ["preview/**"] }
    role: shop_app
    database: shop
    proof: never
    ${NAMES}
  web:
    <<: *shared
    destination: web
    target: { environment: preview, gitBranch: "\${branch.name|after:preview/}" }
  project:
    <<: *shared
    destination: lost-project
    target: { environment: preview }
    branches: { include: [preview/pushed] }
  repository:
    <<: *shared
    destination: lost-repository
    target: {}
    exposure: preview
    branches: { include: [preview/pushed] }
  mount:
    <<: *shared
    destination: lost-mount
    target: { path: "preview/\${branch.name|slug}" }
    exposure: preview
    branches: { include: [preview/pushed] }
`;

/** The same blocks once more, each naming what its vendor does not have. */
function lost(head: string): string {
  const block = (name: string): string =>
    new RegExp(`\\n {2}${name}:\\n((?: {4}.*\\n| *\\n)+)`).exec(head)?.[1]?.trimEnd() ?? "";
  const more = [
    `  lost-project:\n${block("web").replace("project: shop-web", "project: no-such-project")}`,
    `  lost-repository:\n${block("ci").replace("acme/shop", "acme/no-such-repository")}`,
    `  lost-mount:\n${block("vault").replace("mount: kv", "mount: no-such-mount")}`,
  ];
  return head.replace(/\ndestinations:\n/, `\ndestinations:\n${more.join("\n")}\n`);
}

beforeAll(async () => {
  world = await startInstallation({ allowed: ["env:*"] });
  const { neon, vercel } = world.sandbox;
  for (const name of BRANCHES) neon.state.createBranch({ name });
  vercel.state.addBranch("shop-web", "pushed");
  await neon.state.settled();
  accounts = lost(world.file.slice(0, world.file.indexOf("x-preview:")));
  expect((await world.apply(accounts)).body).toMatchObject({ outcome: "applied" });
  await until(
    async () => {
      const known = JSON.stringify((await world.get("/v1/branches")).body);
      return BRANCHES.every((name) => known.includes(name)) ? known : null;
    },
    { what: "the branches to be known" },
  );
}, 60_000);
afterAll(async () => await world.stop(), 60_000);

const refused = ({ lines }: DocumentPlan) =>
  lines
    .filter(({ action }) => action === "refuse")
    .map(({ rule, branch, code }) => `${rule} ${branch} ${code}`)
    .sort();

test("each target that is not there is refused with reason and next action, and is what gets parked", async () => {
  const { body: plan } = await world.plan(accounts + RULES);
  expect(refused(plan)).toEqual([
    "mount preview/pushed target_missing",
    "project preview/pushed target_missing",
    "repository preview/pushed target_missing",
    "web preview/unpushed target_missing",
  ]);
  for (const line of plan.lines.filter(({ action }) => action === "refuse")) {
    expect([line.rule, line.name, line.reason !== "", line.next]).toEqual([
      line.rule,
      null,
      true,
      expect.any(String),
    ]);
  }
  expect(plan.lines.filter(({ rule, branch }) => `${rule} ${branch}` === "web preview/pushed").length).toBe(
    3,
  );
  expect((await world.apply(accounts + RULES, { plan: plan.id })).status).toBe(200);
  const { parked } = await world.settled();
  expect(parked.map(({ rule, branch, code }) => `${rule} ${branch} ${code}`).sort()).toEqual(refused(plan));
}, 60_000);

test("an account is asked for once for all its names and targets", async () => {
  const calls = async (text: string): Promise<string[]> => {
    const before = world.sandbox.vercel.log.length;
    await world.plan(text);
    return world.sandbox.vercel.log.slice(before).map((call) => JSON.stringify(call));
  };
  const changed = (accounts + RULES).replaceAll(
    NAMES,
    "variables: { DATABASE_URL: direct, PGPORT: direct.port }",
  );
  const found = await calls(changed);
  const projects = found.filter((call) => /\/v9\/projects\/shop-web(?![\w/])/.test(call));
  expect([projects.length, found.filter((call) => call.includes("/v6/deployments")).length]).toEqual([1, 2]);
}, 60_000);
