/** `branchline wait` against a server that says what a test tells it to: only what stands still ends it early. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Ran, runCli } from "../../../support/cli.ts";
import { someBinding, someBranch, uuid } from "../api/harness.ts";

type Say = (response: ServerResponse) => void;
/** When the wait was asked for, and for how many seconds. */
type Asked = { readonly at: number; readonly timeout: string | null };

const branch = { id: uuid(1), name: "preview/login", source: "shop" };
const json = (status: number, body: object, headers: Record<string, string> = {}): Say => {
  return (response) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
};
const problem = (status: number, code: string, detail: string, headers: Record<string, string> = {}): Say =>
  json(status, { type: `urn:branchline:problem:${code}`, title: code, status, detail }, headers);

const BUSY = problem(503, "unavailable", "Try again in a moment.");
const NO_ANSWER: Say = (response) => response.destroy();
const FOUND = json(200, { items: [someBranch(1, { name: branch.name })], next: null });
const synced = someBinding(1, { state: "synced", wanted: 3, applied: 3 });
const behind = [someBinding(1, { state: "pending" })];
const BEHIND = json(202, { synced: false, branch, reason: "It is behind.", bindings: behind, behind });
const IN_STEP = json(200, { synced: true, branch, reason: null, bindings: [synced], behind: [] });
const tooMany = (seconds: number) =>
  problem(429, "too_many_requests", "Too many waits are open.", { "retry-after": String(seconds) });

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

/** What is said to each question for the branch and for the wait, in order; the last one again and again. */
async function wait(
  says: { found?: Say[]; waited?: Say[] },
  timeout = "30s",
): Promise<Ran & { asked: Asked[] }> {
  const { found = [FOUND], waited = [IN_STEP] } = says;
  const asked: Asked[] = [];
  const next = (all: Say[]): Say => (all.length > 1 ? all.shift() : all[0]) ?? NO_ANSWER;
  server = createServer(({ url = "" }: IncomingMessage, response) => {
    if (!url.includes("/wait")) return next(found)(response);
    asked.push({ at: performance.now(), timeout: new URL(url, "http://x").searchParams.get("timeout") });
    next(waited)(response);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { ...(await ask(`http://127.0.0.1:${port}`, timeout)), asked };
}

const ask = async (url: string, timeout: string): Promise<Ran> =>
  await runCli(["wait", "shop/preview/login", "--timeout", timeout], {
    env: { BRANCHLINE_URL: url, BRANCHLINE_TOKEN: "token-of-a-test" },
  });

test.each([
  ["cannot answer now", { waited: [BUSY, IN_STEP] }],
  ["does not answer", { waited: [NO_ANSWER, IN_STEP] }],
  ["cannot say which branch it is", { found: [BUSY, FOUND] }],
  ["has too many waits", { waited: [tooMany(1), IN_STEP] }],
])("a server that %s is asked again", async (_, says) => {
  const ran = await wait(says);
  expect([ran.code, ran.out]).toEqual([0, "preview/login is in step: web.\n"]);
  expect(ran.err).toContain("It is asked again until the time is up.");
});

test("with too many waits it is not asked again before it wants to be, and then for an answer at once", async () => {
  const { code, asked } = await wait({ waited: [tooMany(3), IN_STEP] });
  expect([code, asked.map(({ timeout }) => timeout)]).toEqual([0, ["20", "0"]]);
  const [first, second] = asked.map(({ at }) => at);
  expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(2_900);
});

test("what was answered at once is waited for again", async () => {
  const { code, asked } = await wait({ waited: [tooMany(1), BEHIND, IN_STEP] });
  expect([code, asked.map(({ timeout }) => timeout)]).toEqual([0, ["20", "0", "20"]]);
});

test.each([
  ["cannot answer", BUSY, "cannot do this now: Try again in a moment.\n  The time was up before"],
  ["wants more time", tooMany(600), "It may be asked again in 600 s: the time is up before that."],
])("a server that %s until the time is up ends it as one that is away", async (_, say, words) => {
  const ran = await wait({ waited: [say] }, "2s");
  expect([ran.code, ran.out]).toEqual([69, ""]);
  expect(ran.err).toContain(words);
});

test("nobody there is waited for, and then told", async () => {
  const began = performance.now();
  const ran = await ask("http://127.0.0.1:9", "2s");
  expect(performance.now() - began).toBeGreaterThanOrEqual(2_000);
  expect([ran.code, ran.out]).toEqual([69, ""]);
  expect(ran.err).toContain("no Branchline answers at http://127.0.0.1:9");
  expect(ran.err).toContain("The time was up before Branchline could say how the branch stands.");
});

test.each([
  ["something stands still", problem(409, "behind", "1 of 1 bindings stand still."), 3, "branchline status"],
  ["the state does not allow it", problem(409, "conflict", "Not like this."), 69, "Not like this."],
  ["the token is refused", problem(401, "unauthenticated", ""), 77, "does not accept the token"],
])("where %s it ends at once", async (_, say, code, words) => {
  const ran = await wait({ waited: [say] });
  expect([ran.code, ran.out, ran.asked.length]).toEqual([code, "", 1]);
  expect(ran.err).toContain(words);
});
