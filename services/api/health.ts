import { setTimeout as pause } from "node:timers/promises";
import { Hono } from "hono";
import type { ApiEnv, Probe } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

const PROBE_MS = 2_000;

/** `GET /healthz`: this process answers. Says nothing of the database: a restart would not mend that. */
export function liveness(): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/healthz", (c) => c.json({ status: "ok" }));
}

/** `GET /readyz`: this process can do its work, or 503 with what is missing. */
export function readiness(probes: readonly Probe[], probeMs = PROBE_MS): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/readyz", async (c) => {
    const results = await Promise.all(probes.map((probe) => ask(probe, probeMs)));
    const missing = results.filter((result) => result !== null);
    if (missing.length === 0) return c.json({ status: "ready" });
    throw new ApiProblem("not_ready", `Missing: ${missing.map(({ name }) => name).join(", ")}.`, {
      members: { missing },
      headers: { "retry-after": "5" },
    });
  });
}

async function ask(probe: Probe, probeMs: number): Promise<{ name: string; detail: string } | null> {
  const silence = pause(probeMs, "does not answer", { ref: false });
  // A rejection may quote a connection string; that it failed is all that gets out.
  const answer = await Promise.race([probe.check().catch(() => "fails"), silence]);
  return answer === null ? null : { name: probe.name, detail: answer };
}
