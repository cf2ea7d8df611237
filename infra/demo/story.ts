/** The story that the demo plays: a branch appears, its password rotates, it goes. */
import { setTimeout as pause } from "node:timers/promises";
import { type BindingItem, listBindings } from "../../services/store/views.ts";
import { signDelivery } from "../sandbox/github.ts";
import {
  APP,
  agreeing,
  DESTINATIONS,
  type DestinationName,
  expected,
  holdings,
  OWNER,
  productionAgrees,
} from "./vendors.ts";
import type { World } from "./world.ts";

export const PREVIEW = "checkout";
export const BRANCH = `preview/${PREVIEW}`;

export interface Step {
  readonly name: string;
  /** From the moment it was told (or done, where nobody tells) until all four vendors were as they should be. */
  readonly ms: number;
  /** By `performance.now()`. */
  readonly startedAt: number;
  readonly ok: boolean;
  /** Of each destination: the binding's state, and whether the vendor holds what Neon says. */
  readonly destinations: Readonly<Record<string, { state: string; agrees: boolean }>>;
}

export interface Chapter {
  readonly name: string;
  readonly told: string;
  play(world: World): Promise<Step>;
}

/** Nobody waits longer for a step than this. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 10;

export const CHAPTERS: readonly Chapter[] = [
  {
    name: "production is there",
    told: "the default branch goes to Vault's production path, and to no preview",
    play: async (world) => {
      const started = performance.now();
      return await until("production is there", started, async () => {
        const states = await bindingStates(world, "main");
        const agrees = productionAgrees(world.sandbox);
        return { vault: { state: states.get("vault") ?? "none", agrees } };
      });
    },
  },
  {
    name: "branch appears",
    told: `git push ${PREVIEW}: CI makes the Neon branch ${BRANCH}, GitHub tells us`,
    play: async (world) => {
      world.sandbox.vercel.state.addBranch("shop-web", PREVIEW);
      await neon(world, "POST", "/branches", {
        branch: { name: BRANCH },
        endpoints: [{ type: "read_write" }],
      });
      const started = performance.now();
      await deliver(world, "create", {
        ref: PREVIEW,
        ref_type: "branch",
        master_branch: "main",
        pusher_type: "user",
      });
      return await arrive(world, "branch appears", started, "synced");
    },
  },
  {
    name: "password rotates",
    told: "someone resets both passwords in Neon and tells nobody",
    play: async (world) => {
      const { id } = world.sandbox.neon.state.branch(BRANCH);
      for (const role of [APP, OWNER])
        await neon(world, "POST", `/branches/${id}/roles/${role}/reset_password`);
      return await arrive(world, "password rotates", performance.now(), "synced");
    },
  },
  {
    name: "branch goes",
    told: "the pull request is merged: the Neon branch is deleted, GitHub tells us",
    play: async (world) => {
      const { id } = world.sandbox.neon.state.branch(BRANCH);
      await neon(world, "DELETE", `/branches/${id}`);
      const started = performance.now();
      await deliver(world, "delete", { ref: PREVIEW, ref_type: "branch", pusher_type: "user" });
      return await arrive(world, "branch goes", started, "removed");
    },
  },
];

/** Asks again and again until everything is synced and agrees, or nobody would wait any longer. */
async function until(
  name: string,
  started: number,
  look: () => Promise<Step["destinations"]>,
  state = "synced",
): Promise<Step> {
  for (;;) {
    const destinations = await look();
    const ok = Object.values(destinations).every((one) => one.agrees && one.state === state);
    const ms = Math.round(performance.now() - started);
    if (ok || ms > PATIENCE_MS) return { name, ms, startedAt: started, ok, destinations };
    await pause(LOOK_MS);
  }
}

/** Waits until the vendors themselves hold what they should, and Branchline says so too. */
async function arrive(
  world: World,
  name: string,
  started: number,
  state: "synced" | "removed",
): Promise<Step> {
  const look = async (): Promise<Step["destinations"]> => {
    const agree = agreement(world, state);
    const states = await bindingStates(world, BRANCH);
    return Object.fromEntries(
      DESTINATIONS.map((destination) => [
        destination,
        { state: states.get(destination) ?? "none", agrees: agree.includes(destination) },
      ]),
    );
  };
  return await until(name, started, look, state);
}

function agreement({ sandbox }: World, state: "synced" | "removed"): DestinationName[] {
  const held = holdings(sandbox, PREVIEW);
  if (state === "removed") return DESTINATIONS.filter((name) => Object.keys(held[name]).length === 0);
  return agreeing(held, expected(sandbox, BRANCH));
}

async function bindingStates(world: World, branch: string): Promise<Map<string, string>> {
  const mine = (await bindings(world)).filter((b) => b.branch.name === branch);
  // A branch made again under its name is another branch; what was removed with the first one counts less.
  const order = mine.toSorted((a, b) => Number(b.state === "removed") - Number(a.state === "removed"));
  return new Map(order.map((b) => [b.destination, b.state]));
}

export async function bindings({ service }: World): Promise<readonly BindingItem[]> {
  const { db } = service.runtime.database;
  return (await listBindings(db, { limit: 200, after: null, filter: {} }))?.items ?? [];
}

/** Through Neon's own API, as anybody would. */
async function neon({ sandbox }: World, method: string, path: string, body?: unknown): Promise<void> {
  const { apiKey, project } = sandbox.credentials.neon;
  const response = await fetch(`${sandbox.neon.url}/api/v2/projects/${project}${path}`, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`the stand-in for Neon answered ${response.status} to ${method} ${path}`);
}

/** As GitHub would send it, signature and all. */
async function deliver({ apiUrl, webhookSecret }: World, event: string, payload: object): Promise<void> {
  const repository = { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } };
  const { headers, body } = signDelivery(webhookSecret, event, {
    ...payload,
    repository,
    sender: { login: "dev" },
  });
  const response = await fetch(`${apiUrl}/webhooks/github`, { method: "POST", headers, body });
  if (response.status !== 202) throw new Error(`the webhook was answered ${response.status}`);
}
