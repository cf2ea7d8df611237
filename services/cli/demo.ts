import { runDemo } from "../../infra/demo/demo.ts";
import { interrupted } from "./interrupt.ts";

/** Exit code 0 if every step came out as it should, else 1. */
export async function demo(options: { once?: boolean; json?: boolean; port: number }): Promise<void> {
  const { once = false, json = false, port } = options;
  const stop = interrupted();
  const ok = await runDemo({ once, json, port, interrupted: stop });
  // What is still open by now (an idle keep-alive connection) holds nobody up.
  process.exit(ok ? 0 : 1);
}
