/**
 * Every example of README.md, of docs/ and of the commands' own help is run: what is to be typed against a whole Branchline on stand-ins, files by our own
 * validation, answers against the shapes of the operations that they are said to be of. docs/tour.md is a recording of
 * its own (test/long/tour.test.ts). What is not run here is named below with its reason; nothing else is left out.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as client from "../../services/api/client.ts";
import * as operations from "../../services/api/operations.ts";
import { programOf } from "../../services/cli/program.ts";
import { type Ran, runCli } from "../support/cli.ts";
import { type Block, blocksOf, linesOf, mentionsOf, wordsOf } from "../support/examples.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { ROOT } from "../support/process.ts";

const PAGES = [
  "README.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md") && name !== "tour.md")
    .map((name) => `docs/${name}`),
  "services/destinations/README.md",
];

/** By how they begin. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "npm ci":
    "installs packages; what it starts is run by test/flow/demo.test.ts, and the tests by whoever reads this",
  "npm run test:long": "takes minutes; it is a command of its own",
  "npm run chaos": "takes minutes; test/unit/chaos runs its parts",
  "BRANCHLINE_CONFIG=branchline.yaml BRANCHLINE_ADMIN_TOKEN=$(openssl":
    "runs until it is stopped; test/long/serve.test.ts starts it",
  "branchline rekey":
    "needs the server's old and new master key; test/flow/sealed-credentials.test.ts runs it",
  "branchline doctor SOURCE/BRANCH":
    "logs in at Neon's host; test/flow/doctor.test.ts runs it against servers of its own",
  "branchline doctor -": "as above",
  "branchline doctor URL": "as above",
  "branchline doctor shop/preview/login": "as above",
  'branchline doctor "$DATABASE_URL"': "as above",
  "pbpaste |": "a clipboard is needed",
  "branchline backup |": "gzip is no program of ours; without it the same is run",
  "gunzip -c": "as above",
  "psql ": "logs in at Neon's host",
};

/** What stands for something of the reader's own. */
const PLACEHOLDERS: readonly (readonly [string, string])[] = [
  ["SOURCE/BRANCH", "shop/preview/login"],
  ["BINDING", "web-preview/preview/login"],
  ["--form NAME", "--form jdbc"],
  ["--preset NAME", "--preset prisma"],
  ["redeliver 4711", "redeliver 1"],
  ["0f3a...", "ID"],
  ["billing-prod/main", "vault-production/main"],
  ["ci-production/main", "vault-production/main"],
];

/** The exit codes that the pages name, where they are not 0. */
const CODES: Readonly<Record<string, number>> = { "branchline plan --markdown > comment.md": 2 };

