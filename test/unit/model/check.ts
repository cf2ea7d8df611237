/** Knows the promises and nothing of how they are kept: looks at what took effect at the vendor, and when. */
import { type Neon, passwordIn } from "./neon.ts";
import { namesOf, RULES } from "./rules.ts";
import type { BindingRow, State, Work } from "./state.ts";
import { CLASSES, type Effect, type PushTag, type Vendor, type VendorClass } from "./vendor.ts";

export type PromiseName = "P1" | "P2" | "P3" | "P4" | "P5" | "P6" | "P7" | "P8" | "P9" | "P10";

export interface Violation {
  readonly promise: PromiseName;
  readonly at: number;
  readonly what: string;
}

/** A few pieces of work may be before it in each lane. */
const MOST_LATE_MS = 3_000;

export interface Scene {
  readonly neon: Neon;
  readonly vendor: Vendor;
  readonly state: State;
  readonly now: () => number;
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly journal: Effect[] = [];
  readonly #class: (typeof CLASSES)[VendorClass];
  readonly #proven = new Set<number>();
  /** Highest password that has been there since the name last was absent. */
  readonly #newest = new Map<string, number>();
  /** Names that we have made, as far as nobody has taken them away for good. */
  readonly #ours = new Set<string>();
  /** Names that a zombie made after everybody else had left them: nobody can know of them. */
  readonly #orphans = new Set<string>();
  /** When somebody else made a name. */
  readonly #foreignMade = new Map<string, number>();
  /** When a name was first claimed. */
  readonly #claims = new Map<string, number>();
  #foreignChanges = 0;
  /** Places where a value was changed before we had written down that it is ours. */
  readonly #unclear = new Set<string>();
  readonly #kind: VendorClass;
  /** Hints that we said we have. */
  readonly #answered = new Set<number>();
  /** Nobody here ever has to wait for anything but another destination. */
  readonly #calm: boolean;

  constructor(kind: VendorClass, calm: boolean) {
    this.#kind = kind;
    this.#calm = calm;
    this.#class = CLASSES[kind];
  }

  proven(password: number | null): void {
    if (password !== null) this.#proven.add(password);
  }

  answered(hint: number): void {
    this.#answered.add(hint);
  }

