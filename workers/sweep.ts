/** Compares the places of one container with their ledgers, by the cheapest listing the vendor has. */
import type { Container } from "../services/store/container.ts";
import { recordEvent } from "../services/store/event.ts";
import { noteCause } from "../services/store/place.ts";
import { markDue } from "../services/store/work.ts";
import { drifted } from "../services/sync/drift.ts";
import { asSyncError } from "../services/sync/errors.ts";
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
  const [one] = places;
  if (one === undefined || destination.removedAt !== null) return;
  if (suspendedAt !== null || destination.suspendedAt !== null) return;
  const { traits, within } = destinationAdapter(runtime, destination.kind);
  if (within?.(destination.block, one.target) === false) return;
  const observations = await openDestination(runtime, destination, stopping).observe(
    places.map(({ target }) => target),
    { contents: false },
  );

  const due: string[] = [];
  for (const [index, { id, key, ledger, reported }] of places.entries()) {
    const observation = observations[index];
    if (observation === undefined || ledger.length === 0) continue;
    const all = drifted({ traits, installation: runtime.installation, observation, ledger });
    // What has been reported and waits for a person is not news, unless it has gone.
    if (all.length === 0 && reported.size > 0) due.push(id);
    const drift = all.filter(({ name, kind }) => kind === "foreign" || !reported.has(name));
    if (drift.length === 0) continue;
    due.push(id);
    const subject = {
      destination: destination.name,
      place: key,
      names: drift.map(({ name, kind }) => `${name} ${kind}`).join(", "),
    };
    const event = await recordEvent(db, { origin: "sweep", kind: "drift", subject, outcome: "processed" });
    await noteCause(db, id, event);
  }
  if (due.length === 0) return;
  await markDue(db, "place", due);
  runtime.kick();
}
