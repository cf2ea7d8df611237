/** Carries out what a person tells a binding, and writes down who it was, in one transaction. */
import { type AuditDetails, recordAudit } from "../store/audit.ts";
import { lockBindings } from "../store/binding.ts";
import {
  adoptNames,
  type Held,
  pushByHand,
  releaseBinding,
  resumeBinding,
  suspendBinding,
  withBinding,
} from "../store/command.ts";
import type { Db } from "../store/db.ts";
import { sweepPlaces } from "../store/place.ts";
import { getBinding } from "../store/views.ts";
import { visibleTo } from "../store/visible.ts";
import type { Traits } from "../sync/ports.ts";
import { bindingVersion } from "./bindings.ts";
import type { Order, Tell } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import { requireMeant } from "./version.ts";

export interface TellOptions {
  readonly db: Db;
  /** Of a kind of destination. */
  readonly traits: (kind: string) => Pick<Traits, "normaliseName"> | undefined;
  /** After the commit: somebody should look. */
  readonly kick: () => void;
}

interface Done {
  readonly names: readonly string[];
  readonly note: string | null;
  readonly details?: AuditDetails;
}

export function createTell({ db, traits, kick }: TellOptions): Tell {
  return async (id, order, caller) => {
    const visible = await visibleTo(db, caller.principal.limits);
    const before = await getBinding(db, id, visible);
    if (before === null) return null;
    const done = await withBinding(db, id, async (tx, held) => {
      requireMeant(caller, bindingVersion((await getBinding(tx, id, visible)) ?? before));
      const result = await obey(tx, held, order, traits(held.destination.kind));
      const [after] = await lockBindings(tx, [id]);
      await recordAudit(tx, {
        actor: caller.principal.name,
        action: `binding.${order.command}`,
        object: `rule/${held.rule.name}/branch/${held.branch.name}`,
        requestId: caller.requestId,
        sourceAddress: caller.sourceAddress,
        details: {
          binding: id,
          before: held.binding.state,
          after: after?.state ?? held.binding.state,
          ...result.details,
        },
      });
      return result;
    });
    if (done === null) return null;
    kick();
    const binding = await getBinding(db, id, visible);
    return binding === null ? null : { binding, names: done.names, note: done.note };
  };
}

async function obey(
  tx: Db,
  held: Held,
  order: Order,
  traits: Pick<Traits, "normaliseName"> | undefined,
): Promise<Done> {
  const own = namesOf(held, traits);
  if (order.command !== "release" && order.command !== "sweep") requireInForce(held);
  switch (order.command) {
    case "push":
      if (held.binding.suspendedAt !== null) throw refused("It is suspended. Resume it first.");
      return { names: own, ...forgiven(await pushByHand(tx, held)) };
    case "sweep":
      await sweepPlaces(tx, held.places);
      return { names: own, note: held.places.length === 0 ? "It has no place yet." : null };
    case "suspend":
      await suspendBinding(tx, held);
      return { names: own, note: null };
    case "resume":
      return { names: own, ...forgiven(await resumeBinding(tx, held)) };
    case "release": {
      const names = await releaseBinding(tx, held);
      const note = "Nothing was deleted: what the vendor holds under these names stays as it is.";
      return { names, note: names.length === 0 ? null : note, details: { names: names.join(", ") } };
    }
    case "adopt": {
      const names = namesToAdopt(held, order.names, own, traits);
      const { expect } = order;
      await adoptNames(tx, held, { names, expect });
      return { names, note: noteOf(held, expect), details: { names: names.join(", "), expect } };
    }
  }
}

/** For whoever asked, and for the audit log. */
function forgiven(deaths: boolean): Pick<Done, "note" | "details"> {
  if (!deaths) return { note: null };
  const note = "Workers had died of it. That counts no more, and it is tried at once.";
  return { note, details: { deaths: "forgiven" } };
}

function noteOf({ binding }: Held, expect: "same" | "replace-unreadable"): string | null {
  const notes = [
    expect === "same" ? "" : "Values that nobody can read are replaced, and cannot be restored.",
    binding.suspendedAt === null ? "" : "The binding is suspended: this takes effect when it is resumed.",
  ];
  return notes.filter(Boolean).join(" ") || null;
}

/** As the vendor takes them. */
function namesOf({ rule }: Held, traits: Pick<Traits, "normaliseName"> | undefined): string[] {
  return Object.keys(rule.definition.variables).map((name) => traits?.normaliseName(name) ?? name);
}

function namesToAdopt(
  { rule }: Held,
  given: readonly string[] | null,
  own: readonly string[],
  traits: Pick<Traits, "normaliseName"> | undefined,
): string[] {
  const names = [...new Set((given ?? own).map((name) => traits?.normaliseName(name) ?? name))];
  const unknown = names.filter((name) => !own.includes(name));
  if (unknown.length === 0) return names;
  throw new ApiProblem("invalid_request", `The rule ${rule.name} does not write every one of these names.`, {
    members: {
      parameters: unknown.map((name) => ({ parameter: "names", problem: `${name} is not one of them` })),
    },
  });
}

function requireInForce({ binding, branch }: Held): void {
  const over = binding.leaving || binding.state === "removed" || binding.state === "retained";
  if (over || branch.goneAt !== null) throw refused("Its branch is gone, or no rule means it any more.");
}

const refused = (why: string): ApiProblem => new ApiProblem("conflict", why);
