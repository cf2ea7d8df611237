/** Stands before a server and lets everything through, until it is told to swallow it: nobody is cut off, nobody is answered. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface StallingLine {
  /** Of the server, by way of this line. */
  readonly url: string;
  stall(): void;
  /** Lets through what comes from now on. What was swallowed never arrives. */
  thaw(): void;
  close(): Promise<void>;
}

export async function startStallingLine(server: string): Promise<StallingLine> {
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  let stalled = false;
  const line = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (data) => {
        if (!stalled) to.write(data);
      });
      from.on("error", () => undefined);
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => line.listen(0, "127.0.0.1", resolve));
  const url = new URL(server);
  url.hostname = "127.0.0.1";
  url.port = String((line.address() as AddressInfo).port);
  return {
    url: url.href,
    stall: () => {
      stalled = true;
    },
    thaw: () => {
      stalled = false;
    },
    close: () =>
      new Promise<void>((resolve) => {
        line.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
