/** Compares the places of one container with their ledgers, by the cheapest listing the vendor has. */
import type { Container, SweptPlace } from "../services/store/container.ts";
import { recordEvent } from "../services/store/event.ts";
import { noteCause } from "../services/store/place.ts";
import { markDue } from "../services/store/work.ts";
import { drifted } from "../services/sync/drift.ts";
import { asSyncError } from "../services/sync/errors.ts";
import type { Destination, Observation } from "../services/sync/ports.ts";
import { destinationAdapter, openDestination, type Runtime } from "./runtime.ts";

/**
 * Reads only: a place that differs is made due, and the push finds out for itself. Never throws. False: the vendor could
 * not be asked now, and somebody is to ask again.
 */
export async function sweep(runtime: Runtime, container: Container, stopping: AbortSignal): Promise<boolean> {
  try {
    await look(runtime, container, stopping);
    return true;
  } catch (thrown) {
    const { destinationId, container: name } = container;
    runtime.log.warn(
      { err: asSyncError(thrown), destination: destinationId, container: name },
      "sweep failed",
    );
    return false;
  }
}

async function look(runtime: Runtime, container: Container, stopping: AbortSignal): Promise<void> {
  const { db } = runtime.database;
  const found = await runtime.loadContainer(container);
  if (found === null) return;
  const { destination, suspendedAt, places } = found;
  const ours = places.filter(({ ledger }) => ledger.length > 0);
  const [one] = ours;
  if (one === undefined || destination.removedAt !== null) return;
  if (suspendedAt !== null || destination.suspendedAt !== null) return;
  const { traits, within } = destinationAdapter(runtime, destination.kind);
  if (within?.(destination.block, one.target) === false) return;
  const observations = await observeEach(openDestination(runtime, destination, stopping), ours);

  const due: string[] = [];
  const tell = async (id: string, kind: string, subject: Record<string, string>): Promise<void> => {
    const event = await recordEvent(db, { origin: "sweep", kind, subject, outcome: "processed" });
    await noteCause(db, id, event);
  };
  for (const [index, { id, key, ledger, reported, parked }] of ours.entries()) {
    const observation = observations[index];
    if (observation === undefined) continue;
    const at = { destination: destination.name, place: key };
    if (observation === null) {
      due.push(id);
      if (!parked) await tell(id, "target.missing", at);
      continue;
    }
    const all = drifted({ traits, installation: runtime.installation, observation, ledger });
    // What has been reported and waits for a person is not news, unless it has gone.
    if (all.length === 0 && reported.size > 0) due.push(id);
    const drift = all.filter(({ name, kind }) => kind === "foreign" || !reported.has(name));
    if (drift.length === 0) continue;
    due.push(id);
    await tell(id, "drift", { ...at, names: drift.map(({ name, kind }) => `${name} ${kind}`).join(", ") });
  }
  if (due.length === 0) return;
  await markDue(db, "place", due);
  runtime.kick();
}

/**
 * What is at each of these places; null: its target is not there any more. One that is missing fails the look at all of
 * them, so they are looked at by halves until it is alone.
 */
async function observeEach(
  destination: Destination,
  places: readonly Pick<SweptPlace, "target">[],
): Promise<readonly (Observation | null)[]> {
  try {
    const targets = places.map(({ target }) => target);
    return await destination.observe(targets, { contents: false });
  } catch (thrown) {
    if (asSyncError(thrown).code !== "target_missing") throw thrown;
    if (places.length === 1) return [null];
    const half = Math.ceil(places.length / 2);
    return [
      ...(await observeEach(destination, places.slice(0, half))),
      ...(await observeEach(destination, places.slice(half))),
    ];
  }
}
