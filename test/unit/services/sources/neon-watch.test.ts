import { describe, expect, it } from "vitest";
import { createNeonClient } from "../../../../services/sources/neon-client.ts";
import { movedSince, outline } from "../../../../services/sources/neon-watch.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { API, endpointJson, stubNeon } from "./stub-neon.ts";

interface Row {
  id: string;
  branch_id?: string;
  action: string;
  status: string;
  created_at: string;
  updated_at: string;
}

const NOW = Date.now();
/** Seconds ago. */
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

/** A project's operations under the test's hand, answered newest first as Neon does. */
class Project {
  rows: Row[] = [];
  endpoints = [endpointJson("ep-a", "br-a")];
  pageSize = 100;
  beforeEndpoints = () => undefined as unknown;
  readonly neon = stubNeon(({ path, query }) => {
    if (path.endsWith("/endpoints")) {
      this.beforeEndpoints();
      return { body: { endpoints: this.endpoints } };
    }
    const [, id] = /\/operations\/(.+)$/.exec(path) ?? [];
    if (id !== undefined) {
      const row = this.rows.find((each) => each.id === id);
      return row === undefined ? { status: 404, body: {} } : { body: { operation: row } };
    }
    const sorted = this.rows.toSorted((a, b) => b.created_at.localeCompare(a.created_at));
    const from = Number(query.get("cursor") ?? 0);
    const page = sorted.slice(from, from + this.pageSize);
    return { body: { operations: page, pagination: { cursor: String(from + page.length) } } };
  });
  readonly client = createNeonClient({
    api: API,
    project: "p",
    apiKey: new Secret("napi_x"),
    io: this.neon.io,
  });

  add(id: string, seconds: number, more: Partial<Row> = {}): Row {
    const row: Row = {
      id,
      branch_id: `br-${id}`,
      action: "apply_config",
      status: "finished",
      created_at: ago(seconds),
      updated_at: ago(seconds),
      ...more,
    };
    this.rows.push(row);
    return row;
  }

  /** Looks from `cursor`: what moved, and how many requests it took. */
  async look(cursor: string | null, listed: string | null = null) {
    const before = this.neon.requests.length;
    const moved = await movedSince(this.client, cursor, listed);
    const branches = [...moved.branchIds].sort((a, b) => a.localeCompare(b));
    return { ...moved, branches, calls: this.neon.requests.length - before };
  }
}

/** A project that was looked at once, at rest. */
async function watched(setUp: (project: Project) => void = () => undefined) {
  const project = new Project();
  project.add("older", 700);
  project.add("old", 600);
  setUp(project);
  const { cursor } = await project.look(null);
  return { project, cursor };
}

describe("movedSince()", () => {
  it("needs one request at rest, also when the whole page is within the overlap", async () => {
    const { project, cursor } = await watched((quiet) => {
      for (let n = 0; n < 100; n++) quiet.add(`same-${n}`, 5);
    });
    const rest = await project.look(cursor);
    expect(rest).toMatchObject({ branches: [], everything: false, calls: 1 });
    expect(await project.look(rest.cursor)).toMatchObject({ branches: [], calls: 1 });
  });

  it("tells rows of the same instant apart", async () => {
    const { project, cursor } = await watched((quiet) => quiet.add("first", 10));
    project.add("second", 10);
    const moved = await project.look(cursor);
    expect(moved.branches).toEqual(["br-second"]);
    expect((await project.look(moved.cursor)).branches).toEqual([]);
  });

  it("finds a row that was committed late with an earlier time", async () => {
    const { project, cursor } = await watched((quiet) => quiet.add("newest", 1));
    project.add("late", 20);
    expect((await project.look(cursor)).branches).toEqual(["br-late"]);
  });

  it("pages until it meets what it knows", async () => {
    const { project, cursor } = await watched();
    for (let n = 0; n < 250; n++) project.add(`n${n}`, 300 - n);
    const moved = await project.look(cursor);
    expect(moved).toMatchObject({ everything: false, calls: 3 });
    expect(moved.branches).toHaveLength(250);
  });

  it("asks to look at everything beyond ten pages, and goes on from the newest", async () => {
    const { project, cursor } = await watched();
    project.pageSize = 10;
    for (let n = 0; n < 150; n++) project.add(`n${n}`, 300 - n);
    const moved = await project.look(cursor);
    expect(moved.everything).toBe(true);
    expect(await project.look(moved.cursor)).toMatchObject({ branches: [], everything: false });
  });

  it("asks to look at everything when the list ends before what it knows", async () => {
    const { project, cursor } = await watched();
    project.rows = [];
    project.add("new", 5);
    expect(await project.look(cursor)).toMatchObject({ branches: ["br-new"], everything: true });

    project.rows = [];
    const emptied = await project.look(cursor);
    expect(emptied.everything).toBe(true);
    expect(await project.look(emptied.cursor)).toMatchObject({ everything: false, branches: [] });
  });

  it("starts from an empty list", async () => {
    const project = new Project();
    const { cursor } = await project.look(null);
    project.add("first-ever", 1);
    expect(await project.look(cursor)).toMatchObject({ branches: ["br-first-ever"], everything: false });
  });

  it("keeps a branch dirty until its operation is over, once more at the end", async () => {
    const { project, cursor } = await watched();
    const row = project.add("reset", 2, { status: "scheduling" });
    let look = await project.look(cursor);
    for (const status of ["running", "failed", "a_status_of_tomorrow"]) {
      expect(look.branches, row.status).toEqual(["br-reset"]);
      row.status = status;
      look = await project.look(look.cursor);
    }
    row.status = "finished";
    look = await project.look(look.cursor);
    expect(look.branches).toEqual(["br-reset"]);
    expect((await project.look(look.cursor)).branches).toEqual([]);
  });

  it("keeps it dirty from the very first look", async () => {
    const { project, cursor } = await watched((busy) => busy.add("busy", 2, { status: "running" }));
    expect((await project.look(cursor)).branches).toEqual(["br-busy"]);
  });

  it("asks for an unfinished operation by itself once it has scrolled away", async () => {
    const { project, cursor } = await watched((busy) => busy.add("slow", 500, { status: "running" }));
    project.pageSize = 5;
    for (let n = 0; n < 6; n++) project.add(`n${n}`, n);
    let look = await project.look(cursor);
    look = await project.look(look.cursor);
    expect(look).toMatchObject({ branches: ["br-slow"], calls: 2 });
    expect(project.neon.paths().at(-1)).toBe("/projects/p/operations/slow");

    project.rows = project.rows.filter(({ id }) => id !== "slow");
    look = await project.look(look.cursor);
    expect(look.branches).toEqual(["br-slow"]);
    expect(await project.look(look.cursor)).toMatchObject({ branches: [], calls: 1 });
  });

  it("gives up on an operation that has not moved for an hour", async () => {
    const stuck = { status: "failed", created_at: ago(7300), updated_at: ago(7200) };
    const { project, cursor } = await watched((busy) => busy.add("stuck", 0, stuck));
    expect((await project.look(cursor)).branches).toEqual([]);
  });

  it("takes actions that it has never heard of for changes", async () => {
    const { project, cursor } = await watched();
    project.add("odd", 1, { action: "quantum_realign" });
    expect((await project.look(cursor)).branches).toEqual(["br-odd"]);
  });

  it("passes over housekeeping and rows without a branch", async () => {
    const { project, cursor } = await watched();
    project.add("check", 1, { action: "check_availability", status: "running" });
    const { branch_id: _, ...projectWide } = project.add("project", 1);
    project.rows = [...project.rows.slice(0, -1), projectWide];
    expect(await project.look(cursor)).toMatchObject({ branches: [], calls: 1 });
  });
});

