import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { Secret } from "../../../../services/sync/secret.ts";
import { isSignedGitHub, verifyGitHub } from "../../../../services/webhooks/github.ts";
import type { WebhookResult } from "../../../../services/webhooks/result.ts";

type Payload = Record<string, unknown>;
interface Event {
  readonly name: string;
  readonly examples: readonly Payload[];
}
const EVENTS: readonly Event[] = createRequire(import.meta.url)("@octokit/webhooks-examples");

/** The published example whose fields have these values. */
function example(name: string, fields: Payload = {}): Payload {
  const found = EVENTS.find((event) => event.name === name)?.examples.find((payload) =>
    Object.entries(fields).every(([key, value]) => payload[key] === value),
  );
  if (found === undefined) throw new Error(`no example of ${name}`);
  return structuredClone(found);
}

const KEY = "a webhook secret of some length";
const DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

interface Sent {
  readonly event?: string;
  readonly payload?: unknown;
  readonly body?: string | Uint8Array;
  readonly key?: string;
  readonly secrets?: readonly string[];
  readonly headers?: Readonly<Record<string, string | null>>;
}

function send({
  event = "push",
  payload,
  body,
  key = KEY,
  secrets = [KEY],
  headers = {},
}: Sent): WebhookResult {
  const bytes = Buffer.from(body ?? JSON.stringify(payload));
  const sent = new Headers({
    "content-type": "application/json",
    "x-github-event": event,
    "x-github-delivery": DELIVERY,
    "x-hub-signature-256": `sha256=${createHmac("sha256", key).update(bytes).digest("hex")}`,
  });
  for (const [name, value] of Object.entries(headers)) {
    if (value === null) sent.delete(name);
    else sent.set(name, value);
  }
  return verifyGitHub({ headers: sent, body: bytes, secrets: secrets.map((secret) => new Secret(secret)) });
}

const badSignature = { result: "refused", code: "bad_signature" };
const malformed = { result: "refused", code: "malformed" };

describe("signature", () => {
  test("accepts GitHub's published vector, which then is no JSON", () => {
    const published = {
      body: "Hello, World!",
      secrets: ["It's a Secret to Everybody"],
      headers: {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
      },
    };
    expect(send(published)).toMatchObject(malformed);
    expect(send({ ...published, body: "Hello, World" })).toMatchObject(badSignature);
  });

  test("accepts any of several secrets, wherever it stands", () => {
    const payload = example("push");
    expect(send({ payload, secrets: ["other", KEY] }).result).not.toBe("refused");
    expect(send({ payload, secrets: [KEY, "other"] }).result).not.toBe("refused");
    expect(send({ payload, secrets: ["other", "another"] })).toMatchObject(badSignature);
  });

  test("refuses everything while there is no secret, or an empty one", () => {
    expect(send({ payload: {}, secrets: [] })).toMatchObject(badSignature);
    expect(send({ payload: {}, key: "", secrets: [""] })).toMatchObject(badSignature);
  });

  test.each([
    null,
    "",
    "sha256=",
    `sha256=${"0".repeat(63)}`,
    `sha256=${"0".repeat(64)}`,
    `sha1=${"0".repeat(40)}`,
    "0".repeat(64),
  ])("refuses %s", (value) => {
    expect(send({ payload: example("push"), headers: { "x-hub-signature-256": value } })).toMatchObject(
      badSignature,
    );
  });

  test("refuses the right signature sent twice", () => {
    const body = JSON.stringify(example("push"));
    const good = `sha256=${createHmac("sha256", KEY).update(body).digest("hex")}`;
    expect(send({ body, headers: { "x-hub-signature-256": `${good}, ${good}` } })).toMatchObject(
      badSignature,
    );
  });

  test("is over the raw bytes: the same JSON written otherwise does not pass", () => {
    const headers = {
      "x-hub-signature-256": `sha256=${createHmac("sha256", KEY).update('{"a":1}').digest("hex")}`,
    };
    expect(send({ body: '{ "a": 1 }', headers })).toMatchObject(badSignature);
  });

  test("can be told missing before the body is read", () => {
    expect(isSignedGitHub(new Headers())).toBe(false);
    expect(isSignedGitHub(new Headers({ "x-hub-signature-256": `sha256=${"a".repeat(64)}` }))).toBe(true);
  });
});

