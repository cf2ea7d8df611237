/** The strings of every URL form, opened by real drivers against real databases with awkward names and passwords. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { FORMS, renderForm } from "../../services/sync/forms.ts";
import { type ConnectionOptions, DEFAULT_CONNECTION, type LoginMaterial } from "../../services/sync/model.ts";
import { Secret } from "../../services/sync/secret.ts";

const ROLE = "app team @ örtlich";
/** No % or /: node-postgres decodes the path twice, and Neon's driver is made of it. */
const DATABASE = "shop für b";
const PASSWORD = "p@ss:w/o%r%41d #1?&='ü";

let sandbox: Sandbox;
let folder: string;
let login: LoginMaterial;

beforeAll(async () => {
  sandbox = await startSandbox({
    computes: true,
    neon: {
      projects: [
        {
          id: "wispy-butterfly-25042691",
          roles: [{ name: ROLE, password: PASSWORD }],
          databases: [{ name: DATABASE, owner: ROLE }],
        },
      ],
    },
  });
  folder = mkdtempSync(join(tmpdir(), "branchline-drivers-"));
  writeFileSync(join(folder, "ca.pem"), sandbox.computes?.ca ?? "");
  const { id, host } = sandbox.neon.state.endpointOf("main");
  login = {
    role: ROLE,
    database: DATABASE,
    password: new Secret(PASSWORD),
    endpoint: { id, host },
    port: 5432,
  };
}, 60_000);
afterAll(async () => {
  await sandbox.close();
  rmSync(folder, { recursive: true, force: true });
});

const SCRIPT = fileURLToPath(new URL("../support/open-strings.mjs", import.meta.url));
type Answers = Readonly<Record<string, { role?: string; database?: string; error?: string }>>;

/** Opens each string in a process that trusts the stand-in's certificates. */
async function open(driver: string, strings: Readonly<Record<string, string>>): Promise<Answers> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    NODE_EXTRA_CA_CERTS: join(folder, "ca.pem"),
    NODE_NO_WARNINGS: "1",
  };
  const input = JSON.stringify({ driver, port: sandbox.computes?.port, strings });
  return await new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [SCRIPT], { env, timeout: 60_000 }, (error, out, err) => {
      if (error === null) resolve(JSON.parse(out));
      else reject(new Error(`${error.message}\n${err}`));
    });
    child.stdin?.end(input);
  });
}

function strings(forms: readonly string[], options: Partial<ConnectionOptions> = {}): Record<string, string> {
  return Object.fromEntries(
    forms.flatMap((form) =>
      (["pooled", "direct"] as const).map((via) => {
        const text = renderForm(form, login, { ...DEFAULT_CONNECTION, ...options }, via).reveal();
        return [`${form} ${via}`, form === "psql" ? text.slice("psql '".length, -1) : text];
      }),
    ),
  );
}

const WORKS = { role: ROLE, database: DATABASE };
const allWork = (names: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, WORKS]));

const isInstalled = (name: string): boolean => {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
};

/** Every form that is a plain PostgreSQL URL. */
const isUrl = (form: string): boolean =>
  /^(psql ')?postgresql:\/\//.test(renderForm(form, login, DEFAULT_CONNECTION, "direct").reveal());

describe("node-postgres", () => {
  test("opens every URL form, pooled and direct, whatever the names and the password hold", async () => {
    const forms = [...FORMS.keys()].filter(isUrl);
    expect(forms.length).toBeGreaterThan(15);
    const urls = strings(forms);
    expect(await open("pg", urls)).toEqual(allWork(urls));
  });

  test.each([
    ["verify-full", { sslmode: "verify-full" }],
    ["the SNI workaround beside SNI", { sniWorkaround: true }],
    ["a name and a timeout", { applicationName: "my app", connectTimeoutSeconds: 10 }],
  ] as const)("opens the URL with %s", async (_, options) => {
    const urls = strings(["url", "nextjs"], options);
    expect(await open("pg", urls)).toEqual(allWork(urls));
  });

  test("is refused with a stale password, so that the above means something", async () => {
    const stale = { ...login, password: new Secret("stale") };
    const text = renderForm("url", stale, DEFAULT_CONNECTION, "direct").reveal();
    expect((await open("pg", { stale: text }))["stale"]?.error).toMatch(/^28P01/);
  });
});

describe.skipIf(!isInstalled("postgres"))("postgres.js (skipped where it is not installed)", () => {
  test("opens the form that is made for it", async () => {
    const urls = strings(["postgres-js"]);
    expect(await open("postgres", urls)).toEqual(allWork(urls));
  });

  test("would send channel_binding to the server, which is why its form has none", async () => {
    const { "url pooled": text = "" } = strings(["url"]);
    expect((await open("postgres", { url: text }))["url"]?.error).toMatch(/channel_binding/);
  });
});

describe.skipIf(!isInstalled("@neondatabase/serverless"))(
  "@neondatabase/serverless (skipped where it is not installed)",
  () => {
    test("opens its form over a WebSocket; neon() over HTTP needs Neon's own /sql, which has no stand-in", async () => {
      const urls = strings(["neon-serverless", "url", "drizzle", "nextjs"]);
      expect(await open("@neondatabase/serverless", urls)).toEqual(allWork(urls));
    });
  },
);
