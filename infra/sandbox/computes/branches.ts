import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import {
  connect,
  copyCluster,
  findBinaries,
  type Ground,
  initialise,
  launch,
  openRun,
  type Run,
  type Server,
  serverAccount,
} from "../../postgres/index.ts";
import { ADMIN, applyContents, type BranchContents, NOTHING } from "./roles.ts";

interface Branch {
  wanted: BranchContents;
  /** What its cluster was told last. */
  applied: BranchContents;
  /** What it is being told at this moment. */
  applying: BranchContents | null;
  /** Its cluster, once somebody has logged in. */
  data: string | null;
  server: Server | null;
  lastLogin: number;
}

/** Gives every server a little: a laptop runs all of them beside everything else. */
const SETTINGS = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", shared_buffers: "16MB" };

/**
 * A PostgreSQL server per branch, started when somebody wants to log in and stopped when more than
 * `mostAlive` would run; what was written to it stays until the branch is removed. Changes happen
 * one after the other, so a login that follows a change sees it.
 */
export class Branches {
  readonly #branches = new Map<string, Branch>();
  readonly #folder: string;
  readonly #mostAlive: number;
  readonly #log: (line: string) => void;
  readonly #password = randomBytes(24).toString("base64url");
  #ground: Promise<Ground & { run: Run }> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #logins = 0;
  #clusters = 0;
  #isClosed = false;

  constructor(options: { folder: string; mostAlive: number; log: (line: string) => void }) {
    this.#folder = options.folder;
    this.#mostAlive = options.mostAlive;
    this.#log = options.log;
  }

  /** Resolves when a running server has been told; one that does not run is told when it starts. */
  set(id: string, contents: BranchContents): Promise<void> {
    const branch = this.#branches.get(id);
    if (branch === undefined) {
      this.#branches.set(id, {
        wanted: contents,
        applied: NOTHING,
        applying: null,
        data: null,
        server: null,
        lastLogin: 0,
      });
      return Promise.resolve();
    }
    branch.wanted = contents;
    return this.#inTurn(() => this.#apply(branch));
  }

  remove(id: string): Promise<void> {
    const branch = this.#branches.get(id);
    this.#branches.delete(id);
    return this.#inTurn(async () => {
      await branch?.server?.stop();
      if (branch?.data != null) rmSync(branch.data, { recursive: true, force: true });
    });
  }

  /** The port of the branch's server, which is started if it does not run. Null: no such branch. */
  open(id: string): Promise<number | null> {
    return this.#inTurn(async () => {
      const branch = this.#branches.get(id);
      if (branch === undefined || this.#isClosed) return null;
      branch.lastLogin = ++this.#logins;
      const server = branch.server?.alive() === true ? branch.server : await this.#start(id, branch);
      await this.#apply(branch);
      return server.port;
    });
  }

  /** The port of a server that runs already. */
  portOf(id: string): number | null {
    const server = this.#branches.get(id)?.server;
    return server?.alive() === true ? server.port : null;
  }

  /** What lets a role in just now: while it changes, the old and the new one. */
  passwordsOf(id: string, role: string): readonly string[] {
    const branch = this.#branches.get(id);
    return [branch?.applied, branch?.applying].flatMap(
      (contents) => contents?.roles.find(({ name }) => name === role)?.password ?? [],
    );
  }

  get alive(): readonly string[] {
    return [...this.#branches.keys()].filter((id) => this.portOf(id) !== null);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#inTurn(async () => {
      await Promise.all([...this.#branches.values()].map(({ server }) => server?.stop()));
      (await this.#ground?.catch(() => undefined))?.run.remove();
    });
  }

  async #start(id: string, branch: Branch): Promise<Server> {
    this.#ground ??= this.#prepare().catch((error: unknown) => {
      this.#ground = undefined; // the next login tries again
      throw error;
    });
    const { run, ...ground } = await this.#ground;
    await this.#makeRoom();
    if (branch.data === null) {
      const data = join(run.home, `branch-${++this.#clusters}`);
      await copyCluster(ground.data, data, ground.account);
      branch.data = data;
    }
    const log = (line: string) => this.#log(`${id}: ${line}`);
    branch.server = await launch({
      ...ground,
      data: branch.data,
      log,
      settings: SETTINGS,
      leftover: run.home,
    });
    return branch.server;
  }

  /** The template: a cluster that only the administrator knows, made once and never started. */
  async #prepare(): Promise<Ground & { run: Run }> {
    const run = await openRun(this.#folder);
    const data = join(run.home, "template");
    const account = serverAccount(data);
    const binaries = await findBinaries(account);
    const ground = { binaries, account, data, user: ADMIN, password: this.#password, log: this.#log };
    await initialise({ ...ground, sync: false });
    return { ...ground, run };
  }

  /** Stops the server whose last login is longest ago, as Neon suspends a compute. */
  async #makeRoom(): Promise<void> {
    const alive = [...this.#branches.values()].filter(({ server }) => server?.alive());
    alive.sort((a, b) => a.lastLogin - b.lastLogin);
    for (const { server } of alive.slice(0, Math.max(0, alive.length - this.#mostAlive + 1)))
      await server?.stop();
  }

  async #apply(branch: Branch): Promise<void> {
    const { server, wanted, applied } = branch;
    if (wanted === applied || server?.alive() !== true) return;
    const open = (database: string): Promise<pg.Client> =>
      connect({ port: server.port, user: ADMIN, password: this.#password, database });
    branch.applying = wanted;
    try {
      await applyContents(open, applied, wanted);
      branch.applied = wanted;
    } finally {
      branch.applying = null;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
