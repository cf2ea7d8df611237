/** What a hand other than ours does at the vendors. */
import type { Sandbox } from "../../infra/sandbox/index.ts";
import type { DestinationName } from "./acts.ts";
import { holdings, PROJECT, placeOf, REPOSITORY } from "./holdings.ts";

/** Makes the name there or changes its value, past Branchline. */
export function writeByHand(
  sandbox: Sandbox,
  destination: DestinationName,
  branch: string,
  name: string,
  value: string,
): void {
  const { vercel, github, aws, vault } = sandbox;
  switch (destination) {
    case "web": {
      const row = rowOf(sandbox, branch, name);
      if (row === undefined) {
        vercel.state.seed(PROJECT, { key: name, value, target: ["preview"], gitBranch: branch });
      } else Object.assign(row, { value, updatedAt: vercel.state.now(), updatedBy: "user_somebody" });
      return;
    }
    case "ci": {
      const environment = `preview-${branch}`;
      const repository = github.state.repository(REPOSITORY);
      if (!repository.environments.has(environment)) github.state.addEnvironment(repository, environment);
      github.state.edit(REPOSITORY, name, value, { environment });
      return;
    }
    case "runtime":
      aws.state.edit(secretId(branch), { ...current(sandbox, destination, branch), [name]: value });
      return;
    case "vault":
      vault.state.write(path(branch), { ...current(sandbox, destination, branch), [name]: value });
  }
}

/** Takes the name away, past Branchline. */
export function takeByHand(
  sandbox: Sandbox,
  destination: DestinationName,
  branch: string,
  name: string,
): void {
  const { vercel, github, aws, vault } = sandbox;
  const { [name]: _, ...rest } = current(sandbox, destination, branch);
  switch (destination) {
    case "web": {
      const project = vercel.state.project(PROJECT);
      const row = rowOf(sandbox, branch, name);
      project.rows = project.rows.filter((one) => one !== row);
      return;
    }
    case "ci":
      github.state.level(REPOSITORY, { environment: `preview-${branch}` }).secrets.delete(name);
      return;
    case "runtime":
      aws.state.edit(secretId(branch), rest);
      return;
    case "vault":
      vault.state.write(path(branch), rest);
  }
}

function rowOf({ vercel }: Sandbox, branch: string, key: string) {
  return vercel.state.project(PROJECT).rows.find((row) => row.key === key && row.gitBranch === branch);
}

const current = (
  sandbox: Sandbox,
  destination: DestinationName,
  branch: string,
): Readonly<Record<string, string>> => holdings(sandbox).get(placeOf(destination, branch)) ?? {};

const secretId = (branch: string): string => `preview/${branch}/db`;
const path = (branch: string): string => `preview/${branch}`;
