/** Whether Neon has been looked at since a commit was heard of: what a CI job may count on, and nothing more. */
import type { Db } from "../store/db.ts";
import { commitHeardOf } from "../store/event.ts";
import { ingest } from "../store/ingest.ts";
import type { SourceRow } from "../store/source.ts";
import type { Caller } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import type { Commit } from "./reveal-port.ts";

/**
 * Resolves if a look at the source that began after Branchline had heard of the commit has ended. GitHub's webhook
 * tells of it, or else this request does, which is recorded as an event: a delivery that never comes costs one look and
 * holds up nobody. Rejects with `commit_unseen` until then, with `forbidden` if the token is for another commit.
 */
export type Commits = (source: SourceRow, commit: Commit, caller: Caller) => Promise<void>;

export function createCommits({ db, kick }: { readonly db: Db; readonly kick: () => void }): Commits {
  return async (source, commit, { principal }) => {
    const { gitBranch, sha } = commit;
    if (principal.commit != null && principal.commit !== sha) {
      throw new ApiProblem("forbidden", `This token was given for the commit ${principal.commit}.`);
    }
    const heard = await commitHeardOf(db, source.id, commit);
    if (heard === "looked") return;
    if (heard === null) {
      const deliveryId = `${source.id} ${sha} ${gitBranch}`;
      const about = {
        sources: [source.name],
        project: null,
        neonBranchId: null,
        subject: { gitBranch, sha },
      };
      // A git branch that Branchline has not heard of may be news to a vendor as well.
      await ingest(db, [
        { origin: "manual", kind: "commit", deliveryId, ...about, wakes: true, ignored: null },
      ]);
      kick();
    }
    throw new ApiProblem(
      "commit_unseen",
      "Neon is being looked at, and has not been since this commit was heard of. Ask again in a moment.",
      {
        headers: { "retry-after": "1" },
      },
    );
  };
}
