/** How the Vault stand-in reads a request: the raw path, decoded once and refused if it is not canonical. */
import type { Context } from "hono";
import type { VendorEnv } from "../vendor.ts";
import { badRequest, VaultError } from "./errors.ts";
import { isObject, type Json, type JsonObject } from "./kv-state.ts";

export type VaultOperation = "read" | "list" | "write" | "patch" | "delete";

export interface VaultRequest {
  readonly operation: VaultOperation;
  /** Below `/v1/`, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: JsonObject;
  readonly c: Context<VendorEnv>;
}

/**
 * What goes into the envelope; neither `data` nor `auth`: 204. A `status` other than 200 together with
 * data is how Vault shows a deleted version.
 */
export interface VaultAnswer {
  readonly data: JsonObject | null;
  readonly auth?: JsonObject;
  readonly status?: number;
  readonly leaseSeconds?: number;
}

/** Nanoseconds are Vault's precision; "" stands for never. */
export const timeText = (ms: number | null): string =>
  ms === null ? "" : new Date(ms).toISOString().replace("Z", "000000Z");

/** Path and query below `/v1/`, or null if the request is not for the API. Throws 400 for dot segments and `//`. */
export function pathOf(c: Context<VendorEnv>): { path: string; query: URLSearchParams } | null {
  const [rawPath = "", query = ""] = c.env.rawUrl.split("?", 2);
  if (!rawPath.startsWith("/v1/")) return null;
  const path = decoded(rawPath.slice("/v1/".length));
  const segments = path.split("/");
  const inner = segments.at(-1) === "" ? segments.slice(0, -1) : segments;
  if (inner.some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw badRequest("path must not contain relative or empty segments");
  }
  return { path, query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest("path is not valid percent-encoding");
  }
}

/** What the method means. LIST as a method never arrives here: Node's parser knows it only as `?list=true`. */
export function operationOf(c: Context<VendorEnv>, query: URLSearchParams): VaultOperation {
  const { method } = c.req;
  if (method === "GET") return query.get("list") === "true" ? "list" : "read";
  if (method === "POST" || method === "PUT") return "write";
  if (method === "DELETE") return "delete";
  if (method === "PATCH") {
    requireMergePatch(c.req.header("content-type"));
    return "patch";
  }
  throw new VaultError(405, []);
}

function requireMergePatch(contentType: string | undefined): void {
  if (contentType === undefined) throw badRequest("mime: no media type");
  const [type = ""] = contentType.split(";", 1);
  if (type.trim().toLowerCase() !== "application/merge-patch+json") {
    throw new VaultError(
      415,
      `PATCH requires Content-Type of application/merge-patch+json, provided ${type}`,
    );
  }
}

/** The body as an object; none at all is an empty one. Vault parses JSON whatever the content type says. */
export async function bodyOf(c: Context<VendorEnv>): Promise<JsonObject> {
  const text = await c.req.text();
  if (text === "") return {};
  let body: Json;
  try {
    body = JSON.parse(text) as Json;
  } catch {
    throw badRequest("failed to parse JSON input");
  }
  if (!isObject(body)) throw badRequest("failed to parse JSON input: not an object");
  return body;
}

/** `30s`, `5m`, `768h` or a number of seconds. */
export function seconds(value: Json | undefined, field: string): number {
  if (typeof value === "number") return value;
  const [, digits, unit] = /^(-?\d+)(s|m|h|d)?$/.exec(typeof value === "string" ? value : "") ?? [];
  if (digits === undefined) throw badRequest(`error converting input for field "${field}"`);
  return Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit ?? "s"] ?? 1);
}

/** As Go prints a duration: `0s`, `3m20s`, `3h25m19s`. */
export function duration(total: number): string {
  const parts: [number, string][] = [
    [Math.floor(total / 3600), "h"],
    [Math.floor((total % 3600) / 60), "m"],
    [total % 60, "s"],
  ];
  const first = parts.findIndex(([amount, unit]) => amount > 0 || unit === "s");
  return parts
    .slice(first)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join("");
}
