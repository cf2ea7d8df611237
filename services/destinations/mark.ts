/** The ownership mark as one line of text, for vendors with room for a comment. */
import { SyncError } from "../sync/errors.ts";
import type { Mark } from "../sync/ports.ts";

/**
 * `branchline:<installation>/<rule>/<branch>`, each part percent-encoded. Names who made a thing and why,
 * never a hash of its value. Throws `invalid_target` if it would be longer than the vendor allows.
 */
export function formatMark(mark: Mark, maxLength: number): string {
  const parts = [mark.installation, mark.rule, mark.branch].map(encodeURIComponent);
  const text = `${PREFIX}${parts.join("/")}`;
  if (text.length <= maxLength) return text;
  throw new SyncError("invalid_target", `the ownership mark would be longer than ${maxLength} characters`, {
    next: "Give the rule a shorter name.",
  });
}

/** The mark in exactly the spelling of `formatMark`, else null: a comment that merely resembles one is not ours. */
export function parseMark(text: string | null | undefined): Mark | null {
  const [, installation, rule, branch] = SHAPE.exec(text ?? "") ?? [];
  if (installation === undefined || rule === undefined || branch === undefined) return null;
  try {
    const mark = {
      installation: decodeURIComponent(installation),
      rule: decodeURIComponent(rule),
      branch: decodeURIComponent(branch),
    };
    return formatMark(mark, Number.POSITIVE_INFINITY) === text ? mark : null;
  } catch {
    return null; // not our encoding, so not our mark
  }
}

/** Whether two marks name the same installation, rule and branch. */
export function sameMark(a: Mark | null, b: Mark | null): boolean {
  return a?.installation === b?.installation && a?.rule === b?.rule && a?.branch === b?.branch;
}

const PREFIX = "branchline:";
const SHAPE = /^branchline:([^/\s]+)\/([^/\s]+)\/([^/\s]+)$/;
