/** The first half of a push, for each binding by itself: read, render, gate, prove. */
import { asSyncError, SyncError } from "./errors.ts";
import { type GateInput, gate, keepsBack } from "./gate.ts";
import { loginFingerprint, passwordFingerprint, remade } from "./material.ts";
import type { LoginMaterial } from "./model.ts";
import type { Wish } from "./plan.ts";
import type { LoginReading } from "./ports.ts";
import type { BindingOutcome, PushBinding, PushInput, ReadPorts } from "./push.ts";
import { agrees } from "./reconcile.ts";
import { render } from "./render.ts";
import type { Secret } from "./secret.ts";
import { onReplica, replicasNamed } from "./variables.ts";

/** A binding that may be planned: its values rendered, passed and proven. */
export interface Prepared {
  readonly binding: PushBinding;
  readonly wish: Wish;
  readonly warning: string | null;
}

/** Read, render, gate and prove, each binding by itself: one that fails holds up none of the others. */
export async function prepare(
  input: PushInput,
  ports: ReadPorts,
  due: readonly PushBinding[],
  outcomes: Map<string, BindingOutcome>,
): Promise<Prepared[]> {
  ports.step?.("read");
  const readings = new Map<string, Promise<LoginReading | null>>();
  const read = (binding: PushBinding) => {
    const roles = due
      .filter((other) => other.branch.id === binding.branch.id)
      .flatMap((other) => Object.values(other.rule.roles));
    const { neonId } = binding.branch;
    const reading =
      readings.get(binding.branch.id) ?? ports.source(binding.sourceId).reread(neonId, [...new Set(roles)]);
    readings.set(binding.branch.id, reading);
    return reading;
  };
  const prepared = await Promise.all(
    due.map(async (binding): Promise<Prepared | null> => {
      try {
        if (binding.leaving !== "no") return { binding, wish: wishOf(input, binding, []), warning: null };
        const reading = await read(binding);
        if (reading === null) return superseded(outcomes, binding);
        if (!agrees(binding.inputs ?? null, binding.rule, reading.branch))
          return superseded(outcomes, binding);
        const logins = new Map<string, LoginMaterial>();
        for (const login of binding.logins) {
          const made = remade(reading, login);
          if (made === null || loginFingerprint(ports.fingerprint, made) !== login.fingerprint)
            return superseded(outcomes, binding);
          logins.set(login.alias, made);
        }
        ports.step?.("render");
        const variables = render(binding.rule, logins, input.traits, ports.fingerprint);
        ports.step?.("gate");
        const branch = branchOf(binding, reading);
        const accepted = await acceptedNow({ binding, branch, logins }, ports);
        const passed = pass(binding, branch, [...binding.inherited, ...accepted]);
        await prove(binding, logins, ports);
        return { binding, wish: wishOf(input, binding, variables), warning: passed };
      } catch (thrown) {
        outcomes.set(binding.id, { kind: "failed", error: asSyncError(thrown) });
        return null;
      }
    }),
  );
  return prepared.filter((one) => one !== null);
}

function superseded(outcomes: Map<string, BindingOutcome>, binding: PushBinding): null {
  outcomes.set(binding.id, { kind: "superseded" });
  return null;
}

/** Names are compared as the vendor takes them, however they are spelt in the rule. */
const wishOf = (input: PushInput, binding: PushBinding, variables: Wish["variables"]): Wish => ({
  bindingId: binding.id,
  rule: binding.rule.name,
  policy: binding.rule.policy,
  adopt: new Set(binding.rule.adopt.map((name) => input.traits.normaliseName(name))),
  handed: binding.handed,
  variables,
  leaving: binding.leaving !== "no",
  moved: binding.leaving === "moved",
});

/** Production by what was last written down or by what Neon says now: it may have been made so meanwhile. */
const branchOf = ({ branch }: PushBinding, { branch: now }: LoginReading): GateInput["branch"] => ({
  branch: branch.name,
  isDefault: branch.isDefault || now.default,
  isProtected: branch.isProtected || now.protected,
});

interface Bundle {
  readonly binding: PushBinding;
  readonly branch: GateInput["branch"];
  readonly logins: ReadonlyMap<string, LoginMaterial>;
}

/**
 * Who in production accepts these passwords at this moment. Asked after they were read: what production got since we
 * last looked at it may be just what this branch got as well.
 */
async function acceptedNow(
  { binding, branch: of, logins }: Bundle,
  ports: ReadPorts,
): Promise<GateInput["inherited"]> {
  const { rule, exposure } = binding;
  const source = ports.source(binding.sourceId);
  const roles = [...new Set([...logins.values()].map(({ role }) => role))];
  const mine = new Set([...logins.values()].map((login) => passwordFingerprint(ports.fingerprint, login)));
  const asked = binding.production.filter((other) => keepsBack({ rule, exposure, branch: of }, other));
  const accepted = asked.map(async ({ neonId, branch, isDefault, isProtected }) => {
    const passwords = (await source.reread(neonId, roles))?.passwords ?? new Map<string, Secret>();
    return [...passwords]
      .filter(([role, password]) => mine.has(passwordFingerprint(ports.fingerprint, { role, password })))
      .map(([role]) => ({ branch, role, isDefault, isProtected }));
  });
  return (await Promise.all(accepted)).flat();
}

function pass(
  { rule, exposure, unread }: PushBinding,
  branch: GateInput["branch"],
  inherited: GateInput["inherited"],
): string | null {
  const { refusal: reason, warning } = gate({ rule, exposure, inherited, unread, branch });
  if (reason !== null) throw new SyncError(reason.code, reason.cause, { next: reason.next });
  return warning;
}

async function prove(
  binding: PushBinding,
  logins: ReadonlyMap<string, LoginMaterial>,
  ports: ReadPorts,
): Promise<void> {
  if (binding.rule.proof === "never") return;
  ports.step?.("prove");
  await Promise.all(
    binding.logins.map(async (login) => {
      const made = logins.get(login.alias);
      if (made === undefined || (login.proven && binding.rule.proof === "onChange")) return;
      await ports.prove(binding.sourceId, made);
      await ports.recordProof(login);
    }),
  );
  // A read-only compute has no generation of its own, so it is logged in to whenever its string is written.
  await Promise.all(
    replicasNamed(binding.rule.variables).map(async ({ alias, replica }) => {
      const made = logins.get(alias);
      if (made !== undefined) await ports.prove(binding.sourceId, onReplica(made, replica));
    }),
  );
}
