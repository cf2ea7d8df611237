/**
 * node-vault as the layer of commands, with its transport replaced: `config["request-promise"]`, an option
 * that its own tests use and its README does not promise, so the version is pinned and a test stands guard.
 *
 * Of node-vault 0.12.0 on its own, each of these was seen: it follows redirects with the token, takes a cut-off
 * body for an answer, drops response headers, never times out, throws errors that hold the token and the
 * values, sends the first token for ever, and reads `VAULT_*` from the environment. Nothing of that can
 * happen here: headers, token, body and answer go past node-vault, and what it throws is not looked at.
 */
import nodeVault from "node-vault";
import { SyncError } from "../sync/errors.ts";
import type { Io, OutgoingResponse } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import { isCanonical } from "./vault-paths.ts";

export interface VaultSite {
  /** Origin, no slash at the end. */
  readonly address: string;
  readonly namespace: string | null;
}

export interface VaultCall {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Encoded, below /v1/, perhaps with `?version=`. */
  readonly path: string;
  /** For errors and metrics, without mounts and paths: "GET {mount}/data/{path}". */
  readonly operation: string;
  /** JSON text. */
  readonly body?: Secret;
  readonly token: Secret | null;
}

/** What Vault answered, whatever the status. */
export interface VaultAnswer {
  readonly status: number;
  /** Parsed body; undefined if it had none. */
  readonly json: unknown;
  readonly response: OutgoingResponse;
  /** Whether one of the texts in `errors` holds these words. */
  says(words: string): boolean;
}

export type SendToVault = (call: VaultCall) => Promise<VaultAnswer>;

/** Sends one call. Throws only what `Io.fetch` throws, and `unavailable` for a body that is not whole. */
export function vaultTransport(site: VaultSite, io: Io): SendToVault {
  const exchange = async (options: { method: string; uri: string; call: VaultCall }) => ({
    // Not node-vault's to judge: for it every exchange succeeds, and the answer is the body.
    statusCode: 200,
    body: await exchangeOnce(site, io, options),
    request: { path: "" },
  });
  const client = nodeVault({
    "request-promise": { defaults: () => exchange },
    debug: () => undefined, // DEBUG=node-vault prints bodies
    apiVersion: "v1",
    endpoint: site.address,
    noCustomHTTPVerbs: true,
  }) as unknown as Commands;
  // Given as options, empty texts fall back to VAULT_PREFIX, VAULT_TOKEN and VAULT_NAMESPACE.
  Object.assign(client, { endpoint: site.address, pathPrefix: "", token: "", namespace: "" });

  return async (call) => {
    const requestOptions = { call };
    const run = {
      GET: () => client.read(call.path, requestOptions),
      DELETE: () => client.delete(call.path, requestOptions),
      POST: () => client.write(call.path, undefined, requestOptions),
      PATCH: () => client.update(call.path, undefined, requestOptions),
    };
    try {
      return await run[call.method]();
    } catch (thrown) {
      if (thrown instanceof SyncError) throw thrown;
      // Not as its cause: an error of the client library may hold the token and the values.
      throw new SyncError("internal", "the Vault client library refused the call", where(call));
    }
  };
}

/** The part of node-vault that we use. Its own types say `Promise<any>`. */
interface Commands {
  read(path: string, options: { call: VaultCall }): Promise<VaultAnswer>;
  delete(path: string, options: { call: VaultCall }): Promise<VaultAnswer>;
  write(path: string, data: undefined, options: { call: VaultCall }): Promise<VaultAnswer>;
  update(path: string, data: undefined, options: { call: VaultCall }): Promise<VaultAnswer>;
}

async function exchangeOnce(
  site: VaultSite,
  io: Io,
  { method, uri, call }: { method: string; uri: string; call: VaultCall },
): Promise<VaultAnswer> {
  const base = `${site.address}/v1/`;
  if (!uri.startsWith(base) || !isCanonical(uri.slice(base.length)) || method !== call.method) {
    throw new SyncError("invalid_target", "the path of the secret is not one that Vault can mean", {
      ...where(call),
      next: "Correct the path in the rule's target.",
    });
  }
  const response = await io.fetch({
    vendor: "vault",
    operation: call.operation,
    method,
    url: uri,
    headers: {
      accept: "application/json",
      "x-vault-request": "true", // proves to an agent in between that no browser was tricked into this
      ...(call.token === null ? {} : { "x-vault-token": call.token.reveal() }),
      ...(site.namespace === null ? {} : { "x-vault-namespace": site.namespace }),
      ...(call.body === undefined ? {} : { "content-type": contentType(method) }),
    },
    ...(call.body === undefined ? {} : { body: call.body.reveal() }),
  });
  return answerOf(response, call);
}

const contentType = (method: string): string =>
  method === "PATCH" ? "application/merge-patch+json" : "application/json";

function answerOf(response: OutgoingResponse, call: VaultCall): VaultAnswer {
  const { status, body } = response;
  const json = parse(body);
  if (json === undefined && body.trim() !== "" && status >= 200 && status < 300) {
    throw new SyncError("unavailable", "Vault's answer is not whole", {
      ...where(call),
      status,
      ambiguous: call.method !== "GET",
      next: "It is tried again. If it stays, look at what stands between us and Vault.",
    });
  }
  const errors = typeof json === "object" && json !== null ? Reflect.get(json, "errors") : undefined;
  const texts: readonly unknown[] = Array.isArray(errors) ? errors : [];
  return {
    status,
    json,
    response,
    says: (words) => texts.some((text) => typeof text === "string" && text.includes(words)),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // an error page of a gateway, or half a document: the status decides which
  }
}

const where = ({ operation }: VaultCall) => ({ vendor: "vault", operation });
