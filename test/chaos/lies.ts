/** Stands before the stand-in of Neon and now and then shows a list of branches that is not the whole truth. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Lie = "truncated" | "empty" | "stale";

export interface Liar {
  readonly url: string;
  tell(lie: Lie, times: number): void;
  /** Only the truth from now on. */
  repent(): void;
  close(): Promise<void>;
}

interface List {
  readonly branches: readonly unknown[];
  readonly pagination?: object;
}

const LIST = /\/projects\/[^/]+\/branches(\?|$)/;
/** How old a stale list is at most. */
const STALE_MS = 5_000;

export async function startLiar(upstream: string): Promise<Liar> {
  let armed: { lie: Lie; times: number }[] = [];
  let seen: { at: number; list: List }[] = [];
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
    repent: () => {
      armed = [];
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
