import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import {
  BRANCH_CREATED,
  GITHUB_KEY,
  githubHeaders,
  harness,
  NEON_KEY,
  NOW,
  neonHeaders,
  PUSH,
} from "./harness.ts";

const CANARY = "canary-7Qx9";

type Body = NonNullable<RequestInit["body"]> | null;

const post = (body: Body, headers: Record<string, string>): RequestInit => ({
  method: "POST",
  headers,
  ...(body === null ? {} : { body }),
  duplex: "half",
});

/** Endless, and counts what was taken from it. */
function endless(chunk: Uint8Array): { stream: ReadableStream<Uint8Array>; taken: () => number } {
  let taken = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        taken += chunk.byteLength;
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, taken: () => taken };
}

const silent = () => new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });

describe("POST /webhooks/github", () => {
  test("answers 202 with the event's id once it is recorded", async () => {
    const { app, ingested } = harness();
    const answer = await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
    expect(answer.status).toBe(202);
    expect(await answer.json()).toEqual({ id: "1", outcome: "accepted" });
    expect(ingested).toMatchObject([
      {
        origin: "github",
        kind: "push",
        gitBranch: "preview/login",
        repository: { id: 7, fullName: "acme/shop" },
      },
    ]);
  });

  test("answers only after the commit", async () => {
    const steps: string[] = [];
    let release = () => {};
    const committed = new Promise<void>((resolve) => {
      release = resolve;
    });
    const ingest = async () => {
      steps.push("ingest");
      await committed;
      steps.push("committed");
      return { id: "1", outcome: "accepted" as const, reason: null };
    };
    const { app } = harness({ webhooks: { ingest } });
    const answer = Promise.resolve(app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)))).then(
      () => steps.push("answered"),
    );
    release();
    await answer;
    expect(steps).toEqual(["ingest", "committed", "answered"]);
  });

  test("records what is authentic but of no use, with the reason", async () => {
    const { app, ingested } = harness();
    const answer = await app.request("/webhooks/github", post("{}", githubHeaders("{}", "star")));
    expect(answer.status).toBe(202);
    expect(await answer.json()).toEqual({ id: "1", outcome: "ignored", reason: expect.any(String) });
    expect(ingested).toMatchObject([{ origin: "github", kind: "star" }]);
  });

  test("hands on a delivery that came before as what the store says of it", async () => {
    const ingest = async () => ({ id: "17", outcome: "duplicate" as const, reason: null });
    const { app } = harness({ webhooks: { ingest } });
    const answer = await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
    expect([answer.status, await answer.json()]).toEqual([202, { id: "17", outcome: "duplicate" }]);
  });
});

describe("POST /webhooks/neon", () => {
  test("answers 202 with the event's id once it is recorded", async () => {
    const { app, ingested } = harness();
    const answer = await app.request("/webhooks/neon", post(BRANCH_CREATED, neonHeaders(BRANCH_CREATED)));
    expect([answer.status, await answer.json()]).toEqual([202, { id: "1", outcome: "accepted" }]);
    expect(ingested).toMatchObject([{ origin: "neon", projectId: "wispy-butterfly-1", branchId: "br-1" }]);
  });

  test("records an unknown type as ignored", async () => {
    const { app, ingested } = harness();
    const body = JSON.stringify({ type: "endpoint.started", data: {} });
    const answer = await app.request("/webhooks/neon", post(body, neonHeaders(body)));
    expect([answer.status, await answer.json()]).toMatchObject([202, { outcome: "ignored" }]);
    expect(ingested).toHaveLength(1);
  });
});

