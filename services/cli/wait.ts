/** `branchline wait`: for a step that must not run before its branch is in step. */
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import type { z } from "zod";
import { waited } from "../api/wait.ts";
import { readClientEnvironment } from "../config.ts";
import { type Client, Refusal, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp, explain } from "./exit.ts";
import { findBranch } from "./find.ts";
import { duration } from "./options.ts";

interface Options {
  readonly destination?: readonly string[];
  readonly timeout: number;
  readonly json?: boolean;
}

/** One request takes no longer than any proxy in between would let it. */
const AT_ONCE_MS = 20_000;
const PAUSE_MS = 1_000;

export function waitCommand(): Command {
  return new Command("wait")
    .description("wait until a branch is in step at its destinations; for steps that must not race")
    .argument("<source/branch>", "which branch; it need not be known yet")
    .option("--destination <name...>", "only these; default: all that its rules name")
    .option("--timeout <duration>", "give up after", duration, 300_000)
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Ends at once where waiting is of no use, since something stands still until somebody does something. A Branchline that does
not answer, or that has too much to do, is asked again.

Examples:
  branchline wait shop/preview/login --timeout 5m
  branchline wait shop/preview/login --destination web
${exitHelp([[EXIT.parked, "the time was up, or something stands still"], ...CLIENT_CODES])}`,
    )
    .action(async (branch: string, options: Options) => {
      const done = await withClient(
        readClientEnvironment(),
        async (client) => await until(client, branch, options),
      );
      if (!done.synced) throw new CommandError(EXIT.parked, `${words(done)}\n  The time was up.`);
      const text = `${done.branch.name} is in step: ${[...new Set(done.bindings.map(({ destination }) => destination))].sort().join(", ")}.`;
      process.stdout.write(options.json === true ? `${JSON.stringify(done)}\n` : `${text}\n`);
    });
}

type Waited = z.output<typeof waited>;

async function until(client: Client, text: string, options: Options): Promise<Waited> {
  const deadline = performance.now() + options.timeout;
  let told = false;
  /** Too many wait already: how the branch stands is told all the same, at once. */
  let crowded = false;
  for (;;) {
    const left = deadline - performance.now();
    const spanMs = crowded ? 0 : Math.max(0, Math.min(AT_ONCE_MS, left));
    try {
      const answer = await ask(client, text, options, spanMs);
      if (answer.synced || left <= spanMs) return answer;
      crowded = false;
    } catch (error) {
      crowded = error instanceof Refusal && error.code === "too_many_requests";
      const remains = deadline - performance.now();
      const unseen = isUnseen(error) && remains > 0;
      const pauseMs = unseen ? PAUSE_MS : pauseAfter(error, remains);
      if (!unseen && !told) tell(error);
      told ||= !unseen;
      await pause(Math.min(pauseMs, remains));
    }
  }
}

async function ask(client: Client, text: string, { destination }: Options, spanMs: number): Promise<Waited> {
  const { id } = await findBranch(client, text);
  const query = { timeout: String(Math.ceil(spanMs / 1_000)), destination: destination?.join(",") ?? null };
  return await client.get(`/v1/branches/${id}/wait`, query, waited);
}

/** A branch that was made a moment ago is not seen yet. */
const isUnseen = (error: unknown): boolean =>
  error instanceof CommandError && error.exitCode === EXIT.missing;

/** Once: whoever wrote the wrong address should not wait in silence. */
function tell(error: unknown): void {
  process.stderr.write(`branchline: ${explain(error).text}\n  It is asked again until the time is up.\n`);
}

/** For a Branchline that is away for a moment. Throws whatever else it is, and where there is no time to ask again. */
function pauseAfter(error: unknown, leftMs: number): number {
  if (!(error instanceof Refusal)) throw error;
  const { message, code, againMs } = error;
  if (code === "behind") throw new CommandError(EXIT.parked, `${message}\n  See \`branchline status\`.`);
  if (againMs === null) throw error;
  if (leftMs <= 0) {
    const late = "The time was up before Branchline could say how the branch stands.";
    throw new CommandError(EXIT.unavailable, `${message}\n  ${late}`);
  }
  if (againMs > leftMs) {
    const late = `It may be asked again in ${Math.ceil(againMs / 1_000)} s: the time is up before that.`;
    throw new CommandError(EXIT.unavailable, `${message}\n  ${late}`);
  }
  return Math.max(PAUSE_MS, againMs);
}

function words({ branch, reason, behind }: Waited): string {
  const rows = behind.map(
    (one) => `\n  ${one.destination}: ${one.state}${one.cause === null ? "" : `, ${one.cause}`}`,
  );
  return `${branch.name} is not in step: ${reason ?? "it is behind"}${rows.join("")}`;
}
