import { Hono } from "hono";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startVendor, type Vendor, type VendorEnv } from "../../../infra/sandbox/vendor.ts";
import { until } from "../../support/until.ts";

interface Things {
  things: string[];
}

let vendor: Vendor<Things>;

beforeEach(async () => {
  const state: Things = { things: [] };
  const app = new Hono<VendorEnv>();
  app.get("/v1/things/:id", (c) => c.json({ id: c.req.param("id"), raw: c.env.rawUrl }));
  app.post("/v1/things", async (c) => {
    state.things.push(await c.req.text());
    return c.json({ made: true }, 201);
  });
  app.get("/v1/broken", () => {
    throw new TypeError("a bug");
  });
  vendor = await startVendor({
    name: "things",
    state,
    app,
    error: (status, c) => c.json({ thing_error: status }, { status: status as 500 }),
    inspect: (current) => current,
  });
});

afterEach(() => vendor.close());

const make = (body = "x") => fetch(`${vendor.url}/v1/things`, { method: "POST", body });

describe("startVendor()", () => {
  it("answers the vendor's routes and names them in the log", async () => {
    const response = await fetch(`${vendor.url}/v1/things/7?token=hidden`, {
      headers: { "x-key": "hidden" },
    });
    expect(await response.json()).toEqual({ id: "7", raw: "/v1/things/7?token=hidden" });
    expect(vendor.log).toMatchObject([
      {
        n: 1,
        method: "GET",
        path: "/v1/things/7",
        operation: "GET /v1/things/:id",
        status: 200,
        fault: null,
      },
    ]);
    await make("hidden");
    expect(JSON.stringify(vendor.log)).not.toContain("hidden");
  });

  it("answers an unknown route with the vendor's own 404", async () => {
    const response = await fetch(`${vendor.url}/v2/nothing`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ thing_error: 404 });
  });

  it("closes although a request hangs", async () => {
    vendor.addFault({ kind: "hang" });
    const hanging = make().catch((error: unknown) => error);
    await until(() => vendor.log.length === 1 && vendor.log[0]?.fault === "hang");
    await vendor.close();
    expect(await hanging).toBeInstanceOf(TypeError);
    expect(vendor.log[0]).toMatchObject({ status: null, fault: "hang" });
  });
});

describe("addFault()", () => {
  it("answers an injected status in the vendor's words and applies nothing", async () => {
    vendor.addFault({ kind: "status", status: 429, retryAfter: "3", method: "POST", path: "^/v1/things$" });
    const response = await make();
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await response.json()).toEqual({ thing_error: 429 });
    expect(vendor.state.things).toEqual([]);
    expect((await fetch(`${vendor.url}/v1/things/1`)).status).toBe(200);
  });

  it("lets `skip` requests pass and strikes `times` times", async () => {
    vendor.addFault({ kind: "status", status: 503, skip: 1, times: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await make()).status);
    expect(statuses).toEqual([201, 503, 503, 201, 201]);
  });

  it("applies and then dies, or dies without applying", async () => {
    vendor.addFault({ kind: "reset", times: 1 });
    await expect(make("first")).rejects.toThrow();
    expect(vendor.state.things).toEqual([]);
    vendor.addFault({ kind: "die-after-applying", times: 1 });
    await expect(make("second")).rejects.toThrow();
    expect(vendor.state.things).toEqual(["second"]);
    expect(vendor.log.map((line) => line.status)).toEqual([null, null]);
  });

  it("applies and then never answers", async () => {
    vendor.addFault({ kind: "hang-after-applying", times: 1 });
    const stop = new AbortController();
    const answer = fetch(`${vendor.url}/v1/things`, { method: "POST", body: "kept", signal: stop.signal });
    let answered = false;
    answer.then(
      () => {
        answered = true;
      },
      () => undefined,
    );
    await until(() => vendor.state.things.length > 0);
    // Whoever comes after it has an answer, and it has none.
    expect((await fetch(`${vendor.url}/v1/things/1`)).status).toBe(200);
    expect(answered).toBe(false);
    stop.abort();
    await expect(answer).rejects.toThrow("abort");
    expect(vendor.state.things).toEqual(["kept"]);
  });

  it("sends the head at once and drips the body", async () => {
    vendor.addFault({ kind: "drip", ms: 100 });
    const stop = new AbortController();
    const response = await fetch(`${vendor.url}/v1/things/1`, { signal: stop.signal });
    expect(response.status).toBe(200);
    setTimeout(() => stop.abort(), 300);
    await expect(response.text()).rejects.toThrow();
  });

  it("delays by latency", async () => {
    vendor.addFault({ kind: "latency", ms: 60, times: 1 });
    vendor.setLatency(20);
    await make();
    expect(vendor.log[0]?.ms).toBeGreaterThanOrEqual(75);
    await make();
    expect(vendor.log[1]?.ms).toBeGreaterThanOrEqual(18);
  });

  it("refuses a kind it does not know", () => {
    // @ts-expect-error: no such kind
    expect(() => vendor.addFault({ kind: "explode" })).toThrow("explode");
  });
});

describe("the control endpoints", () => {
  it("show state and log and are not logged themselves", async () => {
    await make("value");
    expect(await (await fetch(`${vendor.url}/__sandbox/state`)).json()).toEqual({ things: ["value"] });
    expect(await (await fetch(`${vendor.url}/__sandbox/log`)).json()).toHaveLength(1);
  });

  it("arm and clear faults, also while one blocks every request", async () => {
    const put = (path: string, method: string, body?: unknown) =>
      fetch(`${vendor.url}/__sandbox/${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
    expect((await put("faults", "POST", { kind: "status", status: 500 })).status).toBe(204);
    expect((await make()).status).toBe(500);
    expect((await put("faults", "DELETE")).status).toBe(204);
    expect((await make()).status).toBe(201);
    expect((await put("faults", "POST", { kind: "nonsense" })).status).toBe(400);
    expect((await put("latency", "PUT", { ms: 5 })).status).toBe(204);
    expect((await put("other", "GET")).status).toBe(404);
  });
});