let folder: string;
let world: Installation;
const others: TestDatabase[] = [];
let env: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "branchline-examples-"));
  world = await startInstallation({ allowed: ["env:*"] });
  world.sandbox.neon.state.createBranch({ name: "preview/login" });
  world.sandbox.vercel.state.addBranch("shop-web", "login");
  await world.sandbox.neon.state.settled();
  mkdirSync(join(folder, "infra"));
  for (const name of ["branchline.yaml", "infra/branchline.yaml"])
    writeFileSync(join(folder, name), world.file);
  writeFileSync(join(folder, "github-env"), "");
  env = {
    BRANCHLINE_URL: world.url,
    BRANCHLINE_TOKEN: world.token,
    BRANCHLINE_MASTER_KEY: Buffer.from(world.masterKey).toString("base64"),
    GITHUB_ENV: join(folder, "github-env"),
    GITHUB_HEAD_REF: "login",
    BRANCH: "login",
    GITHUB_SHA: "5".repeat(40),
  };
}, 60_000);
afterAll(async () => {
  await world.stop();
  for (const { drop } of others) await drop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

async function emptyDatabase(): Promise<string> {
  const made = await createDatabase();
  others.push(made);
  return made.url;
}

const pageText = (page: string): string => readFileSync(join(ROOT, page), "utf8");
const isReason = (line: string): boolean => Object.keys(NOT_RUN).some((start) => line.startsWith(start));

async function run(line: string): Promise<Ran> {
  const filled = PLACEHOLDERS.reduce((text, [word, ours]) => text.replaceAll(word, ours), line);
  const [command = "", into] = filled.split(" > ");
  // Into the test's own folder, wherever a shell would keep it.
  const file = /([\w.-]+)"?$/.exec(into ?? "")?.[1];
  const [program, ...args] = wordsOf(await withPlan(command), env);
  expect(program, line).toBe("branchline");
  // What is not written over was written by the same example on another page.
  for (const name of args.includes("import") ? ["imported.yaml"] : [])
    rmSync(join(folder, name), { force: true });
  // Past Node's streams, and to the database instead of the server.
  const own = args.includes("--github-env") || args[0] === "backup" || args[0] === "restore";
  const databaseUrl = args[0] === "restore" ? await emptyDatabase() : world.databaseUrl;
  const ran = await runCli(args, {
    cwd: folder,
    own,
    env: { ...env, ...(own ? { DATABASE_URL: databaseUrl } : {}) },
  });
  if (file !== undefined) writeFileSync(join(folder, file), ran.out);
  return ran;
}

async function withPlan(command: string): Promise<string> {
  if (!command.includes("--plan ID")) return command;
  const { out } = await runCli(["plan", "--json"], { cwd: folder, env });
  return command.replace("--plan ID", `--plan ${JSON.parse(out).id}`);
}

/** A whole block, by the shell that it is written for. */
async function shell({ text }: Block): Promise<{ code: number; all: string }> {
  const { PATH = "" } = process.env;
  return await new Promise((resolve) => {
    const options = { cwd: folder, env: { ...env, PATH }, timeout: 60_000 };
    execFile("bash", ["-euo", "pipefail", "-c", text], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), all: out + err });
    });
  });
}

const curls = ({ text }: Block): boolean => /\bcurl\b/.test(text);

/** A command that is only named, without what it cannot do without, is asked for its help. */
async function namedOnly(line: string): Promise<string> {
  const [, name = "", ...rest] = line.split(" ");
  const [command] = (await programOf(name)).commands.filter((one) => one.name() === name);
  const needs = command?.registeredArguments.some(({ required }) => required) === true;
  const needsChoice = name === "suspend" || name === "resume";
  return rest.length === 0 && (needs || needsChoice || name === "hold") ? `${line} --help` : line;
}

describe.each(PAGES)("%s", (page) => {
  test("its commands do what the page says", async () => {
    const known = new Set((await programOf()).commands.map((command) => command.name()));
    const text = pageText(page);
    const blocks = blocksOf(text).filter(({ language }) => language === "sh");
    const commands = [
      ...blocks.filter((block) => !curls(block)).flatMap(linesOf),
      ...(await Promise.all(mentionsOf(text, known).map(namedOnly))),
    ].filter((line) => !isReason(line));
    for (const line of commands) {
      const expected = CODES[line] ?? 0;
      const { code, all } = await run(line);
      expect([line, code, code === expected ? "" : all]).toEqual([line, expected, ""]);
    }
  }, 120_000);

  test("its requests are answered", async () => {
    for (const block of blocksOf(pageText(page)).filter((one) => one.language === "sh" && curls(one))) {
      const { code, all } = await shell(block);
      expect([block.line, code, code === 0 ? "" : all]).toEqual([block.line, 0, ""]);
    }
  }, 60_000);

  test("its files are valid, whole or within a whole one", async () => {
    for (const block of blocksOf(pageText(page)).filter(({ language }) => language === "yaml")) {
      writeFileSync(join(folder, "example.yaml"), framed(block.text));
      const { code, all } = await runCli(["validate", "-f", "example.yaml"], {
        cwd: folder,
        env: REFERENCES,
      });
      expect([block.line, code, code === 0 ? "" : all]).toEqual([block.line, 0, ""]);
    }
  }, 60_000);

  test("its answers have the shapes of the operations that they are of", () => {
    for (const { of, text, line } of blocksOf(pageText(page)).filter(({ language }) => language === "json")) {
      const operation = Object.entries(operations).find(([name]) => name === of)?.[1];
      expect(operation, `${page}:${line} names no operation`).toBeDefined();
      const shown: unknown = JSON.parse(text);
      // What a shape does not have does not leave the server: it must not stand in the docs either.
      expect([line, operation?.answer.parse(shown)]).toEqual([line, shown]);
    }
  });

  test("nothing else is fenced that nobody runs", () => {
    const languages = blocksOf(pageText(page)).map(({ language }) => language);
    expect(languages.filter((one) => !["sh", "yaml", "json", "ts"].includes(one))).toEqual([]);
  });
});

