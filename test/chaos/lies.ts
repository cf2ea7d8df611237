/**
 * Stands before the stand-in of Neon: now and then shows a list of branches that is not the whole truth, and knows the
 * moment when somebody has read a password and not yet done anything with it.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Lie = "truncated" | "empty" | "stale";

export interface Liar {
  readonly url: string;
  tell(lie: Lie, times: number): void;
  /** Calls once, when a password of this branch has been read for the `reads`-th time from now. */
  lieInWait(branchId: string, reads: number, strike: () => void): void;
  /** Only the truth from now on. */
  repent(): void;
  close(): Promise<void>;
}

interface List {
  readonly branches: readonly unknown[];
  readonly pagination?: object;
}

const REVEAL = /\/branches\/([^/]+)\/roles\/[^/]+\/reveal_password$/;
const LIST = /\/projects\/[^/]+\/branches(\?|$)/;
/** How old a stale list is at most. */
const STALE_MS = 5_000;

export async function startLiar(upstream: string): Promise<Liar> {
  let armed: { lie: Lie; times: number }[] = [];
  let seen: { at: number; list: List }[] = [];
  let waiting: { branchId: string; reads: number; strike: () => void }[] = [];
  const read = (branchId: string): void => {
    const mine = waiting.filter((one) => one.branchId === branchId);
    for (const one of mine) one.reads -= 1;
    waiting = waiting.filter(({ reads }) => reads > 0);
    for (const { reads, strike } of mine) if (reads <= 0) strike();
  };
  const next = (): Lie | null => {
    const [first] = armed;
    if (first === undefined) return null;
    first.times -= 1;
    if (first.times === 0) armed = armed.slice(1);
    return first.lie;
  };

  const shown = (text: string): string => {
    const list = JSON.parse(text) as List;
    seen = [...seen.filter(({ at }) => at > Date.now() - STALE_MS), { at: Date.now(), list }];
    const lie = next();
    if (lie === null) return text;
    const half = list.branches.slice(0, Math.ceil(list.branches.length / 2));
    const branches = { truncated: half, empty: [], stale: seen[0]?.list.branches ?? [] }[lie];
    return JSON.stringify({ ...list, branches, pagination: {} });
  };

  const server = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method, url = "/", headers } = incoming;
    const isList = method === "GET" && LIST.test(url);
    const forwarded = request(new URL(url, upstream), { method, headers }, (answer) => {
      const { "content-length": length, ...rest } = answer.headers;
      if (!isList || answer.statusCode !== 200) {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
        const [, branchId] = REVEAL.exec(url) ?? [];
        if (branchId !== undefined && answer.statusCode === 200) answer.on("end", () => read(branchId));
        answer.on("error", () => outgoing.destroy());
        return;
      }
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", () => outgoing.destroy());
      answer.on("end", () => {
        outgoing.writeHead(200, rest);
        outgoing.end(shown(Buffer.concat(chunks).toString("utf8")));
      });
    });
    forwarded.on("error", () => outgoing.destroy());
    outgoing.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tell: (lie, times) => void armed.push({ lie, times }),
    lieInWait: (branchId, reads, strike) => void waiting.push({ branchId, reads, strike }),
    repent: () => {
      armed = [];
      waiting = [];
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
