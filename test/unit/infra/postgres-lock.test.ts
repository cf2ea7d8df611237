import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withLock } from "../../../infra/postgres/lock.ts";
import { identity, isPostmasterOf, isRunning } from "../../../infra/postgres/process.ts";
import { until } from "../../support/until.ts";

let folder: string;
let path: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "branchline-lock-"));
  path = join(folder, "lock");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** A process with a child that has ended and that it never reaps; gives the dead child's pid. */
async function zombie(): Promise<number> {
  const shell = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  children.push(shell);
  let said = "";
  shell.stdout.on("data", (chunk) => (said += chunk));
  const pid = await until(() => Number(said.trim()));
  await until(() => identity(pid) === null);
  process.kill(pid, 0); // it is still there, or this throws
  return pid;
}

/** The identity of a process that has ended. */
async function dead(): Promise<string> {
  const child = spawn("sleep", ["60"]);
  children.push(child);
  const name = identity(child.pid ?? 0) ?? "";
  expect(name).not.toBe("");
  child.kill("SIGKILL");
  await until(() => !isRunning(name));
  return name;
}

describe("identity()", () => {
  test("is the same for the same process and differs from another's", () => {
    expect(identity(process.pid)).toBe(identity(process.pid));
    expect(identity(process.pid)).not.toBe(identity(process.ppid));
    expect(isRunning(identity(process.pid) ?? "")).toBe(true);
  });

  test("does not take a later process with the same pid for the earlier one", () => {
    expect(isRunning(`${process.pid}-long.ago`)).toBe(false);
  });

  test("is null for a zombie and for a pid that nobody has", async () => {
    expect(identity(await zombie())).toBeNull();
    expect(identity(2 ** 30)).toBeNull();
  });

  test("does not take an unrelated process for the server of a folder", () => {
    expect(isPostmasterOf(process.pid, folder)).toBe(false);
  });
});

describe("withLock()", () => {
  const options = { timeoutMs: 5_000 };

  test("lets one in at a time", async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside--;
    };
    await Promise.all([1, 2, 3, 4].map(() => withLock(path, work, options)));
    expect(most).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("takes over from a holder that died", async () => {
    writeFileSync(path, await dead());
    expect(await withLock(path, async () => existsSync(path), options)).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("gives up on a holder that lives, naming it", async () => {
    writeFileSync(path, identity(process.ppid) ?? "");
    const attempt = withLock(path, async () => "in", { timeoutMs: 60 });
    await expect(attempt).rejects.toThrow(`Process ${process.ppid} has been holding`);
  });

  test("stops waiting when aborted", async () => {
    writeFileSync(path, identity(process.ppid) ?? "");
    const attempt = withLock(path, async () => "in", {
      ...options,
      signal: AbortSignal.abort(new Error("enough")),
    });
    await expect(attempt).rejects.toThrow("enough");
  });

  test("is released when the work fails", async () => {
    await expect(withLock(path, () => Promise.reject(new Error("work")), options)).rejects.toThrow("work");
    expect(existsSync(path)).toBe(false);
  });
});
