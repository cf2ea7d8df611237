/** The OpenAPI document: linted, complete, and kept to by the running API, whatever it is sent. */
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SCOPES } from "../../services/api/ports.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import { adminApi, type TestApi } from "../support/api.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly schema: { readonly enum?: readonly string[]; readonly format?: string };
}
interface Documented {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: unknown;
  readonly security?: readonly unknown[];
  readonly "x-scope"?: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Documented>>>> };

let app: TestApp;
let api: TestApi;
let document: Document;
/** Things that are there, so that many requests get past the first check. */
let known: string[];

beforeAll(async () => {
  const project = new MemoryProject("p1");
  app = await startApp({
    projects: [project],
    destinations: { memory: {} },
    rules: [ruleOf({ name: "web" })],
  });
  api = adminApi(app);
  project.addBranch("preview/x");
  const [binding] = await app.settled("preview/x");
  const ids = async (path: string) => (await api.get(path)).json.items.map(({ id }: { id: string }) => id);
  known = [
    binding?.id ?? "",
    binding?.branch.id ?? "",
    "shop",
    "web",
    "memory",
    ...(await ids("/v1/pushes")),
    ...(await ids("/v1/events?limit=2")),
    ...(await ids("/v1/sources")),
  ];
  document = (await api.get("/openapi.json")).json;
});
afterAll(async () => {
  api.stop();
  await app.stop();
});

const operations = (): { path: string; method: string; operation: Documented }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

describe("the document", () => {
  test("is valid OpenAPI 3.1", async () => {
    const result = await new Validator().validate(structuredClone(document) as never);
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
    expect(document).toMatchObject({ openapi: "3.1.0" });
  });

  test("has every operation of the router, with the scope that is asked for", () => {
    const served = api.router.operations.map(({ method, path, scope }) => `${method} ${path} ${scope}`);
    const told = operations().map(
      ({ path, method, operation }) => `${method} ${path} ${operation["x-scope"] ?? null}`,
    );
    expect(new Set(told)).toEqual(new Set(served));
    expect(new Set(operations().map(({ operation }) => operation.operationId)).size).toBe(told.length);
    for (const { operation } of operations()) expect(SCOPES).toContain(operation["x-scope"]);
  });
});

const junk = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom("%00", ".", "..", "-1", "null", "\u2028", "a,b", "'", "99999999999999999999", "{}"),
);
const uuids = fc.uuid({ version: 4 });
const someId = () => fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, uuids, junk);
const header = fc
  .string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((n) => String.fromCharCode(n)), maxLength: 12 })
  .filter((text) => text !== "");
/** Bodies that are nearly right, and any others. */
const bodies = fc.oneof(
  fc.record(
    {
      name: fc.oneof(junk, fc.constant("ci")),
      scopes: fc.array(fc.constantFrom("read", "write", "reveal", "root"), { maxLength: 3 }),
      expiresAt: fc.oneof(fc.constant("2999-01-01T00:00:00.000Z"), fc.constant(null), junk),
      limits: fc.oneof(fc.constant(null), fc.record({ branches: fc.array(junk, { maxLength: 2 }) })),
      forSeconds: fc.oneof(fc.constant(1), fc.integer(), fc.double()),
      reason: junk,
      names: fc.array(junk, { maxLength: 3 }),
      expect: fc.constantFrom("same", "replace-unreadable", "x"),
      branches: fc.array(fc.oneof(uuids, junk), { maxLength: 2 }),
    },
    { requiredKeys: [] },
  ),
  fc.constant({}),
  fc.jsonValue({ maxDepth: 2 }),
);

const request = (path: string, method: string, { parameters = [], requestBody }: Documented) => {
  const queries = parameters.filter((one) => one.in === "query");
  const value = ({ name, schema }: Parameter) => {
    if (name === "timeout") return fc.constantFrom("0", "1x", "-1");
    const right = schema.enum === undefined ? junk : fc.constantFrom(...schema.enum);
    return fc.oneof(right, fc.constantFrom(...known), junk);
  };
  return fc.record({
    path: fc
      .tuple(...(path.match(/\{\w+\}/g) ?? []).map(() => someId()))
      .map((ids) => ids.reduce((text, id) => text.replace(/\{\w+\}/, encodeURIComponent(id)), path)),
    method: fc.constant(method.toUpperCase()),
    query: fc.record(Object.fromEntries(queries.map((one) => [one.name, value(one)])), {
      requiredKeys: queries.filter(({ name }) => name === "timeout").map(({ name }) => name),
    }),
    extra: fc.option(fc.tuple(header, junk), { freq: 8 }),
    body: requestBody === undefined ? fc.constant(undefined) : fc.option(bodies, { nil: undefined, freq: 4 }),
    broken: fc.option(fc.constantFrom("{", "[]", "null", '"x"'), { freq: 8 }),
    key: fc.option(fc.oneof(header, fc.constant("one key"), fc.constant("k")), { freq: 3 }),
    ifMatch: fc.option(fc.constantFrom('"1"', "*", "x", '"999"'), { freq: 2 }),
    lastEventId: fc.option(fc.constantFrom("x", "2026-01-01T00:00:00.000Z"), { freq: 4 }),
  });
};

const DOTS = /\/\.\.?(\/|$)/;

test("random requests, right and wrong, never get 5xx or a status or a type that is not documented", async () => {
  for (const { path, method, operation } of operations()) {
    await fc.assert(
      fc.asyncProperty(request(path, method, operation), async (asked) => {
        const query = new URLSearchParams({
          ...asked.query,
          ...(asked.extra === null ? {} : { [asked.extra[0]]: asked.extra[1] }),
        });
        const sent =
          operation.requestBody === undefined
            ? {}
            : asked.broken === null
              ? { body: asked.body }
              : { text: asked.broken };
        const response = await api.raw(asked.method, `${asked.path}?${query}`, {
          headers: {
            ...(asked.key === null ? {} : { "idempotency-key": asked.key }),
            ...(asked.ifMatch === null ? {} : { "if-match": asked.ifMatch }),
            ...(asked.lastEventId === null ? {} : { "last-event-id": asked.lastEventId }),
          },
          ...sent,
        });
        const media = (response.headers.get("content-type") ?? "").split(";")[0] ?? "";
        if (media === "text/event-stream") await response.body?.cancel();
        const text = media === "text/event-stream" ? "" : await response.text();
        const documented = operation.responses[response.status];
        // What a route is for a path that is none: an empty segment, or a dot, which is gone before it is sent.
        if (path.includes("{") && response.status === 404 && text.includes("not_found")) return;
        if (DOTS.test(asked.path) && response.status === 405) return;
        expect(response.status, text).toBeLessThan(500);
        expect(Object.keys(operation.responses)).toContain(String(response.status));
        expect(Object.keys(documented?.content ?? {})).toContain(media);
      }),
      { numRuns: 25, endOnFailure: true },
    );
  }
}, 180_000);
