/** What can happen in a run, as data: the schedule is made of it before anything begins. */
import type { Fault } from "../../infra/sandbox/desk.ts";

export const VENDORS = ["neon", "vercel", "github", "aws", "vault"] as const;
export type VendorName = (typeof VENDORS)[number];

/** Names of the destinations in the configuration, and of the vendor behind each. */
export const DESTINATIONS = ["web", "ci", "runtime", "vault"] as const;
export type DestinationName = (typeof DESTINATIONS)[number];

/** How the world tells us of a change at Neon, if it does. */
export type Hook = "once" | "twice" | "late" | "lost";

/** Something that the world does at Neon or at a destination: no fault, and no business of ours. */
export type WorldAct =
  | {
      readonly kind: "create" | "delete" | "expire" | "recreate";
      readonly branch: string;
      readonly hook: Hook;
    }
  | { readonly kind: "rotate"; readonly branch: string; readonly roles: readonly Role[]; readonly hook: Hook }
  /** At the worst moment: as soon as somebody has read a password of the branch for the `reads`-th time from now. */
  | {
      readonly kind: "rotate-after-read" | "delete-after-read";
      readonly branch: string;
      readonly reads: number;
      readonly hook: Hook;
    }
  | { readonly kind: "sql-password"; readonly branch: string; readonly role: Role };

export type Role = "shop_app" | "shop_owner";

/** A vendor that misbehaves, or somebody else who writes there. Played by the process of the stand-ins. */
export type VendorAct =
  | { readonly kind: "fault"; readonly vendor: VendorName; readonly fault: Fault }
  | { readonly kind: "outage"; readonly vendor: VendorName; readonly fault: Fault; readonly forMs: number }
  /** Lists of branches that lack some, lack all, or are some seconds old. */
  | { readonly kind: "lie"; readonly how: "truncated" | "empty" | "stale"; readonly times: number }
  | { readonly kind: "seal"; readonly forMs: number }
  | { readonly kind: "throttle"; readonly limit: "primary" | "secondary"; readonly seconds: number }
  | {
      readonly kind: "aws-refusal";
      readonly operation: string;
      readonly code: string;
      readonly status: number;
    }
  | { readonly kind: "github-key"; readonly branch: string }
  /** A promise is broken by us, to see that the run says so: a name that somebody else had first changes. */
  | { readonly kind: "plant" }
  | {
      readonly kind: "foreign";
      readonly what: "change" | "lose" | "beside";
      readonly destination: DestinationName;
      readonly branch: string;
    };

/** What befalls processes. Played by the process that runs everything. */
export type ProcessAct =
  | { readonly kind: "kill" | "term"; readonly process: string; readonly downMs: number }
  | { readonly kind: "freeze"; readonly process: string; readonly forMs: number }
  /** Its wall clock is off by so much from now on, also after a restart. */
  | { readonly kind: "clock"; readonly process: string; readonly offMs: number }
  | { readonly kind: "postgres-kill"; readonly downMs: number }
  | { readonly kind: "postgres-freeze"; readonly forMs: number; readonly whole: boolean }
  | { readonly kind: "postgres-cut"; readonly which: "listen" | "any"; readonly share: number }
  | { readonly kind: "postgres-crowd"; readonly forMs: number }
  | { readonly kind: "redis-kill"; readonly downMs: number }
  | { readonly kind: "redis-freeze"; readonly forMs: number }
  | { readonly kind: "redis-flush" }
  /** A webhook that nobody signed with our secret, or that says nonsense. */
  | { readonly kind: "forge"; readonly how: "signature" | "nonsense" | "replayed-body" };

export type Act = WorldAct | VendorAct | ProcessAct;

export interface Planned {
  readonly atMs: number;
  readonly act: Act;
}

const AFTER_READ: readonly string[] = ["rotate-after-read", "delete-after-read"];
const WORLD: readonly string[] = [
  "create",
  "delete",
  "expire",
  "recreate",
  "rotate",
  "sql-password",
  ...AFTER_READ,
];
const VENDOR: readonly string[] = [
  "fault",
  "outage",
  "lie",
  "seal",
  "throttle",
  "aws-refusal",
  "github-key",
  "foreign",
  "plant",
];

export const isWorldAct = (act: Act): act is WorldAct => WORLD.includes(act.kind);
export const isVendorAct = (act: Act): act is VendorAct => VENDOR.includes(act.kind);

/** Under which names an act counts as faults: none for what the world does on a good day. */
export function faultsIn(act: Act): readonly string[] {
  if (isWorldAct(act)) {
    const hook = "hook" in act && act.hook !== "once" ? [`webhook ${act.hook}`] : [];
    if (act.kind === "recreate" && act.hook !== "lost") hook.push("webhook reordered");
    return AFTER_READ.includes(act.kind) ? [...hook, act.kind] : hook;
  }
  switch (act.kind) {
    case "fault":
      return [`vendor ${act.fault.kind === "status" ? statusOf(act.fault) : act.fault.kind}`];
    case "outage":
      return [`outage ${act.fault.kind}`];
    case "lie":
      return [`list ${act.how}`];
    case "kill":
    case "term":
    case "freeze":
    case "clock":
      return [`${act.kind} ${act.process.replace(/-\d+$/, "")}`];
    case "postgres-cut":
      return [`${act.kind} ${act.which}`];
    case "foreign":
      return [`${act.kind} ${act.what}`];
    case "forge":
      return [`webhook forged: ${act.how}`];
    default:
      return [act.kind];
  }
}

const statusOf = ({ status = 500, retryAfter }: Fault): string =>
  status !== 429
    ? String(status)
    : retryAfter === undefined
      ? "429 without Retry-After"
      : "429 with Retry-After";

/** One line for people: `fault vault die-after-applying x1`. */
export function tell(act: Act): string {
  const { kind, ...rest } = act;
  return [
    kind,
    ...Object.values(rest).map((value) => (typeof value === "object" ? words(value) : String(value))),
  ].join(" ");
}

function words(value: object): string {
  return Array.isArray(value)
    ? value.join("+")
    : Object.entries(value)
        .map(([key, one]) => (key === "kind" ? String(one) : `${key}=${String(one)}`))
        .join(" ");
}
