import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { Hono } from "hono";
import { afterEach, describe, expect, test } from "vitest";
import { type Listening, type ListenOptions, serveListeners } from "../../../../services/api/listeners.ts";
import type { ApiEnv } from "../../../../services/api/ports.ts";
import { type ServeOptions, type Serving, serveApi } from "../../../../services/api/server.ts";
import { until } from "../../../support/until.ts";
import { githubHeaders, type Harness, harness, neonHeaders, PUSH } from "./harness.ts";

const MB = 1024 * 1024;
const cleanUps: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(options: Omit<ServeOptions, "port">): Promise<Serving> {
  const serving = await serveApi({ port: 0, ...options, limits: { drainMs: 50, ...options.limits } });
  cleanUps.push(() => serving.close());
  return serving;
}

async function serveHarness(h: Harness, limits: ServeOptions["limits"] = {}): Promise<URL> {
  const { url } = await serve({ app: h.app, limits });
  return new URL(url);
}

/** A raw connection, and all that came back so far. */
async function open(url: URL): Promise<{ socket: Socket; received: () => string; ended: () => boolean }> {
  const socket = connect(Number(url.port), url.hostname);
  cleanUps.push(() => void socket.destroy());
  let text = "";
  let ended = false;
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("close", () => {
    ended = true;
  });
  socket.on("error", () => {});
  await once(socket, "connect");
  return { socket, received: () => text, ended: () => ended };
}

function start(url: URL, path: string, headers: Record<string, string>): ClientRequest {
  const sent = request({ host: url.hostname, port: url.port, path, method: "POST", headers, agent: false });
  cleanUps.push(() => void sent.destroy());
  sent.on("error", () => {});
  return sent;
}

async function answerOf(sent: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  // Whoever goes on sending after the answer is cut off in the end.
  sent.on("error", () => {});
  answer.resume();
  return answer;
}

