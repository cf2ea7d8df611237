/**
 * Thousands of branches that are in step with four destinations each, without having been pushed: at the vendors by
 * their inspection side, in our tables by SQL, with the versions that our own adapters see there.
 */
import pg from "pg";
import { credentialsOf } from "../../infra/demo/world.ts";
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { resolveReference } from "../../services/config.ts";
import { destinations } from "../../services/destinations/index.ts";
import { createIo } from "../../services/http.ts";
import { createFingerprinter } from "../../services/sync/fingerprint.ts";
import type { Observation } from "../../services/sync/ports.ts";
import { unseal } from "../../services/sync/seal.ts";
import type { Stage } from "./stage.ts";

/** As many as GitHub lets a repository have, and as go on one page of its list. */
export const PER_REPOSITORY = 100;
export const PER_PROJECT = 500;

/** Accounts enough for so many branches, and a rule for each; in place of the demo's. */
export const fileFor =
  (branches: number) =>
  (demo: string): string => {
    const accounts = demo.slice(demo.indexOf("\n  runtime:"), demo.indexOf("\nx-preview:"));
    const before = demo.slice(0, demo.indexOf("\ndestinations:"));
    const privateNetwork = true;
    const web = { team: "acme", token: "env:VERCEL_TOKEN", api: "http://vercel.sandbox", privateNetwork };
    const ci = { token: "env:GITHUB_TOKEN", api: "http://github.sandbox", privateNetwork };
    const blocks = [
      ...projectsOf(branches).map((project, n) => [`web-${n}`, { vercel: { project, ...web } }]),
      ...repositoriesOf(branches).map((repository, n) => [`ci-${n}`, { github: { repository, ...ci } }]),
    ];
    const names = [...blocks.map(([name]) => String(name)), "runtime", "vault"];
    const rules = names.map((destination) => [
      destination,
      { ...RULE, destination, ...TARGETS[kindOf(destination)] },
    ]);
    const lines = blocks.map(([name, block]) => `  ${name}: ${JSON.stringify(block)}`).join("\n");
    return `${before}\ndestinations:\n${lines}${accounts}\nrules: ${JSON.stringify(Object.fromEntries(rules))}\n`;
  };

/** Means no branch that Neon has: what there is, is laid by hand. */
const RULE = {
  source: "shop",
  branches: { include: ["many/**"] },
  role: "shop_app",
  database: "shop",
  proof: "never",
  exposure: "preview",
  variables: { URL: "pooled" },
};
const TARGETS: Readonly<Record<string, object>> = {
  web: { target: { environment: "preview" }, exposure: undefined },
  ci: { target: {} },
  runtime: { target: { secretId: "many" } },
  vault: { target: { path: "many" } },
};

const kindOf = (destination: string): string => destination.split("-")[0] ?? "";
const projectsOf = (branches: number): string[] => numbered("shop-many", branches / PER_PROJECT);
const repositoriesOf = (branches: number): string[] => numbered("acme/many", branches / PER_REPOSITORY);
const numbered = (name: string, count: number): string[] =>
  Array.from({ length: Math.ceil(count) }, (_, n) => `${name}-${n}`);

export function seedsFor(branches: number) {
  return {
    vercel: { projects: projectsOf(branches).map((name) => ({ id: `prj_${name}`, name })) },
    github: { repositories: repositoriesOf(branches).map((fullName) => ({ fullName })) },
  };
}

/** One name of one branch at one destination. */
interface Held {
  readonly branch: number;
  readonly destination: string;
  readonly name: string;
  readonly target: object;
}

function heldBy(branches: number): Held[] {
  return Array.from({ length: branches }, (_, n): Held[] => [
    {
      branch: n,
      destination: `web-${Math.floor(n / PER_PROJECT)}`,
      name: "URL",
      target: { environment: "preview", gitBranch: `many-${n}` },
    },
    { branch: n, destination: `ci-${Math.floor(n / PER_REPOSITORY)}`, name: `URL_${n}`, target: {} },
    { branch: n, destination: "runtime", name: "URL", target: { secretId: `many/${n}` } },
    { branch: n, destination: "vault", name: "URL", target: { path: `many/${n}` } },
  ]).flat();
}

function lay({ vercel, github, aws, vault }: Sandbox, { destination, branch, name }: Held): void {
  const value = `postgresql://app:secret-${branch}@host/shop`;
  const now = github.state.now();
  if (destination === "vault") vault.state.write(`many/${branch}`, { [name]: value });
  else if (destination === "runtime") aws.state.edit(`many/${branch}`, { [name]: value });
  else if (destination.startsWith("web")) {
    const project = `shop-many-${Math.floor(branch / PER_PROJECT)}`;
    vercel.state.seed(project, { key: name, value, target: ["preview"], gitBranch: `many-${branch}` });
  } else {
    const level = github.state.level(`acme/many-${Math.floor(branch / PER_REPOSITORY)}`);
    const times = { createdAt: now, updatedAt: now, visibility: "all" as const, selected: new Set<number>() };
    level.secrets.set(name, { name, value, ...times });
  }
}