describe("body", () => {
  test("may be form-encoded, with the signature over the form", () => {
    const body = new URLSearchParams({
      payload: JSON.stringify(example("push", { ref: "refs/heads/master" })),
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(send({ body: body.toString(), headers })).toMatchObject({
      result: "hint",
      hint: { gitBranch: "master" },
    });
    expect(send({ body: "other=1", headers })).toMatchObject(malformed);
  });

  test("may name its character set", () => {
    const headers = { "content-type": "application/json; charset=utf-8" };
    expect(send({ payload: example("push"), headers }).result).not.toBe("refused");
  });

  test.each(["text/plain", "application/xml", null])("of type %s is refused", (type) => {
    const result = send({ payload: example("push"), headers: { "content-type": type } });
    expect(result).toMatchObject({ result: "refused", code: "unsupported_media_type" });
  });

  test.each(["", "{", '{"a":1}x', Buffer.from([0xff, 0xfe, 0x7b, 0x7d])])(
    "that is no JSON is malformed",
    (body) => {
      expect(send({ body })).toMatchObject(malformed);
    },
  );

  test.each(["null", "[]", '"text"', "{}", '{"ref":1}'])(
    "that is JSON but no payload is malformed: %s",
    (body) => {
      for (const event of ["push", "create", "delete", "pull_request"]) {
        expect(send({ event, body })).toMatchObject(malformed);
      }
    },
  );

  test("that names a branch no database can hold is malformed, and the name is not repeated", () => {
    const payload = { ...example("push"), ref: "refs/heads/canary\u0000" };
    const result = send({ payload });
    expect(result).toMatchObject(malformed);
    expect(JSON.stringify(result)).not.toContain("canary");
  });
});

describe("headers", () => {
  test.each([null, "", "a b", "x".repeat(65)])("delivery id %s is malformed", (id) => {
    expect(send({ payload: example("push"), headers: { "x-github-delivery": id } })).toMatchObject(malformed);
  });

  test.each([null, "", "Push!", "__proto__x/"])("event %s is malformed", (event) => {
    expect(send({ payload: example("push"), headers: { "x-github-event": event } })).toMatchObject(malformed);
  });

  test.each(["constructor", "__proto__", "star"])("event %s is ignored, not looked up", (event) => {
    expect(send({ event, payload: {} })).toMatchObject({ result: "ignored", ignored: { kind: event } });
  });
});

describe("create and delete", () => {
  test.each(["create", "delete"])("%s of a branch is a hint", (event) => {
    const payload = { ...example(event), ref: "preview/login", ref_type: "branch" };
    expect(send({ event, payload })).toEqual({
      result: "hint",
      hint: {
        origin: "github",
        deliveryId: DELIVERY,
        kind: event,
        repository: { id: 186853002, fullName: "Codertocat/Hello-World" },
        gitBranch: "preview/login",
        action: null,
        sha: null,
        fork: false,
      },
    });
  });

  test.each(["create", "delete"])("%s of a tag is ignored", (event) => {
    expect(send({ event, payload: example(event) })).toMatchObject({
      result: "ignored",
      ignored: { kind: event },
    });
  });
});

describe("push", () => {
  test("to a branch is a hint with its short name", () => {
    const payload = example("push", { ref: "refs/heads/master" });
    expect(send({ payload })).toMatchObject({
      result: "hint",
      hint: { kind: "push", gitBranch: "master", fork: false },
    });
  });

  test.each([
    [{ created: true }, "created"],
    [{ deleted: true }, "deleted"],
    [{}, "updated"],
  ])("with %j has action %s", (flags, action) => {
    const payload = { ...example("push"), created: false, deleted: false, ...flags, ref: "refs/heads/a/b" };
    expect(send({ payload })).toMatchObject({ hint: { gitBranch: "a/b", action } });
  });

  test.each([
    [{ after: "a".repeat(40) }, "a".repeat(40)],
    [{ after: "0".repeat(40), deleted: true }, null],
    [{ after: "not a commit" }, null],
    [{ after: undefined }, null],
  ])("with %j is about the commit %s", (over, sha) => {
    const payload = { ...example("push"), deleted: false, ...over, ref: "refs/heads/a/b" };
    expect(send({ payload })).toMatchObject({ hint: { sha } });
  });

  test("of a tag is ignored", () => {
    expect(send({ payload: example("push", { ref: "refs/tags/simple-tag" }) })).toMatchObject({
      result: "ignored",
    });
  });
});

describe("pull_request", () => {
  const withHead = (repo: unknown): Payload => {
    const payload = example("pull_request", { action: "opened" });
    const pull = payload["pull_request"] as { head: Payload };
    pull.head = { ...pull.head, repo };
    return payload;
  };

  test.each(["opened", "reopened", "synchronize", "closed"])("%s is a hint about its head", (action) => {
    const result = send({ event: "pull_request", payload: example("pull_request", { action }) });
    expect(result).toMatchObject({
      result: "hint",
      hint: { kind: "pull_request", action, gitBranch: "changes", fork: false },
    });
  });

  test.each(["labeled", "assigned", "locked"])("%s is ignored", (action) => {
    const result = send({ event: "pull_request", payload: example("pull_request", { action }) });
    expect(result).toMatchObject({ result: "ignored", ignored: { kind: `pull_request.${action}` } });
  });

  test("from another repository is a fork", () => {
    const result = send({
      event: "pull_request",
      payload: withHead({ id: 1, full_name: "stranger/Hello-World" }),
    });
    expect(result).toMatchObject({
      hint: { fork: true, repository: { fullName: "Codertocat/Hello-World" } },
    });
  });

  test("from a repository that is gone is a fork", () => {
    expect(send({ event: "pull_request", payload: withHead(null) })).toMatchObject({ hint: { fork: true } });
  });
});

describe("ping", () => {
  test("of a repository's webhook names the repository", () => {
    const payload = example("ping");
    expect(send({ event: "ping", payload })).toMatchObject({
      hint: { kind: "ping", gitBranch: null, repository: { id: expect.any(Number) } },
    });
  });

  test("of an organization's webhook names none", () => {
    const payload = EVENTS.find((event) => event.name === "ping")?.examples.find(
      (one) => !("repository" in one),
    );
    expect(send({ event: "ping", payload })).toMatchObject({ hint: { kind: "ping", repository: null } });
  });
});

test("every published example of every event is understood or ignored, and none is refused", () => {
  for (const { name, examples } of EVENTS) {
    for (const payload of examples)
      expect([name, send({ event: name, payload }).result]).not.toContain("refused");
  }
});