describe("movedSince() on computes", () => {
  const compute = { branch_id: "br-a", action: "suspend_compute" };

  it("passes over computes that sleep and wake", async () => {
    const { project, cursor } = await watched();
    project.add("s1", 2, compute);
    project.add("s2", 1, { ...compute, action: "start_compute" });
    expect((await project.look(cursor)).branches).toEqual([]);
  });

  it("names the branch when an endpoint came, went, moved or was disabled", async () => {
    const changes: ((project: Project) => void)[] = [
      (project) => project.endpoints.push(endpointJson("ep-b", "br-b")),
      (project) => project.endpoints.pop(),
      (project) => project.endpoints.splice(0, 1, endpointJson("ep-a", "br-z")),
      (project) => project.endpoints.splice(0, 1, endpointJson("ep-a", "br-a", { disabled: true })),
      (project) =>
        project.endpoints.splice(0, 1, endpointJson("ep-a", "br-a", { host: "ep-a.other.neon.tech" })),
    ];
    for (const change of changes) {
      const { project, cursor } = await watched();
      project.add("s1", 1, compute);
      change(project);
      const moved = await project.look(cursor);
      expect(moved.branches).toEqual(["br-a"]);
      expect((await project.look(moved.cursor)).branches).toEqual([]);
    }
  });

  it("names the branch when its endpoint goes only as the operation ends", async () => {
    const { project, cursor } = await watched();
    const row = project.add("s1", 1, { ...compute, status: "running" });
    let look = await project.look(cursor);
    expect(look.branches).toEqual([]);
    row.status = "finished";
    project.endpoints.pop();
    look = await project.look(look.cursor);
    expect(look.branches).toEqual(["br-a"]);
  });

  it("misses nothing that happens between its two questions", async () => {
    const { project, cursor } = await watched();
    project.add("s1", 2, { ...compute, branch_id: "br-other" });
    project.beforeEndpoints = () => {
      project.beforeEndpoints = () => undefined;
      project.endpoints.pop();
      project.add("s2", 1, compute);
    };
    const look = await project.look(cursor);
    expect(look.branches).toContain("br-a");
  });

  /** The endpoints as a list of branches would have shown them at this moment. */
  const listedIn = async (project: Project) => outline((await project.client.endpoints()).endpoints);

  it("takes them from a list that was just read, and asks for nothing else", async () => {
    const { project, cursor } = await watched();
    project.add("s1", 1, compute);
    project.endpoints.pop();
    const moved = await project.look(cursor, await listedIn(project));
    expect(moved).toMatchObject({ branches: ["br-a"], calls: 1 });
    expect((await project.look(moved.cursor)).branches).toEqual([]);
  });

  it("judges at the next look what came after the list", async () => {
    const { project, cursor } = await watched();
    const before = await listedIn(project);
    project.add("s1", 1, compute);
    project.endpoints.pop();
    const unsure = await project.look(cursor, before);
    expect(unsure.branches).toEqual([]);
    const sure = await project.look(unsure.cursor);
    expect(sure.branches).toEqual(["br-a"]);
    expect((await project.look(sure.cursor)).branches).toEqual([]);
  });

  it("asks for the endpoints of computes that only woke, and for the operations no second time", async () => {
    const { project, cursor } = await watched();
    project.add("s1", 1, compute);
    expect(await project.look(cursor)).toMatchObject({ branches: [], calls: 2 });
  });
});
