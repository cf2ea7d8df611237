/** What anybody can send to a public listener: it costs the API neither its memory nor its answers to others. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type ClientRequest, request } from "node:http";
import { connect, type Socket } from "node:net";
import pg from "pg";
import { Pool } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { signDelivery } from "../../infra/sandbox/github.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { branchline, endAll, openPlace, type Place, type Running } from "../support/process.ts";
import { writeSandboxFile } from "../support/sandbox-file.ts";
import { until } from "../support/until.ts";

const MB = 1024 * 1024;
/** GitHub's own largest delivery, and ours. */
const LARGEST = 25 * MB;
/** Beyond what it has at rest: 64 MB of large bodies that may be held at once, their copies, and the collector's pace. */
const MORE_MB = 450;
/** Those who ask for health wait no longer: most of them, and anybody, on a machine that may itself stand still for seconds. */
const PROMPT_MS = 5_000;
const LONGEST_MS = 20_000;

let place: Place;
let sandbox: Sandbox;
let database: TestDatabase;
let api: Running;
let origin: string;
let secret: string;
let atRestMb: number;

beforeAll(async () => {
  place = openPlace();
  [sandbox, database] = await Promise.all([startSandbox(), createDatabase({ migrated: true })]);
  const env: Record<string, string> = {
    ...place.env,
    ...writeSandboxFile({ sandbox, folder: place.cwd }),
    DATABASE_URL: database.url,
    BRANCHLINE_MASTER_KEY: randomBytes(32).toString("base64"),
    BRANCHLINE_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
    PORT: "0",
  };
  secret = sandbox.credentials.github.webhookSecret;
  api = branchline(["serve", "--api"], { cwd: place.cwd, env });
  origin = (await api.says(/"api":"(http:[^"]+)"/))[1] ?? "";
  atRestMb = residentMb();
});

afterAll(async () => {
  await api.end();
  endAll();
  await sandbox.close();
  await database.drop();
  place.remove();
});

/** After whatever it was, somebody else is served as if nothing had been. */
afterEach(async () => {
  expectUnmoved([await healthMs()]);
  expect((await send(delivery({ ref: "refs/heads/fine" }))).status).toBe(202);
});

const residentMb = (): number =>
  Number(execFileSync("ps", ["-o", "rss=", "-p", String(api.pid)], { encoding: "utf8" })) / 1024;

async function healthMs(): Promise<number> {
  const started = performance.now();
  const response = await fetch(`${origin}/healthz`);
  expect(await response.json()).toEqual({ status: "ok" });
  return performance.now() - started;
}

const REPOSITORY = { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } };
/** A text is signed as it is. */
const delivery = (payload: object | string, event = "push") =>
  signDelivery(secret, event, typeof payload === "string" ? payload : { repository: REPOSITORY, ...payload });

const send = async ({ headers, body }: { headers: object; body: string | Uint8Array<ArrayBuffer> }) =>
  await fetch(`${origin}/webhooks/github`, { method: "POST", headers: { ...headers }, body });

/** Looks after the memory and after health while `work` goes on. */
async function watched<T>(
  work: Promise<T>,
): Promise<{ answer: T; mostMb: number; health: readonly number[] }> {
  let done = false;
  let mostMb = 0;
  const health: number[] = [];
  const ended = work.finally(() => {
    done = true;
  });
  ended.catch(() => undefined);
  // Now and then: to look is work for this machine, too.
  const look = async (): Promise<boolean> => {
    mostMb = Math.max(mostMb, residentMb());
    health.push(await healthMs().catch(() => Number.POSITIVE_INFINITY));
    return done;
  };
  await until(look, { timeoutMs: Number.POSITIVE_INFINITY });
  return { answer: await ended, mostMb, health };
}

