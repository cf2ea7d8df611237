/**
 * The sandbox as a process. Prints one JSON line, `{ urls, credentials, computes }`, and runs until
 * SIGTERM or SIGINT, or until its stdin closes where `--with-parent` is given. Flags: `--computes`,
 * `--host ADDRESS`, `--port N` (Neon on N, then Vercel, GitHub, AWS and Vault on the following ones).
 */
import { parseArgs } from "node:util";
import { type Sandbox, startSandbox } from "./index.ts";

const { values: flags } = parseArgs({
  options: {
    computes: { type: "boolean", default: false },
    host: { type: "string" },
    port: { type: "string" },
    "with-parent": { type: "boolean", default: false },
  },
});

const portOf = (offset: number) => ({ port: flags.port === undefined ? 0 : Number(flags.port) + offset });
const sandbox = await startSandbox({
  computes: flags.computes,
  ...(flags.host === undefined ? {} : { host: flags.host }),
  neon: portOf(0),
  vercel: portOf(1),
  github: portOf(2),
  aws: portOf(3),
  vault: portOf(4),
});
process.stdout.write(`${JSON.stringify(description(sandbox))}\n`);

let ending = false;
const end = (): void => {
  if (ending) return;
  ending = true;
  void sandbox.close().finally(() => process.exit(0));
};
process.once("SIGTERM", end);
process.once("SIGINT", end);
if (flags["with-parent"]) process.stdin.resume().once("end", end).once("close", end);

function description({ neon, vercel, github, aws, vault, computes, credentials }: Sandbox): object {
  return {
    urls: { neon: neon.url, vercel: vercel.url, github: github.url, aws: aws.url, vault: vault.url },
    credentials,
    computes: computes === null ? null : { host: computes.host, port: computes.port, ca: computes.ca },
  };
}
