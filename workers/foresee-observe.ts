/** Looks at places for a plan: one check and one listing for all places that it covers, and nothing is ever written. */
import { SyncError } from "../services/sync/errors.ts";
import type { Destination, DestinationAdapter, Observation, ObserveOptions } from "../services/sync/ports.ts";

/**
 * The destination as a plan may use it. Places of one container are observed together and once; if that fails
 * each is observed by itself, so that one that cannot be seen hides none of the others. Checks go the same way.
 */
export function onlyObserved(
  open: Destination,
  adapter: Pick<DestinationAdapter, "container" | "place">,
  targets: readonly unknown[],
): Destination {
  const seen = new Map<string, Promise<ReadonlyMap<string, Observation>>>();
  const together = async (container: string, options: ObserveOptions) => {
    const there = targets.filter((target) => adapter.container(target) === container);
    const found = await open.observe(there, options);
    return new Map(there.flatMap((target, i) => (found[i] ? [[adapter.place(target), found[i]]] : [])));
  };
  const observe = async (target: unknown, options: ObserveOptions): Promise<Observation> => {
    const container = adapter.container(target);
    const key = JSON.stringify([container, options.contents, [...(options.compare ?? [])].sort()]);
    const all = seen.get(key) ?? together(container, options);
    seen.set(key, all);
    const mine = (await all.catch(() => null))?.get(adapter.place(target));
    const [alone] = mine === undefined ? await open.observe([target], options) : [mine];
    if (alone === undefined) throw new SyncError("internal", "the adapter observed nothing");
    return alone;
  };
  const checked = new Map<string, Promise<void>>();
  const first = (container: string): unknown =>
    targets.find((target) => adapter.container(target) === container);
  const checkOnce = (key: string, target: unknown): Promise<void> => {
    const asked = checked.get(key) ?? open.check(target);
    checked.set(key, asked);
    return asked;
  };
  return {
    check: async (target) => {
      const container = adapter.container(target);
      const representative = first(container) ?? target;
      const alone = (): Promise<void> => checkOnce(`place ${adapter.place(target)}`, target);
      const same = adapter.place(representative) === adapter.place(target);
      if (same) return await alone();
      await checkOnce(`place ${adapter.place(representative)}`, representative).catch(alone);
    },
    ...(open.foretell === undefined ? {} : { foretell: async (target) => await open.foretell?.(target) }),
    observe: async (asked, options) => await Promise.all(asked.map((target) => observe(target, options))),
    apply: async () => {
      throw new SyncError("internal", "a plan writes nothing");
    },
  };
}
