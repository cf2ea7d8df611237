/** All five stand-ins at once, with credentials that open them: for flows, the demo and a look around. */
import { AWS_DEFAULTS, type AwsState, startAws } from "./aws.ts";
import type { Computes } from "./computes/index.ts";
import { GITHUB_DEFAULTS, type GitHubState, startGitHub } from "./github.ts";
import { NEON_PROJECT, NEON_TOKEN, type NeonState, startNeon } from "./neon.ts";
import { startVault, VAULT_APPROLE, VAULT_TOKEN, type VaultState } from "./vault.ts";
import type { Vendor, VendorOptions } from "./vendor.ts";
import { startVercel, VERCEL_DEFAULTS, type VercelState } from "./vercel.ts";

export interface SandboxOptions {
  /** Options of single vendors; what is not said is their default. */
  readonly neon?: Parameters<typeof startNeon>[0];
  readonly vercel?: Parameters<typeof startVercel>[0];
  readonly github?: Parameters<typeof startGitHub>[0];
  readonly aws?: Parameters<typeof startAws>[0];
  readonly vault?: Parameters<typeof startVault>[0];
  /** True: a real PostgreSQL behind every branch, so that logins can be proven. Default false. */
  readonly computes?: boolean;
  readonly latencyMs?: number;
  readonly host?: string;
}

export interface Sandbox {
  readonly neon: Vendor<NeonState>;
  readonly vercel: Vendor<VercelState>;
  readonly github: Vendor<GitHubState>;
  readonly aws: Vendor<AwsState>;
  readonly vault: Vendor<VaultState>;
  /** Where logins connect instead of what DNS says; null without computes. */
  readonly computes: Computes | null;
  readonly credentials: SandboxCredentials;
  /** Ends everything that was started. */
  close(): Promise<void>;
}

export type SandboxCredentials = ReturnType<typeof credentials>;

/** Starts all five, or none: if one fails, those already started are ended. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { latencyMs, host } = options;
  const common: VendorOptions = {
    ...(latencyMs === undefined ? {} : { latencyMs }),
    ...(host === undefined ? {} : { host }),
  };
  const started: { close(): Promise<void> }[] = [];
  const close = async () => {
    await Promise.all(started.map((each) => each.close()));
  };
  const keep = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const running = await starting;
    started.unshift(running);
    return running;
  };
  try {
    const computes = options.computes ? await keep(loadComputes()) : null;
    const neon = await keep(startNeon({ ...common, computes, ...options.neon }));
    const vercel = await keep(startVercel({ ...common, ...options.vercel }));
    const github = await keep(startGitHub({ ...common, ...options.github }));
    const aws = await keep(startAws({ ...common, ...options.aws }));
    const vault = await keep(startVault({ ...common, ...options.vault }));
    await neon.state.settled();
    return { neon, vercel, github, aws, vault, computes, credentials: credentials(github.state), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Loaded only where wanted: they need PostgreSQL's binaries. */
async function loadComputes(): Promise<Computes> {
  const { startComputes } = await import("./computes/index.ts");
  return startComputes();
}

function credentials(github: GitHubState) {
  return {
    neon: { apiKey: NEON_TOKEN, project: NEON_PROJECT.id ?? "" },
    vercel: { token: VERCEL_DEFAULTS.token },
    github: {
      token: GITHUB_DEFAULTS.token,
      appId: GITHUB_DEFAULTS.appId,
      installationId: GITHUB_DEFAULTS.installationId,
      privateKey: github.apps[0]?.privateKey ?? "",
      webhookSecret: GITHUB_DEFAULTS.webhookSecret,
    },
    aws: { ...AWS_DEFAULTS },
    vault: { token: VAULT_TOKEN, roleId: VAULT_APPROLE.role, secretId: VAULT_APPROLE.secret },
  };
}
