/** Holds the stand-in's answers against Neon's own OpenAPI document, which its client package ships. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { NEON_TOKEN, type NeonState, startNeon } from "../../../infra/sandbox/neon.ts";
import type { Vendor } from "../../../infra/sandbox/vendor.ts";

interface Schema {
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly nullable?: boolean;
  readonly pattern?: string;
}
type Reply = Schema & { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> };
interface Document {
  readonly paths: Readonly<Record<string, Record<string, { responses: Record<string, Reply> }>>>;
}

const packageFile = createRequire(import.meta.url).resolve("@neondatabase/api-client/package.json");
const document: Document = parse(
  readFileSync(join(dirname(packageFile), "public-v2-for-users.gen.yaml"), "utf8"),
);

let neon: Vendor<NeonState>;
beforeAll(async () => {
  neon = await startNeon();
});
afterAll(() => neon.close());

function deref<T extends Schema>(schema: T): T {
  if (schema.$ref === undefined) return schema;
  const found = schema.$ref
    .split("/")
    .slice(1)
    .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], document);
  return deref(found as T);
}

/** Every way in which a value does not fit; unknown properties are complaints too. */
function complaints(value: unknown, given: Schema, where = ""): string[] {
  const schema = deref(given);
  if (value === null) return schema.nullable ? [] : [`${where} is null`];
  const parts = (schema.allOf ?? []).map(deref);
  const all = [schema, ...parts, ...parts.flatMap((part) => (part.allOf ?? []).map(deref))];
  const properties = Object.assign({}, ...all.map((part) => part.properties ?? {})) as Record<string, Schema>;
  const { type = Object.keys(properties).length > 0 ? "object" : undefined } = schema;
  if (type === "array") {
    if (!Array.isArray(value)) return [`${where} is no array`];
    return value.flatMap((item, index) => complaints(item, schema.items ?? {}, `${where}/${index}`));
  }
  if (type === "object") {
    if (typeof value !== "object") return [`${where} is no object`];
    const fields = value as Record<string, unknown>;
    const missing = all.flatMap((part) => part.required ?? []).filter((name) => !(name in fields));
    const free =
      all.some((part) => part.additionalProperties !== undefined) || Object.keys(properties).length === 0;
    return [
      ...missing.map((name) => `${where}/${name} is missing`),
      ...Object.entries(fields).flatMap(([name, field]) => {
        const known = properties[name];
        if (known === undefined) return free ? [] : [`${where}/${name} is unknown`];
        return complaints(field, known, `${where}/${name}`);
      }),
    ];
  }
  const kind = type === "integer" ? "number" : type;
  if (kind !== undefined && typeof value !== kind) return [`${where} is no ${kind}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${where} is ${String(value)}`];
  if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(String(value)))
    return [`${where} has no such form`];
  return [];
}

async function check(
  method: string,
  template: string,
  ids: Record<string, string>,
  body?: object,
): Promise<unknown> {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? name);
  const response = await fetch(`${neon.url}/api/v2${path}`, {
    method,
    headers: { authorization: `Bearer ${NEON_TOKEN}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const [documented = ""] = template.split("?");
  const operation = document.paths[documented]?.[method.toLowerCase()];
  const reply = operation?.responses[String(response.status)];
  if (reply === undefined) throw new Error(`${method} ${documented} documents no ${response.status}`);
  const schema = deref(reply).content?.["application/json"]?.schema;
  const answer: unknown = await response.json();
  expect(complaints(answer, schema ?? {}), `${method} ${documented}`).toEqual([]);
  return answer;
}

describe("every answer", () => {
  it("to a read has the documented shape", async () => {
    const branch = neon.state.createBranch({
      name: "dev",
      annotation: { k: "v" },
      expiresAt: new Date(Date.now() + 9e6),
    });
    neon.state.startEndpoint(branch, "read_only");
    const ids = {
      project_id: neon.state.project.id,
      branch_id: branch.id,
      endpoint_id: neon.state.endpointOf("dev").id,
      role_name: "shop_app",
      database_name: "shop",
    };
    const project = "/projects/{project_id}";
    const reads = ["/auth", "/projects", project, `${project}/branches`, `${project}/branches/count`];
    reads.push(
      `${project}/branches/{branch_id}`,
      `${project}/endpoints`,
      `${project}/endpoints/{endpoint_id}`,
    );
    for (const part of [
      "endpoints",
      "roles",
      "databases",
      "roles/{role_name}",
      "databases/{database_name}",
    ]) {
      reads.push(`${project}/branches/{branch_id}/${part}`);
    }
    reads.push(`${project}/branches/{branch_id}/roles/{role_name}/reveal_password`);
    reads.push(
      `${project}/connection_uri?role_name=shop_app&database_name=shop`,
      `${project}/operations?limit=2`,
    );
    for (const path of reads) await check("GET", path, ids);
    expect(reads).toHaveLength(16);
  });

  it("to a change has the documented shape and status", async () => {
    const ids = {
      project_id: neon.state.project.id,
      branch_id: "",
      endpoint_id: "",
      role_name: "new",
      database_name: "new",
    };
    const project = "/projects/{project_id}";
    const one = `${project}/branches/{branch_id}`;
    const create = { branch: { name: "changing" }, endpoints: [{ type: "read_write" }] };
    const made = (await check("POST", `${project}/branches`, ids, create)) as { branch: { id: string } };
    ids.branch_id = made.branch.id;
    ids.endpoint_id = neon.state.endpointOf(made.branch.id).id;
    await check("PATCH", one, ids, { branch: { name: "changed" } });
    await check("POST", `${one}/roles`, ids, { role: { name: "new" } });
    await check("POST", `${one}/roles/{role_name}/reset_password`, ids);
    await check("POST", `${one}/databases`, ids, { database: { name: "new", owner_name: "new" } });
    await check("DELETE", `${one}/databases/{database_name}`, ids);
    await check("DELETE", `${one}/roles/{role_name}`, ids);
    const readOnly = { endpoint: { branch_id: ids.branch_id, type: "read_only" } };
    await check("POST", `${project}/endpoints`, ids, readOnly);
    const endpoint = `${project}/endpoints/{endpoint_id}`;
    await check("PATCH", endpoint, ids, { endpoint: { disabled: false } });
    for (const verb of ["start", "suspend", "restart"]) await check("POST", `${endpoint}/${verb}`, ids);
    await check("DELETE", endpoint, ids);
    const source = { source_branch_id: neon.state.branch("main").id, preserve_under_name: "kept" };
    await check("POST", `${one}/restore`, ids, source);
    await check("DELETE", one, ids);
    ids.branch_id = neon.state.branch("changed").id;
    await check("POST", `${one}/set_as_default`, ids);
    ids.branch_id = neon.state.restoreSnapshot("changed").id;
    await check("POST", `${one}/finalize_restore`, ids);
  });
});
