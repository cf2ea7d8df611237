/** Whether a caller may see what opens a branch: by what the branch is, and by who else accepts its passwords. */
import type { AuditDetails } from "../store/audit.ts";
import type { Fingerprinter } from "../sync/fingerprint.ts";
import { gate } from "../sync/gate.ts";
import { passwordFingerprint } from "../sync/material.ts";
import type { LoginMaterial } from "../sync/model.ts";
import type { BranchReading, Source, SourceBranch } from "../sync/ports.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

/** Writes it into the audit log. */
export type Note = (action: string, more: AuditDetails) => Promise<void>;

/** However a branch was named: what opens production needs the permission for production. */
export async function admitBranch({ branch }: BranchReading, caller: Caller, note: Note): Promise<void> {
  if (caller.principal.revealDefault || !isProduction(branch)) return;
  await note("connection.refused", { reason: "default or protected branch" });
  const which = branch.default ? "default" : "protected";
  throw new ApiProblem("forbidden", `This token may not reveal what opens the ${which} branch.`);
}

export interface Shown {
  readonly source: Source;
  readonly reading: BranchReading;
  readonly logins: Iterable<LoginMaterial>;
  readonly fingerprint: Fingerprinter;
}

/**
 * A password that production accepts opens production, with the host swapped. One that a protected branch accepts at this
 * moment is refused to who may not see production; one that only the unprotected default branch accepts is what Neon
 * gives to every child, and resolves with words of warning. Null: nobody else accepts it, or the caller may see production.
 */
export async function admitLogins(
  { source, reading: { branch }, logins, fingerprint }: Shown,
  caller: Caller,
  note: Note,
): Promise<string | null> {
  if (caller.principal.revealDefault) return null;
  const mine = [...logins];
  const fingerprints = new Set(mine.map((login) => passwordFingerprint(fingerprint, login)));
  const roles = [...new Set(mine.map(({ role }) => role))];
  const others = (await source.branches()).filter((other) => isProduction(other) && other.id !== branch.id);
  const inherited = await Promise.all(
    others.map(async (other) => {
      const passwords = (await source.reread(other.id, roles))?.passwords ?? new Map();
      return [...passwords]
        .filter(([role, password]) => fingerprints.has(passwordFingerprint(fingerprint, { role, password })))
        .map(([role]) => ({ ...named(other), role }));
    }),
  );
  const { refusal, warning } = gate({
    rule: { productionReason: null, inheritedPassword: "warn" },
    branch: named(branch),
    exposure: "preview",
    inherited: inherited.flat(),
    unread: [],
  });
  if (refusal === null) return warning;
  await note("connection.refused", { reason: "a protected branch accepts the same password" });
  throw new ApiProblem("forbidden", `This token may not reveal it: ${refusal.cause}. ${refusal.next}`);
}

const isProduction = (branch: SourceBranch): boolean => branch.default || branch.protected;

const named = ({ name, default: isDefault, protected: isProtected }: SourceBranch) => ({
  branch: name,
  isDefault,
  isProtected,
});
