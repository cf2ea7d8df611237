import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { type Account, canReach } from "./account.ts";

/**
 * Makes the symlinks that the package's install script would make, which npm may not have run.
 * False if some are missing and this folder cannot be written to.
 */
export function hydrate(tree: string): boolean {
  try {
    for (const { source, target } of symlinks(tree)) {
      const link = join(tree, target);
      if (existsSync(link)) continue;
      rmSync(link, { force: true }); // dangling, from an earlier version
      try {
        symlinkSync(relative(dirname(link), join(tree, source)), link);
      } catch (error) {
        if (!existsSync(link)) throw error; // else another process was faster
      }
    }
    return true;
  } catch (error) {
    if (["EACCES", "EPERM", "EROFS"].includes(codeOf(error))) return false;
    throw error;
  }
}

/**
 * Copies the package's tree to where the account can use it, unless a complete copy is there, and
 * returns the copy. Appears under its name in one step, so two processes may do it at once.
 */
export async function copyToCache(
  native: string,
  name: string,
  account: Account | null,
  folders: readonly string[] = [resolve(".branchline/cache"), ...temporaryFolders()],
): Promise<string> {
  const folder = openFolder(folders, account);
  const copy = join(folder, name);
  if (isComplete(native, copy)) return copy;
  const fresh = join(folder, `${name}.${randomBytes(4).toString("hex")}`);
  try {
    await cp(native, fresh, { recursive: true, verbatimSymlinks: true });
    makeReadable(fresh);
    hydrate(fresh);
    putInPlace(fresh, copy, native);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return copy;
}

/** In the temporary folder, one per user, so that nobody else decides what we run. */
function temporaryFolders(): string[] {
  const name = `branchline-cache-${process.getuid?.() ?? "user"}`;
  return [...new Set([tmpdir(), "/tmp"])].map((folder) => join(folder, name));
}

/** The first that can be had: ours, writable by nobody else, and within the account's reach. */
function openFolder(folders: readonly string[], account: Account | null): string {
  for (const folder of folders) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      const own = isOurs(folder) ? folder : mkdtempSync(`${folder}-`);
      chmodSync(own, 0o755);
      if (canReach(account, own)) return own;
    } catch (error) {
      if (!["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENOENT"].includes(codeOf(error))) throw error;
    }
  }
  throw new Error(`No place for the PostgreSQL binaries could be made: tried ${folders.join(", ")}.`);
}

function isOurs(folder: string): boolean {
  const stats = lstatSync(folder);
  const me = process.getuid?.();
  return stats.isDirectory() && (me === undefined || (stats.uid === me && (stats.mode & 0o022) === 0));
}

/** Whether every file is there with its size: cleaners of temporary folders take single files. */
function isComplete(native: string, copy: string): boolean {
  if (!existsSync(copy)) return false;
  const files = readdirSync(native, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return (
    files.every((entry) => {
      const file = join(entry.parentPath, entry.name);
      const its = statSync(join(copy, relative(native, file)), { throwIfNoEntry: false });
      return its?.size === statSync(file).size;
    }) && symlinks(native).every(({ target }) => existsSync(join(copy, target)))
  );
}

/** Renames onto nothing; an incomplete copy in the way is set aside first. */
function putInPlace(fresh: string, copy: string, native: string): void {
  for (;;) {
    try {
      renameSync(fresh, copy);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST", "EPERM"].includes(codeOf(error))) throw error;
    }
    if (isComplete(native, copy)) return; // another process was faster
    const aside = `${fresh}.incomplete`;
    renameSync(copy, aside);
    rmSync(aside, { recursive: true, force: true });
  }
}

/** By all, and writable for us: the source may be a read-only store, or npm's work under umask 077. */
function makeReadable(tree: string): void {
  chmodSync(tree, 0o755);
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const isProgram = entry.isDirectory() || (lstatSync(path).mode & 0o100) !== 0;
    chmodSync(path, isProgram ? 0o755 : 0o644);
  }
}

/** What `pg-symlinks.json` lists, as paths inside the tree. */
function symlinks(tree: string): { source: string; target: string }[] {
  const list = join(tree, "pg-symlinks.json");
  if (!existsSync(list)) return [];
  const inTree = (path: string) => path.replace(/^native\//, "");
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  return links.map(({ source, target }) => ({ source: inTree(source), target: inTree(target) }));
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
