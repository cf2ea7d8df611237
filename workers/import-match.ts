/** What is there, recognised: its fingerprint is compared with those of the ways to write a login. */
import type { LoginMaterial } from "../services/sync/model.ts";
import type { Fingerprint, ObservedName } from "../services/sync/ports.ts";
import { type Variant, variantsOf } from "../services/sync/variants.ts";
import type { Entry } from "./foresee-scope.ts";
import type { Runtime } from "./runtime.ts";

export interface Wanted {
  /** By name as the destination spells it. */
  readonly expressions: ReadonlyMap<string, string>;
  /** Also other names count, if what they hold is one of the rule's logins: this is what it is compared with. */
  readonly others: string | null;
}

export interface Compared {
  readonly logins: ReadonlyMap<string, LoginMaterial>;
  readonly entry: Entry;
}

/** The nearest variant of each name that could be read; all names that want the same are compared at once. */
export async function matchAll(
  runtime: Runtime,
  names: readonly ObservedName[],
  wanted: Wanted,
  { logins, entry }: Compared,
): Promise<Map<string, Variant>> {
  const matches = new Map<string, Variant>();
  const readable = names.filter(({ fingerprint, foreign }) => fingerprint !== null && foreign === null);
  const wishes = new Map(
    readable.map(({ name }) => [name, wanted.expressions.get(name) ?? wanted.others ?? ""]),
  );
  for (const expression of new Set(wishes.values())) {
    const open = readable.filter(({ name }) => wishes.get(name) === expression);
    const looked = new Map(open.map(({ fingerprint }) => [fingerprint ?? "", null as Variant | null]));
    await find(runtime, looked, variantsOf(expression, logins, entry.rule.connection));
    for (const { name, fingerprint } of open) {
      const match = looked.get(fingerprint ?? "");
      if (match != null) matches.set(name, match);
    }
  }
  return matches;
}

/** So many comparisons take some milliseconds; others have their turn after them. */
const AT_ONCE = 500;

async function find(
  { fingerprint }: Runtime,
  looked: Map<Fingerprint, Variant | null>,
  variants: Iterable<Variant>,
): Promise<void> {
  let left = looked.size;
  let compared = 0;
  for (const variant of variants) {
    const made = fingerprint("value", variant.value);
    if (looked.get(made) === null) {
      looked.set(made, variant);
      left -= 1;
    }
    if (left === 0) return;
    compared += 1;
    if (compared % AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
