/** What anybody can send to a public listener: it costs the API neither its memory nor its answers to others. */
import { once } from "node:events";
import { type ClientRequest, request } from "node:http";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { expectUnmoved, type Listener, openListener, REPOSITORY } from "../support/listener.ts";
import { endAll } from "../support/process.ts";
import { until } from "../support/until.ts";

const MB = 1024 * 1024;
/** GitHub's own largest delivery, and ours. */
const LARGEST = 25 * MB;
const HEAP_MB = 256;
/** Beyond what it has at rest: its heap, 64 MB of large bodies that may be held at once, and their copies. */
const MORE_MB = 450;

let listener: Listener;

beforeAll(async () => {
  listener = await openListener({ heapMb: HEAP_MB });
});

afterAll(async () => {
  await listener.close();
  endAll();
});

afterEach(async () => {
  await listener.servesOthers();
});

/** A request whose body is written by hand. Resolves with the status, or null where the connection was cut. */
function open(headers: Record<string, string | number>): {
  out: ClientRequest;
  status: Promise<number | null>;
} {
  const out = request(`${listener.origin}/webhooks/github`, { method: "POST", headers, agent: false });
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

const signed = (): Record<string, string> => ({ ...listener.delivery({ ref: "refs/heads/x" }).headers });

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
    const { answer, mostMb, health } = await listener.watched(Promise.all(Array.from({ length: 16 }, pour)));
    // 413 for one that outgrew its limit, 503 where there was no room left for one more; or cut while it still sent.
    for (const status of answer) expect([413, 503, null]).toContain(status);
    expect(answer.some((status) => status !== null)).toBe(true);
    expect(mostMb).toBeLessThan(listener.atRestMb + MORE_MB);
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
    const { answer, health } = await listener.watched(Promise.all(opened.map((one) => one.status)));
    expect(new Set(answer)).toEqual(new Set([408]));
    expectUnmoved(health);
    for (const { out } of opened) out.destroy();
  });

  test("thousands of connections that say nothing, or headers without an end, hold up nobody", async () => {
    const { hostname, port } = new URL(listener.origin);
    const sockets = await Promise.all(
      Array.from({ length: 3_000 }, async (_, n): Promise<Socket> => {
        const socket = connect(Number(port), hostname);
        socket.on("error", () => undefined);
        await once(socket, "connect");
        if (n % 2 === 0) socket.write("POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        return socket;
      }),
    );
    expectUnmoved([await listener.healthMs()]);
    expect((await listener.send(listener.delivery({ ref: "refs/heads/between" }))).status).toBe(202);
    expect(listener.residentMb()).toBeLessThan(listener.atRestMb + MORE_MB);
    for (const socket of sockets) socket.destroy();
  });
});

describe("floods of headers", () => {
  const raw = async (head: string): Promise<string> => {
    const { hostname, port } = new URL(listener.origin);
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
    const bomb = listener.delivery(bombs[name]?.() ?? "");
    const { answer, mostMb, health } = await listener.watched(listener.send(bomb));
    expect([202, 400]).toContain(answer.status);
    expect(mostMb).toBeLessThan(listener.atRestMb + MORE_MB);
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
    const { status } = await listener.send(listener.delivery(nonsense[name] ?? ""));
    expect([202, 400]).toContain(status);
  });

  test("bytes that are no text", async () => {
    const bytes = Uint8Array.from([0xff, 0xfe, 0x00, 0x80]);
    const { headers } = listener.delivery("");
    expect((await listener.send({ headers, body: bytes })).status).toBe(401);
  });

  test("an event or an id that is none", async () => {
    const { headers, body } = listener.delivery(full);
    for (const [name, value] of [
      ["x-github-event", "Push!"],
      ["x-github-delivery", "x".repeat(500)],
      ["x-hub-signature-256", "sha256=00"],
      ["content-type", "text/xml"],
      ["content-encoding", "gzip"],
    ] as const) {
      const { status } = await listener.send({ headers: { ...headers, [name]: value }, body });
      expect(status === 202 ? name : status).toSatisfy(
        (given: number | string) =>
          given === "content-encoding" || (Number(given) >= 400 && Number(given) < 500),
      );
    }
  });
});
