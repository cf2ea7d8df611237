import { CommandError, EXIT } from "./exit.ts";

export interface Place {
  readonly source: string;
  /** Null: the source's default branch, since no branch was named. */
  readonly branch: string | null;
}

/**
 * `SOURCE/BRANCH`, or `SOURCE` for its default branch. Names of sources hold no slash, those of branches may.
 * `SOURCE/` is refused: a variable that was empty does not mean the default branch.
 */
export function parsePlace(text: string): Place {
  const slash = text.indexOf("/");
  const source = slash === -1 ? text : text.slice(0, slash);
  const branch = slash === -1 ? null : text.slice(slash + 1);
  if (source === "" || branch === "") {
    const problem = source === "" ? "no source is named" : "the branch's name is empty";
    throw new CommandError(EXIT.data, `${problem}: expected SOURCE/BRANCH, or SOURCE for its default branch`);
  }
  return { source, branch };
}
