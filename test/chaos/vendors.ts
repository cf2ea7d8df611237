/**
 * The vendors and the world around them as a process of their own: the five stand-ins, what happens at Neon, who else
 * writes there, and the witness who looks at all of it. Told what to do over its IPC channel.
 */
import { randomBytes } from "node:crypto";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { NEON_PROJECT } from "../../infra/sandbox/neon.ts";
import { isWorldAct, type VendorAct, type WorldAct } from "./acts.ts";
import { Foreigners } from "./foreign.ts";
import { PROJECT, REPOSITORY } from "./holdings.ts";
import { type Liar, startLiar } from "./lies.ts";
import { FOREIGN } from "./schedule.ts";
import { ROLES } from "./truth.ts";
import { type Breach, type Change, type Difference, Witness } from "./witness.ts";

export interface Opened {
  readonly urls: Readonly<Record<"neon" | "vercel" | "github" | "aws" | "vault", string>>;
  readonly credentials: Sandbox["credentials"];
  readonly computes: { readonly port: number; readonly ca: string } | null;
}

export interface Testimony {
  readonly changes: readonly Change[];
  readonly breaches: readonly Breach[];
  /** How often a password was set at Neon. */
  readonly generations: number;
  /** Requests that the vendors saw. */
  readonly requests: Readonly<Record<string, number>>;
  /** Every password that Neon ever had: what must be found in no log and no database. */
  readonly passwords: readonly string[];
}

/** What this process does when it is told so, and what it answers. */
export interface Calls {
  open(computes: boolean): Promise<Opened>;
  /** False: there was nothing to do it to. */
  act(act: WorldAct | VendorAct): Promise<boolean>;
  /** Every fault ends. */
  relent(): Promise<void>;
  differences(): Promise<readonly Difference[]>;
  /** Calls that Neon saw within the last minute. */
  callsAtNeon(): Promise<number>;
  testify(): Promise<Testimony>;
  close(): Promise<void>;
}

/** While one runs, the old password of a reset still opens the branch. */
const OPERATION_MS = 100;
/** Nobody has read the password meanwhile: it happens all the same. */
const READ_MS = 3_000;

type InWait = (branchId: string, reads: number, strike: () => void) => void;

function createCalls(): Calls {
  let sandbox: Sandbox | undefined;
  let liar: Liar | undefined;
  let witness: Witness | undefined;
  let others: Foreigners | undefined;
  const timers = new Set<NodeJS.Timeout>();
  const passwords = new Set<string>();
  const overdue = new Set<() => void>();
  const there = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new Error("the vendors are not open");
    return thing;
  };
  const later = (ms: number, then: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      then();
    }, ms);
    timers.add(timer);
  };
  /** Strikes at the latest after some seconds, or when all faults end: the plan counts on it. */
  const inWait: InWait = (branchId, reads, strike) => {
    let struck = false;
    const once = (): void => {
      if (struck) return;
      struck = true;
      overdue.delete(once);
      strike();
      note();
    };
    overdue.add(once);
    there(liar).lieInWait(branchId, reads, once);
    later(READ_MS, once);
  };
  const note = (): void => {
    there(witness).truth.note();
    for (const branch of there(sandbox).neon.state.project.branches.values()) {
      for (const { password } of branch.roles.values()) if (password !== null) passwords.add(password);
    }
  };
  return {
    async open(computes) {
      sandbox = await startSandbox({
        computes,
        // What children of a protected branch inherit they get with passwords of their own.
        neon: { operationMs: OPERATION_MS, projects: [{ ...NEON_PROJECT, root: { protected: true } }] },
      });
      liar = await startLiar(sandbox.neon.url);
      witness = new Witness(sandbox);
      others = new Foreigners(sandbox, witness);
      for (const [branch, destinations] of Object.entries(FOREIGN)) {
        for (const destination of destinations) others.own(destination, branch);
      }
      note();
      witness.start();
      const { vercel, github, aws, vault, credentials } = sandbox;
      return {
        urls: { neon: liar.url, vercel: vercel.url, github: github.url, aws: aws.url, vault: vault.url },
        credentials,
        computes: sandbox.computes,
      };
    },
    async act(act) {
      try {
        if (act.kind === "foreign") return there(others).act(act.what, act.destination, act.branch);
        if (isWorldAct(act)) return atNeon(there(sandbox), act, inWait);
        return atVendors(there(sandbox), there(liar), act, later);
      } finally {
        note();
      }
    },
    async relent() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      there(liar).repent();
      for (const strike of [...overdue]) strike();
      const { neon, vercel, github, aws, vault } = there(sandbox);
      for (const vendor of [neon, vercel, github, aws, vault]) vendor.clearFaults();
      github.state.throttled = null;
      vault.state.sealed = false;
      for (const operation of AWS_OPERATIONS) while (aws.state.takeFailure(operation) !== null);
    },
    differences: async () => there(witness).differences(),
    async callsAtNeon() {
      const since = performance.timeOrigin + performance.now() - 60_000;
      return there(sandbox).neon.log.filter(({ at }) => at > since).length;
    },
    async testify() {
      const { changes, breaches, truth } = there(witness);
      const { neon, vercel, github, aws, vault } = there(sandbox);
      const requests = [neon, vercel, github, aws, vault].map(({ name, log }) => [name, log.at(-1)?.n ?? 0]);
      const generations = Object.values(truth.generations()).reduce((sum, n) => sum + n, 0);
      return {
        changes: [...changes],
        breaches: [...breaches],
        generations,
        requests: Object.fromEntries(requests) as Record<string, number>,
        passwords: [...passwords],
      };
    },
    async close() {
      witness?.stop();
      await liar?.close();
      await sandbox?.close();
    },
  };
}

