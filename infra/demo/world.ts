/** Everything that the demo runs: an own Postgres, the five stand-ins, and a whole Branchline. */

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openServer } from "../../services/cli/database.ts";
import { type Service, startService } from "../../services/cli/service.ts";
import { refuseReference } from "../../services/config.ts";
import { destinations } from "../../services/destinations/index.ts";
import { loadText } from "../../services/file/load.ts";
import type { Logger } from "../../services/log.ts";
import { packageRoot } from "../../services/paths.ts";
import { sourceAdapters } from "../../services/sources/index.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type Sandbox, startSandbox } from "../sandbox/index.ts";

export interface World {
  readonly sandbox: Sandbox;
  readonly service: Service;
  readonly apiUrl: string;
  readonly adminToken: string;
  readonly webhookSecret: string;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly log: Logger;
  /** Where the database lives while the demo runs. */
  readonly folder: string;
  /** The API's port; 0: any free one. */
  readonly port: number;
  /** Of every vendor's answer. */
  readonly latencyMs?: number;
  /** False: no databases behind the branches, and no proof by login. Default true. */
  readonly computes?: boolean;
  /** Makes another branchline.yaml of the demo's. */
  readonly rewrite?: (file: string) => string;
}

/** Starts all of it, or nothing. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { log, folder, port, latencyMs, computes = true, rewrite = (file: string) => file } = options;
  const closing: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const [server, sandbox] = await Promise.all([
      openServer({ databaseUrl: null, folder, mode: "ephemeral", log }).then((opened) => {
        closing.push(() => opened.stop());
        return opened;
      }),
      startSandbox({ computes, ...(latencyMs === undefined ? {} : { latencyMs }) }).then((opened) => {
        closing.push(() => opened.close());
        return opened;
      }),
    ]);
    const files = mkdtempSync(join(tmpdir(), "branchline-demo-"));
    closing.push(() => rmSync(files, { recursive: true, force: true }));
    const environment = credentialsOf(sandbox);
    const demo = readFileSync(join(packageRoot(), "infra/demo/branchline.yaml"), "utf8");
    const text = addressed(rewrite(demo), sandbox, files);
    const loaded = loadText(text, {
      adapters: { sources: sourceAdapters, destinations: [...destinations.values()] },
      refuse: (ref) => refuseReference(ref, environment),
    });
    const proof = computes ? {} : { proof: "never" as const };
    const configuration = { ...loaded, rules: loaded.rules.map((rule) => ({ ...rule, ...proof })) };
    const adminToken = randomBytes(24).toString("base64url");
    const service = await startService({
      databaseUrl: server.url,
      redisUrl: null,
      masterKey: randomBytes(32),
      adminToken: new Secret(adminToken),
      configuration,
      environment,
      roles: { api: true, worker: true },
      host: "127.0.0.1",
      port,
      webhookPort: null,
      log,
    });
    closing.push(() => service.stop());
    const webhookSecret = sandbox.credentials.github.webhookSecret;
    return { sandbox, service, apiUrl: service.apiUrl ?? "", adminToken, webhookSecret, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the file's `env:` references stand for. */
export function credentialsOf({ credentials: c }: Sandbox): Record<string, string> {
  return {
    NEON_API_KEY: c.neon.apiKey,
    VERCEL_TOKEN: c.vercel.token,
    GITHUB_TOKEN: c.github.token,
    GITHUB_WEBHOOK_SECRET: c.github.webhookSecret,
    AWS_ACCESS_KEY_ID: c.aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: c.aws.secretAccessKey,
    VAULT_ROLE_ID: c.vault.roleId,
    VAULT_SECRET_ID: c.vault.secretId,
  };
}

/** The file with the addresses that the stand-ins really have; the authority of their certificates goes to `files`. */
export function addressed(text: string, sandbox: Sandbox, files: string): string {
  const { computes } = sandbox;
  const ca = join(files, "computes-ca.pem");
  if (computes !== null) writeFileSync(ca, computes.ca);
  return text
    .replaceAll("http://neon.sandbox", sandbox.neon.url)
    .replaceAll("http://vercel.sandbox", sandbox.vercel.url)
    .replaceAll("http://github.sandbox", sandbox.github.url)
    .replaceAll("http://aws.sandbox", sandbox.aws.url)
    .replaceAll("http://vault.sandbox", sandbox.vault.url)
    .replace("port: 1, ca: computes.sandbox", `port: ${computes?.port ?? 1}, ca: ${JSON.stringify(ca)}`);
}
