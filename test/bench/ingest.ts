/**
 * Signed GitHub deliveries that are on disk, event and due row, before they are answered: the API in a process of its
 * own, 32 connections, 200 git branches. Beside it, in turn and on the same database, what node-postgres alone
 * inserts; the same API that keeps the same promise with one statement per delivery; and one that only inserts the
 * event, so that nobody would come to look at it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { Pool } from "undici";
import type { Delivery } from "../../infra/sandbox/github.ts";
import { deliveryOf } from "./hooks.ts";
import { CONNECTIONS, INSERT } from "./insert.ts";
import { closedLoop, openLoop, type Send } from "./load.ts";
import { percentile, type Result, rounded, type Scale } from "./result.ts";
import { openStage, type Stage } from "./stage.ts";

const BRANCHES = 200;
const ROUNDS = 5;
const ROUND_MS = 4_000;
const OPEN_PER_SECOND = 1_000;
const OPEN_MS = 10_000;
/** Signed ahead, so that signing is not what is measured; used again under another id. */
const SIGNED = 2_000;

const PER_REQUEST = fileURLToPath(new URL("./insert-per-request.js", import.meta.url));

interface Senders {
  readonly ours: Send;
  readonly bare: Send;
  readonly perRequest: Send;
  readonly eventOnly: Send;
}

export async function run({ scale }: Scale): Promise<Result[]> {
  const stage = await openStage({});
  const closing: (() => Promise<unknown>)[] = [() => stage.close()];
  try {
    const member = await stage.serve(["--api"]);
    const pool = new pg.Pool({ connectionString: stage.postgres.url, max: CONNECTIONS });
    closing.push(() => pool.end());
    const { rows } = await pool.query<{ id: string }>("select id from branchline.source");
    const sourceId = rows[0]?.id ?? "";
    const other = await startPerRequest(stage, sourceId);
    closing.push(other.end);
    const ours = poster(stage, member.apiUrl);
    const [perRequest, eventOnly] = [poster(stage, other.url, "due-"), poster(stage, other.url)];
    closing.push(ours.close, perRequest.close, eventOnly.close);
    const bare: Send = async () => {
      const values = ["github", "create", `bare-${crypto.randomUUID()}`, sourceId, "{}"];
      await pool.query({ ...INSERT, values });
    };
    const senders = { ours: ours.send, bare, perRequest: perRequest.send, eventOnly: eventOnly.send };
    const fast = await asFastAsItGoes(senders, scale);
    const steady = await steadily(senders, scale);
    await allOnDisk(pool, ours.sent());
    return [...fast, ...steady];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

interface Rates {
  readonly ours: number;
  readonly bare: number;
  readonly perRequest: number;
  readonly eventOnly: number;
}

/** In turn and several times, so that what else the machine does meets all of them. */
async function asFastAsItGoes(
  { ours, bare, perRequest, eventOnly }: Senders,
  scale: number,
): Promise<Result[]> {
  const rounds: Rates[] = [];
  const forMs = ROUND_MS * scale;
  const rate = async (send: Send) => Math.round(await closedLoop(CONNECTIONS, forMs, send));
  for (const send of [ours, bare, perRequest, eventOnly]) await rate(send); // warms up
  for (let n = 0; n < ROUNDS; n++) {
    rounds.push({
      bare: await rate(bare),
      ours: await rate(ours),
      perRequest: await rate(perRequest),
      eventOnly: await rate(eventOnly),
    });
  }
  const ratio = (of: (one: Rates) => number) => rounded(percentile(rounds.map(of), 0.5));
  const toBare = ratio((one) => one.ours / one.bare);
  const toPerRequest = ratio((one) => one.ours / one.perRequest);
  const toEventOnly = ratio((one) => one.ours / one.eventOnly);
  return [
    {
      name: "ingest.to-bare-insert",
      value: toBare,
      unit: "deliveries per bare insert of node-postgres",
      bar: 0.6,
      ok: toBare >= 0.6,
      detail: { perSecond: rounds },
    },
    {
      name: "ingest.to-insert-per-request",
      value: toPerRequest,
      unit: "times the same API with a statement per request: event and due row",
      bar: 1.5,
      ok: toPerRequest >= 1.5,
    },
    {
      name: "ingest.to-event-per-request",
      value: toEventOnly,
      unit: "times the same API with an insert per request: the event, and nobody told",
      bar: null,
      ok: true,
    },
  ];
}

async function steadily({ ours, bare }: Senders, scale: number): Promise<Result[]> {
  const p99 = async (send: Send) => percentile(await openLoop(OPEN_PER_SECOND, OPEN_MS * scale, send), 0.99);
  const bareMs = await p99(bare);
  const oursMs = await p99(ours);
  const beyond = rounded(oursMs - bareMs);
  return [
    {
      name: "ingest.p99-at-1000",
      value: beyond,
      unit: "ms beyond the bare insert's, 1,000 a second",
      bar: 10,
      ok: beyond < 10,
      detail: { bareMs: rounded(bareMs), oursMs: rounded(oursMs) },
    },
  ];
}

interface Poster {
  readonly send: Send;
  sent(): number;
  close(): Promise<void>;
}

/** `prefix`: of each delivery's id. */
function poster({ sandbox }: Pick<Stage, "sandbox">, url: string, prefix = ""): Poster {
  const signed = Array.from({ length: SIGNED }, (_, n): Delivery => {
    return deliveryOf(sandbox, "create", `bench-${n % BRANCHES}`);
  });
  const pool = new Pool(url, { connections: CONNECTIONS });
  let sent = 0;
  return {
    send: async (n) => {
      const { headers, body } = signed[n % SIGNED] as Delivery;
      // Ids are not signed.
      const own = { ...headers, "x-github-delivery": prefix + crypto.randomUUID() };
      const answer = await pool.request({ path: "/webhooks/github", method: "POST", headers: own, body });
      await answer.body.dump();
      if (answer.statusCode !== 202) throw new Error(`a delivery was answered ${answer.statusCode}`);
      sent += 1;
    },
    sent: () => sent,
    close: () => pool.close(),
  };
}

/** Whatever was answered 202 is there, and the source is due or was looked at. */
async function allOnDisk(pool: pg.Pool, sent: number): Promise<void> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from branchline.event
     where subject->>'gitBranch' like 'bench-%' and outcome <> 'ignored'`,
  );
  if (rows[0]?.n !== sent) throw new Error(`${sent} deliveries were accepted, ${rows[0]?.n} are there`);
  const due = await pool.query("select 1 from branchline.source where due_at <= now() and revision > 0");
  if (due.rowCount !== 1) throw new Error("the source is not due");
}

async function startPerRequest(stage: Stage, sourceId: string) {
  const secret = stage.sandbox.credentials.github.webhookSecret;
  const child = spawn(process.execPath, [PER_REQUEST, stage.postgres.url, sourceId, secret], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = once(child, "close");
  const url = await new Promise<string>((resolve, reject) => {
    child.once("close", () => reject(new Error("the process with an insert per request ended")));
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("up ")) resolve(line.slice(3));
    });
  });
  const end = async (): Promise<void> => {
    child.stdin.end();
    await gone;
  };
  return { url, end };
}
