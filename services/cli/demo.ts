import { runDemo } from "../../infra/demo/demo.ts";
import { interrupted } from "./interrupt.ts";

/** As a shell does for a command that Ctrl-C ended. */
const INTERRUPTED = 130;

/** Exit code 0 if every step came out as it should, 130 if somebody would not wait for the last one, else 1. */
export async function demo(options: { once?: boolean; json?: boolean; port: number }): Promise<void> {
  const { once = false, json = false, port } = options;
  const stop = interrupted();
  const outcome = await runDemo({ once, json, port, interrupted: stop });
  // What is still open by now (an idle keep-alive connection) holds nobody up.
  process.exit(outcome === "ok" ? 0 : outcome === "interrupted" ? INTERRUPTED : 1);
}
