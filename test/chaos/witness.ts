/**
 * Looks at the vendors every few milliseconds and says what must never be seen there. Knows their states, what was
 * ever true at Neon and who else wrote; of Branchline it knows the promises and nothing else.
 */
import type { SeenLogin } from "../../infra/sandbox/computes/index.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { expected, type Holdings, holdings, placeOf, sameLogin } from "./holdings.ts";
import { type Meaning, Truth } from "./truth.ts";

/** Something changed at a vendor. Never holds a value. */
export interface Change {
  readonly at: number;
  readonly place: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface Breach {
  readonly promise: string;
  readonly what: string;
  readonly place: string | null;
  readonly at: number;
}

/** A name that is not as Neon says. */
export interface Difference {
  readonly place: string;
  readonly name: string;
  readonly want: string;
  readonly have: string;
}

const LOOK_MS = 5;

export class Witness {
  readonly truth: Truth;
  readonly changes: Change[] = [];
  readonly breaches: Breach[] = [];
  readonly #sandbox: Sandbox;
  /** Who has logged in so far; null: there is nothing to log in to, and nobody proves anything. */
  readonly #logins: readonly SeenLogin[] | null;
  /** Names that others wrote, with what must be there. */
  readonly #foreign = new Map<string, string>();
  /** Ours that somebody else has just taken away. */
  readonly #taken = new Set<string>();
  readonly #marks = new Map<string, readonly [number, number]>();
  readonly #vaultVersions = new Map<string, number>();
  #before: Holdings;
  #timer: NodeJS.Timeout | undefined;

  constructor(sandbox: Sandbox, logins: readonly SeenLogin[] | null = sandbox.computes?.logins ?? null) {
    this.#sandbox = sandbox;
    this.#logins = logins;
    this.truth = new Truth(sandbox.neon.state);
    this.truth.note();
    this.#before = holdings(sandbox);
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.look();
  }

  /** Somebody else put a name there: from now on it is theirs. */
  foreignWrote(place: string, name: string, value: string): void {
    this.#foreign.set(`${place} ${name}`, value);
  }

  /** Somebody else takes a name of ours away. */
  foreignTook(place: string, name: string): void {
    this.#taken.add(`${place} ${name}`);
  }

