/** The processes of Branchline: started, killed, frozen and started again, with everything they say kept in files. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, type WriteStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

export interface Member {
  /** `worker-1`, `api-2`. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface FleetEvents {
  /** It ended without being told to after it had come up, or with a stack at any time. */
  died(name: string, how: string): void;
  /** It was told to stop and did not within the time that is promised. */
  lingered(name: string): void;
}

/** Told in the words of services/cli/serve.ts. */
const UP = "branchline is up";
const LAST_WORDS = /^Node\.js v\d/;
const CLOCK = new URL("./clock.js", import.meta.url).href;
const STOP_MS = 20_000;
const AGAIN_MS = 400;

/** A supervisor, as any platform has one: what ends is started again. */
export class Fleet {
  readonly #members = new Map<string, Running>();

  constructor(members: readonly Member[], folder: string, events: FleetEvents) {
    for (const member of members) {
      const log = createWriteStream(join(folder, `${member.name}.log`), { flags: "a" });
      const clock = join(folder, `${member.name}.clock`);
      this.#members.set(member.name, new Running(member, { log, clock }, events));
    }
  }

  get names(): readonly string[] {
    return [...this.#members.keys()];
  }

  start(): void {
    for (const member of this.#members.values()) member.start();
  }

  /** False: it was not running. */
  kill(name: string, downMs: number): boolean {
    return this.#of(name).kill(downMs);
  }

  term(name: string, downMs: number): boolean {
    return this.#of(name).term(downMs);
  }

  freeze(name: string): boolean {
    return this.#of(name).signal("SIGSTOP");
  }

  thaw(name: string): boolean {
    return this.#of(name).signal("SIGCONT");
  }

  /** Its wall clock is off by so much at once, and after each start. */
  setClock(name: string, offMs: number): boolean {
    return this.#of(name).setClock(offMs);
  }

  thawAll(): void {
    for (const member of this.#members.values()) member.signal("SIGCONT");
  }

  isUp(name: string): boolean {
    return this.#of(name).up;
  }

  /** Lines per process and message, and the most that came of one message within five seconds. */
  noise(): { lines: number; worst: { process: string; message: string; lines: number } | null } {
    const all = [...this.#members.values()].flatMap((member) =>
      [...member.bursts].map(([message, { most }]) => ({ process: member.name, message, lines: most })),
    );
    const lines = [...this.#members.values()].reduce((sum, member) => sum + member.lines, 0);
    return { lines, worst: all.sort((a, b) => b.lines - a.lines)[0] ?? null };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => member.stop()));
  }

  #of(name: string): Running {
    const found = this.#members.get(name);
    if (found === undefined) throw new Error(`no process ${name}`);
    return found;
  }
}

/** Lines of one message within the last window. */
interface Burst {
  since: number;
  count: number;
  most: number;
}

const WINDOW_MS = 5_000;

class Running {
  readonly name: string;
  lines = 0;
  up = false;
  readonly bursts = new Map<string, Burst>();
  readonly #member: Member;
  readonly #log: WriteStream;
  readonly #clock: string;
  readonly #events: FleetEvents;
  #child: ChildProcess | null = null;
  /** Node itself said its last words: nobody caught something. */
  #crashed = false;
  /** Somebody told this very child to end. */
  #told = false;
  #stopped = false;
  #again: NodeJS.Timeout | undefined;

  constructor(
    member: Member,
    { log, clock }: { readonly log: WriteStream; readonly clock: string },
    events: FleetEvents,
  ) {
    this.name = member.name;
    this.#member = member;
    this.#log = log;
    this.#clock = clock;
    this.#events = events;
  }

  start(): void {
    if (this.#stopped || this.#child !== null) return;
    const { file, args, environment } = this.#member;
    const clock = `${CLOCK}?file=${encodeURIComponent(this.#clock)}`;
    const child = spawn(process.execPath, ["--import", clock, file, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#told = false;
    this.#crashed = false;
    this.up = false;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#heard(line));
    }
    // When all that it said has been heard.
    child.once("close", (code, signal) => {
      const wasUp = this.up;
      this.#child = null;
      this.up = false;
      if (this.#crashed) this.#events.died(this.name, "with a stack");
      else if (wasUp && !this.#told) this.#events.died(this.name, signal ?? `code ${code}`);
      if (!this.#told) this.#startIn(AGAIN_MS);
    });
  }

  kill(downMs: number): boolean {
    return this.#end("SIGKILL", downMs);
  }

  term(downMs: number): boolean {
    const child = this.#child;
    if (!this.up || child === null) return false;
    const late = setTimeout(() => {
      if (child.exitCode === null && child.signalCode === null) {
        this.#events.lingered(this.name);
        child.kill("SIGKILL");
      }
    }, STOP_MS);
    child.once("exit", () => clearTimeout(late));
    return this.#end("SIGTERM", downMs);
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): boolean {
    return this.#child?.kill(signal) ?? false;
  }

  setClock(offMs: number): boolean {
    writeFileSync(this.#clock, String(offMs));
    // Before it is up nobody in it listens to the signal, and it reads the file anyway.
    if (this.up) this.#child?.kill("SIGUSR2");
    return true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#again);
    const child = this.#child;
    if (child !== null) {
      this.#told = true;
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      const deadline = performance.now() + STOP_MS;
      while (this.#child !== null && performance.now() < deadline) await pause(20);
      if (this.#child !== null) {
        this.#events.lingered(this.name);
        child.kill("SIGKILL");
      }
    }
    await new Promise<void>((resolve) => this.#log.end(() => resolve()));
  }

  #end(signal: "SIGKILL" | "SIGTERM", downMs: number): boolean {
    const child = this.#child;
    if (child === null || this.#told) return false;
    this.#told = true;
    child.once("close", () => this.#startIn(downMs));
    // A frozen process takes no SIGTERM.
    if (signal === "SIGTERM") child.kill("SIGCONT");
    return child.kill(signal);
  }

  #startIn(ms: number): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.start(), ms);
  }

  #heard(line: string): void {
    this.#log.write(`${line}\n`);
    this.lines += 1;
    if (line.includes(UP)) this.up = true;
    if (LAST_WORDS.test(line)) this.#crashed = true;
    const message = /"msg":"([^"]*)"/.exec(line)?.[1] ?? "(no log line)";
    const now = performance.now();
    const burst = this.bursts.get(message) ?? { since: now, count: 0, most: 0 };
    if (now - burst.since > WINDOW_MS) Object.assign(burst, { since: now, count: 0 });
    burst.count += 1;
    burst.most = Math.max(burst.most, burst.count);
    this.bursts.set(message, burst);
  }
}
