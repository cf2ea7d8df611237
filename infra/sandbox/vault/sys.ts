/** Health, the mount's version, and what a token may ask about itself. */
import type { Context } from "hono";
import { unsupportedOperation, VaultError } from "./errors.ts";
import type { VaultAnswer, VaultRequest } from "./request.ts";
import type { VaultState } from "./state.ts";
import { authorize, hasSomeAccess, type Token } from "./tokens.ts";

/** `sys/health`: no token; the status is the message, and the query may move it. */
export function health(state: VaultState, c: Context, query: URLSearchParams): Response {
  const standby = state.standbyFor !== null;
  const code = (name: string, otherwise: number): number => Number(query.get(name) ?? otherwise);
  const status = state.sealed
    ? code("sealedcode", 503)
    : standby && query.get("standbyok") === null
      ? code("standbycode", 429)
      : code("activecode", 200);
  const body = {
    initialized: true,
    sealed: state.sealed,
    standby,
    performance_standby: false,
    replication_performance_mode: "disabled",
    replication_dr_mode: "disabled",
    server_time_utc: Math.floor(state.now() / 1000),
    version: "2.0.1",
    enterprise: false,
    cluster_name: "sandbox",
  };
  return c.json(body, { status: status as 200 });
}

/** Paths outside the mounts that a token may use; null: not one of them. */
export function system(state: VaultState, token: Token, request: VaultRequest): VaultAnswer | null {
  const { path, operation } = request;
  if (path.startsWith("sys/internal/ui/mounts/")) return uiMount(state, token, path);
  const [, verb] = /^auth\/token\/(lookup|renew|revoke)-self$/.exec(path) ?? [];
  if (verb === undefined) return null;
  const reading = verb === "lookup" && operation === "read";
  if (!reading && operation !== "write") throw unsupportedOperation();
  authorize(token, path, operation, true);
  if (verb === "lookup") return { data: state.tokens.lookup(token) };
  if (verb === "renew") return { data: null, auth: state.tokens.renew(token, request.body) };
  state.tokens.expire(token.token);
  return { data: null };
}

/** Which version a mount has; `options` is null on a version 1 mount that never had any set. */
function uiMount(state: VaultState, token: Token, path: string): VaultAnswer {
  const below = path.slice("sys/internal/ui/mounts/".length);
  const mount = [...state.mounts.values()].find(({ name }) => below === name || below.startsWith(`${name}/`));
  if (mount === undefined || !hasSomeAccess(token, mount.name)) {
    const hint = `please ensure client's policies grant access to path "${below}/"`;
    throw new VaultError(403, `preflight capability check returned 403, ${hint}`);
  }
  return {
    data: {
      accessor: mount.accessor,
      config: { default_lease_ttl: 0, force_no_cache: false, max_lease_ttl: 0 },
      description: "",
      external_entropy_access: false,
      local: false,
      options: mount.version === 2 ? { version: "2" } : null,
      path: `${mount.name}/`,
      seal_wrap: false,
      type: "kv",
      uuid: mount.accessor,
    },
  };
}
