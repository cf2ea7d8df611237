import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { NEON_TOKEN, startNeon } from "../../infra/sandbox/neon.ts";
import type { Fault } from "../../infra/sandbox/vendor.ts";
import { createIo } from "../../services/http.ts";
import { neonBlock, neonSource } from "../../services/sources/neon.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type Breakdown, describeSource, type SourceFixture } from "./source.suite.ts";

const FAULTS: Record<Breakdown, Fault> = {
  down: { kind: "status", status: 503 },
  cut: { kind: "reset" },
  busy: { kind: "status", status: 423 },
  throttled: { kind: "status", status: 429, retryAfter: "7" },
  "bad key": { kind: "status", status: 401 },
  "narrow key": { kind: "status", status: 403 },
};

describe("neon: errors", () => {
  it("never show the API key, whatever goes wrong on the way", async () => {
    const neon = await startNeon();
    const signal = new AbortController().signal;
    const io = createIo({ fingerprint: () => "", signal, privateNetwork: true, timeoutMs: 100 });
    const block = neonBlock.parse({
      project: "wispy-butterfly-25042691",
      apiKey: "env:NEON_API_KEY",
      api: `${neon.url}/api/v2`,
      privateNetwork: true,
    });
    const source = neonSource.open(block, () => new Secret(NEON_TOKEN), io);
    const statuses = [301, 400, 401, 403, 404, 409, 412, 422, 423, 429, 500, 503];
    const faults: Fault[] = [
      ...statuses.map((status): Fault => ({ kind: "status", status })),
      { kind: "hang" },
      { kind: "reset" },
      { kind: "die-after-applying" },
      { kind: "drip", ms: 50 },
    ];
    for (const fault of faults) {
      neon.addFault(fault);
      const error: unknown = await source.branches().catch((thrown: unknown) => thrown);
      neon.clearFaults();
      expect(error, fault.kind).toBeInstanceOf(SyncError);
      const shown = inspect(error, { depth: 20, showHidden: true }) + (error as SyncError).stack;
      expect(shown + JSON.stringify(error), fault.kind).not.toContain("napi_");
    }
    await neon.close();
  });
});

/** The same id after a restore or a new one: Neon's documents allow both. */
describeSource("neon", () => open({ restoreKeepsId: false }));
describeSource("neon that restores in place", () => open({ restoreKeepsId: true }));

async function open({ restoreKeepsId }: { restoreKeepsId: boolean }): Promise<SourceFixture> {
  const neon = await startNeon({
    projects: [
      { id: "shop-1", roles: [{ name: "app_owner" }], databases: [{ name: "app", owner: "app_owner" }] },
    ],
  });
  const { state } = neon;
  state.restoreKeepsId = restoreKeepsId;
  const block = neonBlock.parse({
    project: "shop-1",
    apiKey: "env:NEON_API_KEY",
    api: `${neon.url}/api/v2/`,
    privateNetwork: true,
  });
  const stop = new AbortController();
  const io = createIo({ fingerprint: () => "", signal: stop.signal, privateNetwork: true });
  return {
    source: neonSource.open(block, () => new Secret(NEON_TOKEN), io),
    mainId: state.branch("main").id,
    addBranch: (name, { compute = true, annotations, ...seed } = {}) =>
      state.createBranch({
        name,
        ...seed,
        ...(annotations === undefined ? {} : { annotation: annotations }),
        ...(compute ? {} : { endpoints: [] }),
      }).id,
    removeBranch: (id) => {
      state.deleteBranch(id);
    },
    rename: (id, name) => {
      state.branch(id).name = name;
    },
    setDefault: (id) => state.setAsDefault(state.branch(id)),
    restore: (id) => {
      const { name } = state.branch(id);
      state.restore(state.branch(id), {
        sourceBranchId: id,
        pointInTime: true,
        preserveUnderName: `${name}_old_1`,
      });
      return state.branch(name).id;
    },
    replaceEndpoint: (id) => {
      state.deleteEndpoint(state.endpointOf(id));
      state.startEndpoint(state.branch(id), "read_write");
    },
    addReadOnlyEndpoint: (id) => {
      state.startEndpoint(state.branch(id), "read_only");
    },
    disableEndpoint: (id) => state.setDisabled(state.endpointOf(id), true),
    addRole: (id, name, login) => {
      state.createRole(state.branch(id), { name, noLogin: !login });
    },
    addDatabase: (id, database, owner) => {
      state.createDatabase(state.branch(id), database, owner);
    },
    rotate: (id, role) => state.resetPassword(id, role).role.password ?? "",
    changePasswordBySql: (id, role, password) => state.changePasswordBySql(id, role, password),
    passwordOf: (id, role) => state.passwordOf(id, role) ?? "",
    stopStoringPasswords: () => {
      state.project.storePasswords = false;
    },
    break: (how) => neon.addFault(FAULTS[how]),
    mend: () => neon.clearFaults(),
    calls: () => neon.log.length,
    close: async () => {
      stop.abort();
      await neon.close();
    },
  };
}
