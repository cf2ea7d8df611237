/** The process of the vendors, seen from the one that runs everything. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answered, Asked, Calls } from "./vendors.ts";

export type Vendors = Calls & { readonly pid: number };

export function startVendors(onError: (text: string) => void): Vendors {
  const child = fork(fileURLToPath(new URL("./vendors.js", import.meta.url)), [], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  child.stderr?.on("data", (chunk: Buffer) => onError(chunk.toString("utf8")));
  const open = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  let n = 0;
  child.on("message", (answered: Answered) => {
    const asked = open.get(answered.n);
    open.delete(answered.n);
    if ("error" in answered) asked?.reject(new Error(`vendors: ${answered.error}`));
    else asked?.resolve(answered.answer);
  });
  child.on("exit", () => {
    for (const { reject } of open.values()) reject(new Error("the process of the vendors ended"));
  });
  const ask = async <T>(call: keyof Calls, ...given: unknown[]): Promise<T> => {
    n += 1;
    const asked: Asked = { n, call, given };
    return await new Promise<T>((resolve, reject) => {
      open.set(asked.n, { resolve: (answer) => resolve(answer as T), reject });
      child.send(asked);
    });
  };
  return {
    pid: child.pid ?? 0,
    open: (computes) => ask("open", computes),
    act: (act) => ask("act", act),
    relent: () => ask("relent"),
    differences: () => ask("differences"),
    callsAtNeon: () => ask("callsAtNeon"),
    testify: () => ask("testify"),
    close: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      await ask("close").catch(() => undefined);
      child.kill("SIGKILL");
      await ended;
    },
  };
}
