/**
 * The tour in the docs is a recording: every command of it is run here again, and must end as it did and begin with
 * the same words. `UPDATE_DOCS=1 npx vitest run --project long test/long/tour.test.ts` records it anew.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorld, type World } from "../../infra/demo/world.ts";
import { createLogger } from "../../services/log.ts";
import { runCli } from "../support/cli.ts";
import { until } from "../support/until.ts";

const PAGE = fileURLToPath(new URL("../../docs/tour.md", import.meta.url));
const BRANCH = "preview/login";

interface Step {
  readonly words: string;
  readonly command: string;
  readonly before?: () => Promise<void>;
}

let world: World;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-tour-"));
  world = await startWorld({ log: createLogger({ level: "silent" }), folder, port: 0 });
  world.sandbox.vercel.state.addBranch("shop-web", "login");
  world.sandbox.neon.state.createBranch({ name: BRANCH });
}, 120_000);
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const inStep = async (): Promise<void> =>
  void (await until(
    async () => {
      const { out } = await run("branchline status --json");
      return JSON.parse(out).behind.length === 0;
    },
    { what: "everything to be in step", timeoutMs: 60_000 },
  ));

const STEPS: readonly Step[] = [
  {
    words:
      "A branch `preview/login` was made in Neon a moment ago. A job that needs its strings waits for them:",
    command: `branchline wait shop/${BRANCH} --timeout 2m`,
  },
  { words: "What there is:", command: "branchline branches", before: inStep },
  { words: "And what each destination has of it:", command: `branchline bindings --branch ${BRANCH}` },
  { words: "The story of one binding:", command: `branchline why vault-preview/${BRANCH}` },
  {
    words:
      "On one screen, whatever is behind. Here nothing is, but the passwords are the parent's, and it says so:",
    command: "branchline status",
  },
  {
    words: "A migration runs; nothing of this branch should change meanwhile:",
    command: `branchline hold shop/${BRANCH} --for 30m --reason "migration under way"`,
  },
  { words: "It is over early:", command: `branchline hold shop/${BRANCH} --release` },
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
  const env = { BRANCHLINE_URL: world.apiUrl, BRANCHLINE_TOKEN: world.adminToken };
  const { code, all } = await runCli(args.slice(1), { env });
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
