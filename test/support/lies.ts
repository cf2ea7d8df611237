/** Ways in which a source or a vendor misleads, for tests. */
import type { MemoryStore } from "../../services/destinations/memory-store.ts";
import type { MemoryProject } from "../../services/sources/memory.ts";
import type { Source, SourceBranch } from "../../services/sync/ports.ts";

export interface Lies {
  /** Happens right before the list is made. */
  beforeList?: (() => void) | null;
  /** What the list says instead. */
  list?: ((branches: readonly SourceBranch[]) => readonly SourceBranch[]) | null;
  /** What is said of one branch instead. */
  one?: ((branch: SourceBranch | null) => SourceBranch | null) | null;
  /** What is read of one branch instead. */
  read?: ((reading: Awaited<ReturnType<Source["read"]>>) => Awaited<ReturnType<Source["read"]>>) | null;
}

/** From now on the project's API says what `lies` says; empty: the truth. */
export function misled(project: MemoryProject): Lies {
  const lies: Lies = {};
  const honest = project.source;
  const source: Source = {
    ...honest,
    branches: async () => {
      lies.beforeList?.();
      const branches = await honest.branches();
      return lies.list?.(branches) ?? branches;
    },
    branch: async (id) => {
      const branch = await honest.branch(id);
      return lies.one ? lies.one(branch) : branch;
    },
    read: async (id, roles) => {
      const reading = await honest.read(id, roles);
      return lies.read ? lies.read(reading) : reading;
    },
  };
  Object.defineProperty(project, "source", { value: source });
  return lies;
}

export interface Write {
  readonly place: string;
  readonly name: string;
  /** Null: taken away. */
  readonly value: string | null;
}

/** Everything that is written to or taken from a store from now on, by whomever, oldest first. */
export function journalOf(store: MemoryStore): readonly Write[] {
  const journal: Write[] = [];
  const write = store.write.bind(store);
  const remove = store.remove.bind(store);
  store.write = (place, name, record, grain) => {
    journal.push({ place, name, value: record.value });
    return write(place, name, record, grain);
  };
  store.remove = (place, name, grain) => {
    if (store.place(place)?.records.has(name) === true) journal.push({ place, name, value: null });
    remove(place, name, grain);
  };
  return journal;
}

/** The next call of a kind waits until it is told to go on. */
export function freezes(store: MemoryStore, during: "observe" | "apply") {
  const enter = store.enter.bind(store);
  let thaw = () => {};
  const thawed = new Promise<void>((resolve) => {
    thaw = resolve;
  });
  const state = { reached: false, goOn: () => thaw() };
  store.enter = async (kind, where, signal) => {
    const now = kind === during && !state.reached;
    if (now) {
      state.reached = true;
      await thawed;
    }
    return await enter(kind, where, signal);
  };
  return state;
}

/** Calls to this store neither succeed nor fail until they are given up, or until the answer's `stop` is called. */
export function neverAnswers(store: MemoryStore): { stop(): void } {
  const ended = new AbortController();
  store.enter = async (_during, _where, signal) =>
    await new Promise<never>((_resolve, reject) => {
      const either = AbortSignal.any([signal, ended.signal]);
      const end = () => reject(new Error("given up"));
      if (either.aborted) end();
      either.addEventListener("abort", end, { once: true });
    });
  return { stop: () => ended.abort() };
}
