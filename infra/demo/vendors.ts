/** What the four vendors hold for a preview branch, seen from their side, and what Neon says they should. */

import type { Sandbox } from "../sandbox/index.ts";
import { NEON_PROJECT } from "../sandbox/neon.ts";

export const DESTINATIONS = ["web", "ci", "runtime", "vault"] as const;
export type DestinationName = (typeof DESTINATIONS)[number];
export type Holdings = Readonly<Record<DestinationName, Readonly<Record<string, string>>>>;

export const APP = "shop_app";
export const OWNER = "shop_owner";
const DATABASE = NEON_PROJECT.databases?.[0]?.name ?? "shop";

/** The names and values at each vendor; an empty object where there is nothing. */
export function holdings({ vercel, github, aws, vault }: Sandbox, preview: string): Holdings {
  return {
    web: vercel.state.values("shop-web", { target: "preview", gitBranch: preview }),
    ci: github.state.repository("acme/shop").environments.has(`preview-${preview}`)
      ? github.state.secrets("acme/shop", { environment: `preview-${preview}` })
      : {},
    runtime: strings(awsValue(aws.state, `preview/${preview}/db`)),
    vault: strings(vault.state.values(`preview/${preview}`, "kv")),
  };
}

/** A secret within its recovery window is gone for everyone who reads. */
function awsValue(state: Sandbox["aws"]["state"], name: string): Record<string, unknown> | undefined {
  const there = state.secrets.some((secret) => secret.name === name && secret.deletion === null);
  return there ? state.json(name) : undefined;
}

/** The same from Neon's side: role, password and hosts as they are now. */
export function expected({ neon }: Sandbox, branch: string): Holdings {
  const app = neon.state.connectionStrings(branch, APP, DATABASE);
  const owner = neon.state.connectionStrings(branch, OWNER, DATABASE);
  const password = neon.state.passwordOf(branch, APP) ?? "";
  return {
    web: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: owner.direct },
    ci: { DATABASE_URL: owner.pooled, DATABASE_URL_UNPOOLED: owner.direct },
    runtime: {
      DATABASE_URL: app.pooled,
      PGHOST: new URL(app.pooled).hostname,
      PGUSER: APP,
      PGPASSWORD: password,
    },
    vault: { DATABASE_URL: app.pooled, DATABASE_URL_UNPOOLED: app.direct },
  };
}

/** Vault's production path holds the default branch's login. */
export function productionAgrees({ neon, vault }: Sandbox): boolean {
  const held = strings(vault.state.values("production/shop", "kv"))["DATABASE_URL"];
  return (
    held !== undefined && login(held) === login(neon.state.connectionStrings("main", APP, DATABASE).pooled)
  );
}

/** Which destinations hold exactly what they should; URLs are equal if they lead to the same login. */
export function agreeing(held: Holdings, should: Holdings): DestinationName[] {
  return DESTINATIONS.filter((name) => {
    const names = Object.keys(should[name]);
    return (
      names.length === Object.keys(held[name]).length &&
      names.every((key) => login(held[name][key]) === login(should[name][key]))
    );
  });
}

/** Decoded, since what needs no escape may have one. */
function login(value: string | undefined): string | undefined {
  if (value === undefined || !value.startsWith("postgres")) return value;
  const { username, password, hostname, pathname } = new URL(value);
  return [username, password, hostname, pathname].map(decodeURIComponent).join("\n");
}

function strings(values: Readonly<Record<string, unknown>> | null | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, String(value)]));
}
