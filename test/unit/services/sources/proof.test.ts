import { createServer } from "node:net";
import { inspect } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createProver, tryLogin } from "../../../../services/sources/proof.ts";
import { SyncError } from "../../../../services/sync/errors.ts";
import type { LoginAttempt } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { until } from "../../../support/until.ts";
import { type StubPostgres, startStubPostgres } from "./stub-postgres.ts";

const PASSWORD = "npg_canary%41@/:# ü";
const HOST = "ep-aged-salad-a1b2c3d4-pooler.eu-central-1.aws.neon.tech";

let server: StubPostgres;
beforeAll(async () => {
  server = await startStubPostgres(PASSWORD);
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  server.behave({ kind: "login" });
  server.servernames.length = server.startups.length = server.statements.length = 0;
});

const never = new AbortController().signal;
const attempt = (more: Partial<LoginAttempt> = {}): LoginAttempt => ({
  host: HOST,
  port: 5432,
  role: "shop_app",
  database: "shop",
  password: new Secret(PASSWORD),
  ...more,
});
const dialled = () => ({ host: "127.0.0.1", port: server.port, ca: server.ca });
const prover = (more: { limit?: number; timeoutMs?: number; ca?: string } = {}) =>
  createProver({
    pauseMs: 1,
    ...more,
    dial: () => ({ ...dialled(), ...(more.ca === undefined ? {} : { ca: more.ca }) }),
  });

async function failure(work: Promise<unknown>): Promise<SyncError> {
  const thrown: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(SyncError);
  return thrown as SyncError;
}

