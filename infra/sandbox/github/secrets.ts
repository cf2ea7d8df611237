/** Secrets of repositories, environments and organizations. https://docs.github.com/rest/actions/secrets */
import type { Hono } from "hono";
import sodium from "libsodium-wrappers";
import { GitHubRefusal, missing, notFound, unprocessable } from "./answers.ts";
import {
  demand,
  environmentOf,
  type GitHubContext,
  type GitHubEnv,
  jsonBody,
  organizationOf,
  paged,
  repositoryOf,
  stamp,
} from "./caller.ts";
import { REPOSITORY_BASES, shownRepository } from "./repositories.ts";
import { type GitHubState, type Level, type Stored, storeIn } from "./state.ts";

/** One address of secrets: who may, and which level it means. */
interface Place {
  readonly path: string;
  readonly permission: string;
  level(c: GitHubContext): Level;
}

export function secretRoutes(app: Hono<GitHubEnv>, state: GitHubState): void {
  for (const place of places(state)) {
    const { path, permission, level } = place;
    const open = (c: GitHubContext, how: "read" | "write") => {
      const found = level(c);
      demand(c, permission, how);
      return found;
    };
    app.get(path, (c) => {
      const all = [...open(c, "read").secrets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      const secrets = paged(c, all, { default: 30, max: 100 }).map((each) => shown(c, path, each));
      return c.json({ total_count: all.length, secrets });
    });
    app.get(`${path}/public-key`, (c) => {
      const { keyId, publicKey } = open(c, "read");
      return c.json({ key_id: keyId, key: Buffer.from(publicKey).toString("base64") });
    });
    app.get(`${path}/:name`, (c) => c.json(shown(c, path, secretOf(open(c, "read"), c))));
    app.put(`${path}/:name`, async (c) => put(state, c, open(c, "write")));
    app.delete(`${path}/:name`, (c) => {
      const { secrets } = open(c, "write");
      if (!secrets.delete(nameOf(c))) throw notFound();
      return c.body(null, 204);
    });
    if (path.startsWith("/orgs/")) selectionRoutes(app, state, path, open);
  }
}

/** Same rules for secrets and variables; GitHub's words. */
export function checkName(name: string, what: "secret" | "variable"): void {
  const noun = what === "secret" ? "Secret" : "Variable";
  if (/^github_/i.test(name)) {
    throw unprocessable(`Failed to add ${what}. ${noun} names must not start with GITHUB_.`);
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw unprocessable(
      `Failed to add ${what}. ${noun} names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).`,
    );
  }
}

function places(state: GitHubState): Place[] {
  return [
    ...REPOSITORY_BASES.flatMap((base) => [
      {
        path: `${base}/actions/secrets`,
        permission: "secrets",
        level: (c: GitHubContext) => repositoryOf(state, c).actions,
      },
      {
        path: `${base}/dependabot/secrets`,
        permission: "dependabot_secrets",
        level: (c: GitHubContext) => repositoryOf(state, c).dependabot,
      },
      {
        path: `${base}/environments/:environment/secrets`,
        permission: "environments",
        level: (c: GitHubContext) => environmentOf(state, c).actions,
      },
    ]),
    {
      path: "/orgs/:org/actions/secrets",
      permission: "organization_secrets",
      level: (c) => organizationOf(state, c).actions,
    },
    {
      path: "/orgs/:org/dependabot/secrets",
      permission: "organization_dependabot_secrets",
      level: (c) => organizationOf(state, c).dependabot,
    },
  ];
}

// ---------------------------------------------------------------- write

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;

async function put(state: GitHubState, c: GitHubContext, level: Level): Promise<Response> {
  const body = await jsonBody(c);
  const name = nameOf(c);
  checkName(name, "secret");
  const known = level.secrets.get(name);
  const selection = level.kind === "organization" ? selectionOf(body) : null;
  // For an organization's secret the value may be left out to change its visibility alone.
  const value =
    known !== undefined && selection !== null && !("encrypted_value" in body)
      ? known.value
      : unsealed(level, body, state.rules.valueBytes);
  if (known === undefined && level.secrets.size >= state.rules.secretsPer[level.kind]) {
    throw unprocessable(
      `Failed to add secret. Maximum number of secrets (${state.rules.secretsPer[level.kind]}) reached.`,
    );
  }
  const created = storeIn(level.secrets, name, value, state.now() + state.rules.updatedAtSkewMs);
  Object.assign(level.secrets.get(name) ?? {}, selection ?? {});
  return created ? c.json({}, 201) : c.body(null, 204);
}

/** Opens the sealed box with the level's private key, as GitHub's runners do. */
function unsealed(level: Level, body: Record<string, unknown>, maxBytes: number): string {
  const { encrypted_value: sealed, key_id: keyId } = body;
  if (sealed === undefined) throw missing("encrypted_value");
  if (keyId === undefined) throw missing("key_id");
  if (typeof sealed !== "string" || typeof keyId !== "string") {
    throw unprocessable(
      `Invalid request.\n\nFor 'properties/key_id', ${JSON.stringify(keyId)} is not a string.`,
    );
  }
  if (!BASE64.test(sealed)) throw unprocessable(`Invalid request.\n\n${sealed} does not match ${BASE64}.`);
  const refused = unprocessable("Bad request - validation failed due to an improperly encrypted secret");
  if (keyId !== level.keyId) throw refused;
  let opened: Uint8Array;
  try {
    opened = sodium.crypto_box_seal_open(Buffer.from(sealed, "base64"), level.publicKey, level.privateKey);
  } catch {
    throw refused;
  }
  if (opened.length > maxBytes)
    throw unprocessable("Failed to add secret. Value is too large (48 KB is the maximum).");
  return Buffer.from(opened).toString("utf8");
}

/** Visibility is demanded each time, and a list that is not sent again is a list that is emptied. */
function selectionOf(body: Record<string, unknown>): Pick<Stored, "visibility" | "selected"> {
  const { visibility, selected_repository_ids: ids = [] } = body;
  if (visibility === undefined) throw missing("visibility");
  if (visibility !== "all" && visibility !== "private" && visibility !== "selected") {
    throw unprocessable(
      `Invalid request.\n\n${String(visibility)} is not a member of ["all", "private", "selected"].`,
    );
  }
  return { visibility, selected: new Set(idsOf(ids)) };
}

// ---------------------------------------------------------------- selected repositories

function selectionRoutes(
  app: Hono<GitHubEnv>,
  state: GitHubState,
  path: string,
  open: (c: GitHubContext, how: "read" | "write") => Level,
): void {
  const selected = (c: GitHubContext, how: "read" | "write") => {
    const secret = secretOf(open(c, how), c);
    if (secret.visibility !== "selected") {
      throw new GitHubRefusal(409, "Secret visibility is not set to selected");
    }
    return secret;
  };
  app.get(`${path}/:name/repositories`, (c) => {
    const { selected: ids } = selected(c, "read");
    const repositories = state.repositories.filter(({ id }) => ids.has(id));
    return c.json({ total_count: repositories.length, repositories: repositories.map(shownRepository) });
  });
  app.put(`${path}/:name/repositories`, async (c) => {
    const secret = selected(c, "write");
    const { selected_repository_ids: ids } = await jsonBody(c);
    if (ids === undefined) throw missing("selected_repository_ids");
    secret.selected = new Set(idsOf(ids));
    return c.body(null, 204);
  });
  app.put(`${path}/:name/repositories/:id`, (c) => {
    selected(c, "write").selected.add(Number(c.req.param("id")));
    return c.body(null, 204);
  });
  app.delete(`${path}/:name/repositories/:id`, (c) => {
    selected(c, "write").selected.delete(Number(c.req.param("id")));
    return c.body(null, 204);
  });
}

function idsOf(input: unknown): number[] {
  if (Array.isArray(input) && input.every((id) => Number.isInteger(id))) return input as number[];
  throw unprocessable(
    "Invalid request.\n\nFor 'properties/selected_repository_ids', an array of integers is expected.",
  );
}

// ---------------------------------------------------------------- read

function nameOf(c: GitHubContext): string {
  return (c.req.param("name") ?? "").toUpperCase();
}

function secretOf(level: Level, c: GitHubContext): Stored {
  const found = level.secrets.get(nameOf(c));
  if (found === undefined) throw notFound();
  return found;
}

function shown(c: GitHubContext, path: string, secret: Stored): Record<string, unknown> {
  const { name, createdAt, updatedAt, visibility } = secret;
  const base = { name, created_at: stamp(createdAt), updated_at: stamp(updatedAt) };
  if (!path.startsWith("/orgs/")) return base;
  const list = new URL(path.replace(":org", c.req.param("org") ?? ""), c.req.url);
  return {
    ...base,
    visibility,
    ...(visibility === "selected" ? { selected_repositories_url: `${list}/${name}/repositories` } : {}),
  };
}
