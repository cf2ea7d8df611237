import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startVault, VAULT_APPROLE, VAULT_TOKEN, type VaultState } from "../../../../infra/sandbox/vault.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { vault as adapter } from "../../../../services/destinations/vault.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { failure, recordingIo, shown } from "./secret-writer.ts";

let vendor: Vendor<VaultState>;
beforeEach(async () => {
  vendor = await startVault();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await vendor.close();
});

const APPROLE = { approle: { roleId: "env:ROLE", secretId: "env:SECRET" } };

function open(auth: object, values: Record<string, string> = {}, more: object = {}, signal?: AbortSignal) {
  const known: Record<string, string> = {
    "env:ROLE": VAULT_APPROLE.role,
    "env:SECRET": `${VAULT_APPROLE.secret}\n`,
    ...values,
  };
  const block = adapter.block.parse({
    address: vendor.url,
    mount: "kv",
    kvVersion: 2,
    privateNetwork: true,
    auth,
    ...more,
  });
  const io = recordingIo(signal === undefined ? {} : { signal });
  const destination = adapter.open(block, ({ ref }) => new Secret(known[ref] ?? ""), io);
  const target = adapter.parseTarget(block, { path: "shop/db" });
  return {
    io,
    observe: () => destination.observe([target], { contents: true }),
    check: () => destination.check(target),
  };
}

const count = (operation: RegExp) => vendor.log.filter((line) => operation.test(line.operation)).length;
const LOGIN = /login$/;

const realNow = performance.now.bind(performance);

/** Lets the clock that leases are measured by run ahead. */
function later(ms: number): void {
  vi.spyOn(performance, "now").mockImplementation(() => realNow() + ms);
}

describe("logins", () => {
  test("with AppRole happen once for many openings", async () => {
    for (let n = 0; n < 3; n += 1) await open(APPROLE).observe();
    expect(count(LOGIN)).toBe(1);
  });

  test("fly alone: who comes meanwhile waits for the same token", async () => {
    vendor.setLatency(30);
    await Promise.all([1, 2, 3, 4].map(() => open(APPROLE).observe()));
    expect(count(LOGIN)).toBe(1);
  });

  test("are taken over by who waits when the first one's work is stopped", async () => {
    vendor.addFault({ kind: "hang", path: "login$", times: 1 });
    const stop = new AbortController();
    const first = failure(open(APPROLE, {}, {}, stop.signal).observe());
    const second = open(APPROLE).observe();
    await expect.poll(() => count(/login/), { interval: 5, timeout: 20_000 }).toBe(1);
    stop.abort();
    expect((await first).code).toBe("unavailable");
    await second;
  });

  test("with Kubernetes and JWT send role and token", async () => {
    vendor.state.addLogin({ method: "kubernetes", role: "app", secret: "eyJ.k8s" });
    vendor.state.addLogin({ method: "jwt", mount: "github", role: "ci", secret: "eyJ.gh" });
    await open({ kubernetes: { role: "app", jwt: "file:/token" } }, { "file:/token": "eyJ.k8s\n" }).observe();
    await open({ jwt: { role: "ci", jwt: "env:JWT", mount: "github" } }, { "env:JWT": "eyJ.gh" }).observe();
    expect(vendor.log.filter(({ operation }) => LOGIN.test(operation)).map(({ path }) => path)).toEqual([
      "/v1/auth/kubernetes/login",
      "/v1/auth/github/login",
    ]);
  });

  test("do not repeat what was refused", async () => {
    const error = await failure(open(APPROLE, { "env:SECRET": "wrong-secret-id" }).observe());
    expect(error).toMatchObject({ code: "unauthenticated", where: { operation: "POST auth/approle/login" } });
    expect(shown(error)).not.toContain("wrong-secret-id");
  });

  test("unwrap a wrapped secret id once, and use what was in it for later logins", async () => {
    const wrapping = vendor.state.wrapSecretId(VAULT_APPROLE.role);
    const wrapped = { approle: { ...APPROLE.approle, wrapped: true } };
    await open(wrapped, { "env:SECRET": wrapping }).observe();
    later(3 * 3_600_000);
    await open(wrapped, { "env:SECRET": wrapping }).observe();
    expect([count(/unwrap/), count(LOGIN)]).toEqual([1, 2]);
  });

  test("say what it means when a wrapped secret id was opened before", async () => {
    const wrapped = { approle: { ...APPROLE.approle, wrapped: true } };
    const error = await failure(open(wrapped, { "env:SECRET": "hvs.opened-before" }).observe());
    expect(error.code).toBe("unauthenticated");
    expect(error.next).toMatch(/someone else may have opened it/);
  });
});

