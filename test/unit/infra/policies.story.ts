/**
 * Plays everything that the adapters can do, against the stand-ins, as somebody who may do no more than the files
 * in infra/policies say. What comes back are the calls that were made, by operation.
 */
import { expect, vi } from "vitest";
import { AWS_DEFAULTS, startAws } from "../../../infra/sandbox/aws.ts";
import { GITHUB_DEFAULTS, startGitHub } from "../../../infra/sandbox/github.ts";
import { startVault, type VaultState } from "../../../infra/sandbox/vault.ts";
import { startVercel, VERCEL_DEFAULTS } from "../../../infra/sandbox/vercel.ts";
import { awsSecretsManager } from "../../../services/destinations/aws-secrets-manager.ts";
import { github } from "../../../services/destinations/github.ts";
import { vault } from "../../../services/destinations/vault.ts";
import { vercel } from "../../../services/destinations/vercel.ts";
import { codes, Hand, puts } from "../services/destinations/hand.ts";

export type Calls = ReadonlySet<string>;

/** Puts, changes and deletes two names at one target, looking before each. */
async function live(hand: Hand, target: unknown): Promise<void> {
  await hand.check(target);
  for (const round of ["first", "second"]) {
    const results = await hand.write(target, { DATABASE_URL: `${round}-a`, PGHOST: `${round}-b` });
    expect(codes(results), JSON.stringify(target)).toEqual({ DATABASE_URL: null, PGHOST: null });
  }
  await hand.observe(target);
  expect(codes(await hand.remove(target, "DATABASE_URL", "PGHOST"))).toEqual({
    DATABASE_URL: null,
    PGHOST: null,
  });
}

// ---------------------------------------------------------------- Vercel

export async function playVercel(): Promise<Calls> {
  const vendor = await startVercel();
  const calls = new Set<string>();
  const { token, teamSlug, projectName: project } = VERCEL_DEFAULTS;
  const open = (team: string) =>
    new Hand(
      vercel,
      { project, team, token: "env:T", api: vendor.url, privateNetwork: true },
      { "env:T": token },
      ({ operation }) => calls.add(operation),
    );
  try {
    const targets = [
      { environment: "preview", type: "encrypted" },
      { environment: "staging" },
      { environment: "preview", type: "encrypted", shared: true },
    ];
    for (const target of targets) await live(open(teamSlug), target);
    vendor.state.addBranch(project, "login");
    await open(teamSlug).foretell({ environment: "preview", gitBranch: "login" });
    await expect(open("another-team").check({ environment: "preview" })).rejects.toMatchObject({
      code: "wrong_account",
    });
    return calls;
  } finally {
    await vendor.close();
  }
}

// ---------------------------------------------------------------- GitHub

export type GitHubPermissions = Readonly<Record<string, "read" | "write">>;

/** Environments are made by whoever may; for others they are there. */
export async function playGitHub(permissions: GitHubPermissions): Promise<Calls> {
  const { organization, repository, appId, installationId } = GITHUB_DEFAULTS;
  const vendor = await startGitHub({
    apps: [{ id: appId, installations: [{ id: installationId, account: organization, permissions }] }],
  });
  const calls = new Set<string>();
  const makes = permissions["administration"] === "write";
  const environment = makes ? "made-here" : "preview";
  const privateKey = vendor.state.apps[0]?.privateKey ?? "";
  const open = (scope: object) =>
    new Hand(
      github,
      {
        ...scope,
        app: { id: appId, installation: installationId, privateKey: "env:K" },
        api: vendor.url,
        privateNetwork: true,
        createEnvironments: makes,
      },
      { "env:K": privateKey },
      ({ operation }) => calls.add(operation),
    );
  try {
    const inRepository = [
      {},
      { family: "dependabot" },
      { as: "variable" },
      { environment },
      { environment, as: "variable" },
    ];
    for (const target of inRepository) await live(open({ repository }), target);
    const selected = { visibility: "selected", selectedRepositories: [repository] };
    const inOrganization = [selected, { ...selected, family: "dependabot" }, { as: "variable" }];
    for (const target of inOrganization) await live(open({ organization }), target);
    await meetUnseen(open({ repository }), { as: "variable" });
    await meetUnseen(open({ repository }), { as: "variable", environment });
    for (const target of inOrganization) await meetUnseen(open({ organization }), target);
    return calls;
  } finally {
    await vendor.close();
  }
}

