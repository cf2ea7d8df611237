import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../../infra/sandbox/index.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startSandbox({ computes: true });
});
afterAll(() => sandbox.close());

/** Logs in as a consumer would, with the dial pointed at the computes; what answered, or the SQLSTATE. */
async function login(connectionString: string): Promise<string> {
  const { hostname, username, password, pathname } = new URL(connectionString);
  const client = new pg.Client({
    host: sandbox.computes?.host ?? "",
    port: sandbox.computes?.port ?? 0,
    user: username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    ssl: { ca: sandbox.computes?.ca ?? "", servername: hostname },
  });
  try {
    await client.connect();
    const { rows } = await client.query("select current_user || '@' || current_database() as who");
    return rows[0].who;
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? "?") : String(error);
  } finally {
    await client.end();
  }
}

describe("a branch of the Neon stand-in with real computes", () => {
  it("takes the password that Neon reveals, pooled and direct, and the new one after a reset", async () => {
    const { state } = sandbox.neon;
    const before = state.connectionStrings("main", "shop_app", "shop");
    expect(await login(before.direct)).toBe("shop_app@shop");
    expect(await login(before.pooled)).toBe("shop_app@shop");
    state.resetPassword("main", "shop_app");
    await state.settled();
    expect(await login(before.direct)).toBe("28P01");
    expect(await login(state.connectionStrings("main", "shop_app", "shop").direct)).toBe("shop_app@shop");
  });

  it("is gone for logins when it is deleted", async () => {
    const { state } = sandbox.neon;
    state.createBranch({ name: "dev" });
    const { direct } = state.connectionStrings("dev", "shop_app", "shop");
    await state.settled();
    expect(await login(direct)).toBe("shop_app@shop");
    state.deleteBranch("dev");
    await state.settled();
    expect(await login(direct)).not.toBe("shop_app@shop");
  });
});
