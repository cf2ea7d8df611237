import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { SourceRow } from "../../../services/store/source.ts";
import type { Io, LoginReading, Source } from "../../../services/sync/ports.ts";
import { announceReads, openShared, type Sharing } from "../../../workers/reads.ts";
import type { Runtime } from "../../../workers/runtime.ts";
import { until } from "../../support/until.ts";

/** A gate that calls wait at for their turn, and reads that end when they are told to. */
function neon({ limited }: { limited: boolean }) {
  const turns: (() => void)[] = [];
  const reads: { readonly roles: readonly string[]; readonly end: () => void }[] = [];
  const nowhere = {
    vendor: "neon",
    operation: "GET /nothing",
    method: "GET",
    url: "http://127.0.0.1:1/",
  } as const;
  const open = (io: Io): Pick<Source, "reread"> => ({
    reread: async (_, roles) => {
      await new Promise<void>((resolve) => {
        if (!limited) reads.push({ roles, end: resolve });
        else {
          void io.fetch(nowhere).catch(() => reads.push({ roles, end: resolve }));
        }
      });
      return { passwords: new Map() } as unknown as LoginReading;
    },
  });
  const runtime = {
    sources: new Map([
      [
        "neon",
        {
          ...(limited ? { limits: () => ({ account: "a", limits: [] }) } : {}),
          open: (_block: unknown, _resolve: unknown, io: Io) => open(io),
        },
      ],
    ]),
    allowance: {
      open: () => ({
        admit: () => new Promise<void>((resolve) => turns.push(resolve)),
        onAnswer: async () => undefined,
      }),
    },
    settings: { windowTimes: 1 },
    metrics: { called: () => undefined },
    fingerprint: () => "x",
    resolve: () => undefined,
  } as unknown as Runtime;
  const row = { id: "source", kind: "neon", block: { privateNetwork: true } } as unknown as SourceRow;
  const always = new Map([["br-a", ["app", "owner"]]]);
  const reader = (role: string, sharing: Sharing = {}, signal = new AbortController().signal) =>
    openShared(runtime, row, signal, { always, ...sharing }).reread("br-a", [role]);
  const announced = () => announceReads(runtime, [{ sourceId: "source", neonId: "br-a" }]);
  return { turns, reads, reader, announced };
}

describe("a shared read", () => {
  test("is joined until its first call leaves, however long that waits for its turn", async () => {
    const { turns, reads, reader } = neon({ limited: true });
    const first = reader("app");
    await until(() => turns.length === 1);
    const second = reader("owner");
    turns[0]?.();
    await until(() => reads.length === 1);
    const late = reader("app");
    await until(() => turns.length === 2);
    turns[1]?.();
    await until(() => reads.length === 2);
    for (const { end } of reads) end();
    await Promise.all([first, second, late]);
    expect(reads.map(({ roles }) => roles.toSorted())).toEqual([
      ["app", "owner"],
      ["app", "owner"],
    ]);
  });

  test("does not serve who wants a password that it does not ask for", async () => {
    const { turns, reads, reader } = neon({ limited: true });
    const first = reader("app");
    await until(() => turns.length === 1);
    const other = reader("stranger", { always: new Map() });
    await until(() => turns.length === 2);
    for (const go of turns) go();
    await until(() => reads.length === 2);
    for (const { end } of reads) end();
    await Promise.all([first, other]);
    expect(reads.map(({ roles }) => roles.length)).toEqual([2, 1]);
  });

  test("has started at once where no call waits", async () => {
    const { reads, reader } = neon({ limited: false });
    const together = [reader("app"), reader("owner")];
    await until(() => reads.length === 1);
    const late = reader("app");
    await until(() => reads.length === 2);
    for (const { end } of reads) end();
    await Promise.all([...together, late]);
    expect(reads).toHaveLength(2);
  });

  test("waits for those who are about to ask, until the last of them has asked or given up, or a moment", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const { reads, reader, announced } = neon({ limited: false });
    const [first, second, third] = [announced(), announced(), announced()];
    const readings = [reader("app", { coming: first })];
    await turn();
    third.leave();
    await turn();
    expect(reads).toHaveLength(0);
    readings.push(reader("owner", { coming: second }));
    await turn();
    expect(reads).toHaveLength(1);

    const late = announced();
    readings.push(reader("app", { coming: announced() }));
    await turn();
    expect(reads).toHaveLength(1);
    vi.advanceTimersByTime(5);
    await turn();
    expect(reads).toHaveLength(2);
    readings.push(reader("app", { coming: late }));
    await turn();
    expect(reads).toHaveLength(3);
    for (const { end } of reads) end();
    await Promise.all(readings);
  });

  test("lets those who wait for it go on in the order in which they began, not in which they asked", async () => {
    const { reads, reader, announced } = neon({ limited: false });
    const [longest, second, third] = [announced(), announced(), announced()];
    const order: string[] = [];
    const ask = async (name: string, coming: typeof longest): Promise<void> => {
      await reader("app", { coming });
      order.push(name);
    };
    const asked = [ask("third", third), ask("second", second), ask("longest", longest)];
    await until(() => reads.length === 1);
    for (const { end } of reads) end();
    await Promise.all(asked);
    expect(order).toEqual(["longest", "second", "third"]);
  });

  test("is not begun by whoever has been stopped, and its failure ends nobody", async () => {
    const lost: unknown[] = [];
    const tell = (reason: unknown): void => void lost.push(reason);
    process.on("unhandledRejection", tell);
    onTestFinished(() => void process.off("unhandledRejection", tell));
    const { turns, reader } = neon({ limited: true });
    await expect(reader("app", {}, AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
    const stop = new AbortController();
    const waiting = reader("app", {}, stop.signal);
    await until(() => turns.length === 1);
    stop.abort(new Error("stopped later"));
    await expect(waiting).rejects.toThrow("stopped later");
    turns[0]?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(turns).toHaveLength(1);
    expect(lost).toEqual([]);
  });
});
