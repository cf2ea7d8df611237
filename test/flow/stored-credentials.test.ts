/** Credentials that lie in Vault or AWS Secrets Manager, read with the account of a destination there. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AWS_DEFAULTS } from "../../infra/sandbox/aws.ts";
import { parseStored } from "../../services/destinations/stored-credentials.ts";
import { refuseCredentialRef } from "../../services/sync/credential.ts";
import { type Installation, startInstallation } from "../support/installation.ts";

let world: Installation;

beforeAll(async () => {
  world = await startInstallation({ allowed: ["env:*", "vault:vault/ops/*", "aws-sm:runtime/ops/*"] });
  const { sandbox } = world;
  sandbox.neon.state.createBranch({ name: "preview/login" });
  sandbox.vercel.state.addBranch("shop-web", "login");
  sandbox.vault.state.write("ops/vercel", { token: sandbox.credentials.vercel.token });
  sandbox.aws.state.create(AWS_DEFAULTS.account, "ops/github");
  sandbox.aws.state.edit("ops/github", { token: sandbox.credentials.github.token });
  await sandbox.neon.state.settled();
}, 60_000);
afterAll(async () => await world.stop(), 60_000);

const stored = (text: string) =>
  text
    .replace("token: env:VERCEL_TOKEN,", 'token: "vault:vault/ops/vercel#token",')
    .replace("token: env:GITHUB_TOKEN", 'token: "aws-sm:runtime/ops/github#token"');

test("open the vendors, and lie nowhere else", async () => {
  const applied = await world.apply(stored(world.file));
  expect(applied.status).toBe(200);
  expect(await world.settled()).toMatchObject({ parked: [] });
  const { vercel, github } = world.sandbox.credentials;
  expect(
    world.sandbox.vercel.state.values("shop-web", { target: "preview", gitBranch: "login" }),
  ).toHaveProperty("DATABASE_URL");
  const { rows } = await world.service.runtime.database.db.execute(
    "select block from branchline.destination",
  );
  expect(JSON.stringify(rows)).toContain("vault:vault/ops/vercel#token");
  expect(JSON.stringify(rows)).not.toContain(vercel.token);
  expect(JSON.stringify(rows)).not.toContain(github.token);
}, 60_000);

test("a document that is sent may name only what BRANCHLINE_REFS allows", async () => {
  const text = stored(world.file).replace(
    "vault:vault/ops/vercel#token",
    "vault:vault/production/shop#DATABASE_URL",
  );
  const plan = await world.plan(text);
  expect(plan.body.parts).toContainEqual(
    expect.objectContaining({ section: "destinations", name: "web", action: "refuse" }),
  );
  expect((await world.apply(text)).status).toBe(422);
});

test.each([
  ["vault:ops/db/app#password", { kind: "vault", destination: "ops", path: "db/app", key: "password" }],
  ["aws-sm:run/prd/app", { kind: "awsSecretsManager", destination: "run", path: "prd/app", key: null }],
])("%s says whose account, where and which key", (ref, expected) => {
  expect(refuseCredentialRef(ref)).toBeNull();
  expect(parseStored({ ref })).toEqual(expected);
});

test.each(["vault:ops/db/app", "vault:ops", "aws-sm:/x", "vault:#key", "gcp-sm:x/y#z"])(
  "%s is refused",
  (ref) => {
    expect(refuseCredentialRef(ref)).toContain("expected env:NAME");
  },
);
