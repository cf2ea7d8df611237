/**
 * Whose account is it? Asked of a destination before anything is written there, and remembered for a while, since
 * the answer changes only with the block or its credentials. Both are part of what is remembered.
 */
import type { DestinationRow } from "../services/store/destination.ts";
import type { Code, SyncError } from "../services/sync/errors.ts";
import type { CredentialRef } from "../services/sync/ports.ts";
import type { Runtime } from "./runtime.ts";

/** So long this process takes an account for proven. */
const PROVEN_FOR_MS = 5 * 60_000;

interface Proven {
  /** Of the block and of the credentials that it names. */
  readonly identity: string;
  /** On the monotonic clock. */
  readonly until: number;
}

/** By destination. */
const proven = new Map<string, Proven>();
const underWay = new Map<string, Promise<void>>();

/** Throws what `check` throws: then nothing is written. Pushes that come together ask once. */
export async function proveAccount(
  runtime: Pick<Runtime, "fingerprint" | "resolve">,
  destination: Pick<DestinationRow, "id" | "block">,
  check: () => Promise<void>,
): Promise<void> {
  const identity = identityOf(runtime, destination.block);
  const known = proven.get(destination.id);
  if (known?.identity === identity && known.until > performance.now()) return;
  const key = `${destination.id} ${identity}`;
  const others = underWay.get(key);
  // Another's failure may be that of its own target, or of its work being stopped: then we ask for ourselves.
  if (others !== undefined && (await succeeded(others))) return;
  const asked = check();
  if (!underWay.has(key)) underWay.set(key, asked);
  try {
    await asked;
    proven.set(destination.id, { identity, until: performance.now() + PROVEN_FOR_MS });
  } finally {
    if (underWay.get(key) === asked) underWay.delete(key);
  }
}

/** After errors like these the next push asks again. */
const DOUBTFUL: readonly Code[] = ["unauthenticated", "forbidden", "wrong_account"];

export function doubtAccount(
  destination: Pick<DestinationRow, "id">,
  errors: readonly Pick<SyncError, "code">[],
): void {
  if (errors.some(({ code }) => DOUBTFUL.includes(code))) proven.delete(destination.id);
}

const succeeded = async (asked: Promise<void>): Promise<boolean> =>
  await asked.then(
    () => true,
    () => false,
  );

/** Changes with the block and with what its references lead to: a credential that was replaced may be anybody's. */
function identityOf(
  { fingerprint, resolve }: Pick<Runtime, "fingerprint" | "resolve">,
  block: unknown,
): string {
  return fingerprint("credential", JSON.stringify(block), ...referencesIn(block).map(resolve));
}

function referencesIn(value: unknown): CredentialRef[] {
  if (value === null || typeof value !== "object") return [];
  if ("ref" in value && typeof value.ref === "string") return [{ ref: value.ref }];
  return Object.values(value).flatMap(referencesIn);
}
