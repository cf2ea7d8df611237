import { describe, expect, test } from "vitest";
import { readiness } from "../../../../services/api/health.ts";
import type { Probe } from "../../../../services/api/ports.ts";
import { harness } from "./harness.ts";

const well = (name: string): Probe => ({ name, check: async () => null });
const dead: Probe = {
  name: "database",
  check: () => Promise.reject(new Error("postgres://app:canary@host/db")),
};

describe("GET /healthz", () => {
  test("is well as long as the process answers, whatever the database does", async () => {
    const answer = await harness({ probes: [dead] }).app.request("/healthz");
    expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
  });
});

describe("GET /readyz", () => {
  test("is ready when every probe is", async () => {
    const answer = await harness({ probes: [well("database"), well("migrations")] }).app.request("/readyz");
    expect([answer.status, await answer.json()]).toEqual([200, { status: "ready" }]);
  });

  test("needs no token, since orchestrators have none", async () => {
    expect((await harness().app.request("/readyz")).status).toBe(200);
  });

  test("says what is missing, each of it", async () => {
    const behind: Probe = { name: "migrations", check: async () => "2 migrations are not applied" };
    const answer = await harness({ probes: [dead, behind, well("queue")] }).app.request("/readyz");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("5");
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({
      type: "urn:branchline:problem:not_ready",
      detail: "Missing: database, migrations.",
      missing: [
        { name: "database", detail: "fails" },
        { name: "migrations", detail: "2 migrations are not applied" },
      ],
    });
    expect(text).not.toContain("canary");
  });

  test("tells what to look into, which is no reason not to be ready", async () => {
    const off: Probe = { name: "clock", check: async () => "9 s ahead" };
    const warnings = [{ name: "clock", detail: "9 s ahead" }];
    const ready = await harness({ probes: [well("database")], warnings: [off] }).app.request("/readyz");
    expect([ready.status, await ready.json()]).toEqual([200, { status: "ready", warnings }]);
    const missing = await harness({ probes: [dead], warnings: [off, well("disk")] }).app.request("/readyz");
    expect([missing.status, await missing.json()]).toMatchObject([503, { warnings }]);
  });

  test("does not wait for a database that is frozen", async () => {
    const frozen: Probe = { name: "database", check: () => new Promise(() => {}) };
    const answer = await harness({ probes: [] })
      .app.route("/fast", readiness([frozen], { probeMs: 1 }))
      .request("/fast/readyz");
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("does not answer");
  });
});
