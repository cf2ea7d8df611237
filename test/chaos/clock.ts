/**
 * Loaded before everything else in a process of the fleet (`--import clock.js?file=...`): its wall clock is off by the
 * milliseconds in that file, and jumps when a SIGUSR2 says that they have changed. What does not follow the wall clock
 * (timers, `performance.now()`, TLS) is as it was, just as on a machine whose clock somebody has set.
 */
import { readFileSync } from "node:fs";

const file = new URL(import.meta.url).searchParams.get("file") ?? "";
const RealDate = Date;
let offMs = 0;

function read(): void {
  try {
    offMs = Number(readFileSync(file, "utf8"));
  } catch {
    // Nobody has set it yet.
  }
}

read();
process.on("SIGUSR2", read);

const now = (): number => RealDate.now() + offMs;
globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(now()).toString(),
  construct: (target, given, made) => Reflect.construct(target, given.length === 0 ? [now()] : given, made),
  get: (target, name, receiver) => (name === "now" ? now : Reflect.get(target, name, receiver)),
});
