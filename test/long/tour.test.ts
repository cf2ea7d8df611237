/**
 * The tour in the docs is a recording: every command of it is run here again, and must end as it did and begin with
 * the same words. `UPDATE_DOCS=1 npx vitest run --project long test/long/tour.test.ts` records it anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openShop, PREVIEW, type Shop } from "../support/shop.ts";

const PAGE = fileURLToPath(new URL("../../docs/tour.md", import.meta.url));

interface Step {
  readonly words: string;
  readonly command: string;
  readonly before?: () => Promise<void>;
}

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
}, 120_000);
afterAll(async () => {
  await shop.close();
}, 60_000);

const inStep = async (): Promise<void> => await shop.inStep();

const STEPS: readonly Step[] = [
  {
    words:
      "A branch `preview/login` was made in Neon a moment ago. A job that needs its strings waits for them:",
    command: `branchline wait shop/${PREVIEW} --timeout 2m`,
  },
  { words: "What there is:", command: "branchline branches", before: inStep },
  { words: "And what each destination has of it:", command: `branchline bindings --branch ${PREVIEW}` },
  { words: "The story of one binding:", command: `branchline why vault-preview/${PREVIEW}` },
  {
    words:
      "On one screen, whatever is behind. Here nothing is, but the passwords are the parent's, and it says so:",
    command: "branchline status",
  },
  {
    words: "A migration runs; nothing of this branch should change meanwhile:",
    command: `branchline hold shop/${PREVIEW} --for 30m --reason "migration under way"`,
  },
  { words: "It is over early:", command: `branchline hold shop/${PREVIEW} --release` },
  {
    words:
      "Something is wrong and nobody knows what yet. Stop all writes, everywhere; events go on being recorded:",
    command: 'branchline suspend --all --reason "looking into it"',
  },
  { words: "Whoever looks sees it, and scripts by the exit code:", command: "branchline status" },
  { words: "Go on:", command: "branchline resume --all" },
  { words: "What came in, and what became of it:", command: "branchline events --limit 5", before: inStep },
  {
    words: "A token for a dashboard, shown this once:",
    command: "branchline tokens create dashboard --scope read",
  },
  { words: "Who did what:", command: "branchline audit --limit 5" },
  { words: "And that nobody has changed the record since:", command: "branchline audit verify" },
  { words: "Which string a consumer should have, and why:", command: "branchline presets prisma" },
  {
    words: "A misspelt name says what was meant, and an unknown one where to look:",
    command: "branchline presets prsima",
  },
];

interface Ran {
  readonly code: number;
  readonly out: string;
}

async function run(command: string): Promise<Ran> {
  const args = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  const { code, all } = await shop.run(...args.slice(1));
  return { code, out: all.replaceAll(/blt_[\w-]{20,}/g, "blt_...").trimEnd() };
}

const section = ({ words, command }: Step, { code, out }: Ran): string =>
  `${words}\n\n\`\`\`console\n$ ${command}\n${out}\n${code === 0 ? "" : `[exit code ${code}]\n`}\`\`\`\n`;

/** Without what differs from run to run. */
const alike = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "HASH")
    .replaceAll(/\d[\d:.TZ-]*/g, "N")
    .replaceAll(/[─┬┐]+/g, "─");

test("says what the commands say", async () => {
  const sections: string[] = [];
  const recorded = process.env["UPDATE_DOCS"] === undefined ? readFileSync(PAGE, "utf8") : null;
  for (const step of STEPS) {
    await step.before?.();
    const ran = await run(step.command);
    sections.push(section(step, ran));
    if (recorded === null) continue;
    const at = recorded.indexOf(`${step.words}\n\n\`\`\`console\n$ ${step.command}\n`);
    expect(at, `${step.command} is recorded`).toBeGreaterThan(-1);
    const block = recorded.slice(at).split("```")[1] ?? "";
    const [, , first = ""] = block.split("\n");
    expect(alike(ran.out.split("\n")[0] ?? ""), step.command).toBe(alike(first));
    expect(block.includes(`[exit code ${ran.code}]`), step.command).toBe(ran.code !== 0);
  }
  if (recorded === null) writeFileSync(PAGE, `${HEAD}\n${sections.join("\n")}`);
}, 150_000);

const HEAD = `# A tour

<!-- Recorded by a test that runs it. Do not edit: UPDATE_DOCS=1 npx vitest run --project long test/long/tour.test.ts -->

Every command below was run against the stand-ins of the demo, and is run again by a test.
`;