  /** Nothing: every place holds exactly what Neon says now. */
  differences(): Difference[] {
    this.truth.note();
    const should = expected(this.#sandbox);
    const have = holdings(this.#sandbox);
    const found: Difference[] = [];
    for (const place of new Set([...should.keys(), ...have.keys()])) {
      const wanted = should.get(place) ?? {};
      const there = have.get(place) ?? {};
      for (const name of new Set([...Object.keys(wanted), ...Object.keys(there)])) {
        if (this.#foreign.has(`${place} ${name}`) || sameLogin(wanted[name], there[name])) continue;
        const label = (value: string | undefined) => this.truth.label(value);
        found.push({ place, name, want: label(wanted[name]), have: label(there[name]) });
      }
    }
    return found;
  }

  look(): void {
    this.truth.note();
    const now = holdings(this.#sandbox);
    const at = Date.now();
    for (const place of new Set([...this.#before.keys(), ...now.keys()])) {
      const before = this.#before.get(place) ?? {};
      const there = now.get(place) ?? {};
      const names = Object.keys({ ...before, ...there }).filter((name) => before[name] !== there[name]);
      for (const name of names) this.#changed({ at, place, name }, before[name], there[name]);
      if (names.length > 0 && place.startsWith("runtime")) this.#inOrder(at, place, there, before);
    }
    this.#lookIntoVault(at);
    this.#before = now;
  }

  #changed(
    where: Pick<Change, "at" | "place" | "name">,
    from: string | undefined,
    to: string | undefined,
  ): void {
    const { at, place, name } = where;
    const label = (value: string | undefined) => this.truth.label(value);
    this.changes.push({ ...where, from: label(from), to: label(to) });
    const blame = (promise: string, what: string) => this.#blame({ promise, what, place, at });
    const theirs = this.#foreign.get(`${place} ${name}`);
    if (theirs !== undefined && theirs !== to)
      blame("P5", `${name}, which is somebody else's, became ${label(to)}`);

    const meaning = to === undefined ? null : this.truth.meaning(to);
    if (to !== undefined && label(to) === "something unknown")
      blame("P3", `${name} holds what Neon never said`);
    if (meaning?.torn) blame("P9", `${name} has the host of one login and the password of another`);
    if (meaning?.incarnation.name === "main" && !place.endsWith("production")) {
      blame("P8", `${name} opens the default branch from a preview`);
    }
    if (to !== undefined) this.#proven(where, to);
    if (to === undefined && from !== undefined) this.#vanished(where, from);
    if (name.endsWith("(again)") && to !== undefined) blame("P9", `${name}: two rows of one name`);
  }

  /** Whoever publishes a password has logged in with it before, over both hosts, to the database that is meant. */
  #proven({ at, place, name }: Pick<Change, "at" | "place" | "name">, value: string): void {
    const meaning = this.truth.meaning(value);
    if (this.#logins === null || meaning === null || meaning.role === null || meaning.torn) return;
    const password = passwordIn(value);
    const mine = this.#logins.filter(
      ({ branchId, role, database, passwords }) =>
        branchId === meaning.incarnation.id &&
        role === meaning.role &&
        database === DATABASE &&
        passwords.includes(password),
    );
    const unseen = [true, false].filter((pooled) => !mine.some((login) => login.pooled === pooled));
    if (unseen.length === 0) return;
    const hosts = unseen.map((pooled) => (pooled ? "pooled" : "direct")).join(" and the ");
    const what = `${name} became ${this.truth.label(value)}, and nobody had logged in with it over the ${hosts} host`;
    this.#blame({ promise: "P10", what, place, at });
  }

  /** A name of a branch that lives may only go if somebody else took it. */
  #vanished({ at, place, name }: Pick<Change, "at" | "place" | "name">, from: string): void {
    if (this.#taken.delete(`${place} ${name}`)) return;
    const meaning = this.truth.meaning(from);
    if (meaning === null || meaning.incarnation.goneAt !== null) return;
    const whose = `${meaning.incarnation.name}#${meaning.incarnation.order}`;
    this.#blame({ promise: "P7", what: `${name} was taken away while ${whose} lives`, place, at });
  }

  /** Every version that was ever there, also those that were current between two looks. */
  #lookIntoVault(at: number): void {
    for (const [path, secret] of this.#sandbox.vault.state.mount("kv").secrets) {
      const place = placeOf(
        "vault",
        path === "production/shop" ? "production" : path.replace(/^preview\//, ""),
      );
      const seen = this.#vaultVersions.get(path) ?? 0;
      for (let number = seen + 1; number <= secret.currentVersion; number++) {
        const data = secret.versions.get(number)?.data;
        if (data == null) continue;
        this.#inOrder(at, place, Object.fromEntries(textOf(data)));
        for (const [name, value] of textOf(data)) this.#proven({ at, place, name }, value);
      }
      this.#vaultVersions.set(path, secret.currentVersion);
    }
  }

  /** Of one generation (P9), and never older than what was there before (P2). */
  #inOrder(
    at: number,
    place: string,
    there: Readonly<Record<string, string>>,
    before?: Readonly<Record<string, string>>,
  ): void {
    const meanings = Object.values(there)
      .map((value) => this.truth.meaning(value))
      .filter((meaning): meaning is Meaning => meaning !== null && meaning.role !== null);
    const ranks = meanings.map(({ incarnation, generation }) => [incarnation.order, generation] as const);
    const [first] = ranks;
    if (first === undefined) return;
    const blame = (promise: string, what: string) => this.#blame({ promise, what, place, at });
    const text = (rank: readonly [number, number]) => `generation ${rank[1]} of branch #${rank[0]}`;
    const other = ranks.find((rank) => rank[0] !== first[0] || rank[1] !== first[1]);
    if (other !== undefined) {
      blame("P9", `${text(first)} beside ${text(other)}`);
      return;
    }
    const mark = this.#marks.get(place);
    const older = mark !== undefined && (first[0] < mark[0] || (first[0] === mark[0] && first[1] < mark[1]));
    // AWS shows the old value of a secret that is revived until the new one is put: the stated exception.
    const revived = before !== undefined && Object.keys(before).length === 0;
    if (older && !revived) blame("P2", `${text(mark)} was replaced by ${text(first)}`);
    if (!older) this.#marks.set(place, first);
  }

  #blame(breach: Breach): void {
    const again = this.breaches.some(
      ({ promise, place, what }) =>
        promise === breach.promise && place === breach.place && what === breach.what,
    );
    if (!again) this.breaches.push(breach);
  }
}

/** Of every rule of the run. */
const DATABASE = "shop";

/** Of a string, or what stands alone. */
const passwordIn = (value: string): string =>
  value.startsWith("postgres") ? decodeURIComponent(new URL(value).password) : value;

const textOf = (data: Readonly<Record<string, unknown>>): [string, string][] =>
  Object.entries(data).map(([name, value]) => [name, String(value)]);
