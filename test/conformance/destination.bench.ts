/** What the destination suite needs around one adapter: a fresh account, and short words for common steps. */
import { createHmac, randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { expect } from "vitest";
import { createIo } from "../../services/http.ts";
import { asSyncError, type SyncError } from "../../services/sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Delete,
  Destination,
  DestinationAdapter,
  Observation,
  ObservedName,
  Put,
  ResolveCredential,
  Traits,
} from "../../services/sync/ports.ts";
import { Secret } from "../../services/sync/secret.ts";

/** How the vendor is to fail. The fixture says it in its stand-in's own terms. */
export interface SuiteFault {
  /**
   * "status": answers that status and does nothing. "hang": does nothing, never answers.
   * "die-after-applying": does it and breaks the connection instead of answering.
   */
  readonly kind: "status" | "hang" | "die-after-applying";
  readonly status?: 403 | 429 | 500;
  /** Header value to go with 429, in seconds. */
  readonly retryAfter?: string;
  /** Only requests that read ("observe"), or only those that write values ("apply"). */
  readonly during: "observe" | "apply";
}

/** One fresh account at one vendor, real or played. */
export interface DestinationFixture<Block = unknown, Target = unknown> {
  readonly adapter: DestinationAdapter<Block, Target>;
  /** As it would stand in branchline.yaml; the suite parses it. */
  readonly block: unknown;
  readonly credential: ResolveCredential;
  /** Gives something that the vendor does not accept. */
  readonly wrongCredential: ResolveCredential;
  /** What must never be seen in an error: tokens, keys. Values are added by the suite. */
  readonly secrets: readonly string[];
  /** The nth target of one container (if the vendor has containers). Targets 0 to 2 exist and are empty. */
  target(n: number): unknown;
  /** Parses and does not exist at the vendor; null if there is no such thing. */
  readonly missingTarget: unknown;
  /** Does not parse. */
  readonly badTarget: unknown;
  /** Names that the vendor refuses, so the traits must too. */
  readonly badNames: readonly string[];
  /** Writes as somebody else would, over whatever is there. */
  putForeign(target: unknown, name: string, value: string): Promise<void>;
  /** The value at the vendor, undefined if there is none. */
  readBack(target: unknown, name: string): Promise<string | undefined>;
  fault(fault: SuiteFault): Promise<void>;
  clearFaults(): Promise<void>;
  /** Requests that the vendor has seen so far. */
  calls(): Promise<number>;
  /** Moves on until another write gets another version. Default: nothing to do. */
  tick?(): Promise<void>;
  close(): Promise<void>;
}

/** Deadline of requests in the tests that wait for it. */
export const IMPATIENT_MS = 500;

const MARK = { installation: "inst-1", rule: "web-preview", branch: "br-cool-darkness-123456" };

export class Bench {
  readonly fixture: DestinationFixture;
  readonly adapter: DestinationAdapter;
  readonly block: unknown;
  readonly destination: Destination;
  /** Every error that was seen; checked for secrets when the bench closes. */
  readonly errors: SyncError[] = [];
  readonly #stop = new AbortController();
  readonly #values: string[] = [];

  constructor(fixture: DestinationFixture) {
    this.fixture = fixture;
    this.adapter = fixture.adapter;
    this.block = fixture.adapter.block.parse(fixture.block);
    this.destination = this.openWith(fixture.credential);
  }

  get traits(): Traits {
    return this.adapter.traits;
  }

  openWith(credential: ResolveCredential, timeoutMs = 10_000): Destination {
    const { signal } = this.#stop;
    return this.adapter.open(
      this.block,
      credential,
      createIo({ fingerprint, signal, privateNetwork: true, timeoutMs }),
    );
  }

  /** The same destination with a short deadline. */
  openImpatient(): Destination {
    return this.openWith(this.fixture.credential, IMPATIENT_MS);
  }

  abort(): void {
    this.#stop.abort();
  }

  target(n: number): unknown {
    return this.adapter.parseTarget(this.block, this.fixture.target(n));
  }