describe("createProver()", () => {
  it("logs in at the dialled address with the real host as server name, asks who it is, and leaves", async () => {
    const proof = await prover()(attempt(), never);
    expect(proof).toMatchObject({ role: "shop_app", database: "shop", ms: expect.any(Number) });
    expect(server.servernames).toEqual([HOST]);
    expect(server.statements).toEqual(["select current_user, current_database()"]);
    await until(() => server.open() === 0, { what: "the connection to close" });
  });

  it("keeps the real host as server name when a name is dialled", async () => {
    const prove = createProver({ dial: () => ({ ...dialled(), host: "localhost" }) });
    await prove(attempt(), never);
    expect(server.servernames).toEqual([HOST]);
  });

  it("sends no startup parameter that the pooler refuses", async () => {
    await prover()(attempt(), never);
    const allowed = ["user", "database", "application_name", "client_encoding"];
    expect(Object.keys(server.startups[0] ?? {}).filter((name) => !allowed.includes(name))).toEqual([]);
  });

  it("refuses a certificate of another authority, and one for another host", async () => {
    const stranger = await startStubPostgres(PASSWORD);
    const strange = await failure(prover({ ca: stranger.ca })(attempt(), never));
    await stranger.close();
    expect(strange).toMatchObject({ code: "proof_failed", message: expect.stringContaining("(ssl)") });

    const other = await failure(prover()(attempt({ host: "ep-x.us-east-2.aws.neon.tech" }), never));
    expect(other).toMatchObject({ code: "proof_failed", message: expect.stringContaining("(ssl)") });
    expect(server.startups).toEqual([]);
  });

  it("never goes on without TLS", async () => {
    server.behave({ kind: "no tls" });
    const error = await failure(prover()(attempt(), never));
    expect(error).toMatchObject({ code: "proof_failed", message: expect.stringContaining("(ssl)") });
  });

  it("refuses a login that ends in another role or database than was meant", async () => {
    server.behave({ kind: "login", database: "neondb" });
    expect((await failure(prover()(attempt(), never))).message).toContain("another database");
    server.behave({ kind: "login", user: "shop_owner" });
    expect((await failure(prover()(attempt(), never))).message).toContain("another role");
  });

  it("accepts a role that is set up to act as its owner", async () => {
    server.behave({ kind: "login", user: "shop_owner", sessionUser: "shop_app" });
    expect(await prover()(attempt(), never)).toMatchObject({ role: "shop_app" });
  });

  it("says proof_failed with the diagnosis when the password is wrong, and does not try again", async () => {
    const error = await failure(prover()(attempt({ password: new Secret("stale") }), never));
    expect(error).toMatchObject({
      code: "proof_failed",
      where: { vendor: "proof" },
      next: expect.any(String),
    });
    expect(error.message).toContain("(authentication)");
    expect(error.message).toContain("SQLSTATE 28P01");
    expect(server.startups).toHaveLength(1);
  });

  it("does not take the environment's password for an empty one", async () => {
    vi.stubEnv("PGPASSWORD", PASSWORD);
    const error = await failure(prover()(attempt({ password: new Secret("") }), never));
    vi.unstubAllEnvs();
    expect(error.message).toContain("(authentication)");
  });

  it("tries once more while a compute starts", async () => {
    server.behave(
      { kind: "error", code: "57P03", message: "the database system is starting up" },
      { kind: "login" },
    );
    expect(await prover()(attempt(), never)).toMatchObject({ role: "shop_app" });
    expect(server.startups).toHaveLength(2);
  });

  it("says unavailable when a compute does not come up", async () => {
    server.behave({ kind: "error", code: "XX000", message: "Couldn't connect to compute node" });
    const error = await failure(prover()(attempt(), never));
    expect(error).toMatchObject({ code: "unavailable", message: expect.stringContaining("(cold_start)") });
    expect(server.startups).toHaveLength(2);
  });

  it("gives up in time on a server that does not answer", async () => {
    server.behave({ kind: "hang" });
    const error = await failure(prover({ timeoutMs: 50 })(attempt(), never));
    expect(error).toMatchObject({ code: "unavailable", message: expect.stringContaining("(timeout)") });
    await until(() => server.open() === 0, { what: "the connections to close" });
  });

  it("says unavailable when the connection breaks or is refused", async () => {
    server.behave({ kind: "reset" });
    const broken = await failure(prover()(attempt(), never));
    expect(broken).toMatchObject({ code: "unavailable", message: expect.stringContaining("(network)") });

    const port = await unusedPort();
    const refused = await failure(
      createProver({ pauseMs: 1, dial: () => ({ host: "127.0.0.1", port }) })(attempt(), never),
    );
    expect(refused).toMatchObject({ code: "unavailable", message: expect.stringContaining("ECONNREFUSED") });
  });

  it("stops with the work that it belongs to", async () => {
    server.behave({ kind: "hang" });
    const work = new AbortController();
    const proof = failure(prover()(attempt(), work.signal));
    await until(() => server.open() === 1, { what: "the connection" });
    work.abort();
    expect(await proof).toMatchObject({ code: "unavailable", message: expect.stringContaining("stopped") });
    expect(await failure(prover()(attempt(), work.signal))).toMatchObject({ code: "unavailable" });
  });

  it("keeps nobody in line whose work is stopped", async () => {
    server.behave({ kind: "hang" });
    const [first, waiting] = [new AbortController(), new AbortController()];
    const prove = prover({ limit: 1 });
    const hanging = failure(prove(attempt(), first.signal));
    await until(() => server.open() === 1, { what: "the connection" });
    const stopped = failure(prove(attempt(), waiting.signal));
    waiting.abort();
    expect(await stopped).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("stopped"),
    });
    expect(server.open()).toBe(1);
    first.abort();
    await hanging;
  });

  it("keeps to its limit over all callers", async () => {
    server.behave({ kind: "hang" });
    const work = new AbortController();
    const prove = prover({ limit: 2 });
    const before = server.accepted();
    const proofs = Array.from({ length: 5 }, () => failure(prove(attempt(), work.signal)));
    await until(() => server.open() === 2, { what: "two connections" });
    work.abort();
    await Promise.all(proofs);
    expect(server.accepted() - before).toBe(2);
  });

  it("keeps the password out of everything that it throws or answers", async () => {
    const failures = [
      { kind: "error", code: "28P01", message: `no, not ${PASSWORD}` },
      { kind: "error", code: "XX000", message: `echo ${PASSWORD}` },
      { kind: "no tls" },
      { kind: "reset" },
    ] as const;
    for (const behaviour of failures) {
      server.behave(behaviour);
      const error = await failure(prover()(attempt(), never));
      const tried = await tryLogin(attempt(), { dial: dialled(), timeoutMs: 1000, signal: never });
      const shown = [
        inspect(error, { depth: 9, showHidden: true }),
        JSON.stringify(error, Object.getOwnPropertyNames(error)),
        error.stack,
        inspect(tried, { depth: 9, showHidden: true }),
        JSON.stringify(tried),
      ].join("\n");
      expect(shown).not.toContain(PASSWORD);
    }
  });
});

async function unusedPort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
