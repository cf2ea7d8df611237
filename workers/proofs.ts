/**
 * Proofs by login, as pushes share them. Pushes of one branch to many places come at the same moment with the same login:
 * one proof serves them all, and goes on as long as anybody waits for it.
 */
import { openDial } from "../services/sources/dial.ts";
import { createProver, stopped } from "../services/sources/proof.ts";
import type { SourceRow } from "../services/store/source.ts";
import { pooledHost } from "../services/sync/connection-strings.ts";
import type { LoginMaterial } from "../services/sync/model.ts";
import type { Prove } from "../services/sync/ports.ts";
import { orAbort } from "./or-abort.ts";
import type { Network, Runtime } from "./runtime.ts";

interface Shared {
  readonly proof: Promise<unknown>;
  waiting: number;
  /** Nobody's own signal: the first who asked may give up while others still wait. */
  readonly abandoned: AbortController;
}

/** Each source has a line of its own: computes that swallow packets delay nobody else's. */
interface Proving {
  readonly dialled: string;
  readonly prove: Prove;
  readonly underWay: Map<string, Shared>;
}

const provings = new WeakMap<Runtime, Map<string, Proving>>();

function provingOf(runtime: Runtime, { id, block }: Pick<SourceRow, "id" | "block">): Proving {
  const { dial } = block as Network;
  const dialled = JSON.stringify(dial ?? null);
  const all = provings.get(runtime) ?? new Map<string, Proving>();
  provings.set(runtime, all);
  const there = all.get(id);
  if (there?.dialled === dialled) return there;
  const prove = createProver({ dial: () => openDial(dial) });
  const proving: Proving = { dialled, prove, underWay: new Map() };
  all.set(id, proving);
  return proving;
}

/** Logs in over the direct and the pooled host. `signal` ends only this caller's waiting. */
export function openProof(runtime: Runtime, row: Pick<SourceRow, "id" | "block">, signal: AbortSignal) {
  const { prove, underWay } = provingOf(runtime, row);

  const begin = (key: string, { role, database, password, port, endpoint }: LoginMaterial): Shared => {
    const abandoned = new AbortController();
    const attempt = (host: string) => prove({ host, port, role, database, password }, abandoned.signal);
    const proof = Promise.all([attempt(endpoint.host), attempt(pooledHost(endpoint.host))]).finally(() => {
      if (underWay.get(key) === shared) underWay.delete(key);
    });
    const shared: Shared = { proof, waiting: 0, abandoned };
    underWay.set(key, shared);
    return shared;
  };

  return async (login: LoginMaterial): Promise<void> => {
    const { role, database, password, port, endpoint } = login;
    if (signal.aborted) throw stopped(endpoint);
    const key = runtime.fingerprint("login", password, endpoint.host, String(port), role, database);
    const there = underWay.get(key);
    const shared = there === undefined || there.abandoned.signal.aborted ? begin(key, login) : there;
    shared.waiting += 1;
    try {
      await orAbort(shared.proof, signal);
    } catch (thrown) {
      throw signal.aborted ? stopped(endpoint) : thrown;
    } finally {
      shared.waiting -= 1;
      // Also when one of the two hosts has failed: the other need not be waited for.
      if (shared.waiting === 0) shared.abandoned.abort();
    }
  };
}
