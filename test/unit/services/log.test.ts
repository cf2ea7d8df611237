import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { clean, createLogger, type LogLevel } from "../../../services/log.ts";
import { SyncError } from "../../../services/sync/errors.ts";
import { Secret } from "../../../services/sync/secret.ts";

const CANARY = "canary-7Qx9";

function capture(level: LogLevel = "trace") {
  const lines: string[] = [];
  const log = createLogger({ level, destination: { write: (line) => lines.push(line) } });
  const entries = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line));
  return { log, entries, text: () => lines.join("") };
}

describe("createLogger()", () => {
  test("writes one JSON line with level, time, fields and message", () => {
    const { log, entries } = capture();
    log.info({ place: "p1", tries: 2 }, "pushed");
    expect(entries()).toEqual([
      { level: "info", time: expect.stringMatching(/^\d{4}-.*Z$/), place: "p1", tries: 2, msg: "pushed" },
    ]);
  });

  test("takes a message alone", () => {
    const { log, entries } = capture();
    log.warn("lease lost");
    expect(entries()[0]).toMatchObject({ level: "warn", msg: "lease lost" });
  });

  test("is quiet below its level", () => {
    const { log, text } = capture("warn");
    log.info("nothing to see");
    expect(text()).toBe("");
  });

  test("adds the fields of every parent to a child's lines", () => {
    const { log, entries } = capture();
    log.child({ worker: 1 }).child({ place: "p1" }).info({ tries: 2 }, "pushed");
    expect(entries()[0]).toMatchObject({ worker: 1, place: "p1", tries: 2 });
  });

  test("leaves percent signs in a message alone", () => {
    const { log, entries } = capture();
    log.info({ a: 1 }, "30 % gone, %s %o %j");
    expect(entries()[0]).toMatchObject({ msg: "30 % gone, %s %o %j" });
  });

  test("survives circles, getters that throw, and huge objects", () => {
    const { log, entries } = capture();
    const circle: Record<string, unknown> = { name: "circle" };
    circle["self"] = circle;
    const trap = {
      get boom() {
        throw new Error(CANARY);
      },
    };
    const huge = Array.from({ length: 100_000 }, (_, index) => ({ index }));
    log.info({ circle, trap, huge, big: 12n, nothing: undefined }, "odd");
    expect(entries()[0]).toMatchObject({
      circle: { name: "circle", self: "[circular]" },
      trap: "[unreadable]",
      big: "12",
    });
    expect(JSON.stringify(entries()[0]).length).toBeLessThan(10_000);
  });
});

describe("clean()", () => {
  test("shows the kind of an object that is not plain, and nothing of it", () => {
    const headers = new Headers({ "x-anything": CANARY });
    // Not a Request: whoever loads the API's server in the same process replaces that one.
    expect(clean({ a: headers, b: Buffer.from(CANARY), c: new AbortController() })).toEqual({
      a: "[Headers]",
      b: `[${CANARY.length} bytes]`,
      c: "[AbortController]",
    });
  });

  test("keeps a count whose name sounds like a secret", () => {
    expect(clean({ tokens: 3, password: null })).toEqual({ tokens: 3, password: null });
  });

  test("keeps times, maps and sets readable", () => {
    const value = {
      at: new Date(0),
      bad: new Date(Number.NaN),
      map: new Map([["a", 1]]),
      set: new Set([1, 2]),
    };
    expect(clean(value)).toEqual({ at: "1970-01-01T00:00:00.000Z", bad: null, map: { a: 1 }, set: [1, 2] });
  });

  test.each([
    "password",
    "PGPASSWORD",
    "token",
    "refresh_token",
    "authorization",
    "Proxy-Authorization",
    "apiKey",
    "X-API-Key",
    "connectionString",
    "connection_uri",
    "uri",
    "cookie",
    "privateKey",
    "secret",
    "webhookSecret",
    "DATABASE_URL",
    "headers",
    "body",
  ])("hides whatever stands under %s", (key) => {
    expect(
      inspect(clean({ deep: [{ [key]: CANARY }, { [key]: { nested: CANARY } }] }), { depth: 9 }),
    ).not.toContain(CANARY);
  });

  test.each([
    `postgres://app:${CANARY}@ep-x.neon.tech/shop?sslmode=require`,
    `postgres://app:${CANARY}@odd@ep-x.neon.tech/shop`,
    `https://api.example.com/v1?key=${CANARY}`,
    `Authorization: Bearer ${CANARY}-and-more`,
    `host=x password=${CANARY} dbname=y`,
    `{"password":"${CANARY}"}`,
    `napi_${CANARY}`,
    `npg_${CANARY}`,
    `ghs_${CANARY}`,
    `hvs.${CANARY}`,
    `vcp_${CANARY}`,
    `whsec_${CANARY}`,
    `-----BEGIN RSA PRIVATE KEY-----\n${CANARY}`,
  ])("cuts what looks like a credential out of a text: %s", (text) => {
    expect(clean(`before ${text}`)).toMatch(/^before /);
    expect(clean(text)).not.toContain(CANARY);
  });

  test("cuts out tokens of OpenBao, which have no letters to be known by", () => {
    expect(clean("before s.iyNUhq8Ov4hIAx6snw5mB2nL after")).toBe("before [secret] after");
    expect(clean("see examples.md and files.example.com")).toBe("see examples.md and files.example.com");
  });

  test("cuts a credential that the length limit would have split", () => {
    const long = `${"x".repeat(4_072)} postgres://app:${CANARY}@host/db`;
    expect(clean(long)).not.toContain(CANARY.slice(0, 4));
  });
});

