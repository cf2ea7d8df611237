/** From Neon's API to a login: what the source reads is what opens the branch, and nothing else does. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Computes, startComputes } from "../../../../infra/sandbox/computes/index.ts";
import { NEON_TOKEN, type NeonState, startNeon } from "../../../../infra/sandbox/neon.ts";
import type { Vendor } from "../../../../infra/sandbox/vendor.ts";
import { createIo } from "../../../../services/http.ts";
import { neonBlock, neonSource } from "../../../../services/sources/neon.ts";
import { createProver } from "../../../../services/sources/proof.ts";
import { pooledHost } from "../../../../services/sync/connection-strings.ts";
import type { LoginAttempt, Proof, Source } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const signal = new AbortController().signal;
let computes: Computes;
let neon: Vendor<NeonState>;
let source: Source;

beforeAll(async () => {
  computes = await startComputes();
  neon = await startNeon({ computes });
  const io = createIo({ fingerprint: () => "", signal, privateNetwork: true });
  const block = neonBlock.parse({
    project: neon.state.project.id,
    apiKey: "env:NEON_API_KEY",
    api: `${neon.url}/api/v2`,
    privateNetwork: true,
  });
  source = neonSource.open(block, () => new Secret(NEON_TOKEN), io);
});
afterAll(async () => {
  await neon.close();
  await computes.close();
});

/** What a push would prove: the login as it reads from Neon right now. */
async function loginOf(branch: string): Promise<LoginAttempt> {
  const reading = await source.read(neon.state.branch(branch).id, ["shop_app"]);
  const host = reading?.branch.endpoints.find(({ type }) => type === "read_write")?.host ?? "";
  const password = reading?.passwords.get("shop_app") ?? new Secret("");
  return { host, port: 5432, role: "shop_app", database: "shop", password };
}

async function prove(login: LoginAttempt): Promise<Proof> {
  await neon.state.settled();
  const { host, port, ca } = computes;
  return await createProver({ dial: () => ({ host, port, ca }), pauseMs: 1 })(login, signal);
}

describe("a login read from Neon", () => {
  it("opens its branch over the direct and the pooled host", async () => {
    const login = await loginOf("main");
    const expected = { role: "shop_app", database: "shop" };
    expect(await prove(login)).toMatchObject(expected);
    expect(await prove({ ...login, host: pooledHost(login.host) })).toMatchObject(expected);
  });

  it("is dead after a reset, and the one read then is alive", async () => {
    const stale = await loginOf("main");
    neon.state.resetPassword("main", "shop_app");
    const fresh = await loginOf("main");
    await expect(prove(stale)).rejects.toMatchObject({
      message: expect.stringContaining("(authentication)"),
    });
    expect(await prove(fresh)).toMatchObject({ role: "shop_app" });
  });

  it("opens a child of an unprotected branch with nothing but the host swapped", async () => {
    const parent = await loginOf("main");
    neon.state.createBranch({ name: "preview/x" });
    const { host } = await loginOf("preview/x");
    expect(host).not.toBe(parent.host);
    expect(await prove({ ...parent, host })).toMatchObject({ role: "shop_app" });
  });

  it("is diagnosed by what became of its endpoint", async () => {
    neon.state.createBranch({ name: "doomed" });
    const login = await loginOf("doomed");
    neon.state.setDisabled(neon.state.endpointOf("doomed"), true);
    await expect(prove(login)).rejects.toMatchObject({
      code: "proof_failed",
      message: expect.stringContaining("(endpoint_disabled)"),
    });
    neon.state.deleteBranch("doomed");
    await expect(prove(login)).rejects.toMatchObject({
      code: "proof_failed",
      message: expect.stringContaining("(endpoint_missing)"),
    });
    const elsewhere = { ...login, host: login.host.replace("eu-central-1", "us-east-1") };
    await expect(prove(elsewhere)).rejects.toMatchObject({ code: "proof_failed" });
  });
});
