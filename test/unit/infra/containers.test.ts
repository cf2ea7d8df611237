/** The container files against the code that they name: there is no Docker engine to try them on everywhere. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv, promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readEnvironment, refuseReference } from "../../../services/config.ts";
import { destinations } from "../../../services/destinations/index.ts";
import { loadText } from "../../../services/file/load.ts";
import { sourceAdapters } from "../../../services/sources/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const here = (path: string): boolean => existsSync(join(root, path));

/** What config.ts reads, as it says itself. */
const KNOWN = new Set(
  [...read("services/config.ts").matchAll(/^ {2}([A-Z][A-Z_]+): (?:z|port|url)\b/gm)].map(([, name]) => name),
);
/** What main.ts and the files beside it offer. */
const main = read("services/cli/program.ts");
const PORT = readEnvironment({}).port;
const LOOKS_SECRET = /password|secret|token|key|credential/i;

describe("the Dockerfile", () => {
  const instructions = read("infra/Dockerfile")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => /^[A-Z]+ /.test(line))
    .map((line) => ({
      name: line.slice(0, line.indexOf(" ")),
      rest: line.slice(line.indexOf(" ") + 1).trim(),
    }));
  const all = (name: string): string[] =>
    instructions.filter((one) => one.name === name).map((one) => one.rest);
  const stages = all("FROM").map((from) => / AS (\w+)$/.exec(from)?.[1]);
  const last = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM"));
  const lastOnes = (name: string): string[] => last.filter((one) => one.name === name).map((one) => one.rest);
  /** `[source, ...]` of each COPY from the checkout. */
  const copied = (lines: string[]): string[] =>
    lines.filter((line) => !line.startsWith("--from=")).flatMap((line) => line.split(" ").slice(0, -1));
  const exec = (text: string | undefined): string[] =>
    JSON.parse(text?.slice(text.indexOf("[")) ?? "[]") as string[];

  test("starts from a Node that the package allows, pinned", () => {
    for (const from of all("FROM")) expect(from).toMatch(/^node:24(\.\d+)*-bookworm-slim( AS \w+)?$/);
  });

  test("copies what exists, and what .dockerignore lets through", () => {
    const [everything, ...kept] = read(".dockerignore")
      .split("\n")
      .filter((line) => /^[^#]/.test(line));
    expect(everything).toBe("*");
    const sources = copied(all("COPY"));
    expect(sources.length).toBeGreaterThan(8);
    expect(sources.filter((path) => !here(path))).toEqual([]);
    expect(sources.filter((path) => !kept.includes(`!${path.split("/")[0]}`))).toEqual([]);
    const earlier = all("COPY").flatMap((line) => /^--from=(\w+)/.exec(line)?.[1] ?? []);
    expect(earlier.filter((stage) => !stages.includes(stage))).toEqual([]);
  });

  test("ships what the package ships", () => {
    const { files } = JSON.parse(read("package.json")) as { files: string[] };
    const shipped = [
      ...copied(lastOnes("COPY")),
      ...lastOnes("COPY").flatMap((line) => (/ dist$/.test(line) ? ["dist"] : [])),
    ];
    // A schema is for editors.
    const wanted = files.filter((path) => !path.startsWith("!") && !path.endsWith(".schema.json"));
    expect(wanted.filter((path) => !shipped.includes(path))).toEqual([]);
  });

  test("installs without development tools and without an embedded PostgreSQL", () => {
    const [build, production] = all("RUN").filter((line) => line.startsWith("npm ci"));
    expect(build).not.toContain("--omit");
    expect(production).toContain("--omit=dev --omit=optional");
  });

  test("runs as nobody in particular, by number", () => {
    const [user = ""] = lastOnes("USER");
    expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(last.findIndex(({ name }) => name === "USER")).toBeGreaterThan(
      last.findLastIndex(({ name }) => name === "COPY"),
    );
  });

  test("sets only what is known, and no secret", () => {
    const names = all("ENV").flatMap((line) => line.split(" ").map((pair) => pair.split("=")[0] ?? ""));
    expect(names.filter((name) => !KNOWN.has(name) && name !== "NODE_ENV")).toEqual([]);
    expect([...names, ...all("ARG")].filter((name) => LOOKS_SECRET.test(name))).toEqual([]);
  });

  test("listens where Branchline does", () => {
    expect(all("EXPOSE")).toEqual([String(PORT)]);
    expect(lastOnes("ENV").join(" ")).toContain(`PORT=${PORT}`);
  });

  test("starts a command that there is", () => {
    const entry = exec(lastOnes("ENTRYPOINT")[0]).at(-1) ?? "";
    expect(here(entry.replace("/app/dist/", "").replace(/\.js$/, ".ts"))).toBe(true);
    expect(main).toContain(`.command("${exec(lastOnes("CMD")[0])[0]}")`);
  });

  test("has a health check that tells a server that answers from one that does not", async () => {
    const [node = "", ...args] = exec(lastOnes("HEALTHCHECK")[0]);
    expect(node).toBe("node");
    const check = async (port: number): Promise<number | string | undefined> =>
      await promisify(execFile)(process.execPath, args, { env: { PORT: String(port) } }).then(
        () => 0,
        (error: { code?: number | string }) => error.code,
      );
    const server = createServer((request, response) =>
      response.writeHead(request.url === "/healthz" ? 200 : 404).end(),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    expect(await check(port)).toBe(0);
    await new Promise((resolve) => server.close(resolve));
    expect(await check(port)).toBe(1);
  });
});

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string };
  profiles?: string[];
  command?: string[];
  entrypoint?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  secrets?: string[];
  volumes?: (string | { source: string; read_only?: boolean })[];
  healthcheck?: { test?: string[]; disable?: boolean };
  depends_on?: Record<string, { condition: string }>;
}

