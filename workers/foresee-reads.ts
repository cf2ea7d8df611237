/** What a plan reads of Neon: each branch once, and only of sources that are as they were. */
import type { BranchRow } from "../services/store/branch.ts";
import type { Snapshot } from "../services/store/snapshot.ts";
import type { SourceRow } from "../services/store/source.ts";
import { asSyncError, SyncError } from "../services/sync/errors.ts";
import { loginFingerprint, loginsWanted, passwordFingerprint } from "../services/sync/material.ts";
import type { LoginMaterial, Rule } from "../services/sync/model.ts";
import type { BranchReading, Source, SourceBranch } from "../services/sync/ports.ts";
import type { PushBinding, PushLogin } from "../services/sync/push.ts";
import { type BranchView, logins as wantedOf } from "../services/sync/reconcile.ts";
import { type Intent, viewIn } from "./foresee-intent.ts";
import type { Entry, KnownSource } from "./foresee-scope.ts";
import { openSource, type Runtime } from "./runtime.ts";
import { viewOfListed } from "./view.ts";
import { attempt } from "./want.ts";

type Production = Pick<PushBinding, "inherited" | "unread">;

/** Reads are remembered for the whole plan, so that every line speaks of one and the same moment. */
export class Reads {
  readonly #runtime: Runtime;
  readonly #snapshot: Snapshot;
  readonly #entries: readonly Entry[];
  readonly #signal: AbortSignal;
  readonly #readings = new Map<string, Promise<BranchReading | null>>();
  readonly #sources = new Map<string, Source>();

  constructor(runtime: Runtime, snapshot: Snapshot, entries: readonly Entry[], signal: AbortSignal) {
    this.#runtime = runtime;
    this.#snapshot = snapshot;
    this.#entries = entries;
    this.#signal = signal;
  }

  /** As a push sees it; only reading of branches is possible. */
  source(known: KnownSource): Source {
    const { row } = known;
    if (row === null || known.standing !== "same") throw new Error("a source that must not be contacted");
    const open = this.#open(row);
    return {
      ...forbidden,
      branch: async (id) => await open.branch(id),
      read: async (id) => await this.#read(open, row.id, id),
      reread: async (id) => await this.#read(open, row.id, id),
    };
  }

  /** All roles that any rule names, whoever asks: a second read for another role would be of another moment. */
  #read(open: Source, sourceId: string, neonId: string): Promise<BranchReading | null> {
    const key = `${sourceId} ${neonId}`;
    const roles = this.#rules(sourceId).flatMap((rule) => Object.values(rule.roles));
    const reading = this.#readings.get(key) ?? open.read(neonId, [...new Set(roles)]);
    this.#readings.set(key, reading);
    return reading;
  }

  #rules(sourceId: string): Rule[] {
    return this.#entries.filter(({ source }) => source.row?.id === sourceId).map(({ rule }) => rule);
  }

  /** Branches that Neon has and that no watch has seen so far; none where Neon cannot be asked just now. */
  async unseen({ row, standing }: KnownSource): Promise<readonly BranchView[]> {
    if (row === null || standing !== "same") return [];
    const known = new Set(
      this.#snapshot.branches.filter(({ sourceId }) => sourceId === row.id).map(({ neonId }) => neonId),
    );
    const all = await this.#open(row)
      .branches()
      .catch((): SourceBranch[] => []);
    return all.filter(({ id }) => !known.has(id)).map((branch) => viewOfListed(branch, all));
  }

  /** What the vendor itself has connected; null: nobody may ask, or there is nothing of the kind. */
  async integrations({ row, standing }: KnownSource): Promise<readonly string[] | null> {
    if (row === null || standing !== "same") return null;
    return (await this.#open(row).integrations?.()) ?? null;
  }

  #open(row: SourceRow): Source {
    const open = this.#sources.get(row.id) ?? openSource(this.#runtime, row, this.#signal);
    this.#sources.set(row.id, open);
    return open;
  }

  /** The logins that a binding will have. One that cannot be made has no fingerprint, and the push says why. */
  async logins({ id, entry, branch }: Intent): Promise<PushLogin[]> {
    const reading = await this.source(entry.source).read(branch.neonId, []);
    return loginsWanted(entry.rule).map((wanted) => {
      const made = reading === null ? null : attempt(reading, wanted);
      const known = made === null || made instanceof SyncError ? null : made;
      const fingerprint = known === null ? "" : loginFingerprint(this.#runtime.fingerprint, known);
      return { ...wanted, id: `${id} ${wanted.alias}`, fingerprint, proven: true };
    });
  }

  /** Default and protected branches that accept a password of this binding, and those that nobody can ask. */
  async production(intent: Intent): Promise<Production> {
    const { entry, branch } = intent;
    const mine = new Set(await this.#passwords(entry, branch, loginsWanted(entry.rule)));
    const live = this.#snapshot.branches.filter((other) => other.sourceId === branch.sourceId);
    const others = live.filter((other) => other.id !== branch.id && (other.isDefault || other.isProtected));
    const inherited: Production["inherited"][number][] = [];
    const unread: Production["unread"][number][] = [];
    for (const other of others) {
      const facts = { branch: other.name, isDefault: other.isDefault, isProtected: other.isProtected };
      const rules = this.#rules(other.sourceId).map((rule) => ({ rule, meant: false }));
      for (const wanted of wantedOf(rules, viewIn(live, other))) {
        const [theirs] = await this.#passwords(entry, other, [wanted]).catch(failure);
        if (theirs instanceof SyncError) unread.push(facts);
        else if (theirs !== undefined && mine.has(theirs)) inherited.push({ ...facts, role: wanted.role });
      }
    }
    return { inherited, unread };
  }

  async #passwords(
    { source }: Entry,
    branch: BranchRow,
    wanted: ReturnType<typeof loginsWanted>,
  ): Promise<string[]> {
    const reading = await this.source(source).read(branch.neonId, []);
    if (reading === null) return [];
    return wanted.flatMap((login) => {
      const made: LoginMaterial | SyncError = attempt(reading, login);
      return made instanceof SyncError ? [] : [passwordFingerprint(this.#runtime.fingerprint, made)];
    });
  }
}

const failure = (thrown: unknown): [SyncError] => [asSyncError(thrown)];

/** A plan asks for nothing else. */
const never = async (): Promise<never> => {
  throw new SyncError("internal", "a plan reads branches and nothing else");
};
const forbidden = { check: never, moved: never, branches: never };
