/** What workers/push.ts does around the real `push()`, on the model's rows. */
import { asSyncError, SyncError } from "../../../services/sync/errors.ts";
import type { Claim, Source } from "../../../services/sync/ports.ts";
import { type PushInput, type PushPorts, push } from "../../../services/sync/push.ts";
import { inputOf, whole } from "./load.ts";
import { passwordIn } from "./neon.ts";
import { type Loaded, recordFailure, recordOutcome, unsettle } from "./record.ts";
import { fingerprinter, type Job, LostLease, type Outcome } from "./sim.ts";
import type { PlaceRow } from "./state.ts";

export async function pushPlace(job: Job, row: PlaceRow): Promise<Outcome> {
  const { sim, process, lease } = job;
  await process.pause(1);
  if (lease.takeover) unsettle(job, row);
  const loaded: Loaded = { settleAt: row.settleAt };
  const input = inputOf(job, row);
  const reached = { apply: false };
  try {
    const ports = await portsOf(job, row, input, reached);
    const outcome = await push(input, ports);
    return await recordOutcome(job, row, loaded, input, outcome);
  } catch (thrown) {
    if (!(thrown instanceof LostLease)) return await recordFailure(job, row, input, asSyncError(thrown));
    if (reached.apply) {
      await process.pause(1);
      unsettle(job, row);
    }
    throw thrown;
  } finally {
    sim.kick();
  }
}

async function portsOf(
  job: Job,
  row: PlaceRow,
  input: PushInput,
  reached: { apply: boolean },
): Promise<PushPorts> {
  const { sim, process, tag } = job;
  const { state, neon, vendor, checker } = sim;
  const source = sim.switches.readBeforeObserve ? await readAhead(job, input) : neon.source(process);
  const destination = vendor.open(process, tag, () => job.aborted());
  return {
    destination: {
      ...destination,
      apply: async (_target, changes, claim) => {
        reached.apply = true;
        return await destination.apply(row.key, changes, claim);
      },
    },
    check: async () => undefined,
    fingerprint: fingerprinter(sim),
    source: () => (sim.switches.trustLists ? { ...source, branch: async () => null } : source),
    prove: async (_source, { password }): Promise<void> => {
      await process.pause(40);
      const wanted = passwordIn(password.reveal());
      if (!neon.branches.some((branch) => branch.goneAt === null && branch.password === wanted))
        throw new SyncError("proof_failed", "nobody is let in with it");
      checker.proven(wanted);
    },
    recordProof: async ({ id, fingerprint: proven }) => {
      await process.pause(1);
      const login = state.logins.find((one) => one.id === id);
      if (login !== undefined) login.proven = proven;
    },
    claim: async (changes, observation) =>
      await job.record((): Claim => {
        const names = changes.map(({ bindingId, change }) => ({
          bindingId: whole(bindingId),
          name: change.name,
          fingerprint: change.op === "put" ? change.fingerprint : (change.observed?.fingerprint ?? null),
          seen: change.observed !== null,
          gone: change.op === "put" && change.observed === null && !change.owned,
          deleting: change.op === "delete",
        }));
        for (const { bindingId, name } of names) {
          claimBinding(job, row, input, bindingId);
          checker.claimed(row.key, name, tag.observedAt);
        }
        if (!sim.switches.claimAfterWrite && !state.claim(row, names, job.lease.now)) throw overtaken();
        const mark = { installation: "here", rule: input.bindings[0]?.rule.name ?? "", branch: "" };
        return { intent: "", token: "", mark, observation };
      }),
  };
}

/** Throws if the binding is not as it was loaded. */
function claimBinding({ sim }: Job, row: PlaceRow, input: PushInput, id: string): void {
  const now = sim.state.bindings.find((binding) => binding.id === id);
  const was = input.bindings.find((binding) => whole(binding.id) === id);
  if (now === undefined || was === undefined || now.leaving !== (was.leaving !== "no") || now.place !== row)
    throw overtaken();
  if (!now.leaving && (now.state === "removed" || now.state === "retained")) throw overtaken();
  sim.state.setState(now, "pushing");
}

const overtaken = (): SyncError => new SyncError("conflict", "overtaken");

/** The broken variant: what Neon says is older than what the destination shows. */
async function readAhead({ sim, process }: Job, input: PushInput): Promise<Source> {
  const source = sim.neon.source(process);
  const readings = new Map<string, Awaited<ReturnType<Source["read"]>>>();
  for (const { branch } of input.bindings) readings.set(branch.neonId, await source.read(branch.neonId, []));
  return { ...source, reread: async (id) => readings.get(id) ?? null };
}
