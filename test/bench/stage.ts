/** What the benches stand on: a PostgreSQL of their own, the stand-ins in this process, Branchline in another. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { addressed, credentialsOf } from "../../infra/demo/world.ts";
import { type Postgres, startPostgres } from "../../infra/postgres/index.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../infra/sandbox/index.ts";
import { packageRoot } from "../../services/paths.ts";
import type { Settings } from "../../workers/runtime.ts";

/** `branchline serve`, running. */
export interface Member {
  readonly apiUrl: string;
  /** From the start of the process until it said that it is up. */
  readonly startMs: number;
  /** Memory that is really in use, in megabytes; NaN where the platform does not tell. */
  residentMb(): number;
  /** Processor time so far, in milliseconds; NaN where the platform does not tell. */
  cpuMs(): number;
  end(): Promise<void>;
}

export interface Stage {
  readonly folder: string;
  readonly postgres: Postgres;
  readonly sandbox: Sandbox;
  readonly masterKey: Uint8Array;
  /** Starts `serve` with these arguments; the configuration is the demo's, as `rewrite` makes it. */
  serve(args?: readonly string[]): Promise<Member>;
  /** The same with settings that the command does not have. */
  serveWith(settings: Partial<Settings>): Promise<Member>;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly sandbox?: SandboxOptions;
  readonly rewrite?: (file: string) => string;
}

const CLI = fileURLToPath(new URL("../../services/cli/main.js", import.meta.url));
const WITH_SETTINGS = fileURLToPath(new URL("./serve.js", import.meta.url));
const UP_MS = 60_000;

export async function openStage({ sandbox: options = {}, rewrite = same }: StageOptions): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "branchline-bench-"));
  const closing: (() => Promise<unknown> | unknown)[] = [
    () => rmSync(folder, { recursive: true, force: true }),
  ];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const postgres = await startPostgres({ dataDir: join(folder, "runs"), mode: "ephemeral" });
    closing.push(() => postgres.stop());
    const sandbox = await startSandbox(options);
    closing.push(() => sandbox.close());
    const config = join(folder, "branchline.yaml");
    const demo = readFileSync(join(packageRoot(), "infra/demo/branchline.yaml"), "utf8");
    writeFileSync(config, addressed(rewrite(withoutProof(demo)), sandbox, folder));
    const masterKey = randomBytes(32);
    const environment = {
      ...credentialsOf(sandbox),
      DATABASE_URL: postgres.url,
      BRANCHLINE_CONFIG: config,
      BRANCHLINE_MASTER_KEY: masterKey.toString("base64"),
      BRANCHLINE_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
      PORT: "0",
    };
    const run = async (command: readonly string[]): Promise<Member> => {
      const member = await start(command, environment, folder);
      closing.push(() => member.end());
      return member;
    };
    return {
      folder,
      postgres,
      sandbox,
      masterKey,
      serve: (args = []) => run([CLI, "serve", ...args]),
      serveWith: (settings) => run([WITH_SETTINGS, JSON.stringify(settings)]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const same = (file: string): string => file;

/** There are no databases behind the branches, and nobody looks by himself while a number is taken. */
const withoutProof = (file: string): string =>
  file
    .replaceAll("onBranchDelete: delete", "onBranchDelete: delete\n  proof: never")
    .replace("exposure: production\n", "exposure: production\n    proof: never\n")
    .replace("watch: { interval: 1s }", "watch: { interval: 60s }");

async function start(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  folder: string,
): Promise<Member> {
  const started = performance.now();
  const child = spawn(process.execPath, [...command], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const gone = once(child, "close");
  const said: string[] = [];
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    await gone;
  };
  const up = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`serve ended: ${said.slice(-20).join("\n")}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said.push(line);
        if (said.length > 100) said.shift();
        const found = /branchline is up/.test(line) ? (/"api":"([^"]+)"/.exec(line)?.[1] ?? "") : null;
        if (found !== null) resolve(found);
      });
    }
  });
  const late = new AbortController();
  try {
    const apiUrl = await Promise.race([up, tooLate(late.signal, said)]);
    const { pid = 0 } = child;
    return {
      apiUrl,
      startMs: performance.now() - started,
      residentMb: () => procNumber(pid, "status", /VmRSS:\s+(\d+) kB/) / 1024,
      cpuMs: () => cpuMsOf(pid),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  } finally {
    late.abort();
  }
}

async function tooLate(signal: AbortSignal, said: readonly string[]): Promise<never> {
  await pause(UP_MS, undefined, { signal }).catch(() => undefined);
  throw new Error(`serve did not come up: ${said.join("\n")}`);
}

function procNumber(pid: number, file: string, pattern: RegExp): number {
  try {
    return Number(pattern.exec(readFileSync(`/proc/${pid}/${file}`, "utf8"))?.[1] ?? Number.NaN);
  } catch {
    return Number.NaN;
  }
}

/** Ticks of the kernel are a hundredth of a second. */
function cpuMsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}
