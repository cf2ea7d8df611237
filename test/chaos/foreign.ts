/** Other people at the vendors: some had names before we came, some change ours, some put theirs beside ours. */
import type { Sandbox } from "../../infra/sandbox/index.ts";
import type { DestinationName } from "./acts.ts";
import { takeByHand, writeByHand } from "./by-hand.ts";
import { holdings, placeOf, REPOSITORY } from "./holdings.ts";
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
    writeByHand(this.#sandbox, destination, branch, NAME, value);
  }

  /** False: there was nothing to change yet. */
  act(what: "change" | "lose" | "beside", destination: DestinationName, branch: string): boolean {
    const place = placeOf(destination, branch);
    const there = holdings(this.#sandbox).get(place);
    if (there?.[NAME] === undefined || this.#tooSoon(destination, branch)) return false;
    const value = `foreign-${++this.#n}`;
    if (what === "beside") {
      this.#witness.foreignWrote(place, BESIDE, value);
      writeByHand(this.#sandbox, destination, branch, BESIDE, value);
    } else if (what === "change") writeByHand(this.#sandbox, destination, branch, NAME, value);
    else {
      this.#witness.foreignTook(place, NAME);
      takeByHand(this.#sandbox, destination, branch, NAME);
    }
    return true;
  }

  #tooSoon(destination: DestinationName, branch: string): boolean {
    if (destination !== "ci") return false;
    const secret = this.#sandbox.github.state.level(REPOSITORY, { environment: `preview-${branch}` });
    return Date.now() - (secret.secrets.get(NAME)?.updatedAt ?? 0) < GRAIN_MS;
  }
}
