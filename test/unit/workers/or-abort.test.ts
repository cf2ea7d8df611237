import { expect, onTestFinished, test } from "vitest";
import { orAbort } from "../../../workers/or-abort.ts";

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("what comes first counts, and what fails afterwards is lost on nobody", async () => {
  const lost: unknown[] = [];
  const tell = (reason: unknown): void => void lost.push(reason);
  process.on("unhandledRejection", tell);
  onTestFinished(() => void process.off("unhandledRejection", tell));
  const { signal } = new AbortController();
  await expect(orAbort(Promise.resolve(1), signal)).resolves.toBe(1);
  await expect(orAbort(Promise.reject(new Error("failed")), signal)).rejects.toThrow("failed");
  const stopped = AbortSignal.abort(new Error("stopped"));
  await expect(orAbort(Promise.reject(new Error("failed")), stopped)).rejects.toThrow("stopped");
  const stop = new AbortController();
  let fail = (_: Error): void => undefined;
  const waiting = orAbort(new Promise((_, reject) => (fail = reject)), stop.signal);
  stop.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow("stopped");
  fail(new Error("failed late"));
  await turn();
  expect(lost).toEqual([]);
});
