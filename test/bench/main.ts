/**
 * `npm run bench -- NAME... [--json]`: runs the named benchmarks, or all. Prints
 * `{ machine, results: [{ name, value, unit, bar, ok }] }`; exit code 1 if a bar was missed.
 */
import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { settleEnvironment } from "../../services/config.ts";
import type { Result } from "./result.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<Result[]> }>>> = {
  calls: () => import("./calls.ts"),
  propagate: () => import("./propagate.ts"),
  strings: () => import("./strings.ts"),
  watch: () => import("./watch.ts"),
};

settleEnvironment();
const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});

const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  process.stderr.write(
    `There is no benchmark ${unknown.join(", ")}. Known: ${Object.keys(BENCHES).join(", ")}\n`,
  );
  process.exit(64);
}

const results: Result[] = [];
for (const [name, load] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  if (!values.json) process.stderr.write(`${name} ...\n`);
  results.push(...(await (await load()).run()));
}

const machine = {
  node: process.version,
  platform: `${platform()} ${arch()}`,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  memoryGb: Math.round(totalmem() / 1024 ** 3),
};
process.stdout.write(`${JSON.stringify({ machine, results }, null, values.json ? 0 : 2)}\n`);
process.exit(results.every((result) => result.ok) ? 0 : 1);