  async observe(n = 0, destination = this.destination): Promise<Observation> {
    const [observation] = await destination.observe([this.target(n)], { contents: true });
    if (observation === undefined) throw new Error("no observation");
    return observation;
  }

  value(text: string): string {
    // Long enough not to occur by chance, so that a leak is a leak.
    const value = `postgresql://app:${text}-${"k".repeat(24)}@ep-x.neon.tech/shop`;
    this.#values.push(value, `${text}-${"k".repeat(24)}`);
    return value;
  }

  put(name: string, value: string, seen: Observation, options: { owned?: boolean } = {}): Put {
    const secret = new Secret(value);
    const observed = nameIn(seen, this.traits.normaliseName(name)) ?? null;
    const { owned = observed !== null } = options;
    return {
      op: "put",
      name: this.traits.normaliseName(name),
      value: secret,
      fingerprint: fingerprint(secret),
      observed,
      owned,
    };
  }

  delete(name: string, seen: Observation): Delete {
    const normal = this.traits.normaliseName(name);
    return { op: "delete", name: normal, observed: nameIn(seen, normal) ?? null };
  }

  claim(observation: Observation): Claim {
    return { intent: randomUUID(), token: randomUUID(), mark: MARK, observation };
  }

  async apply(
    changes: readonly Change[],
    claim: Claim,
    options: { n?: number; destination?: Destination } = {},
  ): Promise<readonly Applied[]> {
    const { n = 0, destination = this.destination } = options;
    const results = await destination.apply(this.target(n), changes, claim);
    expect(results.map(({ name }) => name)).toEqual(changes.map(({ name }) => name));
    for (const { error } of results) if (error !== null) this.errors.push(error);
    return results;
  }

  /** Observes, puts values as one claim, and expects every one to land. */
  async write(values: Record<string, string>, n = 0): Promise<readonly Applied[]> {
    const seen = await this.observe(n);
    const puts = Object.entries(values).map(([name, value]) => this.put(name, value, seen));
    const results = await this.apply(puts, this.claim(seen), { n });
    expect(results.map(({ name, error }) => [name, error])).toEqual(puts.map(({ name }) => [name, null]));
    return results;
  }

  readBack(name: string, n = 0): Promise<string | undefined> {
    return this.fixture.readBack(this.fixture.target(n), this.traits.normaliseName(name));
  }

  putForeign(name: string, value: string, n = 0): Promise<void> {
    return this.fixture.putForeign(this.fixture.target(n), this.traits.normaliseName(name), value);
  }

  async tick(): Promise<void> {
    await this.fixture.tick?.();
  }

  /** The error of something that must fail: thrown, or in the first result that has one. */
  async failure(run: () => unknown): Promise<SyncError> {
    try {
      const answer = await run();
      const failed = Array.isArray(answer) ? answer.find(({ error }: Applied) => error !== null) : undefined;
      if (failed?.error != null) return failed.error;
    } catch (thrown) {
      const error = asSyncError(thrown);
      expect(error, "only SyncError leaves an adapter").toBe(thrown);
      this.errors.push(error);
      return error;
    }
    throw new Error("it did not fail");
  }

  /** Ends the account, and expects that no error seen on the way held a value or a credential. */
  async close(): Promise<void> {
    this.abort();
    await this.fixture.close();
    for (const error of this.errors) expectNoSecret(error, [...this.fixture.secrets, ...this.#values]);
  }
}

export function nameIn(observation: Observation, name: string): ObservedName | undefined {
  return observation.names.find((seen) => seen.name === name);
}

/** Keyed, as in production; the key is of no account here. */
export function fingerprint(value: Secret): string {
  return createHmac("sha256", "suite").update(value.reveal()).digest("base64url");
}

function expectNoSecret(error: SyncError, secrets: readonly string[]): void {
  const shown = [
    inspect(error, { depth: 10, showHidden: true }),
    JSON.stringify(error),
    error.stack,
    String(error),
  ].join("\n");
  for (const secret of secrets) expect(shown).not.toContain(secret);
}
