import { describe } from "vitest";
import { startVercel, VERCEL_DEFAULTS } from "../../infra/sandbox/vercel.ts";
import { vercel } from "../../services/destinations/vercel.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type DestinationFixture, describeDestination } from "./destination.suite.ts";
import { arm, NOT_OURS } from "./sandbox-faults.ts";
import { openVercelServer, VERCEL_SERVER } from "./vercel-server.ts";

describeDestination("vercel, variables of a project", {
  open: () =>
    open([
      { environment: "preview", gitBranch: "feature-x" },
      { environment: "preview" },
      { environment: "staging", type: "encrypted" },
    ]),
});

describeDestination("vercel, variables of a team", {
  open: () =>
    open([
      { environment: "preview", shared: true },
      { environment: "production", shared: true },
      { environment: "development", shared: true },
    ]),
  skip: [
    {
      reason: "variables of a team belong to environments that always exist",
      tests: ["says when the target does not exist"],
    },
    {
      reason: "the stand-in knows no size limit for variables of a team; Vercel documents none",
      tests: ["takes a value of the greatest size, and says no to a longer one"],
    },
  ],
});

describe.skipIf(VERCEL_SERVER.token === "")("at VERCEL_SCRATCH_PROJECT", () =>
  describeDestination("vercel", { open: openVercelServer, skip: [NOT_OURS] }),
);

interface RawTarget {
  readonly environment: string;
  readonly gitBranch?: string;
  readonly type?: string;
  readonly shared?: boolean;
}

async function open(targets: readonly RawTarget[]): Promise<DestinationFixture> {
  const vendor = await startVercel();
  const { token, teamSlug: team, projectName: project, customEnvironmentId } = VERCEL_DEFAULTS;
  const { state } = vendor;

  const rowOf = (target: unknown, key: string) => {
    const { environment, gitBranch = null, shared } = target as RawTarget;
    if (shared)
      return state.shared.find((row) => row.key === key && row.target.includes(environment as never));
    return state.project(project).rows.find((row) => {
      const own =
        environment === "staging"
          ? row.customEnvironmentIds[0] === customEnvironmentId
          : row.target[0] === environment;
      return row.key === key && own && row.gitBranch === gitBranch;
    });
  };
  const seed = (target: unknown, key: string, value: string) => {
    const { environment, gitBranch = null, shared } = target as RawTarget;
    const own = environment === "staging";
    const where = {
      target: own ? [] : [environment as "preview"],
      gitBranch,
      customEnvironmentIds: own ? [customEnvironmentId] : [],
    };
    if (!shared) return void state.seed(project, { key, value, ...where });
    const now = state.now();
    const ownerId = VERCEL_DEFAULTS.teamId;
    state.shared.push({
      id: `env_${key}_${environment}`,
      ownerId,
      key,
      value,
      type: "encrypted",
      target: where.target,
      projectId: [],
      applyToAllCustomEnvironments: false,
      comment: null,
      createdAt: now,
      updatedAt: now,
      createdBy: "user_somebody",
    });
  };

  return {
    adapter: vercel,
    block: { project, team, token: "env:VERCEL_TOKEN", api: vendor.url, privateNetwork: true },
    credential: () => new Secret(token),
    wrongCredential: () => new Secret("vcp_wrong_0123456789abcdefghijklmn"),
    secrets: [token, "vcp_wrong_0123456789abcdefghijklmn"],
    target: (n) => targets[n],
    missingTarget: { environment: "nowhere" },
    badTarget: { environment: "production", gitBranch: "main" },
    badNames: ["1ST", "TZ", "not-a-name"],
    putForeign: async (target, key, value) => {
      const row = rowOf(target, key);
      if (row === undefined) return seed(target, key, value);
      row.value = value;
      row.updatedAt = state.now();
    },
    readBack: async (target, key) => rowOf(target, key)?.value,
    fault: async (fault) => arm(vendor, fault),
    clearFaults: async () => vendor.clearFaults(),
    calls: async () => vendor.log.length,
    tick: async () => state.advance(10),
    close: () => vendor.close(),
  };
}