describe("errors", () => {
  test("a SyncError is logged with code, message, next and where", () => {
    const { log, entries } = capture();
    const err = new SyncError("rate_limited", "the vendor asks to wait", {
      next: "Nothing to do.",
      vendor: "vercel",
      status: 429,
      retryAfterMs: 1_000,
    });
    log.warn({ err }, "snoozed");
    expect(entries()[0]).toMatchObject({
      msg: "snoozed",
      err: {
        name: "SyncError",
        code: "rate_limited",
        message: "the vendor asks to wait",
        next: "Nothing to do.",
        retryAfterMs: 1_000,
        where: { vendor: "vercel", status: 429 },
      },
    });
  });

  test("any other error keeps class, code and frames, and loses its message", () => {
    const { log, entries, text } = capture();
    const cause = Object.assign(new TypeError(`cause ${CANARY}`), { code: "ECONNRESET" });
    const error = Object.assign(
      new RangeError(`request with ${CANARY}\n    at fake ${CANARY}:1:1`, { cause }),
      {
        config: { headers: { authorization: CANARY } },
      },
    );
    log.error(error, "it broke");
    expect(entries()[0]).toMatchObject({
      msg: "it broke",
      err: { name: "RangeError", cause: { name: "TypeError", code: "ECONNRESET" } },
    });
    expect(JSON.stringify(entries()[0]?.["err"])).toContain("log.test.ts");
    expect(text()).not.toContain(CANARY);
  });

  test("an error whose message was changed after it was made shows neither message", () => {
    const error = new Error(`first ${CANARY}\nsecond ${CANARY}`);
    error.message = "changed";
    expect(JSON.stringify(clean({ error }))).not.toContain(CANARY);
  });

  test("an AggregateError lists its parts without their messages", () => {
    const parts = [Object.assign(new Error(CANARY), { code: "ECONNREFUSED" }), CANARY];
    const cleaned = clean(new AggregateError(parts, CANARY));
    expect(cleaned).toMatchObject({ name: "AggregateError", errors: [{ code: "ECONNREFUSED" }] });
    expect(JSON.stringify(cleaned)).not.toContain(CANARY);
  });
});

test("a canary put everywhere a call site might put it appears nowhere", () => {
  const { log, text } = capture();
  const secret = new Secret(CANARY);
  const error = new Error(`GET failed: ${CANARY}`, { cause: CANARY });
  const url = new URL(`https://user:${CANARY}@host/path?token=${CANARY}#${CANARY}`);
  log.error(
    { err: error, secret, url, nested: { list: [secret, { apiKey: CANARY }] } },
    `at postgres://a:${CANARY}@h/d`,
  );
  log.error(error, "");
  log.error({ err: error }, `interpolated ${secret}`);
  log.child({ secret, token: CANARY }).child({ err: error }).info("child");
  log.child(error).info({ password: CANARY, map: new Map([["password", CANARY]]) }, "grandchild");
  log.info({ [`postgres://a:${CANARY}@h/d`]: 1 }, "as a key");
  log.info({ env: { DATABASE_URL: CANARY, NEON_API_KEY: CANARY } }, "environment");
  expect(text().split("\n")).toHaveLength(8);
  expect(text()).not.toContain(CANARY);
});
