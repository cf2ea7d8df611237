/**
 * A push is killed at each of its calls in turn, at each stand-in: right before the vendor hears of the call, and right
 * after it has done what it was asked to. The next push must repair.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { credentialsOf } from "../../infra/demo/world.ts";
import { type Sandbox, startSandbox } from "../../infra/sandbox/index.ts";
import { awsSecretsManager } from "../../services/destinations/aws-secrets-manager.ts";
import { github } from "../../services/destinations/github.ts";
import { vault } from "../../services/destinations/vault.ts";
import { vercel } from "../../services/destinations/vercel.ts";
import { MemoryProject } from "../../services/sources/memory.ts";
import type { Rule } from "../../services/sync/model.ts";
import type { DestinationAdapter } from "../../services/sync/ports.ts";
import type { DestinationName } from "../chaos/acts.ts";
import { writeByHand } from "../chaos/by-hand.ts";
import { holdings, PROJECT, placeOf, REPOSITORY } from "../chaos/holdings.ts";
import { ruleOf } from "../support/app.ts";
import { type Hand, startByHand } from "../support/hand.ts";
import { type Moment, startTollgate, type Tollgate } from "../support/tollgate.ts";

interface Scene {
  readonly adapter: DestinationAdapter;
  block(url: string): object;
  readonly target: Rule["target"];
  /** No push can do with fewer. */
  readonly leastCalls: number;
}

const PREVIEW = "${branch.name|after:preview/}";
const SCENES: Readonly<Record<DestinationName, Scene>> = {
  web: {
    adapter: vercel,
    block: (api) => ({ project: PROJECT, team: "acme", token: "env:VERCEL_TOKEN", api }),
    target: { environment: "preview", gitBranch: PREVIEW },
    leastCalls: 2,
  },
  ci: {
    // With all that is killed here its limits would be what is waited for.
    adapter: { ...github, limits: () => ({ account: "github", limits: [], throttledMs: () => null }) },
    block: (api) => ({
      repository: REPOSITORY,
      token: "env:GITHUB_TOKEN",
      createEnvironments: true,
      writeSpacingMs: 0,
      api,
    }),
    target: { environment: `preview-${PREVIEW}` },
    leastCalls: 3,
  },
  runtime: {
    adapter: awsSecretsManager,
    block: (endpoint) => ({
      account: "123456789012",
      region: "eu-central-1",
      accessKey: { id: "env:AWS_ACCESS_KEY_ID", secret: "env:AWS_SECRET_ACCESS_KEY" },
      endpoint,
      stsEndpoint: endpoint,
    }),
    target: { secretId: `preview/${PREVIEW}/db` },
    leastCalls: 2,
  },
  vault: {
    adapter: vault,
    block: (address) => ({
      address,
      mount: "kv",
      auth: { approle: { roleId: "env:VAULT_ROLE_ID", secretId: "env:VAULT_SECRET_ID" } },
    }),
    target: { path: `preview/${PREVIEW}` },
    leastCalls: 2,
  },
};

const THEIRS = { OTHER_SETTING: "theirs" };

interface Branch {
  readonly id: string;
  readonly name: string;
  /** Its name without what all of them have in common. */
  readonly short: string;
}

