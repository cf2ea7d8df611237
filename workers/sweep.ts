/** Compares the places of one container with their ledgers, by the cheapest listing the vendor has. */
import { bindingsIn } from "../services/store/binding.ts";
import { destinationById } from "../services/store/destination.ts";
import { recordEvent } from "../services/store/event.ts";
import { installationRow } from "../services/store/installation.ts";
import { keptLedgersOf } from "../services/store/ledger.ts";
import { noteCause, placeById, placesOfContainer } from "../services/store/place.ts";
import { markDue } from "../services/store/work.ts";
import { drifted } from "../services/sync/drift.ts";
import { asSyncError } from "../services/sync/errors.ts";
import { destinationAdapter, openDestination, type Runtime } from "./runtime.ts";

/**
 * Reads only: a place that differs is made due, and the push finds out for itself. Never throws; a vendor
 * that cannot be asked now is asked in the next round.
 */
export async function sweep(runtime: Runtime, placeId: string, stopping: AbortSignal): Promise<void> {
  try {
    await look(runtime, placeId, stopping);
  } catch (thrown) {
    runtime.log.warn({ err: asSyncError(thrown), place: placeId }, "sweep failed");
  }
}

async function look(runtime: Runtime, placeId: string, stopping: AbortSignal): Promise<void> {
  const { db } = runtime.database;
  const one = await placeById(db, placeId);
  const destination = one && (await destinationById(db, one.destinationId));
  if (one === undefined || destination === undefined || destination.removedAt !== null) return;
  if ((await installationRow(db)).suspendedAt !== null || destination.suspendedAt !== null) return;
  const { traits, within } = destinationAdapter(runtime, destination.kind);
  if (within?.(destination.block, one.target) === false) return;
  const places = await placesOfContainer(db, one.destinationId, one.container);
  const ledgers = await keptLedgersOf(
    db,
    places.map((place) => place.id),
  );
  const owners = [...ledgers.values()].flatMap((ledger) => ledger.map((entry) => entry.bindingId));
  const reported = await bindingsIn(db, owners, "drifted");
  const targets = places.map((place) => place.target);
  const observations = await openDestination(runtime, destination, stopping).observe(targets, {
    contents: false,
  });

  const due: string[] = [];
  for (const [index, place] of places.entries()) {
    const observation = observations[index];
    const ledger = ledgers.get(place.id);
    if (observation === undefined || ledger === undefined) continue;
    const all = drifted({ traits, installation: runtime.installation, observation, ledger });
    const told = new Set(ledger.flatMap((e) => (reported.has(e.bindingId) ? [e.name] : [])));
    // What has been reported and waits for a person is not news, unless it has gone.
    if (all.length === 0 && told.size > 0) due.push(place.id);
    const drift = all.filter(({ name, kind }) => kind === "foreign" || !told.has(name));
    if (drift.length === 0) continue;
    due.push(place.id);
    const subject = {
      destination: destination.name,
      place: place.key,
      names: drift.map(({ name, kind }) => `${name} ${kind}`).join(", "),
    };
    const event = await recordEvent(db, { origin: "sweep", kind: "drift", subject, outcome: "processed" });
    await noteCause(db, place.id, event);
  }
  await markDue(db, "place", due);
  runtime.kick();
}
