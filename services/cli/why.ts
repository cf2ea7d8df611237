/** `branchline why`: the story of one binding in a few lines. */
import { Command } from "commander";
import { z } from "zod";
import { type BindingItem, bindingItem } from "../api/bindings.ts";
import { type CustodyRow, custodyRow } from "../api/custody.ts";
import { type PushItem, pushItem } from "../api/pushes.ts";
import { readClientEnvironment } from "../config.ts";
import { ago } from "./ages.ts";
import { paint } from "./bindings.ts";
import { type Client, withClient } from "./client.ts";
import { CLIENT_CODES, exitHelp } from "./exit.ts";
import { findBinding } from "./find.ts";

interface Story {
  readonly binding: BindingItem;
  /** What the vendor holds of it, name by name. */
  readonly held: readonly CustodyRow[];
  /** The newest first. */
  readonly pushes: readonly PushItem[];
}

const PUSHES = "5";

export function whyCommand(): Command {
  return new Command("why")
    .description("the story of one binding: what it has, what it wants, why, and what to do")
    .argument("<binding>", "its id, or RULE/BRANCH")
    .option("--json", "print JSON and nothing else")
    .addHelpText("after", `\nExample:\n  branchline why web-preview/preview/login\n${exitHelp(CLIENT_CODES)}`)
    .action(async (binding: string, { json }: { json?: boolean }) => {
      const story = await withClient(readClientEnvironment(), async (client) => await read(client, binding));
      process.stdout.write(json === true ? `${JSON.stringify(story)}\n` : `${told(story).join("\n")}\n`);
    });
}

async function read(client: Client, text: string): Promise<Story> {
  const id = await findBinding(client, text);
  const binding = await client.get(`/v1/bindings/${id}`, {}, bindingItem);
  const custody = z.object({ held: z.array(custodyRow) });
  const { held } = await client.get(`/v1/branches/${binding.branch.id}/custody`, {}, custody);
  const page = z.object({ items: z.array(pushItem) });
  const { items: pushes } = await client.get("/v1/pushes", { binding: id, limit: PUSHES }, page);
  return { binding, held: held.filter((row) => row.binding === id), pushes };
}

/** Pure. */
export function told({ binding, held, pushes }: Story, now = Date.now()): string[] {
  const { rule, branch, destination, target, reference } = binding;
  const place = [destination, target, reference].filter(Boolean).join(", ");
  return [
    `${rule} for ${branch.name} at ${place}`,
    `It is ${paint(binding.state)} for ${ago(binding.since, now)}.`,
    hasAndWants(binding),
    ...valueThere(held, now),
    ...(binding.cause === null
      ? []
      : [`Why: ${binding.cause}${binding.code === null ? "" : ` (${binding.code})`}`]),
    ...(binding.next === null ? [] : [`Do: ${binding.next}`]),
    retry(binding),
    ...(binding.warning === null ? [] : [`Beware: ${binding.warning}`]),
    ...history(pushes, now),
  ];
}

function hasAndWants({ wanted, applied, names }: BindingItem): string {
  const what = names.length === 0 ? "no names yet" : names.join(", ");
  if (applied === 0) return `It wants change ${wanted} and has nothing yet: ${what}.`;
  return wanted === applied
    ? `It has what it wants: ${what}.`
    : `It has change ${applied} and wants ${wanted}: ${what}.`;
}

/** Whether what is there now still opens the database. */
function valueThere(held: readonly CustodyRow[], now: number): string[] {
  const logins = held.filter(({ generation, since }) => generation !== null && since !== null);
  const old = logins.filter(({ current }) => !current);
  const [first] = old;
  if (first !== undefined) {
    return [
      `The value there is generation ${first.generation} of ${first.role}, written ${ago(first.since ?? "", now)} ago, and Neon has a newer one: a reset password ends the old one at once, so programs that use it cannot log in.`,
    ];
  }
  const [newest] = logins;
  if (newest === undefined) return [];
  return [
    `The value there is Neon's of now: generation ${newest.generation} of ${newest.role}, since ${ago(newest.since ?? "", now)}. It works.`,
  ];
}

const AUTOMATIC: ReadonlySet<string> = new Set(["pending", "pushing", "retrying"]);

function retry({ state }: BindingItem): string {
  if (AUTOMATIC.has(state)) return "It goes on by itself.";
  if (state === "parked")
    return "It is looked at again by itself now and then, and at once when you say `branchline push`.";
  if (state === "suspended") return "Nothing happens until `branchline resume`.";
  if (state === "drifted") return "It is only reported, as the rule says: `branchline push` writes it again.";
  return "There is nothing to do.";
}

function history(pushes: readonly PushItem[], now: number): string[] {
  if (pushes.length === 0) return ["It was never pushed."];
  const lines = pushes.map(({ startedAt, ms, outcome, calls, written, deleted, cause }) => {
    const did = [written > 0 ? `${written} written` : "", deleted > 0 ? `${deleted} deleted` : ""].filter(
      Boolean,
    );
    const what = [outcome, ...did, `${calls} calls`, `${Math.round(ms)} ms`].join(", ");
    return `  ${ago(startedAt, now).padStart(4)} ago  ${what}${cause === null ? "" : `: ${cause}`}`;
  });
  return ["Last pushes of its place:", ...lines];
}