  /** Work on a healthy destination was begun so long after it was due. */
  picked({ id, dueAt }: Work, lateMs: number): void {
    if (this.#calm && lateMs > MOST_LATE_MS)
      this.#violated("P6", dueAt ?? 0, `${id} was picked up ${lateMs} ms late`);
  }

  /** We are about to write this name for the first time, or once more. */
  claimed(place: string, name: string, at: number): void {
    const key = `${place} ${name}`;
    this.#claims.set(key, Math.min(at, this.#claims.get(key) ?? at));
  }

  effect(effect: Effect, scene: Scene): void {
    this.journal.push(effect);
    const key = `${effect.place} ${effect.name}`;
    if (effect.push === null) this.#foreign(effect, scene);
    else if (effect.after === null) this.#deleted(effect, scene);
    else this.#put(effect, effect.push, key, scene.neon);
    if (effect.after === null) this.#newest.delete(key);
    if (effect.push !== null && effect.after !== null) this.#ours.add(key);
    if (effect.push !== null && effect.after === null) this.#ours.delete(key);
    if (effect.zombie && effect.before === null) this.#orphans.add(key);
    else this.#orphans.delete(key);
    this.#whole(effect, scene);
  }

  /** Somebody else has a hand in it: from some moments on nobody can tell any more what was ours. */
  #foreign({ at, place, name, before }: Effect, { state }: Scene): void {
    if (before === null) this.#foreignMade.set(`${place} ${name}`, at);
    this.#foreignChanges += 1;
    const row = state.places.find(({ key }) => key === place);
    const entry = row && state.names(row).get(name);
    const unrecorded = entry !== undefined && !entry.confirmed;
    if (unrecorded || this.#kind === "atomic by version") this.#unclear.add(place);
  }

  #put(effect: Effect, push: PushTag, key: string, neon: Neon): void {
    const password = passwordIn(effect.after?.value ?? "") ?? 0;
    if (password === neon.live("main")?.password)
      this.#violated("P8", effect.at, `${key}: production accepts ${password}`);
    const newest = this.#newest.get(key) ?? 0;
    if (this.#class.compareAndSet && password < newest)
      this.#violated("P2", effect.at, `${key}: ${password} over ${newest}`);
    this.#newest.set(key, Math.max(newest, password));
    if (!this.#proven.has(password)) this.#violated("P10", effect.at, `${key}: ${password} was never proven`);
    if (effect.before?.maker === "them" && !this.#ours.has(key)) {
      // Where neither value nor mark can be seen and nothing refuses to overwrite, what came after our claim or
      // our look is the stated residue.
      const since = Math.min(push.observedAt, this.#claims.get(key) ?? Number.POSITIVE_INFINITY) - 2_000;
      const unseen = !this.#class.createOnly && effect.before.createdAt >= since;
      if (!unseen) this.#violated("P5", effect.at, `${key} is theirs`);
    }
    const rule = RULES.find((one) => namesOf(one).includes(effect.name));
    const refused =
      rule && namesOf(rule).find((name) => this.#isTheirs(push, `${effect.place} ${name}`, name));
    if (refused !== undefined && refused !== effect.name)
      this.#violated("P9", effect.at, `${key} was written although ${refused} is refused`);
  }

  /** Seen by the push, made by somebody else, and not in the span where nobody can tell. */
  #isTheirs(push: PushTag, key: string, name: string): boolean {
    if (!push.foreign.has(name) || this.#ours.has(key)) return false;
    return !this.#undecidable(key);
  }

  /** Where neither value nor mark can be seen, what somebody else makes after our claim looks like ours. */
  #undecidable(key: string): boolean {
    const claimed = this.#claims.get(key);
    if (this.#class.createOnly || claimed === undefined) return false;
    return (this.#foreignMade.get(key) ?? 0) >= claimed - 2_000;
  }

  #deleted(effect: Effect, { neon, state }: Scene): void {
    const key = `${effect.place} ${effect.name}`;
    const theirs = effect.before?.maker === "them" && !this.#ours.has(key);
    if (theirs && !this.#undecidable(key)) this.#violated("P5", effect.at, `${key} was theirs`);
    const live = neon.live(effect.place);
    if (live === undefined) return;
    const dead = state.branches.filter((row) => row.name === effect.place && row.goneAt !== null);
    const isKnownDead = dead.some((row) => neon.branches.find(({ id }) => id === row.neonId)?.goneAt != null);
    if (!isKnownDead) this.#violated("P7", effect.at, `${key} was deleted and its branch is there`);
    const heir = state.branches.find((row) => row.neonId === live.id && row.goneAt === null);
    const known = dead.some((row) => heir !== undefined && heir.createdAt <= (row.goneAt ?? 0));
    if (isKnownDead && known)
      this.#violated("P9", effect.at, `${key} was deleted and its successor was known`);
  }

  /** One secret never shows two generations of a bundle. */
  #whole({ at, place, push, zombie }: Effect, { vendor }: Scene): void {
    if (this.#class.grain !== "atomic" || push === null || zombie) return;
    for (const rule of RULES) {
      const there = namesOf(rule).flatMap((name) => vendor.place(place).names.get(name) ?? []);
      const ours = there.map(({ value }) => passwordIn(value)).filter((password) => password !== null);
      // One request changes name after name here; only its last effect counts.
      if (ours.length === namesOf(rule).length && new Set(ours).size > 1)
        this.#mixed.set(`${place} ${rule.name}`, at);
      else this.#mixed.delete(`${place} ${rule.name}`);
    }
  }

  readonly #mixed = new Map<string, number>();

  /** A binding was just called synced. */
  synced(binding: BindingRow): void {
    if (!this.#class.compareAndSet) return;
    const at = this.#mixed.get(`${binding.branch.name} ${binding.rule}`);
    if (at !== undefined)
      this.#violated("P9", at, `${binding.branch.name} ${binding.rule} is a mix and called synced`);
  }

  /** Whether this could be the end. */
  isInStep(scene: Scene): boolean {
    const before = this.violations.length;
    this.end(scene);
    return this.violations.splice(before).length === 0;
  }

  /** Long after the last fault. */
  end(scene: Scene): void {
    const { neon, vendor, state, now } = scene;
    for (const hint of this.#answered) {
      if (!state.hints.has(hint)) this.#violated("P1", now(), `hint ${hint} was answered and is not there`);
    }
    if (passwordIn(state.asText()) !== null) this.#violated("P4", now(), "a password is in our own rows");
    for (const name of new Set(neon.branches.map((branch) => branch.name))) {
      if (neon.live(name)?.production) continue;
      const live = neon.live(name);
      for (const rule of RULES) {
        const row = state.branches.find((one) => one.neonId === live?.id && one.goneAt === null);
        const binding = state.bindings.find((one) => one.branch === row && one.rule === rule.name);
        const parked = binding?.state === "parked" && this.#mayPark(name, rule);
        for (const key of namesOf(rule)) {
          const record = vendor.place(name).names.get(key);
          const password = record === undefined ? null : passwordIn(record.value);
          if (this.#unclear.has(name) && binding?.state !== "synced") continue;
          if (this.#sameGrain(name, key)) continue;
          if (live !== undefined && live.password === neon.live("main")?.password) {
            // What was there before stays until the branch has a password of its own. Whenever production itself is
            // about to be read again, nobody knows for a moment.
            const found = `${binding?.state} ${binding?.reason?.code ?? ""}`;
            if (!parked && found !== "parked policy" && found !== "retrying unavailable")
              this.#violated("P3", now(), `${name} ${key}: ${found}, and its password is production's`);
            continue;
          }
          if (live === undefined) {
            // What somebody else has put in its place is theirs to keep.
            if (password !== null && !this.#orphans.has(`${name} ${key}`))
              this.#violated("P3", now(), `${name} ${key} is still there`);
          } else if (!parked && (binding?.state !== "synced" || password !== live.password)) {
            const found = `${binding?.state} ${binding?.reason?.code ?? ""} ${record?.value ?? "nothing"}`;
            this.#violated("P3", now(), `${name} ${key}: ${found}, wanted ${live.password}`);
          }
        }
      }
    }
  }

  /** Somebody else wrote within the second of our own write, at a vendor that tells no more than the second. */
  #sameGrain(place: string, name: string): boolean {
    const mine = this.journal.filter((effect) => effect.place === place && effect.name === name);
    const [ours, theirs] = mine.slice(-2);
    if (this.#kind !== "write-only" || ours?.push == null || theirs === undefined) return false;
    return theirs.push === null && Math.floor(theirs.at / 1_000) === Math.floor(ours.at / 1_000);
  }

  /** Somebody else has the name, or changed it three times, or a zombie made it when all had left. */
  #mayPark(place: string, rule: (typeof RULES)[number]): boolean {
    const theirs = [...vendorNames(this.journal, place)].some((name) => namesOf(rule).includes(name));
    const first = this.journal.find((effect) => effect.place === place);
    const theirSecret = this.#class.grain === "atomic" && first?.push === null;
    const orphaned = namesOf(rule).some((name) => this.#orphans.has(`${place} ${name}`));
    return theirs || orphaned || theirSecret || this.#unclear.has(place) || this.#foreignChanges >= 3;
  }

  #violated(promise: PromiseName, at: number, what: string): void {
    this.violations.push({ promise, at, what });
  }
}

/** Names at a place that somebody else was the first to make. */
function vendorNames(journal: readonly Effect[], place: string): Set<string> {
  const made = journal.filter(
    (effect) => effect.place === place && effect.before === null && effect.push === null,
  );
  return new Set(made.map(({ name }) => name));
}
