/** GitHub's webhooks as the world sends them: once, twice, late, never; and those that somebody else made up. */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { type Delivery, signDelivery } from "../../infra/sandbox/github.ts";
import type { Hook, ProcessAct, WorldAct } from "./acts.ts";

export interface Hooks {
  /** Does not wait for answers. */
  announce(act: WorldAct): void;
  forge(how: Extract<ProcessAct, { kind: "forge" }>["how"]): void;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
  /** Delivery ids that were answered with 202: each of them is on disk, or a promise is broken. */
  readonly accepted: ReadonlySet<string>;
  /** Ids of what nobody may have taken in. */
  readonly forged: ReadonlySet<string>;
  /** Forged ones that were answered as if they were true, by status. */
  readonly believed: readonly number[];
  /** How often each status was answered; 0: no answer. */
  readonly answers: Readonly<Record<number, number>>;
}

const REPOSITORY = { id: 4711, full_name: "acme/shop", name: "shop", owner: { login: "acme" } };
const LATE_MS = 1_500;
const PATIENCE_MS = 20_000;

export function createHooks(apiUrls: readonly string[], secret: string): Hooks {
  const accepted = new Set<string>();
  const forged = new Set<string>();
  const believed: number[] = [];
  const answers: Record<number, number> = {};
  const underWay = new Set<Promise<void>>();
  let sent = 0;

  const post = async ({ headers, body }: Delivery): Promise<number> => {
    const url = apiUrls[sent % apiUrls.length] ?? "";
    sent += 1;
    const status = await statusOf(url, { headers, body });
    answers[status] = (answers[status] ?? 0) + 1;
    return status;
  };
  const track = (work: Promise<void>): void => {
    const tracked = work.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  };
  const deliver = async (delivery: Delivery, afterMs = 0): Promise<void> => {
    if (afterMs > 0) await pause(afterMs);
    if ((await post(delivery)) === 202) accepted.add(delivery.headers["x-github-delivery"] ?? "");
  };

  return {
    accepted,
    forged,
    believed,
    answers,
    announce(act) {
      for (const [event, payload] of eventsOf(act)) {
        const delivery = signDelivery(secret, event, {
          ...payload,
          repository: REPOSITORY,
          sender: { login: "dev" },
        });
        for (const afterMs of TIMES[hookOf(act)]) track(deliver(delivery, afterMs));
      }
    },
    forge(how) {
      const push = { ref: "refs/heads/p0", repository: REPOSITORY, sender: { login: "mallory" } };
      const delivery = forgery(how, secret, push);
      forged.add(delivery.headers["x-github-delivery"] ?? "");
      track(
        post(delivery).then((status) => {
          if (status > 0 && status < 400) believed.push(status);
        }),
      );
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

/** 0: there was no answer. */
async function statusOf(url: string, { headers, body }: Delivery): Promise<number> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(`${url}/webhooks/github`, { method: "POST", headers, body, signal });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

const TIMES: Readonly<Record<Hook, readonly number[]>> = {
  once: [0],
  twice: [0, 40],
  late: [LATE_MS],
  lost: [],
};

const hookOf = (act: WorldAct): Hook => ("hook" in act ? act.hook : "lost");

function eventsOf(act: WorldAct): [string, object][] {
  const ref = "branch" in act ? act.branch : "main";
  const created: [string, object] = [
    "create",
    { ref, ref_type: "branch", master_branch: "main", pusher_type: "user" },
  ];
  const deleted: [string, object] = ["delete", { ref, ref_type: "branch", pusher_type: "user" }];
  switch (act.kind) {
    case "create":
      return [created];
    case "delete":
    case "expire":
      return [deleted];
    case "recreate":
      // Out of order: nothing in them is believed, so that must not matter.
      return [created, deleted];
    default:
      return [["push", { ref: `refs/heads/${ref}` }]];
  }
}

function forgery(how: "signature" | "nonsense" | "replayed-body", secret: string, push: object): Delivery {
  const guid = randomUUID();
  switch (how) {
    case "signature":
      return signDelivery(randomBytes(20).toString("hex"), "push", push, guid);
    case "nonsense":
      return signDelivery(secret, "push", `{"ref":${"[".repeat(2_000)}`, guid);
    case "replayed-body": {
      const { headers } = signDelivery(secret, "push", push, guid);
      return { headers, body: JSON.stringify({ ...push, forced: true }) };
    }
  }
}