describe("refusals leave nothing behind", () => {
  const refusals: [string, string, Body, Record<string, string>, number, string][] = [
    ["unsigned", "github", PUSH, {}, 401, "bad_signature"],
    [
      "signed with another secret",
      "github",
      PUSH,
      githubHeaders(PUSH, "push", "other"),
      401,
      "bad_signature",
    ],
    ["changed on the way", "github", `${PUSH} `, githubHeaders(PUSH), 401, "bad_signature"],
    ["no JSON", "github", "{", githubHeaders("{"), 400, "malformed"],
    ["no payload", "github", "[]", githubHeaders("[]"), 400, "malformed"],
    ["no body", "github", null, githubHeaders(""), 400, "malformed"],
    [
      "another type",
      "github",
      PUSH,
      { ...githubHeaders(PUSH), "content-type": "text/xml" },
      415,
      "unsupported_media_type",
    ],
    ["unsigned", "neon", BRANCH_CREATED, {}, 401, "bad_signature"],
    ["changed on the way", "neon", `${BRANCH_CREATED} `, neonHeaders(BRANCH_CREATED), 401, "bad_signature"],
    [
      "six minutes old",
      "neon",
      BRANCH_CREATED,
      neonHeaders(BRANCH_CREATED, NOW / 1_000 - 360),
      400,
      "stale_timestamp",
    ],
    [
      "six minutes ahead",
      "neon",
      BRANCH_CREATED,
      neonHeaders(BRANCH_CREATED, NOW / 1_000 + 360),
      400,
      "stale_timestamp",
    ],
    ["no JSON", "neon", "{", neonHeaders("{"), 400, "malformed"],
  ];

  test.each(refusals)("%s, at %s", async (_, origin, body, headers, status, code) => {
    const { app, ingested } = harness();
    const answer = await app.request(`/webhooks/${origin}`, post(body, headers));
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toMatchObject({ type: `urn:branchline:problem:${code}`, status });
    expect(ingested).toEqual([]);
  });

  test("while no secret is configured", async () => {
    const { app, ingested } = harness({ webhooks: { secrets: { github: () => [], neon: () => [] } } });
    const github = await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
    const neon = await app.request("/webhooks/neon", post(BRANCH_CREATED, neonHeaders(BRANCH_CREATED)));
    expect([github.status, neon.status, ingested]).toEqual([401, 401, []]);
  });

  test.each([
    ["/webhooks/github", githubHeaders("x"), 26 * 1024 * 1024],
    ["/webhooks/neon", neonHeaders("x"), 512 * 1024],
  ])("too large by its own account, without reading: %s", async (path, headers, bytes) => {
    const { app, ingested } = harness();
    const { stream, taken } = endless(new Uint8Array(1_024));
    const answer = await app.request(path, post(stream, { ...headers, "content-length": String(bytes) }));
    expect([answer.status, taken(), ingested]).toEqual([413, 0, []]);
  });

  test("too large without saying so: reading stops at the limit", async () => {
    const { app, ingested } = harness();
    const { stream, taken } = endless(new Uint8Array(64 * 1024));
    const answer = await app.request("/webhooks/neon", post(stream, neonHeaders("x")));
    expect([answer.status, ingested]).toEqual([413, []]);
    expect(taken()).toBeLessThanOrEqual((256 + 64) * 1024);
  });

  test("unsigned: the body is not read at all", async () => {
    const { app } = harness();
    const { stream, taken } = endless(new Uint8Array(1_024));
    const answer = await app.request("/webhooks/github", post(stream, {}));
    expect([answer.status, taken()]).toEqual([401, 0]);
  });

  test("too slow", async () => {
    const { app, ingested } = harness({ webhooks: { bodyTimeoutMs: 20 } });
    const answer = await app.request("/webhooks/github", post(silent(), githubHeaders("x")));
    expect([answer.status, ingested]).toEqual([408, []]);
  });

  test("broken off", async () => {
    const { app, ingested } = harness();
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error(CANARY)) });
    const answer = await app.request("/webhooks/github", post(broken, githubHeaders("x")));
    expect([answer.status, ingested]).toEqual([400, []]);
    expect(await answer.text()).not.toContain(CANARY);
  });
});

