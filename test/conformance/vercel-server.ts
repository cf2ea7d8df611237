/** A Vercel project that is not ours: a scratch one, whose variables come and go with each test. */
import { vercel } from "../../services/destinations/vercel.ts";
import { Secret } from "../../services/sync/secret.ts";
import type { DestinationFixture } from "./destination.suite.ts";

const { env } = process;
export const VERCEL_SERVER = {
  token: env["VERCEL_SCRATCH_TOKEN"] ?? "",
  project: env["VERCEL_SCRATCH_PROJECT"] ?? "",
  team: env["VERCEL_SCRATCH_TEAM"],
  api: env["VERCEL_SCRATCH_API"] ?? "https://api.vercel.com",
};

interface Row {
  readonly id: string;
  readonly key: string;
  readonly target: readonly string[];
}

export async function openVercelServer(): Promise<DestinationFixture> {
  const { token, project, team, api } = VERCEL_SERVER;
  if (!project.startsWith("branchline-scratch"))
    throw new Error("the project is not called branchline-scratch...");
  const scope = team === undefined ? "" : team.startsWith("team_") ? `teamId=${team}` : `slug=${team}`;
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(`${api}${path}${path.includes("?") ? "&" : "?"}${scope}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${answer.status}`);
    return answer.json();
  };
  const list = async () => ((await call("GET", `/v10/projects/${project}/env`)) as { envs: Row[] }).envs;
  const find = async (target: unknown, name: string) => {
    const { environment } = target as { environment: string };
    return (await list()).find(({ key, target: at }) => key === name && at.join() === environment);
  };
  return {
    adapter: vercel,
    block: { project, ...(team === undefined ? {} : { team }), token: "env:T", api, privateNetwork: true },
    credential: () => new Secret(token),
    wrongCredential: () => new Secret("vcp_wrong_0123456789abcdefghijklmn"),
    secrets: [token],
    target: (n) => ({ environment: ["preview", "development", "production"][n], type: "encrypted" }),
    missingTarget: { environment: "nowhere" },
    badTarget: { environment: "production", gitBranch: "main" },
    badNames: ["1ST"],
    async putForeign(target, key, value) {
      const { environment } = target as { environment: string };
      const body = { key, value, type: "encrypted", target: [environment] };
      await call("POST", `/v10/projects/${project}/env?upsert=true`, body);
    },
    async readBack(target, name) {
      const row = await find(target, name);
      if (row === undefined) return undefined;
      return ((await call("GET", `/v1/projects/${project}/env/${row.id}`)) as { value: string }).value;
    },
    fault: () => Promise.reject(new Error("not here")),
    clearFaults: async () => undefined,
    calls: async () => 0,
    async close() {
      const ids = (await list()).map(({ id }) => id);
      if (ids.length > 0) await call("DELETE", `/v1/projects/${project}/env`, { ids });
    },
  };
}
