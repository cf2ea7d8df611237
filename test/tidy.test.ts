/** The rules of the house, as tests: who may import whom, who may do what, and how large a file may grow. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { sourceFiles } from "./support/files.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const files = sourceFiles(root);
const text = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
const code = new Map([...text].map(([file, content]) => [file, withoutComments(content)]));
const isTest = (file: string): boolean => file.startsWith("test/");
/** Tool configuration lies at the top and belongs to no room. */
const ours = files.filter((file) => !isTest(file) && file.includes("/"));

/** Comments speak of things that code must not do. */
function withoutComments(content: string): string {
  return content.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}

function importsOf(file: string): string[] {
  const found = [...(code.get(file) ?? "").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)];
  return found.map((match) => relative(root, join(root, dirname(file), match[1] ?? "")));
}

function packagesOf(file: string): string[] {
  const found = [...(code.get(file) ?? "").matchAll(/^\s*(?:import|export)[^;]*?from\s+"([^."][^"]*)"/gms)];
  return found.map((match) =>
    (match[1] ?? "")
      .split("/")
      .slice(0, match[1]?.startsWith("@") ? 2 : 1)
      .join("/"),
  );
}

function offenders(among: readonly string[], pattern: RegExp, allowed: readonly string[]): string[] {
  return among.filter(
    (file) => !allowed.some((prefix) => file.startsWith(prefix)) && pattern.test(code.get(file) ?? ""),
  );
}

/** The part of the house a file belongs to: `services/sync`, `workers`, `infra/postgres`. */
function roomOf(file: string): string {
  const [top = "", second = ""] = file.split("/");
  if (top === "workers" || top === "test") return top;
  return second.endsWith(".ts") ? `${top}/${second}` : `${top}/${second}`;
}

const LEAVES = [
  "services/config.ts",
  "services/log.ts",
  "services/http.ts",
  "services/metrics.ts",
  "services/paths.ts",
  "services/http",
];
const core = ["services/sync"];
/** What each room may import besides itself. Imports point at the core, which imports nobody. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  "services/sync": [],
  "services/config.ts": [...core, "services/log.ts"],
  "services/log.ts": core,
  "services/metrics.ts": core,
  "services/paths.ts": [],
  "services/http.ts": [...core, "services/http"],
  "services/http": core,
  "services/sources": [...core, ...LEAVES],
  "services/destinations": [...core, ...LEAVES],
  "services/webhooks": [...core, ...LEAVES],
  "services/store": [...core, ...LEAVES],
  "services/queue": [...core, ...LEAVES],
  "services/file": [...core, ...LEAVES, "services/sources", "services/destinations", "services/webhooks"],
  "services/api": [
    ...core,
    ...LEAVES,
    "services/store",
    "services/webhooks",
    "services/queue",
    "services/sources",
    "services/destinations",
    "services/file",
  ],
  workers: [
    ...core,
    ...LEAVES,
    "services/store",
    "services/queue",
    "services/sources",
    "services/destinations",
  ],
  "services/cli": [
    ...core,
    ...LEAVES,
    "services/store",
    "services/queue",
    "services/sources",
    "services/destinations",
    "services/webhooks",
    "services/file",
    "services/api",
    "workers",
    "infra/postgres",
    "infra/demo",
  ],
  "infra/postgres": [],
  "infra/sandbox": ["infra/postgres"],
  "infra/demo": [
    ...core,
    ...LEAVES,
    "infra/sandbox",
    "services/cli",
    "services/store",
    "services/file",
    "services/sources",
    "services/destinations",
  ],
  "infra/schema.ts": ["services/file", "services/sources", "services/destinations"],
};

describe("imports", () => {
  test("point at the core and never between neighbours", () => {
    const wrong = ours.flatMap((file) => {
      const room = roomOf(file);
      const may = MAY[room];
      if (may === undefined) return [`${file}: no rule for ${room}`];
      return importsOf(file)
        .filter((target) => roomOf(target) !== room && !may.includes(roomOf(target)))
        .map((target) => `${file} -> ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  test("have no cycles", () => {
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file))
        return void cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
      if (done.has(file)) return;
      for (const next of runtimeImportsOf(file)) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test("reach every file of ours from an entry", () => {
    const entries = files.filter((file) => isTest(file) || /(^|\/)main\.ts$|^infra\/[a-z-]+\.ts$/.test(file));
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const next of importsOf(file)) visit(next);
    };
    for (const file of entries) if (!isTest(file)) visit(file);
    const unreached = ours.filter((file) => !reached.has(file) && !REFERENCE.includes(file));
    expect(unreached).toEqual([]);
  });
});

/** Only tests use them in this house; they are the templates that one copies. */
const REFERENCE = [
  "services/sources/memory.ts",
  // What other people's programs import: `branchline/client`.
  "services/api/client.ts",
  "services/api/operations.ts",
];

/** A type import is gone at run time. */
function runtimeImportsOf(file: string): string[] {
  const content = (code.get(file) ?? "").replaceAll(/import type [\s\S]*?;/g, "");
  const found = [...content.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)];
  return found.map((match) => relative(root, join(root, dirname(file), match[1] ?? "")));
}

