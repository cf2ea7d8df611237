/**
 * The fifteen defects of node-vault 0.12.0 that were seen when it was driven against a server of our own,
 * each closed. If a new version of node-vault breaks the hook that its transport is replaced by, this fails.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { vault as adapter } from "../../../../services/destinations/vault.ts";
import {
  type SendToVault,
  type VaultCall,
  vaultTransport,
} from "../../../../services/destinations/vault-transport.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { CANARY, failure, recordingIo, scriptedIo, shown } from "./secret-writer.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly port: number;
}

let server: Server;
let seen: Seen[];
/** How the next requests are answered: status, body, headers; null: not at all. */
let reply: { status: number; body?: string; headers?: Record<string, string> } | null;
const environment = { ...process.env };

beforeEach(async () => {
  seen = [];
  reply = { status: 200, body: '{"data":{}}' };
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { method = "", url = "", headers, rawHeaders, socket } = request;
    seen.push({ method, url, headers, rawHeaders, body, port: socket.remotePort ?? 0 });
    if (reply === null) return;
    response.writeHead(reply.status, reply.headers).end(reply.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  process.env = { ...environment };
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function transport(namespace: string | null = null, timeoutMs = 2_000): SendToVault {
  return vaultTransport({ address: address(), namespace }, recordingIo({ timeoutMs }));
}

function call(more: Partial<VaultCall> = {}): VaultCall {
  return {
    method: "GET",
    path: "secret/data/shop",
    operation: "GET {mount}/data/{path}",
    token: new Secret("hvs.token-one"),
    ...more,
  };
}

const write = (more: Partial<VaultCall> = {}): VaultCall =>
  call({ method: "POST", body: new Secret(`{"data":{"A":"${CANARY}"}}`), ...more });

describe("node-vault with its transport replaced", () => {
  test("1: sends a path as we encoded it, and refuses one that could mean another", async () => {
    const send = transport();
    await send(call({ path: "secret/data/a%3Db%2523c%3Fd" }));
    expect(seen[0]?.url).toBe("/v1/secret/data/a%3Db%2523c%3Fd");
    for (const path of [
      "secret/data/../../sys/policy",
      "secret/data/x?list=true",
      "secret/data/a#b",
      "secret//x",
    ]) {
      expect((await failure(send(call({ path })))).code, path).toBe("invalid_target");
    }
    expect(seen).toHaveLength(1);
  });

  test("2: does not follow a redirect, so the token stays here", async () => {
    reply = { status: 307, headers: { location: `${address()}/v1/elsewhere` } };
    expect((await transport()(write())).status).toBe(307);
    expect(seen).toHaveLength(1);
  });

  test("3: throws no error that holds the token or a value", async () => {
    reply = null;
    const hung = await failure(transport(null, 80)(write()));
    server.closeAllConnections();
    const refused = await failure(
      vaultTransport({ address: "http://127.0.0.1:1", namespace: null }, recordingIo())(write()),
    );
    for (const error of [hung, refused]) {
      expect(error.code).toBe("unavailable");
      expect(shown(error)).not.toContain("hvs.token-one");
      expect(shown(error)).not.toContain(CANARY);
    }
  });

  test("4: sends the token of the call, whichever was sent before", async () => {
    const send = transport();
    await send(call());
    await send(call({ token: new Secret("hvs.token-two") }));
    await send(call({ token: null }));
    expect(seen.map(({ headers }) => headers["x-vault-token"])).toEqual([
      "hvs.token-one",
      "hvs.token-two",
      undefined,
    ]);
  });

  test("5: starts no timer, however long a token lives", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    const answers = [
      { auth: { client_token: "hvs.long", lease_duration: 768 * 3600, renewable: true } },
      { data: { data: { A: "1" }, metadata: { version: 1 } } },
    ];
    const io = scriptedIo((_, n) => ({ body: JSON.stringify(answers[n - 1]) }));
    const [destination, target] = open(io, { jwt: { role: "app", jwt: "env:JWT" } });
    await destination.observe([target], { contents: true });
    expect(timers).not.toHaveBeenCalled();
    timers.mockRestore();
  });

  test("6: logs in at the method's own mount where none is named", async () => {
    const io = scriptedIo(() => ({ status: 403, body: '{"errors":["permission denied"]}' }));
    for (const [method, more] of [
      ["kubernetes", {}],
      ["jwt", {}],
      ["kubernetes", { mount: "k8s/eu" }],
    ] as const) {
      const [destination, target] = open(io, { [method]: { role: "sixth", jwt: "env:JWT", ...more } });
      expect((await failure(destination.observe([target], { contents: true }))).code).toBe("unauthenticated");
    }
    expect(io.sent.map(({ url }) => new URL(url).pathname)).toEqual([
      "/v1/auth/kubernetes/login",
      "/v1/auth/jwt/login",
      "/v1/auth/k8s/eu/login",
    ]);
  });

  test("7: gives up after a deadline, and at once when the work is stopped", async () => {
    reply = null;
    expect((await failure(transport(null, 60)(call()))).message).toMatch(/did not answer/);
    const stop = new AbortController();
    const send = vaultTransport(
      { address: address(), namespace: null },
      recordingIo({ signal: stop.signal }),
    );
    const waiting = failure(send(call()));
    stop.abort();
    expect((await waiting).code).toBe("unavailable");
  });

  test("8: hands the answer's headers on", async () => {
    reply = { status: 429, headers: { "retry-after": "9" }, body: '{"errors":["quota"]}' };
    expect((await transport()(call())).response.headers["retry-after"]).toBe("9");
  });

  test("9: sends a PATCH with token, namespace, and its content type once", async () => {
    await transport("team/a")(write({ method: "PATCH", path: "secret/metadata/shop" }));
    expect(seen[0]).toMatchObject({
      method: "PATCH",
      headers: {
        "content-type": "application/merge-patch+json",
        "x-vault-token": "hvs.token-one",
        "x-vault-namespace": "team/a",
      },
    });
    expect(seen[0]?.rawHeaders.filter((name) => name.toLowerCase() === "content-type")).toHaveLength(1);
  });

  test("10: takes no half answer for a whole one, and shows every status as it is", async () => {
    reply = { status: 200, body: '{"data":{"data":{"A":"1"' };
    expect(await failure(transport()(call()))).toMatchObject({ code: "unavailable", ambiguous: false });
    expect(await failure(transport()(write()))).toMatchObject({ code: "unavailable", ambiguous: true });
    reply = { status: 403, body: '{"errors":["permission denied"]}' };
    expect((await transport()(write({ path: "secret/data/x/sys/health" }))).status).toBe(403);
    reply = { status: 204 };
    expect(await transport()(write())).toMatchObject({ status: 204, json: undefined });
    reply = { status: 202, body: '{"data":{}}' };
    expect((await transport()(write())).status).toBe(202);
  });

  test("11: takes no token out of an answer", async () => {
    reply = { status: 200, body: '{"auth":{"client_token":"hvs.other"}}' };
    const send = transport();
    await send(write({ path: "auth/token/create" }));
    await send(write({ path: "auth/token/renew-self" }));
    await send(call({ token: null }));
    expect(seen.at(-1)?.headers["x-vault-token"]).toBeUndefined();
  });

  test("12: reads nothing from the environment", async () => {
    Object.assign(process.env, {
      VAULT_ADDR: "http://127.0.0.1:1",
      VAULT_TOKEN: "hvs.from-environment",
      VAULT_NAMESPACE: "from-environment",
      VAULT_PREFIX: "/from-environment",
      VAULT_SKIP_VERIFY: "false",
    });
    await transport()(call({ token: null }));
    expect(seen[0]?.url).toBe("/v1/secret/data/shop");
    expect(JSON.stringify(seen[0]?.headers)).not.toContain("from-environment");
  });

  test("13: keeps its connections", async () => {
    const send = transport();
    for (let n = 0; n < 10; n += 1) await send(call());
    // The next request may leave before the last one's connection counts as free.
    expect(new Set(seen.map(({ port }) => port)).size).toBeLessThanOrEqual(2);
  });

  test("14: keeps the namespaces of two destinations apart", async () => {
    const [a, b, none] = [transport("team/a"), transport("team/b"), transport()];
    for (const send of [a, b, none, a]) await send(call());
    expect(seen.map(({ headers }) => headers["x-vault-namespace"])).toEqual([
      "team/a",
      "team/b",
      undefined,
      "team/a",
    ]);
  });

  test("15: prints no body, whatever DEBUG says", async () => {
    const lines: string[] = [];
    const stderr = vi.spyOn(process.stderr, "write").mockImplementation((line) => {
      lines.push(String(line));
      return true;
    });
    try {
      const { default: debug } = await import("debug" as string);
      debug.enable("*");
      await transport()(write());
      debug.disable();
    } finally {
      stderr.mockRestore();
    }
    expect(seen).toHaveLength(1);
    expect(lines.join()).not.toContain("node-vault");
    expect(lines.join()).not.toContain(CANARY);
  });
});

function open(io: ReturnType<typeof scriptedIo>, auth: object) {
  const block = adapter.block.parse({ address: "https://vault.test", kvVersion: 2, auth });
  const destination = adapter.open(block, () => new Secret("eyJ.jwt"), io);
  return [destination, adapter.parseTarget(block, { path: "shop" })] as const;
}
