/** Which role and database are meant when they are asked for, or are the only ones that can be. Pure. */
import type { BranchReading } from "../sync/ports.ts";
import { nearest } from "../sync/suggest.ts";
import { invalid, pointed } from "./input.ts";
import { ApiProblem } from "./problems.ts";

const MOST_SUGGESTIONS = 10;

export interface Chosen {
  readonly role: string;
  readonly database: string;
}

/**
 * What was named must be there and be of use. Not named: the only database, and its owner, as Neon itself
 * does it. Where more than one could be meant the caller has to say which.
 */
export function chooseLogin(
  { roles, databases, branch }: BranchReading,
  asked: { readonly role: string | null; readonly database: string | null },
): Chosen {
  const here = `on branch "${branch.name}"`;
  const usable = roles.filter((role) => role.login).map((role) => role.name);
  const names = databases.map((database) => database.name);
  if (asked.role !== null) checkRole(asked.role, roles, usable, here);
  if (asked.database !== null && !names.includes(asked.database)) {
    throw missing("database", `there is no such database ${here}`, asked.database, names);
  }
  const owned = databases.filter(({ owner }) => owner === asked.role).map(({ name }) => name);
  const database = asked.database ?? only(names) ?? only(owned);
  if (database === undefined) {
    throw unclear("database", `several databases are ${here}: say which`, names);
  }
  const owner = databases.find(({ name }) => name === database)?.owner ?? "";
  const role = asked.role ?? (usable.includes(owner) ? owner : only(usable));
  if (role === undefined) {
    const problem =
      usable.length === 0 ? `no role can log in ${here}` : `several roles are ${here}: say which`;
    throw unclear("role", problem, usable);
  }
  return { role, database };
}

function checkRole(
  role: string,
  roles: BranchReading["roles"],
  usable: readonly string[],
  here: string,
): void {
  if (usable.includes(role)) return;
  if (!roles.some(({ name }) => name === role)) {
    throw missing("role", `there is no such role ${here}`, role, usable);
  }
  throw unclear("role", `the role cannot log in with a password ${here}`, usable);
}

const only = <T>(items: readonly T[]): T | undefined => (items.length === 1 ? items[0] : undefined);

/** 404: what was named is not there. The likeliest names come first. */
export function missing(
  parameter: string,
  problem: string,
  asked: string,
  known: readonly string[],
): ApiProblem {
  const suggestions = suggest(asked, known);
  return new ApiProblem("not_found", sentence(problem), {
    members: { parameters: [pointed({ parameter, problem, suggestions })] },
  });
}

/** 400: what is said does not tell which is meant. */
export function unclear(parameter: string, problem: string, known: readonly string[]): ApiProblem {
  return invalid([{ parameter, problem, suggestions: known.slice(0, MOST_SUGGESTIONS) }]);
}

export function suggest(asked: string, known: readonly string[]): string[] {
  const guess = nearest(asked, known);
  const word = asked.toLowerCase();
  const alike = known.filter((name) => {
    const other = name.toLowerCase();
    return other.includes(word) || word.includes(other);
  });
  const first = guess === null ? alike : [guess, ...alike];
  const rest = known.length <= MOST_SUGGESTIONS ? known : [];
  return [...new Set([...first, ...rest])].slice(0, MOST_SUGGESTIONS);
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
