/** For steps that must not race: answers when a branch is in step, or says what is behind. */
import { z } from "zod";
import { countAtOnce } from "./at-once.ts";
import { stillEntitled } from "./auth.ts";
import { type BindingItem, bindingItem } from "./bindings.ts";
import { byId, operation, word } from "./operation.ts";
import type { Standing } from "./ports.ts";
import { ApiProblem } from "./problems.ts";
import { Answered, type Asked, type Router } from "./router.ts";

const MOST_SECONDS = 300;
/** How often it is looked, and how often whether the token may still see it. */
const PACE = { everyMs: 500, recheckMs: 2_000 };
const PER_TOKEN = 10;
const AT_ONCE = {
  perToken: PER_TOKEN,
  all: 200,
  tooMany: `Too many waits are open; a token has ${PER_TOKEN} at once. Ask again after Retry-After seconds, or with timeout=0, which answers at once and does not count.`,
  retryAfterSeconds: 5,
};

export const waited = z
  .object({
    synced: z.boolean(),
    branch: z.object({ id: z.uuid(), name: z.string(), source: z.string() }),
    reason: z.string().nullable().meta({ description: "Why it is not in step, in words." }),
    bindings: z.array(bindingItem).readonly().meta({ description: "Those that were waited for." }),
    behind: z.array(bindingItem).readonly().meta({ description: "Those of them that are not in step." }),
  })
  .meta({ id: "Waited" });

export const waitForBranch = operation({
  id: "waitForBranch",
  method: "get",
  path: "/v1/branches/{id}/wait",
  scope: "read",
  summary: "Wait until a branch is in step at the named destinations, or at all.",
  description: `200: it is. 202: not yet, when the time was up. 409 \`behind\`: something stands still until somebody does something, and waiting is of no use. A token has at most ${PER_TOKEN} waits at once, of which one with \`timeout=0\` is none: 429 beyond that.`,
  noun: "branch",
  params: byId,
  query: z.strictObject({
    destination: z
      .string()
      .max(2_000)
      .transform((text) => text.split(","))
      .pipe(z.array(word).max(50))
      .optional()
      .meta({ description: "Names of destinations, with commas; left out: all.", type: "string" }),
    timeout: z
      .string()
      .regex(/^\d{1,4}$/)
      .transform(Number)
      .pipe(z.int().max(MOST_SECONDS))
      .default(60)
      .meta({ description: `Seconds, at most ${MOST_SECONDS}.`, type: "integer" }),
  }),
  answer: waited,
  also: { 202: "Not yet: the time was up." },
  problems: ["behind"],
});

/** How a branch stands at this moment. */
export interface Stand {
  readonly branch: { readonly id: string; readonly name: string; readonly source: string };
  /** Neon is about to be asked again, so what is wanted may yet rise. */
  readonly unread: boolean;
  readonly heldUntil: string | null;
  /** Live ones, at the destinations that were asked for. */
  readonly bindings: readonly BindingItem[];
}

type Waiting = Asked<
  z.output<typeof waitForBranch.params>,
  z.output<typeof waitForBranch.query>,
  z.output<typeof waitForBranch.body>
>;

/** `GET /v1/branches/:id/wait`. */
export function waits(router: Router, standing: Standing): void {
  const enter = countAtOnce(AT_ONCE);
  router.on(waitForBranch, async (asked) => {
    const leave = asked.query.timeout === 0 ? () => {} : enter(asked.caller.principal);
    try {
      return await wait(standing, asked);
    } finally {
      leave();
    }
  });
}

async function wait(standing: Standing, { params, query, caller, c }: Waiting) {
  const until = performance.now() + query.timeout * 1_000;
  let { principal } = caller;
  for (let checked = performance.now(); ; ) {
    if (performance.now() - checked >= PACE.recheckMs) {
      principal = await stillEntitled(c, "read");
      checked = performance.now();
    }
    const stand = await standing.of(params.id, query.destination ?? null, principal.limits);
    if (stand === null) return null;
    const { synced, stuck, reason, behind } = judge(stand, query.destination ?? null);
    const { branch, bindings } = stand;
    if (synced) return { synced, branch, reason: null, bindings, behind };
    if (stuck) throw new ApiProblem("behind", reason, { members: { branch, behind } });
    const left = until - performance.now();
    if (left <= 0 || c.req.raw.signal.aborted) {
      return new Answered(202, { synced, branch, reason, bindings, behind });
    }
    await standing.pause(Math.min(PACE.everyMs, left));
  }
}

/** States that only a person, a vendor or the configuration ends. */
const STANDING_STILL: ReadonlySet<string> = new Set(["parked", "suspended", "drifted"]);

/** Pure. */
export function judge(
  { unread, heldUntil, bindings }: Stand,
  destinations: readonly string[] | null,
): { synced: boolean; stuck: boolean; reason: string; behind: readonly BindingItem[] } {
  const behind = bindings.filter((one) => !inStep(one));
  const missing = (destinations ?? []).filter((name) => !bindings.some((one) => one.destination === name));
  const answer = { synced: false, stuck: false, behind };
  if (unread) return { ...answer, reason: "Neon is about to be asked what the branch has." };
  const still = behind.filter(({ state }) => STANDING_STILL.has(state));
  if (still.length > 0)
    return { ...answer, stuck: true, reason: `${still.length} of ${bindings.length} bindings stand still.` };
  if (missing.length > 0 || bindings.length === 0) {
    const where = missing.length > 0 ? missing.join(", ") : "any destination";
    return { ...answer, stuck: true, reason: `No rule brings this branch to ${where}.` };
  }
  if (behind.length === 0) return { ...answer, synced: true, reason: "" };
  const held = heldUntil === null ? "" : ` The branch is held until ${heldUntil}.`;
  return { ...answer, reason: `${behind.length} of ${bindings.length} bindings are behind.${held}` };
}

const inStep = ({ state, wanted, applied }: BindingItem): boolean =>
  (state === "synced" || state === "orphaned") && applied >= wanted;