function expectUnmoved(health: readonly number[]): void {
  const sorted = health.toSorted((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(PROMPT_MS);
  expect(sorted.at(-1)).toBeLessThan(LONGEST_MS);
}

/** A request whose body is written by hand. Resolves with the status, or null where the connection was cut. */
function open(headers: Record<string, string | number>): {
  out: ClientRequest;
  status: Promise<number | null>;
} {
  const out = request(`${origin}/webhooks/github`, { method: "POST", headers, agent: false });
  const status = new Promise<number | null>((resolve) => {
    out.once("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? null);
    });
    out.once("error", () => resolve(null));
    out.once("close", () => resolve(null));
  });
  return { out, status };
}

const signed = (): Record<string, string> => ({ ...delivery({ ref: "refs/heads/x" }).headers });

describe("bodies that are too large", () => {
  test("are refused by what they say of themselves, before they come", async () => {
    const { out, status } = open({ ...signed(), "content-length": LARGEST + 1 });
    out.flushHeaders();
    expect(await status).toBe(413);
    out.destroy();
  });

  test("are refused when they have become too large, many at a time, in bounded memory", async () => {
    const chunk = Buffer.alloc(MB, "x");
    const pour = async (): Promise<number | null> => {
      const { out, status } = open({ ...signed(), "transfer-encoding": "chunked" });
      let answered = false;
      void status.finally(() => {
        answered = true;
      });
      for (let n = 0; n < 40 && !answered; n++) {
        if (!out.write(chunk)) await Promise.race([once(out, "drain").catch(() => undefined), status]);
      }
      const result = await status;
      out.destroy();
      return result;
    };
    const { answer, mostMb, health } = await watched(Promise.all(Array.from({ length: 16 }, pour)));
    // 413 for one that outgrew its limit, 503 where there was no room left for one more; or cut while it still sent.
    for (const status of answer) expect([413, 503, null]).toContain(status);
    expect(answer.some((status) => status !== null)).toBe(true);
    expect(mostMb).toBeLessThan(atRestMb + MORE_MB);
    expectUnmoved(health);
  });
});

describe("senders who take their time", () => {
  test("a body that does not come is given up after ten seconds, and holds up nobody until then", async () => {
    const opened = Array.from({ length: 100 }, () => {
      const one = open({ ...signed(), "content-length": 1_000 });
      one.out.write("{");
      return one;
    });
    const { answer, health } = await watched(Promise.all(opened.map((one) => one.status)));
    expect(new Set(answer)).toEqual(new Set([408]));
    expectUnmoved(health);
    for (const { out } of opened) out.destroy();
  });

  test("thousands of connections that say nothing, or headers without an end, hold up nobody", async () => {
    const { hostname, port } = new URL(origin);
    const sockets = await Promise.all(
      Array.from({ length: 3_000 }, async (_, n): Promise<Socket> => {
        const socket = connect(Number(port), hostname);
        socket.on("error", () => undefined);
        await once(socket, "connect");
        if (n % 2 === 0) socket.write("POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        return socket;
      }),
    );
    expectUnmoved([await healthMs()]);
    expect((await send(delivery({ ref: "refs/heads/between" }))).status).toBe(202);
    expect(residentMb()).toBeLessThan(atRestMb + MORE_MB);
    for (const socket of sockets) socket.destroy();
  });
});

describe("floods of headers", () => {
  const raw = async (head: string): Promise<string> => {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname);
    let said = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    socket.on("error", () => undefined);
    socket.write(`POST /webhooks/github HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n`);
    await until(() => said !== "" || socket.destroyed, { what: "an answer" });
    socket.destroy();
    return said.slice(0, 12);
  };

  test("more bytes than anybody has reason to send are answered with 431", async () => {
    expect(await raw(`X-Large: ${"x".repeat(64 * 1024)}`)).toBe("HTTP/1.1 431");
  });

  test("more headers than anybody has reason to send are refused", async () => {
    const many = Array.from({ length: 3_000 }, (_, n) => `x-${n}: 1`).join("\r\n");
    expect(await raw(many)).toMatch(/^HTTP\/1\.1 4\d\d$/);
    expect(await raw("Content-Length: 1\r\nContent-Length: 2")).toMatch(/^HTTP\/1\.1 4\d\d$/);
    expect(await raw("Content-Length: -1")).toMatch(/^HTTP\/1\.1 4\d\d$/);
  });
});

describe("JSON that is meant to hurt, with a signature that holds", () => {
  const bombs: Record<string, () => string> = {
    "a million arrays in each other": () => "[".repeat(1_000_000) + "]".repeat(1_000_000),
    "the same beside what is asked for": () =>
      `{"ref":"refs/heads/x","repository":${JSON.stringify(REPOSITORY)},"more":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    "an array of eight million zeros": () => `[${"0,".repeat(8_000_000)}0]`,
    "half a million keys": () => `{${Array.from({ length: 500_000 }, (_, n) => `"k${n}":0`).join(",")}}`,
    "one string of twenty megabytes": () => `{"ref":"${"x".repeat(20 * MB)}"}`,
    "a number of a million digits": () => `{"ref":${"9".repeat(1_000_000)}}`,
  };
  test.each(Object.keys(bombs))("%s", async (name) => {
    const bomb = delivery(bombs[name]?.() ?? "");
    const { answer, mostMb, health } = await watched(send(bomb));
    expect([202, 400]).toContain(answer.status);
    expect(mostMb).toBeLessThan(atRestMb + MORE_MB);
    expectUnmoved(health);
  });
});

describe("nonsense with a signature that holds", () => {
  const full = { ref: "refs/heads/x", repository: REPOSITORY };
  const nonsense: Record<string, object | string> = {
    "nothing at all": "",
    null: "null",
    "a text": '"refs/heads/x"',
    "a number": "1e999",
    "half an object": '{"ref":',
    "the right keys with the wrong types": { ref: 7, repository: "acme/shop" },
    "a repository without a number": { ...full, repository: { ...REPOSITORY, id: "4711" } },
    "an id beyond what numbers hold": `{"ref":"refs/heads/x","repository":{"id":1e400,"full_name":"acme/shop"}}`,
    "a name with a zero byte": { ...full, ref: "refs/heads/a\u0000b" },
    "a name with half a character": `{"ref":"refs/heads/\\ud800","repository":${JSON.stringify(REPOSITORY)}}`,
    "a name that turns the line around": { ...full, ref: "refs/heads/\u202egnp" },
    "a name of ten thousand characters": { ...full, ref: `refs/heads/${"x".repeat(10_000)}` },
    "a name made of SQL": { ...full, ref: "refs/heads/'; drop schema branchline cascade; --" },
    "keys that reach for the prototype": `{"__proto__":{"ref":"x"},"constructor":{"prototype":1},"ref":"refs/heads/x"}`,
    "a repository nobody configured": { ...full, repository: { ...REPOSITORY, full_name: "mallory/evil" } },
  };
  test.each(Object.keys(nonsense))("%s", async (name) => {
    const { status } = await send(delivery(nonsense[name] ?? ""));
    expect([202, 400]).toContain(status);
  });

  test("bytes that are no text", async () => {
    const bytes = Uint8Array.from([0xff, 0xfe, 0x00, 0x80]);
    const { headers } = signDelivery(secret, "push", "");
    expect((await send({ headers, body: bytes })).status).toBe(401);
  });

  test("an event or an id that is none", async () => {
    const { headers, body } = delivery(full);
    for (const [name, value] of [
      ["x-github-event", "Push!"],
      ["x-github-delivery", "x".repeat(500)],
      ["x-hub-signature-256", "sha256=00"],
      ["content-type", "text/xml"],
      ["content-encoding", "gzip"],
    ] as const) {
      const { status } = await send({ headers: { ...headers, [name]: value }, body });
      expect(status === 202 ? name : status).toSatisfy(
        (given: number | string) =>
          given === "content-encoding" || (Number(given) >= 400 && Number(given) < 500),
      );
    }
  });
});

describe("a hundred thousand events for one branch", () => {
  test("are all on disk, are one thing to do, and cost bounded memory", { timeout: 840_000 }, async () => {
    const EVENTS = 100_000;
    const before = await counted();
    const pool = new Pool(origin, { connections: 32 });
    let left = EVENTS;
    let refused = 0;
    const post = async (one: ReturnType<typeof delivery>): Promise<number> => {
      const { statusCode, body } = await pool.request({ path: "/webhooks/github", method: "POST", ...one });
      await body.dump();
      return statusCode;
    };
    const sender = async (): Promise<void> => {
      while (left-- > 0) {
        const one = delivery({ ref: "refs/heads/busy" });
        // A connection that lay idle while we stood still is closed under us: the same is sent again, as GitHub would.
        if ((await post(one).catch(() => post(one))) !== 202) refused += 1;
      }
    };
    const { mostMb, health } = await watched(Promise.all(Array.from({ length: 32 }, sender)));
    await pool.close();
    expect(refused).toBe(0);
    expect((await counted()).events - before.events).toBe(EVENTS);
    expect((await counted()).due).toBe(1);
    expect(mostMb).toBeLessThan(atRestMb + MORE_MB);
    expectUnmoved(health);
  });
});

async function counted(): Promise<{ events: number; due: number }> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ events: number; due: number }>(
      `select (select count(*)::int from branchline.event) as events,
        (select count(*)::int from branchline.source where due_at is not null) as due`,
    );
    return rows[0] ?? { events: 0, due: 0 };
  } finally {
    await client.end();
  }
}
