import { Command, InvalidArgumentError } from "commander";
import { applied, type Progress, progress } from "../api/apply.ts";
import { readClientEnvironment } from "../config.ts";
import { parseDuration } from "../file/duration.ts";
import { type Client, withClient } from "./client.ts";
import { DEFAULT_FILE, orFail, readDocument } from "./document-file.ts";
import { drawPlan } from "./draw-plan.ts";
import { CommandError, EXIT, exitHelp } from "./exit.ts";
import { PLAN_TIMEOUT_MS } from "./plan.ts";
import { drawRows, screen } from "./table.ts";

interface Options {
  readonly file: string;
  readonly plan?: string;
  readonly confirm?: string;
  readonly wait?: number;
  readonly prune?: boolean;
  readonly json?: boolean;
}

const POLL_MS = 500;

export function applyCommand(): Command {
  return new Command("apply")
    .description("take in a file: do what its plan says, or stop if the world has moved")
    .option("-f, --file <file>", "the file", DEFAULT_FILE)
    .option("--plan <id>", "only if this is still what would be done")
    .option("--confirm <id>", "the plan is unsafe, and is meant")
    .option("--wait <duration>", "until everything is written, at most so long (such as 5m)", duration)
    .option("--prune", "also let go of rules that left")
    .option("--json", "print JSON and nothing else")
    .addHelpText(
      "after",
      `
Examples:
  branchline apply
  branchline apply --plan 0f3a... --wait 5m
${exitHelp([[EXIT.parked, "applied, and something is parked"]])}`,
    )
    .action(async (options: Options) => {
      const { outcome, plan, standing } = await orFail(
        async () => await withClient(readClientEnvironment(), async (client) => await run(client, options)),
      );
      const lines = [
        outcome === "unchanged" ? "Nothing was changed: this was applied before." : drawPlan(plan),
        ...(outcome === "applied" ? ["Applied."] : []),
        ...inWords(standing),
      ];
      const told = { outcome, plan, working: standing.working, parked: standing.parked };
      process.stdout.write(`${options.json ? JSON.stringify(told) : lines.join("\n")}\n`);
      if (standing.parked.length > 0) process.exitCode = EXIT.parked;
    });
}

async function run(client: Client, options: Options) {
  const { files } = readDocument(options.file);
  const body = {
    files,
    prune: options.prune === true,
    ...(options.plan === undefined ? {} : { plan: options.plan }),
    ...(options.confirm === undefined ? {} : { confirm: options.confirm }),
  };
  const done = await client.post("/v1/apply", body, applied, PLAN_TIMEOUT_MS);
  return { ...done, standing: await standingAfter(client, options.wait ?? 0) };
}

/** Throws if something is still on its way when the time is over. */
async function standingAfter(client: Client, waitMs: number): Promise<Progress> {
  const until = performance.now() + waitMs;
  for (;;) {
    const standing = await client.get("/v1/apply", {}, progress);
    if (waitMs === 0 || standing.working === 0) return standing;
    if (performance.now() >= until) {
      throw new CommandError(
        EXIT.failed,
        `applied, and not everything is written yet: ${standing.working} pieces of work are left\n  branchline status tells which.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function inWords({ parked }: Progress): string[] {
  if (parked.length === 0) return [];
  const rows = parked.map(({ rule, branch, code, cause, next }) => [
    `${rule}/${branch}`,
    code ?? "",
    [cause, next].filter((text) => text !== null).join("\n"),
  ]);
  return ["Parked:", drawRows(["binding", "code", "because, and what to do"], rows, screen())];
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms === 0) throw new InvalidArgumentError("A duration is written like 30s, 5m or 1h.");
  return ms;
}
