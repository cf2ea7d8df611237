/** `branchline demo`: plays the main job against local stand-ins, for a person or for a script. */
import { resolve } from "node:path";
import logUpdate from "log-update";
import colors from "yoctocolors";
import { createLogger } from "../../services/log.ts";
import { bindings, CHAPTERS, type Step } from "./story.ts";
import { drawTable } from "./table.ts";
import { startWorld, type World } from "./world.ts";

export interface DemoOptions {
  /** End after the story instead of staying up. */
  readonly once: boolean;
  /** One JSON object on standard output and nothing else. */
  readonly json: boolean;
  readonly port: number;
  /** Resolves when the person has seen enough. */
  readonly interrupted: Promise<void>;
}

export interface DemoReport {
  readonly ok: boolean;
  readonly steps: readonly Omit<Step, "startedAt">[];
  /** Resident memory of this process in MiB: API, workers and all five stand-ins, PostgreSQL aside. */
  readonly memoryMb: number;
}

const REFRESH_MS = 200;

export type DemoOutcome = "ok" | "failed" | "interrupted";

/** Leaves nothing running, however it ends. */
export async function runDemo(options: DemoOptions): Promise<DemoOutcome> {
  const say = options.json ? () => {} : (line = "") => void process.stdout.write(`${line}\n`);
  const started = performance.now();
  say(colors.dim("Starting PostgreSQL, the five stand-ins, the API and the workers ..."));
  const log = createLogger({ level: "silent" });
  const world = await startWorld({ log, folder: resolve(".branchline"), port: options.port });
  try {
    say(colors.dim(`Up after ${Math.round(performance.now() - started)} ms. API at ${world.apiUrl}\n`));
    const steps = await unlessInterrupted(playAll(world, options, say), options.interrupted);
    if (steps === "interrupted") return steps;
    const report = reportOf(steps);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else sumUp(report, say);
    if (!options.once) {
      whatNext(world, say);
      await stay(world, options);
    }
    return report.ok ? "ok" : "failed";
  } finally {
    logUpdate.done();
    await world.close();
    say(colors.dim("\nEverything is stopped."));
  }
}

const reportOf = (steps: readonly Step[]): DemoReport => ({
  ok: steps.every((step) => step.ok),
  steps: steps.map(({ startedAt: _, ...step }) => step),
  memoryMb: memoryMb(),
});

/** A story that was broken off goes on telling for a moment while its world ends; nobody listens. */
async function unlessInterrupted<T>(
  story: Promise<T>,
  interruption: Promise<void>,
): Promise<T | "interrupted"> {
  const outcome = await Promise.race([story, interruption.then(() => "interrupted" as const)]);
  if (outcome === "interrupted") story.catch(() => undefined);
  return outcome;
}

async function playAll(world: World, options: DemoOptions, say: (line?: string) => void): Promise<Step[]> {
  const steps: Step[] = [];
  const live = !options.json && process.stdout.isTTY === true;
  for (const [index, chapter] of CHAPTERS.entries()) {
    say(`${colors.bold(`${index + 1}. ${chapter.name}`)}  ${colors.dim(chapter.told)}`);
    const view = live ? show(world) : null;
    const step = await chapter.play(world);
    await view?.end();
    if (!options.json && !live) say(await table(world));
    const mark = step.ok ? colors.green("ok") : colors.red("not as it should be");
    say(`   ${mark}: all four destinations after ${step.ms} ms\n`);
    steps.push(step);
  }
  return steps;
}

const table = async (world: World): Promise<string> => drawTable(await bindings(world), Date.now());

/** Redraws the table in place until `end()`. */
function show(world: World): { end(): Promise<void> } {
  const draw = async (): Promise<void> => logUpdate(await table(world));
  const timer = setInterval(() => void draw().catch(() => undefined), REFRESH_MS);
  return {
    end: async () => {
      clearInterval(timer);
      await draw();
      logUpdate.done();
    },
  };
}

function sumUp({ ok, steps, memoryMb: memory }: DemoReport, say: (line?: string) => void): void {
  const passed = steps.filter((step) => step.ok).length;
  say(
    ok
      ? colors.green("Every vendor held exactly what Neon said, at every step.")
      : colors.red(`${passed} of ${steps.length} steps came out as they should.`),
  );
  say(colors.dim(`Memory without PostgreSQL: ${memory} MiB.\n`));
}

function whatNext({ apiUrl, adminToken, sandbox }: World, say: (line?: string) => void): void {
  const { apiKey, project } = sandbox.credentials.neon;
  say(colors.bold("Try next"));
  say(`  API      ${apiUrl}`);
  say(`  token    ${adminToken}\n`);
  say(`  curl -H "Authorization: Bearer ${adminToken}" ${apiUrl}/v1/bindings`);
  say(`  curl -H "Authorization: Bearer ${adminToken}" ${apiUrl}/v1/events\n`);
  say("  Make a branch in the Neon stand-in and watch it appear below:");
  say(`  curl -X POST -H "Authorization: Bearer ${apiKey}" -H "Content-Type: application/json" \\`);
  say(`    -d '{"branch":{"name":"preview/feature-x"},"endpoints":[{"type":"read_write"}]}' \\`);
  say(`    ${sandbox.neon.url}/api/v2/projects/${project}/branches\n`);
  say("  See what a vendor holds:");
  say(`  curl ${sandbox.vault.url}/__sandbox/state\n`);
  say(colors.dim("Ctrl-C ends it and leaves nothing behind.\n"));
}

async function stay(world: World, { interrupted }: DemoOptions): Promise<void> {
  const view = process.stdout.isTTY === true ? show(world) : null;
  await interrupted;
  await view?.end();
}

const memoryMb = (): number => Math.round(process.memoryUsage.rss() / 1024 / 1024);
