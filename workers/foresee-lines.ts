/** What was decided at a place, as the lines of a plan. */
import type { Judged } from "../services/sync/document-plan.ts";
import type { SyncError } from "../services/sync/errors.ts";
import type { LedgerEntry } from "../services/sync/model.ts";
import { nextFor } from "../services/sync/outcome.ts";
import type { Change } from "../services/sync/ports.ts";
import type { Decision, PushInput } from "../services/sync/push.ts";
import type { Intent } from "./foresee-intent.ts";
import type { Scene } from "./foresee-place.ts";

export const UNCHECKED = "unchecked: not contacted before apply";

type Words = Pick<Judged["line"], "name" | "action" | "reason"> & Partial<Judged["line"]>;

export function judge(scene: Scene, intent: Intent, words: Words, more: Partial<Judged> = {}): Judged {
  const { entry, branch } = intent;
  return {
    line: {
      rule: entry.rule.name,
      at: entry.at,
      branch: branch.name,
      destination: scene.destination.name,
      target: scene.key,
      code: null,
      next: null,
      ...words,
    },
    basis: [],
    deletes: false,
    unreadable: false,
    ...more,
  };
}

export const refused = (scene: Scene, intent: Intent, error: SyncError, name: string | null = null): Judged =>
  judge(scene, intent, {
    name,
    action: "refuse",
    code: error.code,
    reason: error.message,
    next: nextFor(error),
  });

/** Names that stay where they are although nobody keeps them in step any more. */
export function stays(scene: Scene, ledger: readonly LedgerEntry[]): Judged[] {
  return scene.leavers
    .filter(({ takesAway }) => !takesAway || !scene.reachable)
    .flatMap((intent) =>
      ledger
        .filter(({ bindingId }) => bindingId === intent.id)
        .map(({ name }) =>
          judge(scene, intent, {
            name,
            action: "keep",
            reason: `${scene.reachable ? intent.why : "it is in the former account"}: it stays, and is no longer kept in step`,
          }),
        ),
    );
}

export function blindDeletes(scene: Scene, ledger: readonly LedgerEntry[]): Judged[] {
  return scene.leavers
    .filter(({ takesAway }) => takesAway && scene.reachable)
    .flatMap((intent) =>
      ledger
        .filter(({ bindingId }) => bindingId === intent.id)
        .map(({ name }) => {
          const reason = `${intent.why}: to be deleted; ${UNCHECKED}`;
          return judge(scene, intent, { name, action: "unchecked", reason }, { deletes: true });
        }),
    );
}

/** Nobody could look: what lasts is a refusal, what passes is said to be open. */
export function notSeen(scene: Scene, input: PushInput, error: SyncError): Judged[] {
  const passes = ["unavailable", "rate_limited", "internal", "conflict"].includes(error.code);
  return input.bindings.flatMap(({ id }) => {
    const intent = intentOf(scene, id);
    const leaves = scene.leavers.includes(intent);
    if (!intent.due && !leaves) return [];
    if (leaves && error.code === "target_missing") return [gone(scene, intent, error)];
    if (!passes) return [refused(scene, intent, error)];
    const reason = `unchecked: ${error.message}`;
    return [judge(scene, intent, { name: null, action: "unchecked", reason, code: error.code })];
  });
}

/** As a push sees it: a target that is gone keeps nobody from leaving it. */
const gone = (scene: Scene, intent: Intent, { message }: SyncError): Judged =>
  judge(scene, intent, { name: null, action: "keep", reason: `${message}: nothing is left to take away` });

/** Who would create names here is refused; what else was decided stays as it is. */
export function unwritable(scene: Scene, input: PushInput, decided: Decision, missing: SyncError): Judged[] {
  const creators = new Set(
    decided.plan.changes.flatMap(({ bindingId, change }) =>
      change.op === "put" && change.observed === null && !change.owned ? [bindingId] : [],
    ),
  );
  const changes = decided.plan.changes.filter(({ bindingId }) => !creators.has(bindingId));
  const others = linesOf(scene, input, { ...decided, plan: { ...decided.plan, changes } });
  return [...others, ...[...creators].map((id) => refused(scene, intentOf(scene, id), missing))];
}

export function intentOf({ homes, leavers }: Scene, id: string): Intent {
  const found = [...homes, ...leavers].find((intent) => intent.id === id);
  if (found === undefined) throw new Error("a binding that nobody meant");
  return found;
}

export function linesOf(scene: Scene, input: PushInput, { plan, outcomes }: Decision): Judged[] {
  const lines = plan.changes.map(({ bindingId, change }) => {
    const entry = input.ledger.find(({ name }) => name === change.name);
    return changed(scene, intentOf(scene, bindingId), change, entry);
  });
  const skips = plan.skips.map(({ bindingId, name, reason, refuses }) =>
    judge(scene, intentOf(scene, bindingId), {
      name,
      action: refuses ? "refuse" : "keep",
      code: reason.code,
      reason: reason.cause,
      next: reason.next,
    }),
  );
  const failures = [...outcomes].flatMap(([id, outcome]) => {
    const intent = intentOf(scene, id);
    if (outcome.kind === "drifted") {
      const reason = "somebody else changed it, and the rule only reports that";
      return outcome.drift.map(({ name }) => judge(scene, intent, { name, action: "keep", reason }));
    }
    const told =
      outcome.kind !== "failed" || plan.skips.some((skip) => skip.refuses && skip.bindingId === id);
    return told ? [] : [refused(scene, intent, outcome.error)];
  });
  return [...lines, ...skips, ...failures];
}

function changed(scene: Scene, intent: Intent, change: Change, entry: LedgerEntry | undefined): Judged {
  const { name, observed } = change;
  const basis = [
    change.op === "put" ? change.fingerprint : null,
    observed?.fingerprint ?? null,
    observed?.version ?? null,
  ];
  const why = intent.why || "somebody else changed it";
  if (change.op === "delete") {
    return judge(scene, intent, { name, action: "delete", reason: why }, { basis, deletes: true });
  }
  if (observed === null) {
    const action = change.owned ? "change" : "create";
    return judge(scene, intent, { name, action, reason: why }, { basis });
  }
  const readable = observed.fingerprint !== null;
  if (entry !== undefined) {
    const reason = `${why}: ${readable ? "another value is there" : "what is there is written anew"}`;
    return judge(scene, intent, { name, action: "change", reason }, { basis });
  }
  const becomes = !readable
    ? "what is there cannot be read, is replaced and cannot be restored"
    : observed.fingerprint === change.fingerprint
      ? "it holds the wanted value already"
      : "another value is there and is replaced";
  const reason = `it exists and is handed over: ${becomes}`;
  return judge(scene, intent, { name, action: "adopt", reason }, { basis, unreadable: !readable });
}
