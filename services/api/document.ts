/** `GET /openapi.json` and `GET /docs`: the API described from its own declarations, for programs and for people. */
import { createHash } from "node:crypto";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { VERSION } from "../http.ts";
import type { ApiEnv } from "./ports.ts";
import { type Page, renderReference, STYLE } from "./reference.ts";
import type { Router } from "./router.ts";

/** OpenAPI 3.1. The same bytes as long as the process lives. */
export function documentOf(app: OpenAPIHono<ApiEnv>): Page {
  app.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
    description: "A token of this installation, or of an identity provider that it trusts.",
  });
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Branchline",
      version: VERSION,
      description:
        "Keeps every place that holds a Neon connection string in step with Neon. Lists are paged by cursor; errors are problem documents (RFC 9457); each operation names the scope it needs in `x-scope`.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
  });
  // As it leaves: without what JSON has no word for.
  return JSON.parse(JSON.stringify(document)) as Page;
}

/** Served by us alone: no script, nothing from elsewhere, and the one style sheet is named by its hash. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;

/** Needs no token: it says what Branchline is, not what this one has. */
export function documents({ app }: Pick<Router, "app">): void {
  const made = new Map<"json" | "html", string>();
  const once = (kind: "json" | "html", make: () => string): string => {
    const text = made.get(kind) ?? make();
    made.set(kind, text);
    return text;
  };
  app.get("/openapi.json", (c) =>
    c.body(
      once("json", () => JSON.stringify(documentOf(app))),
      200,
      { "content-type": "application/json" },
    ),
  );
  app.get("/docs", (c) =>
    c.body(
      once("html", () => renderReference(documentOf(app))),
      200,
      { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY },
    ),
  );
}
