/**
 * Which of Vercel's records a target means. A record is its name and its set of environments, git branch and
 * custom environments together; telling records apart by name alone is how other tools lose values.
 */
import type { Mark, Put } from "../sync/ports.ts";
import { formatMark } from "./mark.ts";
import type { VercelDraft, VercelRow } from "./vercel-client.ts";
import type { VercelTarget } from "./vercel-target.ts";

/** A target with the id of its custom environment looked up. */
export interface ResolvedTarget extends VercelTarget {
  readonly customId: string | null;
}

/** Vercel's limit for a comment. */
const COMMENT_LENGTH = 500;

/** Whether a record takes effect in deployments of this very target (a branch's record hides the general one). */
export function covers(row: VercelRow, target: ResolvedTarget): boolean {
  return inEnvironment(row, target) && (target.customId !== null || row.gitBranch === target.gitBranch);
}

/** Whether a record counts among those of the target's environment, for whichever branch. */
export function inEnvironment(row: VercelRow, { customId, environment }: ResolvedTarget): boolean {
  return customId === null ? row.target.includes(environment) : row.customEnvironmentIds.includes(customId);
}

/** Why a record that covers the target is not to be touched, in words, or null. */
export function foreignOf(row: VercelRow, target: ResolvedTarget): string | null {
  if (row.type === "system") return "Vercel itself";
  if (row.configurationId) return integration(row.configurationId);
  const own = target.customId ?? target.environment;
  const others = [...row.target, ...row.customEnvironmentIds].filter((environment) => environment !== own);
  if (others.length === 0) return null;
  const known = others.filter((environment) => /^[a-z]{1,20}$/.test(environment));
  const more = known.length < others.length ? ["custom environments"] : [];
  return `a record that also covers ${[...known, ...more].join(" and ")}`;
}

/** By the id of its installation, which is in the address of its page at Vercel; nothing else tells which it is. */
function integration(configurationId: string): string {
  const id = /^icfg_\w{1,60}$/.test(configurationId) ? ` (${configurationId})` : "";
  return `an integration installed in Vercel${id}`;
}

/** Vercel's time of the last change, in milliseconds. */
export function versionOf(row: VercelRow): string | null {
  const at = row.updatedAt ?? row.createdAt;
  return at === null || at === undefined ? null : String(at);
}

/** The record that a put asks for. */
export function draftOf(put: Put, target: ResolvedTarget, mark: Mark): VercelDraft {
  return {
    key: put.name,
    value: put.value.reveal(),
    type: target.type,
    ...(target.customId === null
      ? { target: [target.environment] }
      : { customEnvironmentIds: [target.customId] }),
    ...(target.gitBranch === null ? {} : { gitBranch: target.gitBranch }),
    comment: formatMark(mark, COMMENT_LENGTH),
  };
}

/** Types from the most open to the most closed; "sensitive" cannot be read back. */
const CLOSEDNESS = ["plain", "encrypted", "sensitive"];

/** Whether Vercel kept a value more openly than it was told. Unknown types are taken as told. */
export function moreOpen(kept: string | null | undefined, wanted: string): boolean {
  const at = CLOSEDNESS.indexOf(kept ?? "");
  return at >= 0 && at < CLOSEDNESS.indexOf(wanted);
}
