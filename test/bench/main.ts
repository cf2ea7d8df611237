/**
 * `npm run bench -- NAME... [--json] [--scale PART]`: runs the named benchmarks, or all. Prints
 * `{ machine, results: [{ name, value, unit, bar, ok }] }`; exit code 1 if a bar was missed. With a scale below 1
 * those that take long are run in part of their size: it shows that they run, and its numbers mean nothing.
 */
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { settleEnvironment } from "../../services/config.ts";
import { type Result, rounded, type Scale } from "./result.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ run(scale: Scale): Promise<Result[]> }>>> = {
  burst: () => import("./burst.ts"),
  calls: () => import("./calls.ts"),
  footprint: () => import("./footprint.ts"),
  ingest: () => import("./ingest.ts"),
  propagate: () => import("./propagate.ts"),
  strings: () => import("./strings.ts"),
  sweep: () => import("./sweep.ts"),
  watch: () => import("./watch.ts"),
};

settleEnvironment();
const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false }, scale: { type: "string", default: "1" } },
  allowPositionals: true,
});

const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  process.stderr.write(
    `There is no benchmark ${unknown.join(", ")}. Known: ${Object.keys(BENCHES).join(", ")}\n`,
  );
  process.exit(64);
}

const scale = Number(values.scale);
if (!(scale > 0 && scale <= 1)) {
  process.stderr.write("--scale is a number above 0 and at most 1\n");
  process.exit(64);
}

/** Before we begin: above the number of cores, others were at work and no time below means what it says. */
const [load = 0] = loadavg();
const results: Result[] = [];
for (const [name, load] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  if (!values.json) process.stderr.write(`${name} ...\n`);
  results.push(...(await (await load()).run({ scale })));
}

const machine = {
  node: process.version,
  platform: `${platform()} ${arch()}`,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  memoryGb: Math.round(totalmem() / 1024 ** 3),
  loadBefore: rounded(load),
};
process.stdout.write(`${JSON.stringify({ machine, results }, null, values.json ? 0 : 2)}\n`);
process.exit(results.every((result) => result.ok) ? 0 : 1);
