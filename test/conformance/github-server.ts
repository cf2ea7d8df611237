/** A GitHub repository that is not ours: a scratch one, whose variables come and go with each test. */
import { setTimeout as pause } from "node:timers/promises";
import { github } from "../../services/destinations/github.ts";
import { Secret } from "../../services/sync/secret.ts";
import type { DestinationFixture } from "./destination.suite.ts";

const { env } = process;
export const GITHUB_SERVER = {
  token: env["GITHUB_SCRATCH_TOKEN"] ?? "",
  repository: env["GITHUB_SCRATCH_REPOSITORY"] ?? "",
  api: env["GITHUB_SCRATCH_API"] ?? "https://api.github.com",
};

const TARGETS = [
  { as: "variable" },
  { as: "variable", environment: "branchline-a" },
  { as: "variable", environment: "branchline-b" },
];

export async function openGitHubServer(): Promise<DestinationFixture> {
  const { token, repository, api } = GITHUB_SERVER;
  if (!/\/branchline-scratch/.test(repository))
    throw new Error("the repository is not called branchline-scratch...");
  const base = (target: unknown) => {
    const { environment } = target as { environment?: string };
    return `/repos/${repository}/${environment === undefined ? "actions" : `environments/${environment}`}/variables`;
  };
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`${api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        accept: "application/vnd.github+json",
        "user-agent": "branchline",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: answer.status === 200 ? ((await answer.json()) as never) : null };
  };
  for (const { environment } of TARGETS) {
    const path = `/repos/${repository}/environments/${environment}`;
    if (environment !== undefined && (await call("GET", path)).status === 404) await call("PUT", path);
  }
  return {
    adapter: github,
    block: { repository, token: "env:T", api, privateNetwork: true },
    credential: () => new Secret(token),
    wrongCredential: () => new Secret("github_pat_wrong"),
    secrets: [token],
    target: (n) => TARGETS[n],
    missingTarget: { as: "variable", environment: "nowhere" },
    badTarget: { visibility: "nobody" },
    badNames: ["1ST", "GITHUB_TOKEN"],
    async putForeign(target, name, value) {
      const known = await call("PATCH", `${base(target)}/${name}`, { name, value });
      if (known.status === 404) await call("POST", base(target), { name, value });
    },
    readBack: async (target, name) =>
      ((await call("GET", `${base(target)}/${name}`)).body as { value: string } | null)?.value,
    fault: () => Promise.reject(new Error("not here")),
    clearFaults: async () => undefined,
    calls: async () => 0,
    // GitHub's times are to the second.
    tick: () => pause(1_100),
    async close() {
      for (const target of TARGETS) {
        const { variables } = (await call("GET", `${base(target)}?per_page=30`)).body as unknown as {
          variables: { name: string }[];
        };
        for (const { name } of variables) await call("DELETE", `${base(target)}/${name}`);
      }
    },
  };
}
