/** Stands before a stand-in and counts who passes: the n-th call of a worker can be its last. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** `before`: the vendor never hears of the call. `after`: it has done what it was asked to, and nobody hears of that. */
export type Moment = "before" | "after";

export interface Tollgate {
  /** Listens here, in the vendor's place. */
  readonly url: string;
  /** The n-th call from now on, from 1, is where somebody dies: `die` is called, and nothing passes any more. */
  lieInWait(n: number, moment: Moment, die: () => void): void;
  /** Lets everybody pass again. Answers whether anybody died meanwhile. */
  open(): boolean;
  close(): Promise<void>;
}

export async function startTollgate(upstream: string): Promise<Tollgate> {
  let trap: { n: number; moment: Moment; die: () => void } | null = null;
  let dead = false;
  const strike = (): void => {
    dead = true;
    trap?.die();
    trap = null;
  };
  const server = createServer((incoming, outgoing) => {
    if (trap !== null) trap.n -= 1;
    const last = trap?.n === 0 ? trap.moment : null;
    if (last === "before") strike();
    if (dead) {
      outgoing.destroy();
      return;
    }
    const { method, url = "/", headers } = incoming;
    const forwarded = request(new URL(url, upstream), { method, headers, agent: false }, (answer) => {
      if (last === "after") strike();
      if (dead) {
        answer.resume();
        outgoing.destroy();
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lieInWait: (n, moment, die) => {
      trap = { n, moment, die };
    },
    open: () => {
      const died = dead;
      trap = null;
      dead = false;
      return died;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