test("the examples in the help of each command do what it says", async () => {
  // What a page gave back is taken back, and what a help gives back is given back last.
  for (const line of ["branchline adopt BINDING", "branchline resume BINDING"]) await run(line);
  const names = (await programOf()).commands.map((command) => command.name());
  let ran = 0;
  for (const name of [...names.filter((one) => one !== "release"), "release"]) {
    const helped = await runCli([name, "--help"]);
    const lines = /\nExamples:\n([\s\S]*?)\n\n/.exec(helped.out)?.[1]?.split("\n") ?? [];
    for (const line of lines.map((one) => one.trim()).filter((one) => one !== "" && !isReason(one))) {
      const { code, all } = await run(line);
      const expected = CODES[line] ?? 0;
      expect([line, code, code === expected ? "" : all]).toEqual([line, expected, ""]);
      ran += 1;
    }
  }
  expect(ran).toBeGreaterThan(40);
}, 180_000);

test("the program in TypeScript runs", async () => {
  for (const block of blocksOf(pageText("README.md")).filter(({ language }) => language === "ts")) {
    const body = block.text
      .replaceAll(/^import \{ \w+ \} from "branchline\/client";$/gm, "")
      .replaceAll("https://branchline.internal", world.url);
    const AsyncFunction = (async () => {}).constructor as new (
      ...text: string[]
    ) => (...args: unknown[]) => Promise<unknown>;
    const items = await new AsyncFunction("createBranchline", "token", `${body}\nreturn items;`)(
      client.createBranchline,
      world.token,
    );
    expect(items).toEqual([]);
  }
});

test("whatever is not run is still in a page, or in the help of a command", async () => {
  const helps = await Promise.all(
    (await programOf()).commands.map(async (command) => (await runCli([command.name(), "--help"])).out),
  );
  const all = [...PAGES.map(pageText), ...helps].join("\n");
  const gone = Object.keys(NOT_RUN).filter((start) => !all.includes(start));
  const other = Object.keys(CODES).filter((line) => !all.includes(line.replace(/ > .*/, "")));
  expect([gone, other]).toEqual([[], []]);
});

/** References of examples; validation looks only whether they are there. */
const REFERENCES = Object.fromEntries(
  ["NEON_API_KEY", "GITHUB_WEBHOOK_SECRET", "VERCEL_TOKEN", "AWS_EXTERNAL_ID", "VAULT_ROLE_ID"].map(
    (name) => [name, "x".repeat(40)],
  ),
);

const SOURCES =
  "sources:\n  shop: { neon: { project: wispy-butterfly-25042691, apiKey: env:NEON_API_KEY } }\n";
const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, "  ");

/** A file as it is; a section with what it cannot do without; anything else is a destination. */
function framed(text: string): string {
  if (/^sources:/m.test(text)) return text;
  return /^auth:/m.test(text) ? `${SOURCES}${text}` : `${SOURCES}destinations:\n${indented(text)}`;
}