describe("a token", () => {
  test("is renewed once past half its life", async () => {
    await open(APPROLE).observe();
    later(0.6 * 3_600_000);
    await open(APPROLE).observe();
    await open(APPROLE).observe();
    expect([count(/renew-self/), count(LOGIN)]).toEqual([1, 1]);
  });

  test("is still used when it cannot be renewed, and asked for anew when it ends", async () => {
    await open(APPROLE).observe();
    vendor.addFault({ kind: "status", status: 500, path: "renew-self" });
    later(0.6 * 3_600_000);
    await open(APPROLE).observe();
    expect(count(LOGIN)).toBe(1);
    later(1.1 * 3_600_000);
    await open(APPROLE).observe();
    expect(count(LOGIN)).toBe(2);
  });

  test("is asked for anew after a 403, once", async () => {
    await open(APPROLE).observe();
    vendor.addFault({ kind: "status", status: 403, path: "/kv/", times: 1 });
    await open(APPROLE).observe();
    expect(count(LOGIN)).toBe(2);
    vendor.addFault({ kind: "status", status: 403, path: "/kv/" });
    const opened = open(APPROLE);
    for (let n = 0; n < 3; n += 1) expect((await failure(opened.observe())).code).toBe("forbidden");
    expect(count(LOGIN)).toBe(3);
  });

  test("that is given is told from one that lacks a permission", async () => {
    const token = vendor.state.createToken({ policy: [] });
    const given = { token: "env:TOKEN" };
    expect((await failure(open(given, { "env:TOKEN": token }).observe())).code).toBe("forbidden");
    vendor.state.expireToken(token);
    const error = await failure(open(given, { "env:TOKEN": token }).observe());
    expect(error.code).toBe("unauthenticated");
    expect(shown(error)).not.toContain(token);
  });

  test("that is given is renewed too, once a check has seen how long it lives", async () => {
    const token = vendor.state.createToken({ ttlSeconds: 3600 });
    const given = { token: "env:TOKEN" };
    await open(given, { "env:TOKEN": token }).check();
    later(0.6 * 3_600_000);
    await open(given, { "env:TOKEN": token }).observe();
    await open(given, { "env:TOKEN": token }).observe();
    expect(count(/renew-self/)).toBe(1);
  });

  test("that is given with a line end behind it is renewed as well", async () => {
    const token = vendor.state.createToken({ ttlSeconds: 3600 });
    const given = { token: "env:TOKEN" };
    await open(given, { "env:TOKEN": `${token}\n` }).check();
    later(0.6 * 3_600_000);
    await open(given, { "env:TOKEN": `${token}\n` }).observe();
    expect(count(/renew-self/)).toBe(1);
  });
});

describe("check()", () => {
  const given = { token: "env:TOKEN" };

  test("writes nothing", async () => {
    await open(given, { "env:TOKEN": VAULT_TOKEN }).check();
    expect(vendor.state.mount("kv").secrets.size).toBe(0);
  });

  test("finds a mount of another version than the file says", async () => {
    const error = await failure(open(given, { "env:TOKEN": VAULT_TOKEN }, { mount: "kv1" }).check());
    expect(error).toMatchObject({ code: "invalid_target", message: expect.stringMatching(/version 1/) });
  });

  test("names the namespace that the token belongs to", async () => {
    vendor.state.namespace = "team/a";
    const opened = open(given, { "env:TOKEN": VAULT_TOKEN }, { namespace: "team/a" });
    await opened.check();
    expect(opened.io.sent.every(({ headers }) => headers?.["x-vault-namespace"] === "team/a")).toBe(true);
    const fetch = opened.io.fetch.bind(opened.io);
    opened.io.fetch = async (request) => {
      const answer = await fetch(request);
      return { ...answer, body: answer.body.replace('"ttl"', '"namespace_path":"team/b/","ttl"') };
    };
    const error = await failure(opened.check());
    expect(error.message).toBe("expected namespace team/a, credential belongs to team/b");
    expect(error.code).toBe("wrong_account");
  });

  test("finds a policy that is too narrow while nothing is written yet", async () => {
    const opened = open(given, { "env:TOKEN": VAULT_TOKEN });
    const fetch = opened.io.fetch.bind(opened.io);
    const capabilities = { "kv/data/shop/db": ["read", "create"], "kv/metadata/shop/db": ["patch"] };
    opened.io.fetch = (request) =>
      request.url.endsWith("capabilities-self")
        ? Promise.resolve({
            status: 200,
            headers: {},
            body: JSON.stringify({ data: capabilities }),
            requestId: undefined,
            date: undefined,
          })
        : fetch(request);
    expect(await failure(opened.check())).toMatchObject({
      code: "forbidden",
      message: "the token has no update on {mount}/data/{path}",
    });
    capabilities["kv/data/shop/db"] = ["read", "create", "update"];
    await opened.check();
    capabilities["kv/metadata/shop/db"] = ["read"];
    expect((await failure(opened.check())).message).toMatch(/no update on \{mount\}\/metadata/);
  });
});