/** What we write is there without having been listed: whose it is, and who sees it, has to be asked. */
async function meetUnseen(hand: Hand, target: unknown): Promise<void> {
  const empty = await hand.observe(target);
  await hand.write(target, { DATABASE_URL: "there" });
  const [put] = puts({ DATABASE_URL: "there" }, empty);
  if (put === undefined) throw new Error("no put");
  expect(codes(await hand.apply(target, [put], empty))).toEqual({ DATABASE_URL: null });
  expect(codes(await hand.apply(target, [{ ...put, owned: true }], empty))).toEqual({ DATABASE_URL: null });
}

// ---------------------------------------------------------------- AWS

export interface AwsRights {
  /** Of whoever assumes the role. */
  readonly caller: readonly string[];
  readonly role: readonly string[];
  readonly externalId: string;
  /** What names of secrets begin with. */
  readonly prefix: string;
}

export async function playAws({ caller, role, externalId, prefix }: AwsRights): Promise<Calls> {
  const { accessKeyId, secretAccessKey, roleArn, region, account } = AWS_DEFAULTS;
  const vendor = await startAws({
    keys: [{ accessKeyId, secretAccessKey, allow: caller }],
    roles: [{ arn: roleArn, externalId, allow: role }],
  });
  const calls = new Set<string>();
  const open = () =>
    new Hand(
      awsSecretsManager,
      {
        account,
        region,
        accessKey: { id: "env:ID", secret: "env:SECRET" },
        assumeRole: { arn: roleArn, externalId: "env:EXTERNAL" },
        replicaRegions: ["eu-west-1"],
        endpoint: vendor.url,
        stsEndpoint: vendor.url,
        privateNetwork: true,
      },
      { "env:ID": accessKeyId, "env:SECRET": secretAccessKey, "env:EXTERNAL": externalId },
      ({ operation }) => calls.add(operation),
    );
  try {
    const target = { secretId: `${prefix}db` };
    await live(open(), target); // ends with a secret that waits for its deletion
    await live(open(), target); // and is revived
    return calls;
  } finally {
    await vendor.close();
  }
}

// ---------------------------------------------------------------- Vault

/** With the clock that leases are measured by so far ahead. */
async function later(ms: number, run: () => Promise<unknown>): Promise<void> {
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
  try {
    await run();
  } finally {
    clock.mockRestore();
  }
}

export type VaultPolicy = NonNullable<NonNullable<Parameters<VaultState["createToken"]>[0]>["policy"]>;

export async function playVault(policy: VaultPolicy): Promise<Calls> {
  const vendor = await startVault({
    tokens: [{ token: "hvs.narrow", policy, ttlSeconds: 3_600 }],
    logins: [
      { method: "approle", role: "role", secret: "secret", policy, ttlSeconds: 60 },
      { method: "kubernetes", role: "role", secret: "k8s-jwt", policy },
      { method: "jwt", role: "role", secret: "any-jwt", policy },
    ],
  });
  const calls = new Set<string>();
  const open = (auth: object, more: object = {}, values: Record<string, string> = {}) =>
    new Hand(
      vault,
      { address: vendor.url, mount: "kv", auth, privateNetwork: true, ...more },
      { "env:ROLE": "role", "env:JWT": "any-jwt", ...values },
      ({ operation }) => calls.add(operation),
    );
  const approle = { approle: { roleId: "env:ROLE", secretId: "env:SECRET" } };
  try {
    const wrapped = { approle: { ...approle.approle, wrapped: true } };
    const wrapping = vendor.state.wrapSecretId("role");
    await live(open({ token: "env:T" }, {}, { "env:T": "hvs.narrow" }), { path: "shop/a" });
    await live(open(approle, { deleteForever: true }, { "env:SECRET": "secret" }), { path: "shop/b" });
    await later(40_000, () => open(approle, {}, { "env:SECRET": "secret" }).observe({ path: "shop/b" }));
    await live(open(wrapped, {}, { "env:SECRET": wrapping }), { path: "shop/c" });
    await live(open({ jwt: { role: "role", jwt: "env:JWT" } }, { mount: "kv1" }), { path: "shop/d" });
    const kubernetes = { kubernetes: { role: "role", jwt: "env:JWT" } };
    await live(open(kubernetes, {}, { "env:JWT": "k8s-jwt" }), { path: "shop/e" });
    return calls;
  } finally {
    await vendor.close();
  }
}
