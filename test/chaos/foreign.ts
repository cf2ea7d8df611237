/** Other people at the vendors: some had names before we came, some change ours, some put theirs beside ours. */
import type { Sandbox } from "../../infra/sandbox/index.ts";
import type { DestinationName } from "./acts.ts";
import { holdings, PROJECT, placeOf, REPOSITORY } from "./holdings.ts";
import type { Witness } from "./witness.ts";

const NAME = "DATABASE_URL";
const BESIDE = "OTHER_SETTING";
/** GitHub counts in seconds: what changes within the second of our own write cannot be told from it. */
const GRAIN_MS = 2_200;

export class Foreigners {
  readonly #sandbox: Sandbox;
  readonly #witness: Witness;
  #n = 0;

  constructor(sandbox: Sandbox, witness: Witness) {
    this.#sandbox = sandbox;
    this.#witness = witness;
  }

  /** Has the name there before anybody else. */
  own(destination: DestinationName, branch: string): void {
    const value = `foreign-${++this.#n}`;
    this.#witness.foreignWrote(placeOf(destination, branch), NAME, value);
    this.#write(destination, branch, NAME, value);
  }

  /** False: there was nothing to change yet. */
  act(what: "change" | "lose" | "beside", destination: DestinationName, branch: string): boolean {
    const place = placeOf(destination, branch);
    const there = holdings(this.#sandbox).get(place);
    if (there?.[NAME] === undefined || this.#tooSoon(destination, branch)) return false;
    const value = `foreign-${++this.#n}`;
    if (what === "beside") {
      this.#witness.foreignWrote(place, BESIDE, value);
      this.#write(destination, branch, BESIDE, value);
    } else if (what === "change") this.#write(destination, branch, NAME, value);
    else {
      this.#witness.foreignTook(place, NAME);
      this.#take(destination, branch);
    }
    return true;
  }

  #tooSoon(destination: DestinationName, branch: string): boolean {
    if (destination !== "ci") return false;
    const secret = this.#sandbox.github.state.level(REPOSITORY, { environment: `preview-${branch}` });
    return Date.now() - (secret.secrets.get(NAME)?.updatedAt ?? 0) < GRAIN_MS;
  }

  #write(destination: DestinationName, branch: string, name: string, value: string): void {
    const { vercel, github, aws, vault } = this.#sandbox;
    switch (destination) {
      case "web": {
        const row = this.#row(branch, name);
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
        aws.state.edit(secretId(branch), { ...this.#current(destination, branch), [name]: value });
        return;
      case "vault":
        vault.state.write(path(branch), { ...this.#current(destination, branch), [name]: value });
    }
  }

  #take(destination: DestinationName, branch: string): void {
    const { vercel, github, aws, vault } = this.#sandbox;
    const { [NAME]: _, ...rest } = this.#current(destination, branch);
    switch (destination) {
      case "web": {
        const project = vercel.state.project(PROJECT);
        const row = this.#row(branch, NAME);
        project.rows = project.rows.filter((one) => one !== row);
        return;
      }
      case "ci":
        github.state.level(REPOSITORY, { environment: `preview-${branch}` }).secrets.delete(NAME);
        return;
      case "runtime":
        aws.state.edit(secretId(branch), rest);
        return;
      case "vault":
        vault.state.write(path(branch), rest);
    }
  }

  #row(branch: string, key: string) {
    const { rows } = this.#sandbox.vercel.state.project(PROJECT);
    return rows.find((row) => row.key === key && row.gitBranch === branch);
  }

  #current(destination: DestinationName, branch: string): Readonly<Record<string, string>> {
    return holdings(this.#sandbox).get(placeOf(destination, branch)) ?? {};
  }
}

const secretId = (branch: string): string => `preview/${branch}/db`;
const path = (branch: string): string => `preview/${branch}`;
