import { describe, expect, test } from "vitest";
import { createMetrics } from "../../../services/metrics.ts";

describe("scrape()", () => {
  test("counts pushes by destination, outcome and code", async () => {
    const metrics = createMetrics();
    metrics.pushed({ destination: "web", outcome: "synced", code: null, seconds: 0.2 });
    metrics.pushed({ destination: "web", outcome: "park", code: "forbidden", seconds: 0.1 });
    const { text, contentType } = await metrics.scrape();
    expect(contentType).toContain("text/plain");
    expect(text).toContain('branchline_pushes_total{destination="web",outcome="synced",code="none"} 1');
    expect(text).toContain('branchline_pushes_total{destination="web",outcome="park",code="forbidden"} 1');
    expect(text).toContain('branchline_push_duration_seconds_count{destination="web"} 2');
  });

  test("counts vendor calls, events, lag and answers", async () => {
    const metrics = createMetrics();
    metrics.called({ vendor: "vercel", operation: "GET /v10/projects/{id}/env", status: 429, seconds: 0.1 });
    metrics.called({ vendor: "vercel", operation: "GET /v10/projects/{id}/env", status: null, seconds: 10 });
    metrics.received({ origin: "github", outcome: "accepted" });
    metrics.picked({ kind: "place", lagSeconds: -1 });
    metrics.answered({ method: "GET", route: "/v1/branches/:id", status: 200, seconds: 0.01 });
    const { text } = await metrics.scrape();
    expect(text).toContain('operation="GET /v10/projects/{id}/env",status="429"} 1');
    expect(text).toContain('operation="GET /v10/projects/{id}/env",status="none"} 1');
    expect(text).toContain('branchline_events_total{origin="github",outcome="accepted"} 1');
    expect(text).toContain('branchline_due_lag_seconds_sum{kind="place"} 0');
    expect(text).toContain(
      'branchline_http_request_duration_seconds_count{method="GET",route="/v1/branches/:id",status="200"} 1',
    );
  });

  test("shows how far the clock is off, in seconds", async () => {
    const metrics = createMetrics();
    metrics.clock(-3.5);
    expect((await metrics.scrape()).text).toContain("branchline_clock_skew_seconds -3.5");
  });

  test("sets gauges from the database first, and forgets states that are empty now", async () => {
    const metrics = createMetrics();
    metrics.bindings({ parked: 3 });
    metrics.beforeScrape(async () => metrics.bindings({ synced: 2 }));
    const { text } = await metrics.scrape();
    expect(text).toContain('branchline_bindings{state="synced"} 2');
    expect(text).not.toContain("parked");
  });

  test("answers although the database does not", async () => {
    const metrics = createMetrics();
    metrics.beforeScrape(() => Promise.reject(new Error("no database")));
    expect((await metrics.scrape()).text).toContain("branchline_bindings");
  });

  test("answers although the database is frozen", async () => {
    const metrics = createMetrics({ refreshMs: 1 });
    metrics.beforeScrape(() => new Promise(() => {}));
    expect((await metrics.scrape()).text).toContain("branchline_bindings");
  });

  test("folds odd and countless label values into one", async () => {
    const metrics = createMetrics();
    for (let index = 0; index < 1_000; index += 1) {
      metrics.received({ origin: `origin-${index}`, outcome: "accepted" });
    }
    metrics.received({ origin: 'x"\npassword=1', outcome: "accepted" });
    const { text } = await metrics.scrape();
    expect(text.split("\n").filter((line) => line.startsWith("branchline_events_total"))).toHaveLength(201);
    expect(text).toContain('branchline_events_total{origin="other",outcome="accepted"} 801');
    expect(text).not.toContain("password");
  });

  test("adds the process only when asked, and two instances do not share anything", async () => {
    const first = createMetrics({ process: true });
    const second = createMetrics();
    first.received({ origin: "github", outcome: "accepted" });
    expect((await first.scrape()).text).toContain("process_cpu_seconds_total");
    const { text } = await second.scrape();
    expect(text).not.toContain("process_cpu_seconds_total");
    expect(text).not.toContain("github");
  });
});
