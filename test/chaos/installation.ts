/** What an operator would write: the file, the environment, and which processes run with it. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Member } from "./fleet.ts";
import { freePort } from "./redis.ts";
import type { Opened } from "./vendors.ts";

export interface InstallationOptions {
  readonly folder: string;
  readonly vendors: Opened;
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly workers: number;
  readonly apis: number;
  /** Null: the `branchline` command with its own settings; else a service with these. */
  readonly settings: Readonly<Record<string, number>> | null;
}

export interface Installation {
  readonly members: readonly Member[];
  readonly apiUrls: readonly string[];
  /** What must be found in no log and no database. */
  readonly secrets: readonly string[];
}

const CLI = fileURLToPath(new URL("../../services/cli/main.js", import.meta.url));
const QUICK = fileURLToPath(new URL("./serve.js", import.meta.url));

export async function install(options: InstallationOptions): Promise<Installation> {
  const { folder, vendors, databaseUrl, redisUrl, settings } = options;
  const config = join(folder, "branchline.yaml");
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(fileOf(options), null, 2));
  const masterKey = randomBytes(32).toString("base64");
  const adminToken = randomBytes(24).toString("base64url");
  const { neon, vercel, github, aws, vault } = vendors.credentials;
  const common = {
    DATABASE_URL: databaseUrl,
    ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
    BRANCHLINE_CONFIG: config,
    BRANCHLINE_MASTER_KEY: masterKey,
    BRANCHLINE_ADMIN_TOKEN: adminToken,
    NEON_API_KEY: neon.apiKey,
    VERCEL_TOKEN: vercel.token,
    GITHUB_TOKEN: github.token,
    GITHUB_WEBHOOK_SECRET: github.webhookSecret,
    AWS_ACCESS_KEY_ID: aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    VAULT_ROLE_ID: vault.roleId,
    VAULT_SECRET_ID: vault.secretId,
  };
  const command = (role: string) =>
    settings === null
      ? { file: CLI, args: ["serve", `--${role}`] }
      : { file: QUICK, args: [`--${role}`, JSON.stringify(settings)] };
  const workers = Array.from({ length: options.workers }, (_, n): Member => {
    return { name: `worker-${n + 1}`, ...command("worker"), environment: common };
  });
  const ports = await Promise.all(Array.from({ length: options.apis }, freePort));
  const apis = ports.map((port, n): Member => {
    return { name: `api-${n + 1}`, ...command("api"), environment: { ...common, PORT: String(port) } };
  });
  return {
    members: [...workers, ...apis],
    apiUrls: ports.map((port) => `http://127.0.0.1:${port}`),
    secrets: [
      ...[masterKey, adminToken, neon.apiKey, vercel.token, github.token, github.webhookSecret],
      ...[aws.secretAccessKey, vault.secretId],
    ],
  };
}

function fileOf({ vendors, settings, folder }: InstallationOptions): object {
  const { urls, computes } = vendors;
  const privateNetwork = true;
  const ca = join(folder, "computes-ca.pem");
  if (computes !== null) writeFileSync(ca, computes.ca);
  return {
    sources: {
      shop: {
        neon: {
          project: vendors.credentials.neon.project,
          apiKey: "env:NEON_API_KEY",
          api: `${urls.neon}/api/v2`,
          privateNetwork,
          ...(computes === null ? {} : { dial: { host: "127.0.0.1", port: computes.port, ca } }),
        },
      },
    },
    watch: { interval: settings === null ? "3s" : "1s" },
    sweep: { every: "1m" },
    webhooks: { github: { secrets: ["env:GITHUB_WEBHOOK_SECRET"], repositories: { "acme/shop": ["shop"] } } },
    destinations: destinationsAt(urls),
    rules: rulesOf(computes === null ? "never" : "onChange"),
  };
}

function destinationsAt(urls: Opened["urls"]): object {
  const privateNetwork = true;
  return {
    web: {
      vercel: {
        project: "shop-web",
        team: "acme",
        token: "env:VERCEL_TOKEN",
        api: urls.vercel,
        privateNetwork,
      },
    },
    ci: {
      github: {
        repository: "acme/shop",
        token: "env:GITHUB_TOKEN",
        createEnvironments: true,
        writeSpacingMs: 0,
        api: urls.github,
        privateNetwork,
      },
    },
    runtime: {
      awsSecretsManager: {
        account: "123456789012",
        region: "eu-central-1",
        accessKey: { id: "env:AWS_ACCESS_KEY_ID", secret: "env:AWS_SECRET_ACCESS_KEY" },
        endpoint: urls.aws,
        stsEndpoint: urls.aws,
        privateNetwork,
      },
    },
    vault: {
      vault: {
        address: urls.vault,
        mount: "kv",
        auth: { approle: { roleId: "env:VAULT_ROLE_ID", secretId: "env:VAULT_SECRET_ID" } },
        privateNetwork,
      },
    },
  };
}

function rulesOf(proof: "never" | "onChange"): object {
  const common = { source: "shop", database: "shop", proof };
  const preview = { ...common, branches: { include: ["preview/**"] }, onBranchDelete: "delete" };
  const after = (filters: string): string => ["$", `{branch.name|after:preview/${filters}}`].join("");
  const slug = after("|slug");
  return {
    "web-preview": {
      ...preview,
      roles: { app: "shop_app", migrate: "shop_owner" },
      destination: "web",
      target: { environment: "preview", gitBranch: after("") },
      variables: { DATABASE_URL: "app.pooled", DATABASE_URL_UNPOOLED: "migrate.direct" },
    },
    "ci-preview": {
      ...preview,
      role: "shop_owner",
      destination: "ci",
      target: { environment: `preview-${slug}` },
      exposure: "preview",
      variables: { DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" },
    },
    "runtime-preview": {
      ...preview,
      role: "shop_app",
      destination: "runtime",
      target: { secretId: `preview/${slug}/db` },
      exposure: "preview",
      variables: { DATABASE_URL: "pooled", PGHOST: "pooled.host", PGUSER: "user", PGPASSWORD: "password" },
    },
    "vault-preview": {
      ...preview,
      role: "shop_app",
      destination: "vault",
      target: { path: `preview/${slug}` },
      exposure: "preview",
      variables: { DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" },
    },
    "vault-production": {
      ...common,
      branches: { default: true },
      role: "shop_app",
      destination: "vault",
      target: { path: "production/shop" },
      exposure: "production",
      variables: { DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" },
    },
  };
}