describe("only there", () => {
  test("the environment is read in config.ts", () => {
    const allowed = ["services/config.ts", "infra/postgres/", "infra/sandbox/main.ts"];
    expect(offenders(ours, /process\.env\b/, allowed)).toEqual([]);
  });

  test("requests leave through http.ts", () => {
    const pattern = /await fetch\(|= fetch\(|from "undici"|from "axios"|from "node:https?"|globalThis\.fetch/;
    const allowed = ["services/http", "services/api/server.ts", "infra/sandbox/", "infra/demo/"];
    expect(offenders(ours, pattern, allowed)).toEqual([]);
  });

  test("secrets are revealed by adapters, rendering, fingerprints and signatures", () => {
    const allowed = [
      "services/sources/",
      "services/destinations/",
      "services/webhooks/",
      "services/sync/fingerprint.ts",
      "services/sync/connection-strings.ts",
      "services/sync/forms",
      "services/sync/variables.ts",
      // The database's own address, and the token that a caller's is compared with.
      "services/cli/",
      "services/api/auth.ts",
      // The one audited answer that holds what opens a branch.
      "services/api/connection.ts",
      // The one answer that shows a token, when it is made.
      "services/api/tokens.ts",
    ];
    expect(offenders(ours, /\.reveal\(\)/, allowed)).toEqual([]);
  });

  test("the console is left alone", () => {
    expect(offenders(files, /\bconsole\.(log|error|warn|info|debug|table|trace)\b/, [])).toEqual([]);
  });

  test("tests wait for conditions and never sleep", () => {
    const pattern = /timers\/promises|setTimeout\(\s*(?:resolve|r|done)\b/;
    const tests = files.filter((file) => file.startsWith("test/") && !/^test\/(bench|chaos)\//.test(file));
    expect(
      offenders(tests, pattern, [
        "test/support/until.ts",
        "test/tidy.test.ts",
        // A real server's clock, which no test can move on.
        "test/conformance/github-server.ts",
      ]),
    ).toEqual([]);
  });
});

describe("adapters", () => {
  const index = text.get("services/destinations/index.ts") ?? "";
  const kinds = [...index.matchAll(/from "\.\/([a-z-]+)\.ts"/g)].map((match) => match[1] ?? "");

  test("are all in the index", () => {
    const adapters = files.filter(
      (file) =>
        /^services\/destinations\/[a-z-]+\.ts$/.test(file) &&
        /:\s*DestinationAdapter</.test(text.get(file) ?? ""),
    );
    const missing = adapters.filter((file) => !kinds.some((kind) => file.endsWith(`/${kind}.ts`)));
    expect(missing).toEqual([]);
  });

  test.each(kinds)("%s runs the conformance suite", (kind) => {
    expect(text.get(`test/conformance/${kind}.test.ts`) ?? "").toContain("describeDestination(");
  });
});

describe("size", () => {
  test("no file is longer than 320 lines", () => {
    const long = ours.flatMap((file) => {
      const lines = (text.get(file) ?? "").split("\n").length - 1;
      return lines > 320 ? [`${file}: ${lines}`] : [];
    });
    expect(long).toEqual([]);
  });
});

describe("packages", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
    engines: { node: string };
  };
  const architecture = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const runtime = Object.keys(manifest.dependencies);

  test("each runtime dependency has its reason in ARCHITECTURE.md", () => {
    expect(runtime.filter((name) => !architecture.includes(`\`${name}\``))).toEqual([]);
  });

  test("each runtime dependency is used", () => {
    const used = new Set(ours.flatMap(packagesOf));
    expect(runtime.filter((name) => !used.has(name))).toEqual([]);
  });

  test("code that ships imports only runtime dependencies", () => {
    const known = new Set([...runtime, ...Object.keys(manifest.optionalDependencies)]);
    const shipped = ours.filter((file) => !file.endsWith(".config.ts"));
    const foreign = shipped.flatMap((file) =>
      packagesOf(file)
        .filter((name) => !name.startsWith("node:") && !known.has(name))
        .map((name) => `${file}: ${name}`),
    );
    expect(foreign).toEqual([]);
  });

  test("every package that is installed states that it runs on Node 20.19, or states nothing", async () => {
    const { default: semver } = await import("semver");
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, { engines?: { node?: string } }>;
    };
    const wrong = Object.entries(lock.packages).flatMap(([path, { engines }]) => {
      const range = engines?.node;
      return range === undefined || semver.satisfies("20.19.0", range) ? [] : [`${path}: ${range}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe("what is committed", () => {
  test("names no package registry's host and no folder of one machine", () => {
    const pattern = new RegExp(
      ["registry\\.npm", "js\\.org|", "/ho", "me/[a-z]+/|", "/wo", "rk/(main|shared)"].join(""),
    );
    const wrong = files.filter((file) => pattern.test(text.get(file) ?? ""));
    expect(wrong).toEqual([]);
  });
});
