import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decodeJson, errorFromStatus, retryAfterMs, throttledMs } from "../../../../services/http.ts";
import { SyncError } from "../../../../services/sync/errors.ts";
import type { OutgoingResponse } from "../../../../services/sync/ports.ts";

const NOW = Date.parse("2026-11-20T10:00:00Z");

function answer(status: number, headers: Record<string, string> = {}, body: unknown = ""): OutgoingResponse {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status, headers, body: text, requestId: "req-1", date: undefined };
}

describe("retryAfterMs()", () => {
  test.each([
    ["seconds", { "retry-after": "39" }, 39_000],
    ["a date", { "retry-after": "Fri, 20 Nov 2026 10:01:00 GMT" }, 60_000],
    [
      "GitHub's reset",
      { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(NOW / 1000 + 30) },
      30_000,
    ],
    ["zero, clamped", { "retry-after": "0" }, 1_000],
    ["a date gone by, clamped", { "retry-after": "Fri, 20 Nov 2026 09:00:00 GMT" }, 1_000],
    ["a day, clamped", { "retry-after": "86400" }, 15 * 60_000],
  ])("understands %s", (_, headers: Record<string, string>, ms) => {
    expect(retryAfterMs(answer(429, headers), NOW)).toBe(ms);
  });

  test("understands the reset in Vercel's body, also one that is past", () => {
    const body = (reset: number) => ({
      error: { code: "rate_limited", limit: { total: 60, remaining: 0, reset } },
    });
    expect(retryAfterMs(answer(429, {}, body(NOW / 1000 + 39)), NOW)).toBe(39_000);
    expect(retryAfterMs(answer(429, {}, body(NOW / 1000 - 1)), NOW)).toBe(1_000);
  });

  test("goes by the vendor's clock where there is one", () => {
    const headers = { "retry-after": "Fri, 20 Nov 2026 10:01:00 GMT" };
    const response = { ...answer(429, headers), date: new Date(NOW + 50_000) };
    expect(retryAfterMs(response, NOW)).toBe(10_000);
  });

  test.each([
    ["nothing is said", {}],
    ["calls remain", { "x-ratelimit-remaining": "12", "x-ratelimit-reset": "9999999999" }],
    ["it cannot be understood", { "retry-after": "soon" }],
  ])("is undefined when %s", (_, headers: Record<string, string>) => {
    expect(retryAfterMs(answer(429, headers), NOW)).toBeUndefined();
  });
});

describe("throttledMs()", () => {
  const reset = String(NOW / 1000 + 30);

  test.each([
    ["429 with a wait", 429, { "retry-after": "5" }, 5_000],
    ["429 without one", 429, {}, 60_000],
    ["403 that is a limit", 403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset }, 30_000],
    [
      "the last call that is allowed",
      200,
      { "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset },
      30_000,
    ],
    ["a call with more to come", 200, { "x-ratelimit-remaining": "1", "x-ratelimit-reset": reset }, null],
    ["403 for want of a permission", 403, {}, null],
    ["a vendor that is down, which is no limit", 503, { "retry-after": "5" }, null],
  ])("understands %s", (_, status, headers: Record<string, string>, ms) => {
    expect(throttledMs(answer(status, headers), NOW)).toBe(ms);
  });
});

describe("errorFromStatus()", () => {
  test.each([
    [301, "target_missing"],
    [400, "internal"],
    [401, "unauthenticated"],
    [402, "limit_exceeded"],
    [403, "forbidden"],
    [404, "target_missing"],
    [409, "conflict"],
    [413, "invalid_secret"],
    [422, "invalid_secret"],
    [423, "unavailable"],
    [429, "rate_limited"],
    [500, "unavailable"],
    [503, "unavailable"],
  ])("%i is %s", (status, code) => {
    const error = errorFromStatus(answer(status, {}, "canary"), { vendor: "acme", operation: "GET /thing" });
    expect(error.code).toBe(code);
    expect(error.where).toEqual({ vendor: "acme", operation: "GET /thing", status, requestId: "req-1" });
    expect(error.message).not.toContain("canary");
  });

  test("takes a 403 with limit headers for a limit", () => {
    const error = errorFromStatus(answer(403, { "retry-after": "60" }), {
      vendor: "github",
      operation: "PUT /x",
    });
    expect(error).toMatchObject({ code: "rate_limited", retryAfterMs: 60_000 });
  });

  test("waits a minute if a limit names no time", () => {
    const error = errorFromStatus(answer(429), { vendor: "acme", operation: "GET /x" });
    expect(error.retryAfterMs).toBe(60_000);
  });

  test.each([
    ["PUT /x", undefined, true],
    ["GET /x", undefined, false],
    ["GetSecretValue", false, false],
    ["PutSecretValue", true, true],
  ])("a 502 to %s (write: %s) is ambiguous: %s", (operation, write, ambiguous) => {
    const context = { vendor: "acme", operation, ...(write === undefined ? {} : { write }) };
    expect(errorFromStatus(answer(502), context).ambiguous).toBe(ambiguous);
  });
});

describe("decodeJson()", () => {
  const context = { vendor: "acme", operation: "POST /x" };

  test("lets through what nobody asked for", () => {
    const schema = z.object({ id: z.string() });
    expect(decodeJson(answer(200, {}, { id: "1", more: true }), schema, context)).toEqual({ id: "1" });
  });

  test.each(["<html>canary</html>", "", '{"id": 7, "value": "canary"}'])(
    "refuses %s without quoting it",
    (body) => {
      const run = () => decodeJson(answer(200, {}, body), z.object({ id: z.string() }), context);
      expect(run).toThrow(SyncError);
      expect(run).toThrow(expect.objectContaining({ code: "unavailable", ambiguous: true }));
      expect(run).not.toThrow(/canary/);
    },
  );
});
