import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { inspect } from "node:util";
import { generate } from "selfsigned";
import { afterEach, describe, expect, test } from "vitest";
import { type Call, closeConnections, createIo, type IoOptions, VERSION } from "../../../services/http.ts";
import { SyncError } from "../../../services/sync/errors.ts";
import type { OutgoingRequest } from "../../../services/sync/ports.ts";

const open: Server[] = [];

afterEach(async () => {
  await closeConnections();
  for (const server of open.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listen(handler: RequestListener, server: Server = createServer(handler)): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function io(options: Partial<IoOptions> = {}) {
  return createIo({
    fingerprint: () => "f",
    signal: new AbortController().signal,
    privateNetwork: true,
    timeoutMs: 5_000,
    ...options,
  });
}

function get(port: number, more: Partial<OutgoingRequest> = {}): OutgoingRequest {
  return {
    vendor: "acme",
    operation: "GET /thing",
    method: "GET",
    url: `http://127.0.0.1:${port}/thing`,
    ...more,
  };
}

async function failure(run: Promise<unknown>): Promise<SyncError> {
  const error = await run.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SyncError);
  return error as SyncError;
}

describe("createIo().fetch()", () => {
  test("says who calls, and sends what it was given", async () => {
    const seen: IncomingMessage[] = [];
    let body = "";
    const port = await listen((request, response) => {
      seen.push(request);
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => response.end("ok"));
    });
    await io().fetch(get(port, { method: "POST", headers: { "Content-Type": "text/plain" }, body: "hello" }));
    expect(seen[0]?.headers).toMatchObject({
      "user-agent": `branchline/${VERSION}`,
      "content-type": "text/plain",
      "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(body).toBe("hello");
  });

  test("sends nothing before it is admitted, and counts the wait for no part of the deadline", async () => {
    let asked = 0;
    const port = await listen((_, response) => {
      asked += 1;
      response.end("ok");
    });
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const calls: Call[] = [];
    const waiting = io({ admit: () => gate, timeoutMs: 2_000, onCall: (call) => calls.push(call) });
    const answered = waiting.fetch(get(port));
    await failure(io({ timeoutMs: 2_300 }).fetch(get(await listen(() => undefined))));
    expect(asked).toBe(0);
    open();
    expect((await answered).status).toBe(200);
    expect(calls[0]?.ms).toBeLessThan(2_000);
  });

  test.each([
    ["a line end in the middle", "authorization", "Bearer abc\ndef"],
    ["a line end behind it", "x-vault-token", "hvs.abc\n"],
    ["an invisible character", "Authorization", "Bearer abc\u200b"],
  ])("says of a credential with %s what is wrong with it, and asks nobody", async (_, name, value) => {
    const asked: OutgoingRequest[] = [];
    const counting = io({
      admit: async (request) => {
        asked.push(request);
      },
    });
    const error = await failure(counting.fetch(get(1, { headers: { [name]: value } })));
    expect(error).toMatchObject({
      code: "unauthenticated",
      message: "the credential for acme holds a character that no HTTP header can carry",
    });
    expect(inspect(error, { depth: 9 })).not.toContain("abc");
    expect(asked).toEqual([]);
  });

  test("makes no call that is not admitted", async () => {
    let asked = 0;
    const port = await listen((_, response) => {
      asked += 1;
      response.end("ok");
    });
    const admit = () => Promise.reject(new SyncError("rate_limited", "not now"));
    const calls: Call[] = [];
    const error = await failure(io({ admit, onCall: (call) => calls.push(call) }).fetch(get(port)));
    expect([error.code, asked, calls]).toEqual(["rate_limited", 0, []]);
  });

  test("shows every answer before the caller has it", async () => {
    const port = await listen((_, response) => response.writeHead(429, { "retry-after": "7" }).end());
    const seen: string[] = [];
    const onAnswer: IoOptions["onAnswer"] = async (request, response) => {
      seen.push(`${request.operation} ${response.status} ${response.headers["retry-after"]}`);
    };
    await io({ onAnswer })
      .fetch(get(port))
      .then(() => seen.push("caller"));
    expect(seen).toEqual(["GET /thing 429 7", "caller"]);
  });

  test("resolves with any status, its headers, date and request id", async () => {
    const port = await listen((_, response) => {
      response.writeHead(503, [
        ["X-Github-Request-Id", "C0FF:1"],
        ["Date", "Fri, 20 Nov 2026 10:00:00 GMT"],
        ["Link", "a"],
        ["Link", "b"],
      ]);
      response.end("busy");
    });
    expect(await io().fetch(get(port))).toMatchObject({
      status: 503,
      body: "busy",
      requestId: "C0FF:1",
      date: new Date("2026-11-20T10:00:00Z"),
      headers: { link: "a, b" },
    });
  });

  test("takes no header for a request id that does not look like one", async () => {
    const port = await listen((_, response) => response.setHeader("x-request-id", "an id, really").end());
    expect((await io().fetch(get(port))).requestId).toBeUndefined();
  });

  test("does not follow a redirect", async () => {
    const paths: (string | undefined)[] = [];
    const port = await listen((request, response) => {
      paths.push(request.url);
      response.writeHead(302, { location: "/elsewhere" }).end();
    });
    expect((await io().fetch(get(port))).status).toBe(302);
    expect(paths).toEqual(["/thing"]);
  });

  test("keeps connections for the next requests", async () => {
    const ports = new Set<number | undefined>();
    const port = await listen((request, response) => {
      ports.add(request.socket.remotePort);
      response.end("ok");
    });
    for (let n = 0; n < 12; n += 1) await io().fetch(get(port));
    // Two: a connection may still be finishing its answer when the next request comes.
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  test("gives up at the deadline, even in the middle of a body", async () => {
    const port = await listen((_, response) => void response.write("half"));
    const started = performance.now();
    const error = await failure(io().fetch(get(port, { method: "POST", timeoutMs: 100 })));
    expect(error).toMatchObject({ code: "unavailable", ambiguous: true });
    expect(error.message).toContain("0.1 s");
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test("refuses a body that never ends", async () => {
    const port = await listen((_, response) => {
      const chunk = Buffer.alloc(1024 * 1024, "x");
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", more);
      more();
    });
    expect(await failure(io().fetch(get(port)))).toMatchObject({ code: "internal" });
  });

  test("knows that a refused connection never took a request", async () => {
    const port = await listen(() => undefined);
    await new Promise((resolve) => open.pop()?.close(resolve));
    expect(await failure(io().fetch(get(port, { method: "POST" })))).toMatchObject({
      code: "unavailable",
      ambiguous: false,
    });
  });

  test.each([
    ["POST", true],
    ["PUT", true],
    ["DELETE", true],
    ["GET", false],
  ])("a %s whose connection breaks is ambiguous: %s", async (method, ambiguous) => {
    const port = await listen((request) => request.socket.destroy());
    expect(await failure(io().fetch(get(port, { method })))).toMatchObject({
      code: "unavailable",
      ambiguous,
    });
  });

  test("stops when its work stops, and starts nothing after", async () => {
    const stop = new AbortController();
    let asked = 0;
    const port = await listen(() => {
      asked += 1;
      stop.abort();
    });
    const options = { signal: stop.signal };
    expect(await failure(io(options).fetch(get(port, { method: "PUT" })))).toMatchObject({
      code: "unavailable",
      ambiguous: true,
    });
    expect(await failure(io(options).fetch(get(port, { method: "PUT" })))).toMatchObject({
      ambiguous: false,
    });
    expect(asked).toBe(1);
  });

  test("tells of every call, answered or not", async () => {
    const calls: Call[] = [];
    const port = await listen((request, response) => {
      if (request.url === "/thing") response.end();
      else request.socket.destroy();
    });
    const mine = io({ onCall: (call) => calls.push(call) });
    await mine.fetch(get(port));
    await failure(mine.fetch(get(port, { url: `http://127.0.0.1:${port}/other?token=abc` })));
    const call = { vendor: "acme", operation: "GET /thing", ms: expect.any(Number) };
    expect(calls).toEqual([
      { ...call, status: 200 },
      { ...call, status: null },
    ]);
  });

  test("lets nothing of the request into its errors", async () => {
    const port = await listen((request) => request.socket.destroy());
    const request = get(port, {
      method: "POST",
      url: `http://127.0.0.1:${port}/path?key=canary-query`,
      headers: { authorization: "Bearer canary-header" },
      body: "canary-body",
    });
    const error = await failure(io().fetch(request));
    const shown = `${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}${error.stack}`;
    expect(shown).not.toContain("canary");
  });

  test.each([
    ["http without leave", "http://api.example.com/"],
    ["a private address", "https://10.1.2.3/"],
    ["a loopback address in disguise", "https://0x7f.1/"],
    ["a mapped loopback address", "https://[::ffff:127.0.0.1]/"],
    ["a name that resolves to loopback", "https://localhost:1/"],
    ["a user name and password", "https://user:hunter2@api.example.com/"],
    ["something that is no URL", "api.example.com"],
  ])("refuses %s", async (_, url) => {
    const error = await failure(io({ privateNetwork: false }).fetch(get(1, { url, method: "POST" })));
    expect(error).toMatchObject({ code: "policy", ambiguous: false, where: { vendor: "acme" } });
    expect(error.message).not.toContain("hunter2");
  });

  test("refuses cloud metadata even on a private network", async () => {
    const error = await failure(io().fetch(get(1, { url: "http://169.254.169.254/latest" })));
    expect(error.code).toBe("policy");
  });

  test("refuses a certificate that it cannot trust, and takes one that it was told to trust", async () => {
    const pem = await generate([{ name: "commonName", value: "localhost" }], {
      extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }],
    });
    const handler = (_: IncomingMessage, response: ServerResponse) => void response.end("secure");
    const port = await listen(handler, createTlsServer({ key: pem.private, cert: pem.cert }, handler));
    const request = get(port, { url: `https://localhost:${port}/`, method: "POST" });
    const error = await failure(io().fetch(request));
    expect(error).toMatchObject({ code: "unavailable", ambiguous: false });
    expect(error.message).toContain("certificate");
    expect((await io({ ca: pem.cert }).fetch(request)).body).toBe("secure");
  });
});

test("VERSION is the package's", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  expect(VERSION).toBe(manifest.version);
});