const AWS_OPERATIONS = ["PutSecretValue", "DescribeSecret", "CreateSecret", "BatchGetSecretValue"];

function atNeon({ neon, vercel }: Sandbox, act: WorldAct, inWait: InWait): boolean {
  const { state } = neon;
  const name = act.branch === "main" ? "main" : `preview/${act.branch}`;
  const there = state.branchByName(name);
  const alive = there !== undefined;
  switch (act.kind) {
    case "create":
      vercel.state.addBranch(PROJECT, act.branch);
      // One that was to go after the next reading goes now.
      if (alive) state.deleteBranch(name);
      state.createBranch({ name });
      return true;
    case "rotate-after-read":
    case "delete-after-read": {
      if (there === undefined) return false;
      // What makes somebody read, and push.
      state.resetPassword(name, "shop_app");
      inWait(there.id, act.reads, () => {
        if (state.branchByName(name)?.id !== there.id) return;
        if (act.kind === "delete-after-read") state.deleteBranch(name);
        else for (const role of ROLES) state.resetPassword(name, role);
      });
      return true;
    }
    case "delete":
      if (alive) state.deleteBranch(name);
      return alive;
    case "expire":
      if (alive) state.expire(name);
      return alive;
    case "recreate":
      if (alive) state.deleteBranch(name);
      state.createBranch({ name });
      return true;
    case "rotate":
      for (const role of act.roles) if (alive) state.resetPassword(name, role);
      return alive;
    case "sql-password":
      if (alive) state.changePasswordBySql(name, act.role, `npg_${randomBytes(6).toString("hex")}`);
      return alive;
  }
}

function atVendors(
  sandbox: Sandbox,
  liar: Liar,
  act: Exclude<VendorAct, { kind: "foreign" }>,
  later: (ms: number, then: () => void) => void,
): boolean {
  const { github, aws, vault } = sandbox;
  switch (act.kind) {
    case "fault":
      sandbox[act.vendor].addFault(act.fault);
      return true;
    case "outage":
      sandbox[act.vendor].addFault(act.fault);
      later(act.forMs, () => sandbox[act.vendor].clearFaults());
      return true;
    case "lie":
      liar.tell(act.how, act.times);
      return true;
    case "seal":
      vault.state.sealed = true;
      later(act.forMs, () => {
        vault.state.sealed = false;
      });
      return true;
    case "throttle":
      github.state.throttle(act.limit, { times: 2, retryAfterSeconds: act.seconds });
      return true;
    case "aws-refusal":
      aws.state.failNext(act.operation, act.code, { status: act.status });
      return true;
    case "plant":
      vault.state.write("preview/p5", { DATABASE_URL: "planted" });
      return true;
    case "github-key": {
      const environment = `preview-${act.branch}`;
      if (!github.state.repository(REPOSITORY).environments.has(environment)) return false;
      github.state.rotateKey(REPOSITORY, { environment });
      return true;
    }
  }
}

// ---------------------------------------------------------------- the channel

/** One call and its answer. */
export interface Asked {
  readonly n: number;
  readonly call: keyof Calls;
  readonly given: readonly unknown[];
}
export type Answered =
  | { readonly n: number; readonly answer: unknown }
  | { readonly n: number; readonly error: string };

const calls = createCalls() as unknown as Record<
  keyof Calls,
  (...given: readonly unknown[]) => Promise<unknown>
>;

process.on("message", (asked: Asked) => {
  const reply = (answered: Answered) => void process.send?.(answered);
  calls[asked.call](...asked.given).then(
    (answer) => reply({ n: asked.n, answer: answer ?? null }),
    (error: unknown) =>
      reply({ n: asked.n, error: error instanceof Error ? (error.stack ?? "") : String(error) }),
  );
});
// Ctrl-C reaches the whole group: the one who started us ends us in order.
process.on("SIGINT", () => undefined);
// Our parent is gone, however it went.
process.on("disconnect", () => void calls.close().finally(() => process.exit(0)));
