import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Secret } from "../../../../services/sync/secret.ts";
import { isSignedNeon, refuseNeonSecret, verifyNeon } from "../../../../services/webhooks/neon.ts";
import type { WebhookResult } from "../../../../services/webhooks/result.ts";

const NOW = Date.UTC(2026, 8, 1, 12);
const SECONDS = NOW / 1_000;
const whsec = (fill: number, length = 24) => `whsec_${Buffer.alloc(length, fill).toString("base64")}`;
const KEY = whsec(1);

const BRANCH_CREATED = {
  type: "branch.created",
  data: { project_id: "wispy-butterfly-1", branch_id: "br-1" },
};

function sign(secret: string, id: string, timestamp: string | number, body: string | Uint8Array): string {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;
}

interface Sent {
  readonly payload?: unknown;
  readonly body?: string | Uint8Array;
  readonly id?: string;
  readonly timestamp?: string | number;
  readonly key?: string;
  readonly secrets?: readonly string[];
  readonly signature?: (good: string) => string;
}

function send(sent: Sent = {}): WebhookResult {
  const { payload = BRANCH_CREATED, id = "msg_1", timestamp = SECONDS, key = KEY, secrets = [KEY] } = sent;
  const body = Buffer.from(sent.body ?? JSON.stringify(payload));
  const good = sign(key, id, timestamp, body);
  const headers = new Headers({
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": sent.signature?.(good) ?? good,
  });
  return verifyNeon({ headers, body, secrets: secrets.map((secret) => new Secret(secret)), now: NOW });
}

const badSignature = { result: "refused", code: "bad_signature" };
const stale = { result: "refused", code: "stale_timestamp" };
const malformed = { result: "refused", code: "malformed" };

describe("signature", () => {
  test("agrees with the example of the Standard Webhooks libraries", () => {
    // github.com/standard-webhooks/standard-webhooks, tests of the reference libraries.
    const result = verifyNeon({
      headers: new Headers({
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
      }),
      body: Buffer.from('{"test": 2432232314}'),
      secrets: [new Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
      now: 1_614_265_330_000,
    });
    // The signature holds; what it holds is none of our messages.
    expect(result).toMatchObject(malformed);
  });

  test("may be one of several, made with any of several secrets", () => {
    const other = whsec(2);
    expect(send({ secrets: [other, KEY] }).result).toBe("hint");
    expect(send({ secrets: [KEY, other] }).result).toBe("hint");
    expect(send({ signature: (good) => `v1a,xxxx v1,${"A".repeat(43)}= ${good}` }).result).toBe("hint");
    expect(send({ secrets: [other] })).toMatchObject(badSignature);
  });

  test.each([
    (good: string) => good.replace("v1,", "v2,"),
    (good: string) => good.replace("v1,", ""),
    (good: string) => `${good}x`,
    (good: string) => `${good},${good}`,
    () => "",
    () => "v1,",
    () => `v1,${"A".repeat(43)}=`,
  ])("of another form or value is refused (%#)", (signature) => {
    expect(send({ signature })).toMatchObject(badSignature);
  });

  test("covers id, timestamp and body", () => {
    const body = JSON.stringify(BRANCH_CREATED);
    expect(send({ signature: () => sign(KEY, "msg_2", SECONDS, body) })).toMatchObject(badSignature);
    expect(send({ signature: () => sign(KEY, "msg_1", SECONDS + 1, body) })).toMatchObject(badSignature);
    expect(send({ signature: () => sign(KEY, "msg_1", SECONDS, `${body} `) })).toMatchObject(badSignature);
  });

  test("further back than any rotation needs is not looked at", () => {
    const junk = `v1,${"A".repeat(43)}= `;
    expect(send({ signature: (good) => junk.repeat(7) + good }).result).toBe("hint");
    expect(send({ signature: (good) => junk.repeat(8) + good })).toMatchObject(badSignature);
  });

  test("made with a secret that is too short or has no prefix is refused", () => {
    for (const key of [whsec(1, 23), whsec(1, 65), "whsec_"]) {
      expect(send({ key, secrets: [key] })).toMatchObject(badSignature);
    }
    expect(send({ secrets: [KEY.slice("whsec_".length)] })).toMatchObject(badSignature);
    expect(send({ secrets: [] })).toMatchObject(badSignature);
  });

  test("can be told missing before the body is read", () => {
    expect(isSignedNeon(new Headers())).toBe(false);
    const headers = {
      "webhook-id": "1",
      "webhook-timestamp": "1",
      "webhook-signature": `v1,${"A".repeat(43)}=`,
    };
    expect(isSignedNeon(new Headers(headers))).toBe(true);
    expect(isSignedNeon(new Headers({ ...headers, "webhook-id": "a b" }))).toBe(false);
  });
});

describe("refuseNeonSecret()", () => {
  test("says what a secret must look like and does not repeat it", () => {
    expect(refuseNeonSecret(new Secret(KEY))).toBeNull();
    expect(refuseNeonSecret(new Secret("whsec_canary"))).toMatch(/24/);
    expect(refuseNeonSecret(new Secret("whsec_canary"))).not.toContain("canary");
  });
});

describe("timestamp", () => {
  test.each([-300, 0, 300])("%i seconds off passes", (seconds) => {
    expect(send({ timestamp: SECONDS + seconds }).result).toBe("hint");
  });

  test.each([-301, 301, -86_400, 1e9])("%i seconds off is stale", (seconds) => {
    expect(send({ timestamp: SECONDS + seconds })).toMatchObject(stale);
  });

  test.each(["now", "1e9", "-1", "0x1", `${SECONDS}.0`, String(NOW)])("%s is stale too", (timestamp) => {
    expect(send({ timestamp })).toMatchObject(stale);
  });

  test("is judged only once the signature holds", () => {
    expect(send({ timestamp: 1, secrets: [whsec(2)] })).toMatchObject(badSignature);
  });
});

describe("message", () => {
  test.each(["branch.created", "branch.updated", "branch.deleted", "role.password_reset"])(
    "%s is a hint",
    (type) => {
      const data = { project_id: "p-1", branch_id: "br-1", role: "app", extra: true };
      expect(send({ payload: { type, timestamp: "2026-09-01T12:00:00Z", data } })).toEqual({
        result: "hint",
        hint: {
          origin: "neon",
          deliveryId: "msg_1",
          kind: type,
          projectId: "p-1",
          branchId: "br-1",
          role: "app",
        },
      });
    },
  );

  test("without a branch means the whole project", () => {
    expect(
      send({ payload: { type: "branch.created", data: { project_id: "p-1", branch_id: null } } }),
    ).toMatchObject({
      hint: { branchId: null, role: null },
    });
  });

  test("of an unknown type is ignored with its name", () => {
    expect(send({ payload: { type: "endpoint.started", data: {} } })).toMatchObject({
      result: "ignored",
      ignored: { origin: "neon", deliveryId: "msg_1", kind: "endpoint.started" },
    });
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    "{}",
    '{"type":1}',
    '{"type":"branch.created"}',
    '{"type":"branch.created","data":{}}',
    '{"type":"branch.created","data":{"project_id":""}}',
    '{"type":"branch.created","data":{"project_id":"canary\\u0000"}}',
    Buffer.from([0xff, 0x7b, 0x7d]),
  ])("that does not fit is malformed: %s", (body) => {
    const result = send({ body });
    expect(result).toMatchObject(malformed);
    expect(JSON.stringify(result)).not.toContain("canary");
  });
});
