import { setTimeout as pause } from "node:timers/promises";
import { Hono } from "hono";
import type { ApiEnv, Probe } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

const PROBE_MS = 2_000;

/** `GET /healthz`: this process answers. Says nothing of the database: a restart would not mend that. */
export function liveness(): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/healthz", (c) => c.json({ status: "ok" }));
}

export interface ReadinessOptions {
  /** What is told and keeps nobody from being ready: a clock that is off. Default: nothing. */
  readonly warnings?: readonly Probe[];
  /** For one probe. Default 2 seconds. */
  readonly probeMs?: number;
}

/** `GET /readyz`: this process can do its work, or 503 with what is missing; either with what to look into. */
export function readiness(
  probes: readonly Probe[],
  { warnings: watched = [], probeMs = PROBE_MS }: ReadinessOptions = {},
): Hono<ApiEnv> {
  const failing = async (all: readonly Probe[]) =>
    (await Promise.all(all.map((probe) => ask(probe, probeMs)))).filter((result) => result !== null);
  return new Hono<ApiEnv>().get("/readyz", async (c) => {
    const [missing, warnings] = await Promise.all([failing(probes), failing(watched)]);
    const told = warnings.length === 0 ? {} : { warnings };
    if (missing.length === 0) return c.json({ status: "ready", ...told });
    throw new ApiProblem("not_ready", `Missing: ${missing.map(({ name }) => name).join(", ")}.`, {
      members: { missing, ...told },
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
