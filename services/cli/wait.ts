/** `branchline wait`: for a step that must not run before its branch is in step. */
import { Command } from "commander";
import type { z } from "zod";
import { waited } from "../api/wait.ts";
import { readClientEnvironment } from "../config.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, CommandError, EXIT, exitHelp } from "./exit.ts";
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
Ends at once where waiting is of no use, since something stands still until somebody does something.

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

async function until(client: Client, text: string, { destination, timeout }: Options): Promise<Waited> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const left = deadline - performance.now();
    const found = await findBranch(client, text).catch((error: unknown) => {
      // A branch that was made a moment ago is not seen yet.
      if (error instanceof CommandError && error.exitCode === EXIT.missing && left > 0) return null;
      throw error;
    });
    if (found === null) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(PAUSE_MS, left)));
      continue;
    }
    const seconds = Math.max(0, Math.ceil(Math.min(AT_ONCE_MS, left) / 1_000));
    const query = { timeout: String(seconds), destination: destination?.join(",") ?? null };
    const answer = await client
      .get(`/v1/branches/${found.id}/wait`, query, waited)
      .catch((error: unknown) => {
        const stands = error instanceof CommandError && error.exitCode === EXIT.unavailable;
        throw stands
          ? new CommandError(EXIT.parked, `${error.message}\n  See \`branchline status\`.`)
          : error;
      });
    if (answer.synced || left <= AT_ONCE_MS) return answer;
  }
}

function words({ branch, reason, behind }: Waited): string {
  const rows = behind.map(
    (one) => `\n  ${one.destination}: ${one.state}${one.cause === null ? "" : `, ${one.cause}`}`,
  );
  return `${branch.name} is not in step: ${reason ?? "it is behind"}${rows.join("")}`;
}
