/** What the four vendors hold, place by place, and what Neon says that they should. */
import type { Sandbox } from "../../infra/sandbox/index.ts";
import { DESTINATIONS, type DestinationName } from "./acts.ts";
import { FOREIGN } from "./schedule.ts";

export const PROJECT = "shop-web";
export const REPOSITORY = "acme/shop";
const PREFIX = "preview/";

/** Names and values of a place: `vault p0`, `web p3`, `vault production`. */
export type Holdings = ReadonlyMap<string, Readonly<Record<string, string>>>;

export const placeOf = (destination: DestinationName, branch: string): string => `${destination} ${branch}`;

/** Everything that readers at the vendors see now. */
export function holdings({ vercel, github, aws, vault }: Sandbox): Holdings {
  const found = new Map<string, Record<string, string>>();
  const put = (place: string, name: string, value: string): void => {
    const there = found.get(place) ?? {};
    found.set(place, there);
    // Two rows of one name at one place must not hide each other.
    there[name in there ? `${name} (again)` : name] = value;
  };
  for (const row of vercel.state.project(PROJECT).rows) {
    put(placeOf("web", row.gitBranch ?? "(all)"), row.key, row.value);
  }
  for (const { name, actions } of github.state.repository(REPOSITORY).environments.values()) {
    for (const secret of actions.secrets.values()) {
      put(placeOf("ci", name.replace(/^preview-/, "")), secret.name, secret.value);
    }
  }
  for (const { name, deletion } of aws.state.secrets) {
    if (deletion !== null) continue;
    const branch = /^preview\/(.+)\/db$/.exec(name)?.[1] ?? name;
    for (const [key, value] of Object.entries(aws.state.json(name) ?? {})) {
      put(placeOf("runtime", branch), key, String(value));
    }
  }
  for (const path of vault.state.mount("kv").secrets.keys()) {
    const branch = path === "production/shop" ? "production" : path.replace(/^preview\//, "");
    for (const [key, value] of Object.entries(vault.state.values(path) ?? {})) {
      put(placeOf("vault", branch), key, String(value));
    }
  }
  return found;
}

/** The same from Neon's side, for every branch that lives now; places that others had first are left out. */
export function expected({ neon }: Sandbox): Holdings {
  const should = new Map<string, Record<string, string>>();
  for (const { name } of neon.state.project.branches.values()) {
    if (name === "main") {
      const { pooled, direct } = strings(neon.state, name, "shop_app");
      should.set(placeOf("vault", "production"), { DATABASE_URL: pooled, DATABASE_URL_UNPOOLED: direct });
    }
    if (!name.startsWith(PREFIX)) continue;
    const branch = name.slice(PREFIX.length);
    const wishes = previewOf(neon.state, name);
    for (const destination of DESTINATIONS) {
      if (FOREIGN[branch]?.includes(destination)) continue;
      should.set(placeOf(destination, branch), wishes[destination]);
    }
  }
  return should;
}

function previewOf(
  neon: Sandbox["neon"]["state"],
  name: string,
): Record<DestinationName, Record<string, string>> {
  const app = strings(neon, name, "shop_app");
  const owner = strings(neon, name, "shop_owner");
  return {
    web: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: owner.direct },
    ci: { DATABASE_URL: owner.pooled, DATABASE_URL_UNPOOLED: owner.direct },
    runtime: {
      DATABASE_URL: app.pooled,
      PGHOST: new URL(app.pooled).hostname,
      PGUSER: "shop_app",
      PGPASSWORD: neon.passwordOf(name, "shop_app") ?? "",
    },
    vault: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: app.direct },
  };
}

const strings = (neon: Sandbox["neon"]["state"], branch: string, role: string) =>
  neon.connectionStrings(branch, role, "shop");

/** Two strings are equal if they lead to the same login. */
export function sameLogin(a: string | undefined, b: string | undefined): boolean {
  return login(a) === login(b);
}

function login(value: string | undefined): string | undefined {
  if (value === undefined || !value.startsWith("postgres")) return value;
  const { username, password, hostname, pathname } = new URL(value);
  return [username, password, hostname, pathname].join(" ");
}
