/** What the tests of AWS and Vault share: changes and claims by hand, and a record of what was sent. */
import { createHmac, randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { createIo } from "../../../../services/http.ts";
import type { SyncError } from "../../../../services/sync/errors.ts";
import type {
  Applied,
  Change,
  Claim,
  Io,
  Observation,
  OutgoingRequest,
  OutgoingResponse,
} from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";

export const MARK = { installation: "inst-1", rule: "billing", branch: "br-1" };
export const CANARY = "canary-8f3a61c2d9-never-shown";

export const print = (value: Secret): string =>
  createHmac("sha256", "tests").update(value.reveal()).digest("base64url");

/** `owned`: the ledger has the name. Default: as it was observed. */
export function put(name: string, value: string, seen: Observation, owned?: boolean): Change {
  const observed = seen.names.find((each) => each.name === name) ?? null;
  const secret = new Secret(value);
  return {
    op: "put",
    name,
    value: secret,
    fingerprint: print(secret),
    observed,
    owned: owned ?? observed !== null,
  };
}

export function puts(values: Record<string, string>, seen: Observation, owned?: boolean): Change[] {
  return Object.entries(values).map(([name, value]) => put(name, value, seen, owned));
}

export function remove(seen: Observation, ...names: string[]): Change[] {
  return names.map((name) => ({
    op: "delete",
    name,
    observed: seen.names.find((each) => each.name === name) ?? null,
  }));
}

export function claim(observation: Observation, token: string = randomUUID()): Claim {
  return { intent: randomUUID(), token, mark: MARK, observation };
}

export interface Recorded extends Io {
  readonly sent: OutgoingRequest[];
}

/** The real client, with everything that goes out written down. */
export function recordingIo(options: { signal?: AbortSignal; timeoutMs?: number } = {}): Recorded {
  const { signal = new AbortController().signal, timeoutMs = 2_000 } = options;
  const io = createIo({ fingerprint: print, signal, privateNetwork: true, timeoutMs });
  const sent: OutgoingRequest[] = [];
  return {
    ...io,
    sent,
    fetch(request) {
      sent.push(request);
      return io.fetch(request);
    },
  };
}

/** No network: answers by a function. */
export function scriptedIo(
  answer: (
    request: OutgoingRequest,
    n: number,
  ) => Partial<OutgoingResponse> | Promise<Partial<OutgoingResponse>>,
): Recorded {
  const sent: OutgoingRequest[] = [];
  return {
    sent,
    signal: new AbortController().signal,
    fingerprint: print,
    async fetch(request) {
      sent.push(request);
      const given = await answer(request, sent.length);
      return { status: 200, headers: {}, body: "", requestId: undefined, date: undefined, ...given };
    },
  };
}

/** The error of something that must fail, thrown or in the results. */
export async function failure(run: Promise<unknown>): Promise<SyncError> {
  let answer: unknown;
  try {
    answer = await run;
  } catch (error) {
    return error as SyncError;
  }
  const failed = Array.isArray(answer) ? answer.find((each: Applied) => each.error) : undefined;
  if (failed === undefined) throw new Error("it did not fail");
  return failed.error;
}

/** Everything that printing an error could show. */
export const shown = (error: unknown): string =>
  [
    inspect(error, { depth: 12, showHidden: true }),
    JSON.stringify(error),
    String(error),
    (error as Error).stack,
  ].join();
