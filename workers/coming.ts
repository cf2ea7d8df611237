/**
 * Who is about to ask for the same thing. Pushes of one branch begin together and look at their places first, each as
 * fast as its vendor; who asks first may wait a moment for the others, if there are any.
 */
import type { Runtime } from "./runtime.ts";

interface Group {
  readonly members: Set<symbol>;
  /** Told when the last of them has asked, or will not ask any more. */
  readonly waiting: Set<() => void>;
}

export interface Coming {
  /** Who has begun earlier has a lower one. */
  readonly rank: number;
  /** It asks for this now. */
  arrive(key: string): void;
  /** It asks for nothing more. */
  leave(): void;
}

let announced = 0;

const groups = new WeakMap<Runtime, Map<string, Group>>();

const groupsOf = (runtime: Runtime): Map<string, Group> => {
  const mine = groups.get(runtime) ?? new Map<string, Group>();
  groups.set(runtime, mine);
  return mine;
};

/** Says that somebody is about to ask for each of these. */
export function announce(runtime: Runtime, keys: readonly string[]): Coming {
  const all = groupsOf(runtime);
  const me = Symbol();
  for (const key of keys) {
    const group = all.get(key) ?? { members: new Set(), waiting: new Set() };
    all.set(key, group);
    group.members.add(me);
  }
  const arrive = (key: string): void => {
    const group = all.get(key);
    if (!group?.members.delete(me) || group.members.size > 0) return;
    all.delete(key);
    for (const tell of group.waiting) tell();
  };
  announced += 1;
  return {
    rank: announced,
    arrive,
    leave: () => {
      for (const key of keys) arrive(key);
    },
  };
}

/** Resolves when nobody is about to ask for this any more, `mostMs` milliseconds from now at the latest. */
export async function gathered(runtime: Runtime, key: string, mostMs: number): Promise<void> {
  const group = groupsOf(runtime).get(key);
  if (group === undefined) return;
  await new Promise<void>((resolve) => {
    const tell = (): void => {
      clearTimeout(timer);
      group.waiting.delete(tell);
      resolve();
    };
    const timer = setTimeout(tell, mostMs);
    group.waiting.add(tell);
  });
}
