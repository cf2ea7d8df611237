/** The demo's branchline.yaml on a sandbox of the test's own, for processes that the test starts. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { addressed, credentialsOf } from "../../infra/demo/world.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { ROOT } from "./process.ts";

export interface SandboxFileOptions {
  readonly sandbox: Sandbox;
  /** Where the file goes. */
  readonly folder: string;
  /** Default: what the sandbox opens with. */
  readonly credentials?: Readonly<Record<string, string>>;
  /** Standard Webhooks secret of POST /webhooks/neon. */
  readonly neonSecret?: string;
}

/** What the environment has to hold for it, the file's own path included. */
export function writeSandboxFile(options: SandboxFileOptions): Record<string, string> {
  const { sandbox, folder, neonSecret = newNeonSecret() } = options;
  const text = addressed(readFileSync(join(ROOT, "infra/demo/branchline.yaml"), "utf8"), sandbox, folder);
  const file = parse(text, { merge: true }) as {
    webhooks: Record<string, unknown>;
    rules: Record<string, { proof?: string }>;
  };
  file.webhooks["neon"] = { secrets: ["env:NEON_WEBHOOK_SECRET"] };
  if (sandbox.computes === null) for (const rule of Object.values(file.rules)) rule.proof = "never";
  const path = join(folder, "branchline.yaml");
  writeFileSync(path, JSON.stringify(file, null, 2)); // every JSON text is YAML
  return {
    ...credentialsOf(sandbox),
    NEON_WEBHOOK_SECRET: neonSecret,
    ...options.credentials,
    BRANCHLINE_CONFIG: path,
  };
}

export const newNeonSecret = (): string => `whsec_${randomBytes(32).toString("base64")}`;
