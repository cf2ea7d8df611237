/** A wait holds a connection and asks the database all the while: one token has only so many at once. */
import { beforeEach, expect, test } from "vitest";
import type { Standing } from "../../../../services/api/ports.ts";
import { until } from "../../../support/until.ts";
import { harness, someBinding, uuid } from "./harness.ts";

const BEHIND = {
  branch: { id: uuid(900), name: "preview/900", source: "shop" },
  unread: false,
  heldUntil: null,
  bindings: [someBinding(1, { state: "pending" })],
};
const AT_ONCE = 10;

/** Ends pauses, each with a rejection where there is an error. */
let wake: ((error?: Error) => void)[];
let app: ReturnType<typeof harness>["app"];

beforeEach(() => {
  wake = [];
  const pause: Standing["pause"] = async () =>
    await new Promise<void>((resolve, reject) =>
      wake.push((error) => (error === undefined ? resolve() : reject(error))),
    );
  app = harness({
    authenticate: async (token) => ({
      id: token.reveal(),
      name: token.reveal(),
      scopes: new Set(["read"]),
      limits: null,
      revealDefault: false,
    }),
    standing: { of: async () => BEHIND, pause },
  }).app;
});

const ask = async (
  token: string,
  { timeout = 60, signal }: { timeout?: number; signal?: AbortSignal } = {},
) =>
  await app.request(`/v1/branches/${uuid(900)}/wait?timeout=${timeout}`, {
    headers: { authorization: `Bearer ${token}` },
    ...(signal === undefined ? {} : { signal }),
  });

async function fill(token: string, signal?: AbortSignal) {
  const waits = Array.from({ length: AT_ONCE }, () => ask(token, signal === undefined ? {} : { signal }));
  await until(() => wake.length === AT_ONCE, { what: "all of them to wait" });
  return waits;
}

test("one more than may wait is told what to do, and keeps nobody else from waiting", async () => {
  await fill("ci");
  const refused = await ask("ci");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "5"]);
  expect(await refused.json()).toMatchObject({
    type: "urn:branchline:problem:too_many_requests",
    detail: expect.stringMatching(/10 at once.*timeout=0/),
  });
  expect((await ask("ci", { timeout: 0 })).status).toBe(202);
  void ask("other");
  await until(() => wake.length === AT_ONCE + 1, { what: "another token to wait" });
});

test.each([
  ["was told how it stands", (gone: AbortController) => gone.abort()],
  ["failed", () => wake[0]?.(new Error("the database is away"))],
])("a wait that %s leaves its place to another", async (_, end) => {
  const gone = new AbortController();
  const waits = await fill("ci", gone.signal);
  end(gone);
  wake[0]?.();
  await Promise.race(waits);
  void ask("ci");
  await until(() => wake.length === AT_ONCE + 1, { what: "another one to wait" });
});
