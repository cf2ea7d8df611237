/** What workers/{load,push,record}.ts do around the real `push()`, on the model's rows. */
import { asSyncError, SyncError } from "../../../services/sync/errors.ts";
import { loginsWanted } from "../../../services/sync/material.ts";
import type { Reason, Rule } from "../../../services/sync/model.ts";
import { nextFor, verdict } from "../../../services/sync/outcome.ts";
import type { Claim, Source } from "../../../services/sync/ports.ts";
import {
  type PushBinding,
  type PushInput,
  type PushOutcome,
  type PushPorts,
  push,
} from "../../../services/sync/push.ts";
import { passwordIn } from "./neon.ts";
import { namesOf, RULES } from "./rules.ts";
import { fingerprint, type Job, LostLease, type Outcome, SETTLE_MS } from "./sim.ts";
import type { BindingRow, PlaceRow } from "./state.ts";

export async function pushPlace(job: Job, row: PlaceRow): Promise<Outcome> {
  const { sim, process, lease } = job;
  await process.pause(1);
  if (lease.takeover) unsettle(job, row);
  // The row as it was loaded: what others write to it meanwhile is not seen.
  const loaded = { settleAt: row.settleAt };
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

/** What a place waits for when those who work on it keep dying. */
export function giveUp(job: Job, row: PlaceRow, error: SyncError): void {
  for (const binding of bindingsAt(job, row)) {
    if (binding.leaving || binding.wanted > binding.applied)
      job.sim.state.setOutcome(binding, "parked", reasonOf(error));
  }
}

function unsettle({ sim }: Job, row: PlaceRow): void {
  if (sim.switches.noSettle) return;
  row.settleAt = Math.max(row.settleAt ?? 0, sim.clock.now + SETTLE_MS);
}

// ---------------------------------------------------------------- load

function bindingsAt({ sim }: Job, row: PlaceRow): BindingRow[] {
  const owners = new Set([...sim.state.names(row).values()].map(({ bindingId }) => bindingId));
  return sim.state.bindings.filter((binding) => binding.place === row || owners.has(binding.id));
}

function inputOf(job: Job, row: PlaceRow): PushInput {
  const { state, vendor, switches } = job.sim;
  const settling = row.settleAt !== null && row.settleAt > job.lease.now;
  const settles = row.settleAt !== null && row.settleAt <= job.lease.now;
  const here = bindingsAt(job, row).flatMap((binding) => pushBinding(job, binding) ?? []);
  const bindings = here.filter(({ leaving }) => leaving === "no" || !settling);
  const ledger = state.ledgerOf(row);
  const input: PushInput = {
    installation: "here",
    traits: vendor.traits,
    target: row.key,
    ledger,
    bindings,
    shared: row.shared,
    force: settles && !vendor.traits.compareAndSet,
  };
  if (!switches.noBundle) return input;
  // The broken variant: each name a bundle of its own.
  return {
    ...input,
    ledger: ledger.map((entry) => ({ ...entry, bindingId: `${entry.bindingId}#${entry.name}` })),
    bindings: bindings.flatMap((binding) =>
      namesOf(binding.rule).map((name) => ({
        ...binding,
        id: `${binding.id}#${name}`,
        rule: { ...binding.rule, variables: { [name]: binding.rule.variables[name] ?? "" } },
      })),
    ),
  };
}

const whole = (id: string): string => id.split("#")[0] ?? id;

function pushBinding({ sim }: Job, binding: BindingRow): PushBinding | null {
  const { branch, state } = binding;
  if (!binding.leaving && (state === "removed" || state === "retained")) return null;
  const rule = ruleOf(sim.switches, binding.rule);
  const logins = loginsWanted(rule).flatMap((wanted) => {
    const login = sim.state.logins.find(({ id }) => id === binding.logins[wanted.alias]);
    if (login === undefined) return [];
    return [
      { ...wanted, id: login.id, fingerprint: login.fingerprint, proven: login.proven === login.fingerprint },
    ];
  });
  return {
    id: binding.id,
    rule,
    wanted: binding.wanted,
    applied: binding.applied,
    leaving: binding.leaving ? (branch.goneAt === null ? "not-meant" : "branch-gone") : "no",
    handed: null,
    reported: false,
    exposure: "preview",
    sourceId: sim.state.source.id,
    branch: {
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.production,
      isProtected: branch.production,
    },
    inherited: [],
    unread: [],
    logins,
  };
}

function ruleOf({ adoptAll, noProof }: Job["sim"]["switches"], name: string): Rule {
  const rule = RULES.find((one) => one.name === name);
  if (rule === undefined) throw new Error(`no rule ${name}`);
  return {
    ...rule,
    ...(adoptAll ? { adopt: namesOf(rule) } : {}),
    ...(noProof ? { proof: "never" as const } : {}),
  };
}

// ---------------------------------------------------------------- ports

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
    fingerprint,
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
  return { ...source, read: async (id) => readings.get(id) ?? null };
}

