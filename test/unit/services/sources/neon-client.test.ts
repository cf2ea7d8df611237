import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createNeonClient, nextPage } from "../../../../services/sources/neon-client.ts";
import { SyncError } from "../../../../services/sync/errors.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { API, type StubAnswer, stubNeon } from "./stub-neon.ts";

const KEY = "napi_canarycanarycanary";
const PASSWORD = "npg_canaryPassw0rd";

function open(answer: (path: string) => StubAnswer | Promise<StubAnswer>) {
  const neon = stubNeon(({ path }) => answer(path));
  return {
    ...neon,
    client: createNeonClient({ api: API, project: "p", apiKey: new Secret(KEY), io: neon.io }),
  };
}

async function failure(work: Promise<unknown>): Promise<SyncError> {
  const thrown: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(SyncError);
  return thrown as SyncError;
}

/** Everything that a log, a debugger or a crash report could make of an error. */
function everythingShown(error: SyncError): string {
  const own = Object.getOwnPropertyNames(error).map((name) => String(Reflect.get(error, name)));
  return [
    inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }),
    JSON.stringify(error),
    JSON.stringify(error, Object.getOwnPropertyNames(error)),
    error.stack,
    String(error),
    ...own,
    inspect(error.cause, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
  ].join("\n");
}

describe("createNeonClient()", () => {
  it("asks below the configured address, with the key as bearer and only where it is needed", async () => {
    const { client, requests } = open(() => ({ body: { password: PASSWORD } }));
    await client.password("br-a", "rôle/ü");
    expect(requests).toMatchObject([
      {
        vendor: "neon",
        operation: "GET /projects/{id}/branches/{id}/roles/{id}/reveal_password",
        method: "GET",
        url: `${API}/projects/p/branches/br-a/roles/r%C3%B4le%2F%C3%BC/reveal_password`,
        headers: { authorization: `Bearer ${KEY}` },
      },
    ]);
  });

  it("names operations without ids and keeps the words of the paths", async () => {
    const { client, requests } = open(() => ({ body: { count: 3 } }));
    await client.branchCount();
    expect(requests[0]?.operation).toBe("GET /projects/{id}/branches/count");
  });

  it("pages with the vendor's cursor as it came", async () => {
    const { client, requests } = open(() => ({ body: { branches: [] } }));
    await client.branches("a+b/c=&d");
    expect(requests[0]?.query.get("cursor")).toBe("a+b/c=&d");
    expect(requests[0]?.query.get("limit")).toBe("1000");
  });

  const statuses: [number, string][] = [
    [301, "target_missing"],
    [400, "internal"],
    [401, "unauthenticated"],
    [403, "forbidden"],
    [404, "target_missing"],
    [409, "conflict"],
    [412, "source_unready"],
    [418, "internal"],
    [422, "internal"],
    [423, "unavailable"],
    [429, "rate_limited"],
    [500, "unavailable"],
    [502, "unavailable"],
    [503, "unavailable"],
    [504, "unavailable"],
  ];
  it.each(statuses)("answers the status %i with %s and says where", async (status, code) => {
    const { client } = open(() => ({ status, body: { code: "", message: `secret ${KEY}` } }));
    const error = await failure(client.endpoints());
    expect(error).toMatchObject({
      code,
      where: { vendor: "neon", operation: "GET /projects/{id}/endpoints", status, requestId: "req-1" },
    });
    expect(everythingShown(error)).not.toContain(KEY);
  });

  it("says what to turn on where passwords are not stored", async () => {
    const { client } = open(() => ({ status: 412, body: {} }));
    const error = await failure(client.password("br-a", "app"));
    expect(error.message).toBe("the project p does not store passwords");
    expect(error.next).toContain("turn on");
  });

  it("passes on how long Neon asks to wait", async () => {
    const { client } = open(() => ({ status: 429, headers: { "retry-after": "7" }, body: {} }));
    expect((await failure(client.endpoints())).retryAfterMs).toBe(7000);
  });

  const broken: [string, unknown, string][] = [
    ["half a document", `{"password":"${PASSWORD}`, "unavailable"],
    ["a page of HTML", `<html>${PASSWORD}</html>`, "unavailable"],
    ["nothing", "", "unavailable"],
    ["a number for the password", { password: 12 }, "internal"],
    ["an empty password", { password: "" }, "internal"],
    ["another field", { secret: PASSWORD }, "internal"],
    ["a list", [PASSWORD], "internal"],
  ];
  it.each(broken)("refuses %s without repeating it", async (_what, body, code) => {
    const { client } = open(() => ({ body }));
    const error = await failure(client.password("br-a", "app"));
    expect(error.code).toBe(code);
    const shown = everythingShown(error);
    expect(shown).not.toContain(PASSWORD);
    expect(shown).not.toContain(KEY);
  });

  it("names the field that has the wrong shape", async () => {
    const { client } = open(() => ({ body: { endpoints: [{ id: "ep-a", host: "x" }] } }));
    expect((await failure(client.endpoints())).message).toMatch(/endpoints\.0\.(branch_id|host)/);
  });

  it("keeps the key out of errors of the network, ours and foreign ones", async () => {
    const ours = open(() => {
      throw new SyncError("unavailable", "neon did not answer within 10 s");
    });
    expect(await failure(ours.client.project())).toMatchObject({ code: "unavailable" });

    const foreign = open(() => {
      throw Object.assign(new Error(`connect to ${KEY}`), { config: { headers: { Authorization: KEY } } });
    });
    const error = await failure(foreign.client.project());
    expect(error.code).toBe("internal");
    expect(everythingShown(error)).not.toContain(KEY);
  });
});

describe("nextPage()", () => {
  it("understands both of Neon's dialects and their ends", () => {
    expect(nextPage({ next: "a" })).toBe("a");
    expect(nextPage({ cursor: "b" })).toBe("b");
    expect(nextPage({ next: "" })).toBeUndefined();
    expect(nextPage({ next: null })).toBeUndefined();
    expect(nextPage({})).toBeUndefined();
    expect(nextPage(undefined)).toBeUndefined();
  });
});
