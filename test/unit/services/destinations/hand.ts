/** Plays the planner by hand: one adapter opened with a real Io, and short words for observe and apply. */
import { createHmac, randomUUID } from "node:crypto";
import { type Call, createIo } from "../../../../services/http.ts";
import { SyncError } from "../../../../services/sync/errors.ts";
import type {
  Applied,
  Change,
  Delete,
  Destination,
  DestinationAdapter,
  Observation,
  ObservedName,
  Put,
} from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";

export const MARK = { installation: "inst-1", rule: "web-preview", branch: "br-1" };

export class Hand {
  readonly adapter: DestinationAdapter;
  readonly block: unknown;
  readonly destination: Destination;

  /** `credentials` by reference, as in "env:TOKEN". `onCall` is told of every request. */
  constructor(
    adapter: DestinationAdapter,
    block: unknown,
    credentials: Readonly<Record<string, string>>,
    onCall: (call: Call) => void = () => {},
  ) {
    this.adapter = adapter;
    this.block = adapter.block.parse(block);
    const { signal } = new AbortController();
    const io = createIo({ fingerprint, signal, privateNetwork: true, onCall });
    this.destination = adapter.open(this.block, ({ ref }) => new Secret(credentials[ref] ?? ""), io);
  }

  parse(target: unknown): unknown {
    return this.adapter.parseTarget(this.block, target);
  }

  place(target: unknown): string {
    return this.adapter.place(this.parse(target));
  }

  check(target: unknown): Promise<void> {
    return this.destination.check(this.parse(target));
  }

  async foretell(target: unknown): Promise<void> {
    await this.destination.foretell?.(this.parse(target));
  }

  async observe(target: unknown, contents = true): Promise<Observation> {
    const [observation] = await this.destination.observe([this.parse(target)], { contents });
    if (observation === undefined) throw new Error("no observation");
    return observation;
  }

  async seen(target: unknown, name: string): Promise<ObservedName | undefined> {
    return (await this.observe(target)).names.find((each) => each.name === name);
  }

  apply(target: unknown, changes: readonly Change[], observation: Observation): Promise<readonly Applied[]> {
    const claim = { intent: randomUUID(), token: randomUUID(), mark: MARK, observation };
    return this.destination.apply(this.parse(target), changes, claim);
  }

  /** Observes and puts. */
  async write(target: unknown, values: Readonly<Record<string, string>>): Promise<readonly Applied[]> {
    const seen = await this.observe(target);
    return this.apply(target, puts(values, seen), seen);
  }

  /** Observes and deletes. */
  async remove(target: unknown, ...names: readonly string[]): Promise<readonly Applied[]> {
    const seen = await this.observe(target);
    return this.apply(
      target,
      names.map((name) => remove(name, seen)),
      seen,
    );
  }
}

export function puts(values: Readonly<Record<string, string>>, seen: Observation): readonly Put[] {
  return Object.entries(values).map(([name, text]) => {
    const value = new Secret(text);
    const observed = seen.names.find((each) => each.name === name) ?? null;
    return { op: "put", name, value, fingerprint: fingerprint(value), observed, owned: observed !== null };
  });
}

export function remove(name: string, seen: Observation): Delete {
  return { op: "delete", name, observed: seen.names.find((each) => each.name === name) ?? null };
}

export function fingerprint(value: Secret): string {
  return createHmac("sha256", "hand").update(value.reveal()).digest("base64url");
}

/** Codes by name, null where it went well. */
export function codes(results: readonly Applied[]): Record<string, string | null> {
  return Object.fromEntries(results.map(({ name, error }) => [name, error?.code ?? null]));
}

/** The SyncError that something must throw. */
export async function thrown(run: Promise<unknown>): Promise<SyncError> {
  try {
    await run;
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}
