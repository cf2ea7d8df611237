import { generateKeyPairSync } from "node:crypto";
import { describe } from "vitest";
import { GITHUB_DEFAULTS, startGitHub } from "../../infra/sandbox/github.ts";
import { github } from "../../services/destinations/github.ts";
import type { CredentialRef } from "../../services/sync/ports.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type DestinationFixture, describeDestination } from "./destination.suite.ts";
import { GITHUB_SERVER, openGitHubServer } from "./github-server.ts";
import { arm, NOT_OURS } from "./sandbox-faults.ts";

const { organization, repository, token, appId, installationId } = GITHUB_DEFAULTS;
const WRONG = "github_pat_wrong0123456789abcdefghijklmnop";
const OTHER_KEY = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();
const APP = { id: appId, installation: installationId, privateKey: "env:GITHUB_APP_KEY" };

describeDestination("github, secrets of a repository and its environments", {
  open: () =>
    open({ repository, token: "env:GITHUB_TOKEN" }, [
      {},
      { environment: "preview" },
      { family: "dependabot" },
    ]),
});

describeDestination("github, by an app", {
  open: () => open({ repository, app: APP }, [{ environment: "production" }, { environment: "preview" }, {}]),
});

describeDestination("github, secrets of an organization", {
  open: () =>
    open({ organization, token: "env:GITHUB_TOKEN" }, [{}, { family: "dependabot" }, { as: "variable" }]),
});

describeDestination("github, variables", {
  open: () =>
    open({ repository, token: "env:GITHUB_TOKEN" }, [
      { as: "variable" },
      { as: "variable", environment: "preview" },
      { as: "variable", environment: "production" },
    ]),
});

describe.skipIf(GITHUB_SERVER.token === "")("at GITHUB_SCRATCH_REPOSITORY", () =>
  describeDestination("github", { open: openGitHubServer, skip: [NOT_OURS] }),
);

interface RawTarget {
  readonly environment?: string;
  readonly family?: "actions" | "dependabot";
  readonly as?: "variable";
}

async function open(
  scope: Record<string, unknown>,
  targets: readonly RawTarget[],
): Promise<DestinationFixture> {
  const vendor = await startGitHub();
  const { state } = vendor;
  const privateKey = state.apps[0]?.privateKey ?? "";
  const where = "organization" in scope ? organization : repository;
  const names = (target: unknown) => {
    const { as, environment, family } = target as RawTarget;
    const corner = {
      ...(environment === undefined ? {} : { environment }),
      ...(family === undefined ? {} : { family }),
    };
    const level = state.level(where, corner);
    return as === "variable" ? level.variables : level.secrets;
  };
  const credentials: Record<string, string> = { "env:GITHUB_TOKEN": token, "env:GITHUB_APP_KEY": privateKey };
  return {
    adapter: github,
    block: { ...scope, api: vendor.url, privateNetwork: true, writeSpacingMs: 0 },
    credential: ({ ref }: CredentialRef) => new Secret(credentials[ref] ?? ""),
    wrongCredential: ({ ref }) => new Secret(ref === "env:GITHUB_TOKEN" ? WRONG : OTHER_KEY),
    secrets: [token, WRONG, ...(privateKey.split("\n")[1] ?? "never").split(" ")],
    target: (n) => targets[n],
    missingTarget: "organization" in scope ? null : { environment: "nowhere" },
    badTarget: { visibility: "nobody" },
    badNames: ["1ST", "GITHUB_TOKEN", "NOT-A-NAME"],
    putForeign: async (target, name, value) => {
      const now = state.now();
      const known = names(target).get(name);
      if (known !== undefined) Object.assign(known, { value, updatedAt: now });
      else
        names(target).set(name, {
          name,
          value,
          createdAt: now,
          updatedAt: now,
          visibility: "all",
          selected: new Set(),
        });
    },
    readBack: async (target, name) => names(target).get(name)?.value,
    fault: async (fault) => arm(vendor, fault),
    clearFaults: async () => vendor.clearFaults(),
    calls: async () => vendor.log.length,
    tick: async () => state.advance(2_000),
    close: () => vendor.close(),
  };
}
