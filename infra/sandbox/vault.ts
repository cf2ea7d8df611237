/**
 * The stand-in of HashiCorp Vault's HTTP API as far as a writer of secrets meets it: KV version 2 on
 * `kv`, version 1 on `kv1`, tokens, logins, health. Written from Vault's API documentation and the
 * behaviour of its kv secrets engine.
 */
import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import { denied, noRoute, plainError, unsupportedOperation, VaultError } from "./vault/errors.ts";
import { kvV2 } from "./vault/kv.ts";
import type { JsonObject, KvMount } from "./vault/kv-state.ts";
import { kvV1 } from "./vault/kv-v1.ts";
import { bodyOf, operationOf, pathOf, type VaultAnswer, type VaultRequest } from "./vault/request.ts";
import { type LoginSeed, VaultState, type VaultStateOptions } from "./vault/state.ts";
import { health, system } from "./vault/sys.ts";
import { authorize } from "./vault/tokens.ts";
import { startVendor, type Vendor, type VendorEnv, type VendorOptions } from "./vendor.ts";

export type { JsonObject, KvSecret } from "./vault/kv-state.ts";
export { type LoginSeed, VaultState } from "./vault/state.ts";
export type { Capability, PolicyRule, TokenSeed } from "./vault/tokens.ts";

export const VAULT_TOKEN = "hvs.sandboxroottoken0000000000";
export const VAULT_APPROLE: LoginSeed = {
  method: "approle",
  role: "6a1d7a3e-5b3c-4d2e-9f10-0123456789ab",
  secret: "c0ffee00-1111-4222-8333-444455556666",
};

/** Default: one root token VAULT_TOKEN, and one AppRole VAULT_APPROLE that may do everything. */
export type VaultOptions = VendorOptions & VaultStateOptions;

export function startVault(options: VaultOptions = {}): Promise<Vendor<VaultState>> {
  const state = new VaultState({
    ...options,
    tokens: options.tokens ?? [{ token: VAULT_TOKEN, ttlSeconds: null }],
    logins: options.logins ?? [VAULT_APPROLE],
  });
  const app = new Hono<VendorEnv>();
  app.all("*", async (c) => {
    c.header("cache-control", "no-store");
    return answer(state, c);
  });
  app.onError((error, c) => {
    if (error instanceof VaultError) return refusal(c, error);
    throw error;
  });
  const definition = {
    name: "vault",
    state,
    app,
    error: (status: number, c: Context) => refusal(c, plainError(status)),
    operation: nameOf,
    inspect,
  };
  return startVendor<VaultState>(definition, options);
}

async function answer(state: VaultState, c: Context<VendorEnv>): Promise<Response> {
  const below = pathOf(c);
  if (below === null) throw new VaultError(404, []);
  const { path, query } = below;
  if (path === "sys/health") return health(state, c, query);
  if (state.sealed) throw plainError(503);
  if (state.standbyFor !== null) return c.redirect(`${state.standbyFor}${c.env.rawUrl}`, 307);
  refuseOverQuota(state, path);
  if (state.namespace !== null && namespaceOf(c) !== state.namespace) throw denied();
  const operation = operationOf(c, query);
  return respond(c, handle(state, { operation, path, query, body: await bodyOf(c), c }));
}

function handle(state: VaultState, request: VaultRequest): VaultAnswer {
  const { path, c } = request;
  const header = c.req.header("x-vault-token");
  const [, loginMount] = /^auth\/(.+)\/login$/.exec(path) ?? [];
  if (loginMount !== undefined) {
    if (request.operation !== "write") throw unsupportedOperation();
    return { data: null, auth: state.tokens.login(loginMount, request.body) };
  }
  if (path === "sys/wrapping/unwrap") {
    const { token } = request.body;
    return { data: state.tokens.unwrap(typeof token === "string" ? token : (header ?? "")) };
  }
  const token = state.tokens.known(header);
  const own = system(state, token, request);
  if (own !== null) return own;
  const [mount, rest] = mountOf(state, path);
  authorize(token, path, request.operation, mount !== null && exists(mount, rest));
  if (mount === null) throw noRoute(path);
  return mount.version === 2
    ? kvV2(mount, rest, request, state.now())
    : kvV1(mount, rest, request, state.now());
}

function mountOf(state: VaultState, path: string): [KvMount | null, string] {
  for (const mount of state.mounts.values()) {
    if (path.startsWith(`${mount.name}/`)) return [mount, path.slice(mount.name.length + 1)];
  }
  return [null, ""];
}

/** Decides between `create` and `update`: data and metadata of a secret exist once either was written. */
function exists(mount: KvMount, rest: string): boolean {
  if (mount.version === 1) return mount.secrets.has(rest);
  const [, area, key = ""] = /^(data|metadata)\/(.+)$/s.exec(rest) ?? [];
  return area === undefined || mount.secrets.has(key);
}

function refuseOverQuota(state: VaultState, path: string): void {
  const wait = state.quotaWait();
  if (wait === null) return;
  const headers = {
    "retry-after": String(wait),
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": String(wait),
  };
  const message = `request path "${path}": rate limit quota exceeded`;
  throw new VaultError(429, message, { headers: state.quota?.headers ? headers : {} });
}

const namespaceOf = (c: Context): string =>
  (c.req.header("x-vault-namespace") ?? "").replace(/^\/+|\/+$/g, "");

function respond(c: Context, { data, auth, status = 200, leaseSeconds = 0 }: VaultAnswer): Response {
  if (data === null && auth === undefined) return c.body(null, 204);
  const envelope: JsonObject = {
    request_id: randomUUID(),
    lease_id: "",
    renewable: false,
    lease_duration: leaseSeconds,
    data,
    wrap_info: null,
    warnings: null,
    auth: auth ?? null,
    mount_type: auth === undefined ? "kv" : "",
  };
  return c.json(envelope, { status: status as 200 });
}

function refusal(c: Context, { status, errors, warnings, headers }: VaultError): Response {
  const body = { errors, ...(warnings.length === 0 ? {} : { warnings }) };
  return c.json(body, { status: status as 400, headers: { ...headers, "cache-control": "no-store" } });
}

/** For the log: the call as documented, without names of secrets. */
function nameOf(c: Context): string {
  const [path = ""] = (c.env as VendorEnv["Bindings"]).rawUrl.split("?", 1);
  const [, version, head = "", ...rest] = path.split("/");
  if (version !== "v1" || head === "sys") return `${c.req.method} ${path}`;
  if (head === "auth") return `${c.req.method} /v1/auth/:mount/${rest.at(-1) ?? ""}`;
  const [area = ""] = rest;
  const known = ["config", "data", "metadata", "subkeys", "delete", "undelete", "destroy"].includes(area);
  if (!known) return `${c.req.method} /v1/:mount/:path`;
  return `${c.req.method} /v1/:mount/${area}${rest.length > 1 ? "/:path" : ""}`;
}

function inspect(state: VaultState): unknown {
  const mounts = [...state.mounts.values()].map((mount) => [
    mount.name,
    Object.fromEntries(
      [...mount.secrets].map(([path, { currentVersion, customMetadata }]) => [
        path,
        { data: state.values(path, mount.name), currentVersion, customMetadata },
      ]),
    ),
  ]);
  return Object.fromEntries(mounts);
}
