import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { adminRouter } from "../../../../services/api/app.ts";
import { PROBLEMS, problemType } from "../../../../services/api/problems.ts";
import { problemsOf } from "../../../../services/api/responses.ts";
import { harness } from "./harness.ts";

const { app, deps } = harness();

describe("GET /docs", () => {
  test("shows every operation with its scope, and every problem type, to anybody", async () => {
    const answer = await app.request("/docs");
    const html = await answer.text();
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    for (const { id, path } of adminRouter(deps).operations) {
      expect(html).toContain(`<section id="${id}">`);
      expect(html).toContain(`<code>${path}</code>`);
    }
    for (const code of Object.keys(PROBLEMS))
      expect(html).toContain(problemType(code as keyof typeof PROBLEMS));
    expect(html).toContain("(scope admin, without limits)");
  });

  test("has no script and nothing from elsewhere, and may do no more than its one style sheet", async () => {
    const answer = await app.request("/docs");
    const html = await answer.text();
    expect(html).not.toMatch(/<script|<img|<link|<iframe|\son\w+=|https?:\/\//i);
    const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    const policy = answer.headers.get("content-security-policy");
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; frame-ancestors 'none'/);
    expect(policy).toContain(`'sha256-${hash}'`);
    expect(answer.headers.get("x-frame-options")).toBe("DENY");
  });

  test("loosens nothing anywhere else", async () => {
    const { headers } = await app.request("/openapi.json");
    expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
  });
});

describe("GET /openapi.json", () => {
  test("says of each operation its scope and every status it may end in", async () => {
    const answer = await app.request("/openapi.json");
    const { paths } = JSON.parse(await answer.text());
    for (const operation of adminRouter(deps).operations) {
      const told = paths[operation.path][operation.method];
      expect([operation.id, told["x-scope"]]).toEqual([operation.id, operation.scope]);
      const statuses = problemsOf(operation).map((code) => String(PROBLEMS[code][0]));
      expect(Object.keys(told.responses)).toEqual(expect.arrayContaining(statuses));
    }
  });
});
