import { execFileSync } from "node:child_process";
import { accessSync, constants, lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";

/** Who runs the server. PostgreSQL refuses to run as root. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Null: the server runs as whoever we are. As root: the owner of the existing data, else `nobody`.
 * It has to be an account with a name, since initdb looks itself up.
 */
export function serverAccount(data: string): Account | null {
  if (process.getuid?.() !== 0) return null;
  const existing = lstatSync(data, { throwIfNoEntry: false });
  if (existing !== undefined && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid };
  try {
    const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { stdio: "pipe" }));
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    throw new Error(
      "PostgreSQL does not run as root and there is no account `nobody` to run it as: " +
        "start as another user, or set DATABASE_URL.",
    );
  }
}

/** Whether the account (null: we) may read `path` and enter every folder above it. */
export function canRead(account: Account | null, path: string): boolean {
  try {
    if (account === null) {
      accessSync(path, constants.R_OK | (statSync(path).isDirectory() ? constants.X_OK : 0));
      return true;
    }
    const real = realpathSync(path);
    const own = statSync(real);
    return allows(account, own, own.isDirectory() ? 0o5 : 0o4) && canReach(account, real);
  } catch {
    return false;
  }
}

/** Whether the account may enter every folder above `path`, which need not be readable itself. */
export function canReach(account: Account | null, path: string): boolean {
  if (account === null) return true;
  let folder = dirname(realpathSync(path));
  for (;;) {
    if (!allows(account, statSync(folder), 0o1)) return false;
    const above = dirname(folder);
    if (above === folder) return true;
    folder = above;
  }
}

/** By mode bits alone. An access list that allows more is not seen: then we take the longer way. */
function allows(account: Account, stats: Stats, bits: number): boolean {
  const shift = stats.uid === account.uid ? 6 : stats.gid === account.gid ? 3 : 0;
  return ((stats.mode >> shift) & bits) === bits;
}