describe.each(Object.entries(SCENES))("a push to %s", (name, scene) => {
  const destination = name as DestinationName;
  const project = new MemoryProject("p1");
  const ends: (() => Promise<void>)[] = [];
  let sandbox: Sandbox;
  let gate: Tollgate;
  let hand: Hand;
  let made = 0;

  beforeAll(async () => {
    // So many others that ours may go without looking like a mass loss.
    for (let n = 0; n < 24; n += 1) project.addBranch(`other/${n}`);
    sandbox = await startSandbox({ github: { rules: { secondary: null } } });
    ends.push(() => sandbox.close());
    gate = await startTollgate(
      { web: sandbox.vercel, ci: sandbox.github, runtime: sandbox.aws, vault: sandbox.vault }[destination]
        .url,
    );
    ends.push(() => gate.close());
    hand = await startByHand({
      projects: [project],
      destinations: {},
      vendors: {
        [name]: { adapter: scene.adapter, block: { ...scene.block(gate.url), privateNetwork: true } },
      },
      credentials: Object.fromEntries(
        Object.entries(credentialsOf(sandbox)).map(([variable, value]) => [`env:${variable}`, value]),
      ),
      rules: [ruleOf({ name: "rule", destination: name, target: scene.target, exposure: "preview" })],
    });
    ends.push(() => hand.stop());
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test("creates all the same", async () => {
    await killedAtEveryCall(appeared, async (branch) => {
      await repaired(branch, "synced");
      expectCurrent(branch, {});
    });
  });

  test("creates all the same, overtaken by a rotation", async () => {
    await killedAtEveryCall(appeared, async (branch) => {
      project.rotate(branch.id, "app_owner");
      await hand.look();
      await repaired(branch, "synced");
      expectCurrent(branch, {});
    });
  });

  test("replaces all the same, beside what is somebody else's", async () => {
    await killedAtEveryCall(rotated, async (branch) => {
      await repaired(branch, "synced");
      expectCurrent(branch, THEIRS);
    });
  });

  test("replaces all the same, overtaken by the next rotation", async () => {
    await killedAtEveryCall(rotated, async (branch) => {
      project.rotate(branch.id, "app_owner");
      await hand.look();
      await repaired(branch, "synced");
      expectCurrent(branch, THEIRS);
    });
  });

  test("takes away all the same, and nothing but what is ours", async () => {
    await killedAtEveryCall(gone, async (branch) => {
      await repaired(branch, "removed");
      expect(held(branch)).toEqual(THEIRS);
    });
  });

  // -------------------------------------------------------------- what happens

  /** One branch for each call and moment, until a push gets through before its call has come. */
  async function killedAtEveryCall(
    prepare: () => Promise<Branch>,
    then: (branch: Branch) => Promise<void>,
  ): Promise<void> {
    for (let n = 1; ; n += 1) {
      for (const moment of ["before", "after"] as const) {
        const branch = await prepare();
        const died = await killedAt(branch, n, moment);
        await then(branch);
        if (died) continue;
        expect(n).toBeGreaterThan(scene.leastCalls);
        return;
      }
    }
  }

  async function killedAt(branch: Branch, n: number, moment: Moment): Promise<boolean> {
    const { id } = await place(branch);
    const victim = hand.mortal();
    gate.lieInWait(n, moment, victim.die);
    await hand.push(id, victim.runtime);
    const died = gate.open();
    expect((await place(branch)).leased, `call ${n}, ${moment}`).toBe(died);
    if (died) await hand.age("place", id);
    return died;
  }

  /** What it needs is known, and nobody has pushed it. */
  const seen = async (branch: Branch): Promise<void> => {
    await hand.lookWithoutPushing(async () => {
      const due = await hand.rows(
        `select 1 from branchline.place p join branchline.binding n on n.place_id = p.id
         join branchline.branch b on b.id = n.branch_id
         where b.name = '${branch.name}' and n.wanted > n.applied and p.due_at <= now()`,
      );
      return due.length === 1;
    });
  };

  async function appeared(): Promise<Branch> {
    const short = `b${++made}`;
    sandbox.vercel.state.addBranch(PROJECT, short);
    const branch = { id: project.addBranch(`preview/${short}`), name: `preview/${short}`, short };
    await seen(branch);
    return branch;
  }

  async function synced(): Promise<Branch> {
    const branch = await appeared();
    await repaired(branch, "synced");
    writeByHand(sandbox, destination, branch.short, "OTHER_SETTING", "theirs");
    return branch;
  }

  async function rotated(): Promise<Branch> {
    const branch = await synced();
    project.rotate(branch.id, "app_owner");
    await seen(branch);
    return branch;
  }

  async function gone(): Promise<Branch> {
    const branch = await synced();
    project.removeBranch(branch.id);
    await seen(branch);
    return branch;
  }

  // -------------------------------------------------------------- what is found

  /** Done for good: nothing more to settle, nobody's lease on it, no death held against it, nobody else accused. */
  async function repaired(branch: Branch, state: string): Promise<void> {
    await hand.drainUntil(`${branch.name} to be ${state}`, async () => {
      const { state: found, due } = await place(branch);
      return found === state && !due;
    });
    expect(await place(branch)).toMatchObject({ leased: false, deaths: 0 });
    expect(await hand.rows("select kind, subject from branchline.event where kind like 'drift.%'")).toEqual(
      [],
    );
  }

  async function place(branch: Branch) {
    const [row] = await hand.rows<{
      id: string;
      state: string;
      leased: boolean;
      due: boolean;
      deaths: number;
    }>(
      `select p.id, n.state, p.lease_until is not null as leased, p.due_at is not null as due, p.deaths
       from branchline.place p join branchline.binding n on n.place_id = p.id
       join branchline.branch b on b.id = n.branch_id where b.name = '${branch.name}'`,
    );
    if (row === undefined) throw new Error(`no place for ${branch.name}`);
    return row;
  }

  const held = ({ short }: Branch) => holdings(sandbox).get(placeOf(destination, short)) ?? {};

  function expectCurrent(branch: Branch, beside: object): void {
    const password = project.passwordOf(branch.id, "app_owner") ?? "";
    expect(held(branch), branch.name).toEqual({
      ...beside,
      DATABASE_URL: expect.stringContaining(`:${password}@`),
      DATABASE_URL_UNPOOLED: expect.stringContaining(`:${password}@`),
    });
  }
});