describe("serveApi()", () => {
  test("listens on loopback, on the port it tells", async () => {
    const { url } = await serve({ app: harness().app });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  test.each([
    ["/healthz", "GET"],
    ["/nowhere", "GET"],
    ["/webhooks/github", "POST"],
    ["/v1/branches", "GET"],
    ["/docs", "GET"],
  ])("%s %s is not kept, framed or guessed at on the wire either", async (path, method) => {
    const { url } = await serve({ app: harness().app });
    const { headers } = await fetch(url + path, { method });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("strict-transport-security")).toContain("max-age");
    const policy = headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    // The page of ours names its own style sheet, and no answer has two policies.
    expect(policy?.includes("style-src")).toBe(path === "/docs");
    expect(policy?.match(/default-src/g)).toHaveLength(1);
  });

  test("rejects if the port is taken", async () => {
    const { url } = await serve({ app: harness().app });
    await expect(serveApi({ app: harness().app, port: Number(new URL(url).port) })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
  });

  test("takes a delivery over a socket, with a length and in chunks", async () => {
    const h = harness();
    const url = await serveHarness(h);
    const chunked = start(url, "/webhooks/github", githubHeaders(PUSH));
    chunked.write(PUSH.slice(0, 10));
    chunked.end(PUSH.slice(10));
    expect((await answerOf(chunked)).statusCode).toBe(202);
    const whole = await fetch(new URL("/webhooks/github", url), {
      method: "POST",
      body: PUSH,
      headers: githubHeaders(PUSH),
    });
    expect([whole.status, h.ingested.length]).toEqual([202, 2]);
  });

  test("serves many deliveries over one connection, also after a refusal whose body was not read", async () => {
    const h = harness();
    const url = await serveHarness(h);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanUps.push(() => agent.destroy());
    for (const headers of [{}, githubHeaders(PUSH), githubHeaders("other"), githubHeaders(PUSH)]) {
      const sent = request(new URL("/webhooks/github", url), { method: "POST", agent, headers });
      sent.end(PUSH);
      await once(await answerOf(sent), "end");
    }
    expect(h.ingested).toHaveLength(2);
  });
});

describe("serveListeners()", () => {
  const listen = async (options: Omit<ListenOptions, "port" | "deps">): Promise<Listening> => {
    const listening = await serveListeners({ deps: harness().deps, port: 0, ...options });
    cleanUps.push(() => listening.close());
    return listening;
  };
  const statusOf = async (url: string, path: string) => (await fetch(url + path)).status;

  test("puts everything on one listener unless told otherwise", async () => {
    const { url, webhookUrl } = await listen({ webhookPort: null });
    expect(webhookUrl).toBe(url);
    expect([await statusOf(url, "/readyz"), await statusOf(url, "/webhooks/github")]).toEqual([200, 405]);
  });

  test("keeps the admin API off the webhooks' listener, and the other way round", async () => {
    const { url, webhookUrl } = await listen({ webhookPort: 0 });
    expect([await statusOf(url, "/readyz"), await statusOf(url, "/webhooks/github")]).toEqual([200, 404]);
    expect([await statusOf(webhookUrl, "/readyz"), await statusOf(webhookUrl, "/webhooks/github")]).toEqual([
      404, 405,
    ]);
  });

  test("leaves nothing open if the second port is taken", async () => {
    const taken = await listen({ webhookPort: null });
    const free = await listen({ webhookPort: null });
    await free.close();
    const port = Number(new URL(free.url).port);
    const webhookPort = Number(new URL(taken.url).port);
    await expect(serveListeners({ deps: harness().deps, port, webhookPort })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    await expect(fetch(free.url)).rejects.toThrow();
  });
});

describe("hostile senders", () => {
  test("100 MB in chunks are answered with 413 and never held", async () => {
    const h = harness();
    const url = await serveHarness(h);
    const headers = { ...githubHeaders("x"), "transfer-encoding": "chunked" };
    // Whoever asks for the connection to be closed may have it reset under the answer.
    const sent = start(url, "/webhooks/github", { ...headers, connection: "keep-alive" });
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const chunk = Buffer.alloc(256 * 1024);
    function* chunks() {
      for (let written = 0; written < 100 * MB; written += chunk.length) {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
        yield chunk;
      }
    }
    Readable.from(chunks()).pipe(sent);
    const answer = await answerOf(sent);
    expect(answer.statusCode).toBe(413);
    expect(peak).toBeLessThan(45 * MB);
    expect(h.ingested).toEqual([]);
  });

  test("a body that stops coming is answered with 408 and cut off", async () => {
    const url = await serveHarness(harness({ webhooks: { bodyTimeoutMs: 50 } }));
    const { socket, received, ended } = await open(url);
    const headers = Object.entries({ host: "x", ...neonHeaders("x"), "content-length": "100" });
    socket.write(
      `POST /webhooks/neon HTTP/1.1\r\n${headers.map((pair) => pair.join(": ")).join("\r\n")}\r\n\r\nslow`,
    );
    await until(ended, { what: "the connection to close" });
    expect(received()).toMatch(/^HTTP\/1\.1 408 /);
    expect(received()).toContain("urn:branchline:problem:body_too_slow");
  });

  test("a sender that goes away in the middle leaves nothing behind", async () => {
    const h = harness();
    const url = await serveHarness(h);
    const { socket } = await open(url);
    const headers = Object.entries({ host: "x", ...githubHeaders(PUSH), "content-length": "1000" });
    socket.write(
      `POST /webhooks/github HTTP/1.1\r\n${headers.map((pair) => pair.join(": ")).join("\r\n")}\r\n\r\n${PUSH}`,
    );
    socket.destroy();
    await until(() => h.logged().includes('"status":400'), { what: "the request to end" });
    expect(h.ingested).toEqual([]);
  });

  test("a flood of headers is answered with 431", async () => {
    const url = await serveHarness(harness());
    const { socket, received, ended } = await open(url);
    socket.write(`GET /healthz HTTP/1.1\r\nhost: x\r\n${"x-flood: 0123456789\r\n".repeat(2_000)}\r\n`);
    await until(ended, { what: "the connection to close" });
    expect(received()).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("headers that never end are answered with 408", async () => {
    const url = await serveHarness(harness(), { headersMs: 50 });
    const { socket, received, ended } = await open(url);
    socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\n");
    await until(ended, { what: "the connection to close" });
    expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("connections beyond the limit cost the place of the one that has said nothing for longest", async () => {
    const url = await serveHarness(harness(), { connections: 2 });
    const first = await open(url);
    const second = await open(url);
    expect((await fetch(new URL("/healthz", url))).status).toBe(200);
    await until(first.ended, { what: "the first connection to be dropped" });
    expect(second.ended()).toBe(false);
  });

  test("but never of one whose request is under way: then the new one is dropped, and room is made again", async () => {
    const url = await serveHarness(harness(), { connections: 1 });
    const busy = await open(url);
    const headers = Object.entries({ ...githubHeaders("{}"), expect: "100-continue", "content-length": "2" });
    const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    busy.socket.write(`POST /webhooks/github HTTP/1.1\r\nhost: x\r\n${head}\r\n`);
    await until(() => busy.received().includes("100 Continue"), { what: "the request to be under way" });
    const second = await open(url);
    await until(second.ended, { what: "the second connection to be dropped" });
    expect(busy.ended()).toBe(false);
    busy.socket.destroy();
    await until(async () => (await fetch(new URL("/healthz", url))).ok, { what: "room" });
  });

  test.each([
    "GET /healthz HTTP/1.1\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: a b\r\n\r\n",
    "POST /webhooks/neon HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "nonsense\r\n\r\n",
  ])("a request that is none gets 400 (%#)", async (raw) => {
    const h = harness();
    const { socket, received } = await open(await serveHarness(h));
    socket.write(raw);
    await until(() => received().includes("\r\n\r\n"), { what: "an answer" });
    expect(received()).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("close()", () => {
  /** An app whose one route answers when told to. */
  function slow() {
    let release = () => {};
    let started = false;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const app = new Hono<ApiEnv>().get("/slow", async (c) => {
      started = true;
      await gate;
      return c.text("done");
    });
    return { app, release, started: () => started };
  }

  test("lets an answer under way finish and takes no new connection", async () => {
    const { app, release, started } = slow();
    const { url, close } = await serve({ app, limits: { drainMs: 10_000 } });
    const answer = fetch(`${url}/slow`);
    await until(started, { what: "the request to arrive" });
    const closed = close();
    await expect(fetch(`${url}/slow`)).rejects.toThrow();
    release();
    expect(await (await answer).text()).toBe("done");
    await closed;
  });

  test("cuts what does not finish in time", async () => {
    const { app, started } = slow();
    const { url, close } = await serve({ app, limits: { drainMs: 20 } });
    const answer = fetch(`${url}/slow`).then(
      () => "answered",
      () => "cut",
    );
    await until(started, { what: "the request to arrive" });
    await close();
    expect(await answer).toBe("cut");
  });

  test("does not wait for a connection that is merely kept alive, and may be called twice", async () => {
    const { url, close } = await serve({ app: harness().app, limits: { drainMs: 60_000 } });
    await (await fetch(`${url}/healthz`)).text();
    await Promise.all([close(), close()]);
  });
});
