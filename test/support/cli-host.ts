/**
 * A process that runs one `branchline` command after the other, each as if it were a process of its own: to load the
 * program takes ten times as long as most commands do.
 */
import { Readable } from "node:stream";
import { run } from "../../services/cli/program.ts";

export interface Order {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: string;
}

export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const own = { ...process.env };

async function perform({ args, env, cwd, stdin }: Order): Promise<Answer> {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, { PATH: own["PATH"] }, env);
  process.chdir(cwd);
  Object.defineProperty(process, "stdin", { value: Readable.from([stdin]), configurable: true });
  const said = { out: "", err: "" };
  process.stdout.write = listener((text) => {
    said.out += text;
  });
  process.stderr.write = listener((text) => {
    said.err += text;
  });
  const code = await run(args);
  return { code, ...said };
}

/** Takes what is written, and says when it was taken. */
function listener(take: (text: string) => void): typeof process.stdout.write {
  return (chunk: string | Uint8Array, ...rest: unknown[]) => {
    take(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8"));
    const done = rest.find((one) => typeof one === "function");
    if (done !== undefined) process.nextTick(done);
    return true;
  };
}

process.on("message", (order: Order) => {
  perform(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ code: -1, out: "", err: String(error) }),
  );
});
// Whoever started us is gone.
process.on("disconnect", () => process.exit(0));
