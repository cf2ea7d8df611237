import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SyncError } from "../../../services/sync/errors.ts";
import type { LoginMaterial } from "../../../services/sync/model.ts";
import { Secret } from "../../../services/sync/secret.ts";
import { openProof } from "../../../workers/proofs.ts";
import type { Runtime } from "../../../workers/runtime.ts";
import { until } from "../../support/until.ts";
import { type StubPostgres, startStubPostgres } from "../services/sources/stub-postgres.ts";

const folder = mkdtempSync(join(tmpdir(), "branchline-proofs-"));
let server: StubPostgres;
let block: unknown;
/** Roles that are kept waiting for an answer until somebody lets them in. */
const held = new Map<string, Promise<boolean>>();
let stopping = new AbortController();

beforeAll(async () => {
  server = await startStubPostgres(async ({ role }) => (await held.get(role)) ?? true);
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, server.ca);
  block = { dial: { host: "127.0.0.1", port: server.port, ca } };
});
afterEach(async () => {
  stopping.abort();
  stopping = new AbortController();
  held.clear();
  await until(() => server.open() === 0, { what: "the connections to close" });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function hold(role: string): () => void {
  let letIn = (): void => undefined;
  held.set(
    role,
    new Promise((resolve) => {
      letIn = () => resolve(true);
    }),
  );
  return letIn;
}

const login = (role: string): LoginMaterial => ({
  role,
  database: "shop",
  password: new Secret("npg_canary"),
  endpoint: { id: "ep", host: "ep-aged-salad-a1b2c3d4.eu-central-1.aws.neon.tech" },
  port: 5432,
});
const processOf = (): Runtime =>
  ({ fingerprint: (...parts: unknown[]) => parts.map(String).join(" ") }) as unknown as Runtime;
const proven = async (runtime: Runtime, source: string, role: string, signal = stopping.signal) => {
  const proof = openProof(runtime, { id: source, block }, signal)(login(role));
  return await proof.then(
    () => "proven",
    (error: unknown) => (error as SyncError).message,
  );
};
/** Over the direct and the pooled host. */
const BOTH = 2;

describe("a proof", () => {
  test("is not held up by computes of another source that answer nobody", async () => {
    const runtime = processOf();
    const before = server.accepted();
    const silent = Array.from({ length: 16 }, (_, n) => `silent${n}`);
    for (const role of silent) {
      hold(role);
      void proven(runtime, "down", role);
    }
    await until(() => server.accepted() - before === 8, { what: "as many logins as one source may have" });
    let done = "";
    void proven(runtime, "healthy", "shop_app").then((how) => {
      done = how;
    });
    await until(() => done === "proven", { timeoutMs: 5_000, what: "the other source's proof" });
    expect(server.accepted() - before).toBe(8 + BOTH);
  });

  test("that several wait for goes on when the first of them is stopped", async () => {
    const runtime = processOf();
    const before = server.accepted();
    const letIn = hold("shop_app");
    const first = new AbortController();
    const stopped = proven(runtime, "shop", "shop_app", first.signal);
    const other = proven(runtime, "shop", "shop_app");
    await until(() => server.accepted() - before === BOTH, { what: "both logins" });
    first.abort();
    expect(await stopped).toContain("stopped");
    letIn();
    expect(await other).toBe("proven");
    expect(server.accepted() - before).toBe(BOTH);
  });

  test("ends when nobody waits for it any more, and whoever comes then begins another", async () => {
    const runtime = processOf();
    const letIn = hold("shop_app");
    const both = [new AbortController(), new AbortController()];
    const stopped = both.map(async ({ signal }) => await proven(runtime, "shop", "shop_app", signal));
    await until(() => server.open() === BOTH, { what: "both logins" });
    for (const each of both) each.abort();
    const late = proven(runtime, "shop", "shop_app");
    letIn();
    expect(await late).toBe("proven");
    for (const each of await Promise.all(stopped)) expect(each).toContain("stopped");
    await until(() => server.open() === 0, { what: "all connections to close" });
  });
});
