/** What workers/load.ts does: all that a push has to know before it begins, read from the model's rows. */
import { isTroubled } from "../../../services/sync/look.ts";
import { loginsWanted } from "../../../services/sync/material.ts";
import type { Rule } from "../../../services/sync/model.ts";
import type { PushBinding, PushInput } from "../../../services/sync/push.ts";
import { ROLE } from "./neon.ts";
import { namesOf, RULES } from "./rules.ts";
import type { Job } from "./sim.ts";
import type { BindingRow, BranchRow, PlaceRow } from "./state.ts";

/** The bindings that live at a place and those that have left names there. */
export function bindingsAt({ sim }: Job, row: PlaceRow): BindingRow[] {
  const owners = new Set([...sim.state.names(row).values()].map(({ bindingId }) => bindingId));
  return sim.state.bindings.filter((binding) => binding.place === row || owners.has(binding.id));
}

export function inputOf(job: Job, row: PlaceRow): PushInput {
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

/** Of a bundle's part: the bundle. */
export const whole = (id: string): string => id.split("#")[0] ?? id;

function pushBinding(job: Job, binding: BindingRow): PushBinding | null {
  const { sim } = job;
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
    troubled: isTroubled({ state: binding.state, code: binding.reason?.code ?? null }),
    exposure: "preview",
    sourceId: sim.state.source.id,
    branch: {
      id: branch.id,
      neonId: branch.neonId,
      name: branch.name,
      isDefault: branch.production,
      isProtected: branch.production,
    },
    ...production(job, binding),
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

/** Of the default branch: whether it accepts one of these passwords, or nobody knows. The broken variant does not ask. */
function production(
  { sim, lease }: Job,
  binding: BindingRow,
): Pick<PushBinding, "inherited" | "unread" | "production"> {
  if (sim.switches.noGate) return { inherited: [], unread: [], production: [] };
  const mine = sim.state.logins.filter(({ id }) => Object.values(binding.logins).includes(id));
  const others = sim.state.branches.filter((row) => row.production && row.goneAt === null);
  const named = ({ name }: BranchRow) => ({ branch: name, role: ROLE, isDefault: true, isProtected: true });
  const isUnread = ({ readAt, dueAt, attempts }: BranchRow) =>
    readAt === null || (dueAt !== null && dueAt <= lease.now) || attempts > 0;
  return {
    inherited: others.filter((row) => mine.some((login) => login.password === row.password)).map(named),
    unread: others.filter(isUnread).map(named),
    production: others
      .filter(({ id }) => id !== binding.branch.id)
      .map((row) => ({ ...named(row), neonId: row.neonId })),
  };
}