describe("docker-compose.yml", () => {
  const text = read("docker-compose.yml");
  const compose = parse(text, { merge: true }) as {
    services: Record<string, Service>;
    secrets: Record<string, { file: string }>;
    volumes: Record<string, unknown>;
  };
  const services = Object.entries(compose.services);
  const ours = services.filter(([, { image }]) => image?.startsWith("branchline:"));

  test("pins every image", () => {
    for (const [, { image = "" }] of services) expect(image).toMatch(/:(?!latest)[\w.-]+$/);
    const { version } = JSON.parse(read("package.json")) as { version: string };
    for (const [, { image }] of ours) expect(image).toBe(`branchline:${version}`);
  });

  test("has Postgres, migration, API and worker, and the rest behind profiles", () => {
    const plain = services.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name);
    expect(plain.sort()).toEqual(["api", "migrate", "postgres", "worker"]);
    expect(compose.services["valkey"]?.profiles).toEqual(["valkey"]);
    expect(compose.services["vendors"]?.profiles).toEqual(["vendors"]);
  });

  test("gives commands and options that there are", () => {
    const commands = ours.filter(([name]) => name !== "vendors").map(([, { command = [] }]) => command);
    expect(commands).toEqual([["migrate"], ["serve", "--api"], ["serve", "--worker"]]);
    for (const [command, ...options] of commands) {
      expect(main).toContain(`.command("${command}")`);
      for (const option of options) expect(main).toContain(`.option("${option}"`);
    }
    const { entrypoint = [], command = [] } = compose.services["vendors"] ?? {};
    const file = (entrypoint[1] ?? "").replace("/app/dist/", "").replace(/\.js$/, ".ts");
    for (const flag of command.filter((word) => word.startsWith("--")))
      expect(read(file)).toContain(`${flag.slice(2)}:`);
  });

  test("sets only what Branchline reads", () => {
    const names = ours.flatMap(([, { environment = {} }]) => Object.keys(environment));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !KNOWN.has(name))).toEqual([]);
  });

  test("holds no secret: those come as files", () => {
    for (const [, { environment = {}, secrets = [] }] of services) {
      const telling = Object.entries(environment).filter(([name]) => LOOKS_SECRET.test(name));
      for (const [name, value] of telling)
        expect([name, value]).toEqual([
          expect.stringMatching(/_FILE$/),
          expect.stringMatching(/^\/run\/secrets\//),
        ]);
      expect(Object.values(environment).filter((value) => /:\/\/[^/]*:[^/]*@/.test(value))).toEqual([]);
      expect(secrets.filter((name) => compose.secrets[name] === undefined)).toEqual([]);
    }
    const entrypoint = /--env-file-if-exists=\/run\/secrets\/([\w.]+)/.exec(read("infra/Dockerfile"))?.[1];
    expect(Object.keys(compose.secrets)).toContain(entrypoint);
  });

  test("publishes the API on loopback and nothing else", () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`));
    expect(published).toEqual([`api ${"127.0.0.1:${PORT:-8420}:8420".replaceAll("8420", String(PORT))}`]);
  });

  test("waits for what can be waited for", () => {
    for (const [, { depends_on = {} }] of services) {
      for (const [name, { condition }] of Object.entries(depends_on)) {
        const { healthcheck } = compose.services[name] ?? {};
        if (condition === "service_healthy") expect(healthcheck?.test).toBeDefined();
        else expect([name, condition]).toEqual(["migrate", "service_completed_successfully"]);
      }
    }
    expect(Object.keys(compose.services["api"]?.depends_on ?? {})).toContain("migrate");
    expect(compose.services["worker"]?.healthcheck).toEqual({ disable: true });
  });

  test("refers to files that are there, or that its first lines say how to make", () => {
    for (const [, { build }] of ours) {
      expect(build?.context).toBe(".");
      expect(here(build?.dockerfile ?? "")).toBe(true);
    }
    const introduction = text.slice(0, text.indexOf("\nname:"));
    for (const { file } of Object.values(compose.secrets))
      expect(introduction).toContain(`> ${file.replace("./", "")}`);
    expect(read(".gitignore")).toContain("secrets/");
    for (const [file] of introduction.matchAll(/infra\/[\w./-]+/g)) expect(here(file)).toBe(true);
    const volumes = services.flatMap(([, service]) => service.volumes ?? []);
    for (const volume of volumes) {
      if (typeof volume === "string") expect(compose.volumes).toHaveProperty(volume.split(":")[0] ?? "");
      else expect(volume).toMatchObject({ source: "${BRANCHLINE_FILE:-./branchline.yaml}", read_only: true });
    }
  });
});

describe("the file for the stand-ins in containers", () => {
  const text = read("infra/demo/containers.yaml");
  const environment = parseEnv(read("infra/demo/containers.env"));

  test("loads with the credentials beside it", () => {
    const { rules } = loadText(text, {
      adapters: { sources: sourceAdapters, destinations: [...destinations.values()] },
      refuse: (ref) => refuseReference(ref, environment),
    });
    expect(rules.map((rule) => rule.proof)).toEqual(["never", "never", "never", "never"]);
  });

  test("has the credentials and the ports that the stand-ins start with", () => {
    const sandbox = readdirSync(join(root, "infra/sandbox"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(join("infra/sandbox", name)))
      .join("\n");
    const { NEON_API_KEY, ...rest } = environment;
    expect(Object.values(rest).filter((value) => !sandbox.includes(`"${value}"`))).toEqual([]);
    expect(NEON_API_KEY).toBe(`napi_${"sandboxprojectkey".padEnd(64, "0")}`);
    const ports = [...text.matchAll(/http:\/\/vendors:(\d+)/g)].map(([, port]) => port);
    expect([...new Set(ports)]).toEqual(["8461", "8462", "8463", "8464", "8465"]);
    expect(read("docker-compose.yml")).toContain('--port, "8461"');
  });
});