test("nothing that is not signed with our secret is ever recorded, whatever it looks like", async () => {
  const { app, ingested } = harness();
  const text = fc.string({ unit: "binary-ascii" }).map((value) => value.replace(/[^ -~]/g, ""));
  const headers = fc.record({
    "content-type": fc.oneof(fc.constant("application/json"), text),
    "x-github-event": fc.oneof(fc.constant("push"), text),
    "x-github-delivery": fc.oneof(fc.uuid(), text),
    "x-hub-signature-256": fc.oneof(
      fc
        .string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 64, maxLength: 64 })
        .map((hex) => `sha256=${hex}`),
      text,
    ),
    "webhook-id": text,
    "webhook-timestamp": fc.oneof(fc.constant(String(NOW / 1_000)), text),
    "webhook-signature": fc.oneof(
      fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((bytes) => `v1,${Buffer.from(bytes).toString("base64")}`),
      text,
    ),
  });
  const body = fc.oneof(fc.constantFrom(PUSH, BRANCH_CREATED), fc.uint8Array());
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("github", "neon"), body, headers, async (origin, bytes, sent) => {
      const answer = await app.request(
        `/webhooks/${origin}`,
        post(typeof bytes === "string" ? bytes : Buffer.from(bytes), sent),
      );
      expect(answer.status).toBe(401);
    }),
    { numRuns: 200 },
  );
  expect(ingested).toEqual([]);
});

test("large bodies share an allowance, and get it back", async () => {
  const { app } = harness({ webhooks: { bodyTimeoutMs: 200 } });
  const body = "x".repeat(24 * 1024 * 1024);
  const headers = githubHeaders("something else");
  const stuck = () => {
    let sent = false;
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) return new Promise(() => {});
        sent = true;
        controller.enqueue(Buffer.from(body));
        return undefined;
      },
    });
  };
  const three = [1, 2, 3].map(() => app.request("/webhooks/github", post(stuck(), headers)));
  const answers = await Promise.all(three);
  expect(answers.map((answer) => answer.status).sort()).toEqual([408, 408, 503]);
  const again = await app.request("/webhooks/github", post(body, headers));
  expect(again.status).toBe(401);
});

describe("when the event cannot be recorded", () => {
  test("a database that is away gives 503 with Retry-After", async () => {
    const ingest = () => Promise.reject(new SyncError("unavailable", "no connection"));
    const { app } = harness({ webhooks: { ingest } });
    const answer = await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
  });

  test("anything else gives 500 and no detail", async () => {
    const ingest = () => Promise.reject(new Error(`insert failed: ${CANARY}`));
    const { app, logged } = harness({ webhooks: { ingest } });
    const answer = await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({
      type: "urn:branchline:problem:internal",
      title: expect.any(String),
      status: 500,
      requestId: answer.headers.get("x-request-id"),
    });
    expect(logged()).toContain('"level":"error"');
    expect(logged()).not.toContain(CANARY);
  });
});

test("counts deliveries by origin and outcome", async () => {
  const { app, deps } = harness();
  await app.request("/webhooks/github", post(PUSH, githubHeaders(PUSH)));
  await app.request("/webhooks/neon", post(BRANCH_CREATED, {}));
  const { text } = await deps.metrics.scrape();
  expect(text).toContain('branchline_events_total{origin="github",outcome="accepted"} 1');
  expect(text).toContain('branchline_events_total{origin="neon",outcome="bad_signature"} 1');
});

test("a canary in body, headers and query is in no answer, log or metric", async () => {
  const { app, deps, logged } = harness();
  const body = JSON.stringify({
    type: "branch.created",
    data: { project_id: `${CANARY}\u0000`, role: CANARY },
    [CANARY]: 1,
  });
  const texts: string[] = [];
  for (const headers of [neonHeaders(body), neonHeaders(`${body} `), { "webhook-id": CANARY }]) {
    const answer = await app.request(
      `/webhooks/neon?token=${CANARY}`,
      post(body, { ...headers, "x-canary": CANARY }),
    );
    texts.push(await answer.text(), JSON.stringify([...answer.headers]));
  }
  texts.push(logged(), (await deps.metrics.scrape()).text);
  expect(texts.join("\n")).not.toContain(CANARY);
  expect(texts.join("\n")).not.toContain(GITHUB_KEY);
  expect(texts.join("\n")).not.toContain(NEON_KEY);
});