// ---------------------------------------------------------------- record

async function recordOutcome(
  job: Job,
  row: PlaceRow,
  loaded: Loaded,
  input: PushInput,
  outcome: PushOutcome,
): Promise<Outcome> {
  const { state, switches, checker, clock } = job.sim;
  const unsure = outcome.applied.some(({ result }) => result.unsettled);
  if (switches.claimAfterWrite) {
    await job.record(() => {
      const put = outcome.applied.flatMap(({ bindingId, change }) =>
        change.op === "put"
          ? [
              {
                bindingId: whole(bindingId),
                name: change.name,
                fingerprint: change.fingerprint,
                seen: false,
                gone: false,
                deleting: false,
              },
            ]
          : [],
      );
      state.claim(row, put, job.lease.now);
    });
  }
  const superseded: BindingRow[] = [];
  await job.record(() => {
    for (const { bindingId, change, result } of outcome.applied) {
      if (result.error !== null) {
        const made = result.unsettled || input.ledger.some(({ name }) => name === change.name);
        if (!made) state.forget(row, change.name, whole(bindingId));
        continue;
      }
      if (change.op === "delete") state.forget(row, change.name, whole(bindingId));
      else state.recordName(row, change.name, { fingerprint: change.fingerprint, version: result.version });
    }
    for (const { name, fingerprint: seen, version } of outcome.plan.equal)
      state.recordName(row, name, { fingerprint: seen, version });
    for (const name of outcome.plan.forget) state.forget(row, name);
    for (const { name } of outcome.plan.drift) {
      if (outcome.applied.some(({ change }) => change.name === name)) state.countDrift(row, name);
    }
    const done = new Set<string>();
    for (const [id, what] of outcome.bindings) {
      const binding = state.bindings.find((one) => one.id === whole(id));
      const was = input.bindings.find((one) => one.id === id);
      if (binding === undefined || was === undefined) continue;
      if (what.kind === "done") done.add(binding.id);
      if (what.kind === "superseded") superseded.push(binding);
      if (what.kind === "failed") {
        state.setOutcome(
          binding,
          verdict(what.error, row.attempts, job.sim.random).state,
          reasonOf(what.error),
        );
      } else if (what.kind === "done" && what.removed) {
        if (was.leaving !== "no" && binding.leaving) state.recordApplied(binding, was.wanted, "removed");
      } else if (what.kind === "done") {
        state.recordApplied(binding, was.wanted, "synced");
        checker.synced(binding);
      }
    }
    row.shared = outcome.shared;
    if (input.force) {
      for (const entry of state.names(row).values()) if (!done.has(entry.bindingId)) entry.confirmed = false;
    }
    const settles = loaded.settleAt !== null && loaded.settleAt <= job.lease.now;
    if (!unsure && settles && row.settleAt !== null && row.settleAt <= clock.now) row.settleAt = null;
    if (unsure) unsettle(job, row);
  });
  await job.process.pause(1);
  state.markDue([...new Set(superseded.map(({ branch }) => branch))]);
  return conclude(job, row, loaded, outcome, unsure);
}

type Loaded = Pick<PlaceRow, "settleAt">;

const SUPERSEDED = new SyncError("conflict", "what is to be pushed moved on meanwhile");

function conclude(
  { sim, lease }: Job,
  row: PlaceRow,
  loaded: Loaded,
  outcome: PushOutcome,
  unsure: boolean,
): Outcome {
  const [soonest] = [...outcome.bindings.values()]
    .flatMap((what) =>
      what.kind === "failed" ? [what.error] : what.kind === "superseded" ? [SUPERSEDED] : [],
    )
    .map((error) => ({ error, dueInMs: verdict(error, row.attempts, sim.random).dueInMs }))
    .sort((a, b) => a.dueInMs - b.dueInMs);
  if (soonest !== undefined) return { error: soonest.error };
  if (unsure && !sim.switches.noSettle) return { dueInMs: SETTLE_MS };
  const settleIn = loaded.settleAt === null ? null : loaded.settleAt - lease.now;
  return { dueInMs: settleIn !== null && settleIn > 0 ? settleIn : null };
}

async function recordFailure(job: Job, row: PlaceRow, input: PushInput, error: SyncError): Promise<Outcome> {
  const { state, random } = job.sim;
  const { state: word } = verdict(error, row.attempts, random);
  await job.record(() => {
    for (const { id, wanted, applied, leaving } of input.bindings) {
      const binding = state.bindings.find((one) => one.id === whole(id));
      if (binding !== undefined && (wanted > applied || leaving !== "no"))
        state.setOutcome(binding, word, reasonOf(error));
    }
  });
  return { error };
}

const reasonOf = (error: SyncError): Reason => ({
  code: error.code,
  cause: error.message,
  next: nextFor(error),
});