interface Row extends Held {
  readonly key: string;
  readonly container: string;
  readonly fingerprint: string;
  readonly version: string | null;
}

/** Returns how many containers there are, whose lists a sweep asks for. */
export async function layMany(stage: Stage, branches: number): Promise<{ lists: number; secrets: number }> {
  const all = heldBy(branches);
  for (const held of all) lay(stage.sandbox, held);
  const client = new pg.Client({ connectionString: stage.postgres.url });
  await client.connect();
  try {
    const rows = await seenAt(stage, client, all);
    await client.query("update branchline.source set due_at = null");
    await client.query(LAY, [JSON.stringify(rows)]);
    await client.query("analyze");
    const lists = new Set(
      all.filter(({ destination }) => destination.includes("-")).map((h) => h.destination),
    );
    return { lists: lists.size, secrets: branches * 2 };
  } finally {
    await client.end();
  }
}

async function seenAt(stage: Stage, client: pg.Client, all: readonly Held[]): Promise<Row[]> {
  const key = await client.query<{ sealed_key: string }>("select sealed_key from branchline.installation");
  const fingerprint = createFingerprinter(
    unseal(stage.masterKey, "fingerprint key", key.rows[0]?.sealed_key ?? ""),
  );
  const { signal } = new AbortController();
  const io = createIo({ signal, privateNetwork: true, fingerprint: (value) => fingerprint("value", value) });
  const environment = credentialsOf(stage.sandbox);
  const found = await client.query<{ name: string; kind: string; block: unknown }>(
    "select name, kind, block from branchline.destination",
  );
  const rows: Row[] = [];
  for (const { name: destination, kind, block } of found.rows) {
    const adapter = destinations.get(kind);
    if (adapter === undefined) throw new Error(`no adapter for ${kind}`);
    const opened = adapter.open(block, (ref) => resolveReference(ref, environment), io);
    const here = all.filter((held) => held.destination === destination);
    const targets = here.map(({ target }) => adapter.parseTarget(block, target));
    const seen = await opened.observe(targets, { contents: false });
    for (const [index, held] of here.entries()) {
      const target = targets[index];
      rows.push({
        ...held,
        target: target as object,
        key: adapter.place(target),
        container: adapter.container(target),
        ...asLeft(held, seen[index]),
      });
    }
  }
  return rows;
}

function asLeft(held: Held, seen: Observation | undefined): Pick<Row, "fingerprint" | "version"> {
  const name = seen?.names.find((one) => one.name === held.name);
  if (seen?.exists !== true) throw new Error(`${held.destination} does not show what was laid there`);
  return { fingerprint: name?.fingerprint ?? "never compared", version: name?.version ?? seen.version };
}

/** Everything synced, nothing due. */
const LAY = `
  with given as (
    select * from jsonb_to_recordset($1::jsonb) as g(
      branch int, destination text, name text, target jsonb, key text, container text, fingerprint text, version text)
  ), branches as (
    insert into branchline.branch (source_id, neon_id, name, is_default, is_protected, state, annotations,
      neon_created_at, facts, read_at)
    select s.id, 'br-many-' || n.branch, 'many/' || n.branch, false, false, 'ready', '{}', now(), '', now()
    from branchline.source s, (select distinct branch from given) n
    returning id, name
  ), places as (
    insert into branchline.place (destination_id, key, container, target, sweep_at)
    select distinct on (d.id, g.key) d.id, g.key, g.container, g.target, now() + interval '1 hour'
    from given g join branchline.destination d on d.name = g.destination
    returning id, destination_id, key
  ), bindings as (
    insert into branchline.binding (rule_id, branch_id, place_id, wanted, applied, state)
    select r.id, b.id, p.id, 1, 1, 'synced'
    from given g
    join branchline.rule r on r.name = g.destination
    join branches b on b.name = 'many/' || g.branch
    join places p on p.destination_id = r.destination_id and p.key = g.key
    returning id, branch_id, place_id
  )
  insert into branchline.ledger (place_id, name, binding_id, fingerprint, version, confirmed, written_at)
  select p.id, g.name, i.id, g.fingerprint, g.version, true, now()
  from given g
  join branchline.destination d on d.name = g.destination
  join places p on p.destination_id = d.id and p.key = g.key
  join branches b on b.name = 'many/' || g.branch
  join bindings i on i.branch_id = b.id and i.place_id = p.id`;
